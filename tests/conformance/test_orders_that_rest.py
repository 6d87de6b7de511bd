"""Conformance: orders that must not trade: sent, found, canceled, refused; on a real account too, if asked for."""

import pytest
from broker_worlds import World, a_vertical, an_entry, an_exit, attempt_id, some_spread

from mahler_agents.errors import BrokerError
from mahler_agents.execution import OrderState
from mahler_agents.types import Reason


def test_the_account_has_a_name_and_money_and_stays_the_same(world: World) -> None:
    account = world.ask(world.broker.account(world.now))
    assert account.account_id == world.broker.account_id
    assert account.equity > 0
    assert account.buying_power > 0
    assert world.broker.name
    assert world.broker.host


def test_an_order_far_from_the_market_rests_until_it_is_canceled(world: World) -> None:
    spread = some_spread(world)
    ticket = an_entry(world, spread, contracts=1)
    order_id = attempt_id(ticket.client_order_id, 1)
    before = world.positions()
    sent = world.submit(ticket, spread.width - 0.01)
    assert sent.state is OrderState.ACCEPTED
    assert sent.traded is None
    assert world.working() >= {order_id}
    found = world.find(ticket)
    assert found is not None
    assert (found.state, found.broker_order_id) == (OrderState.ACCEPTED, sent.broker_order_id)
    assert world.cancel(ticket).state is OrderState.CANCELED
    assert order_id not in world.working()
    assert world.positions() == before


def test_a_cancel_may_be_asked_for_twice(world: World) -> None:
    spread = some_spread(world)
    ticket = an_entry(world, spread, contracts=1, slot="twice")
    world.submit(ticket, spread.width - 0.01)
    first = world.cancel(ticket)
    assert first.state is OrderState.CANCELED
    assert world.cancel(ticket) == first


def test_an_id_that_is_sent_again_is_one_order(world: World) -> None:
    spread = some_spread(world)
    ticket = an_entry(world, spread, contracts=1, slot="again")
    before = world.working()
    first = world.submit(ticket, spread.width - 0.01)
    again = world.submit(ticket, spread.width - 0.01)
    assert again.broker_order_id == first.broker_order_id
    assert len(world.working() - before) == 1
    world.cancel(ticket)


@pytest.mark.parametrize("other", ["price", "quantity", "legs"])
def test_an_id_that_another_order_has_is_an_error_and_nothing_is_sent(world: World, other: str) -> None:
    spread = some_spread(world)
    ticket = an_entry(world, spread, contracts=2, slot=other)
    world.submit(ticket, spread.width - 0.01)
    before = world.working()
    changed = an_exit(world, ticket).model_copy(update={"client_order_id": ticket.client_order_id})
    with pytest.raises(BrokerError, match=attempt_id(ticket.client_order_id, 1)):
        world.submit(
            changed if other == "legs" else ticket,
            spread.width - (0.02 if other == "price" else 0.01),
            contracts=1 if other == "quantity" else 2,
        )
    assert world.working() == before
    world.cancel(ticket)


def test_an_order_that_was_never_sent_is_not_found_and_cannot_be_canceled(world: World) -> None:
    ticket = an_entry(world, some_spread(world), slot="never")
    assert world.find(ticket) is None
    with pytest.raises(BrokerError, match=attempt_id(ticket.client_order_id, 1)):
        world.cancel(ticket)


def test_attempts_of_one_order_are_orders_of_their_own(world: World) -> None:
    spread = some_spread(world)
    ticket = an_entry(world, spread, contracts=1, slot="row")
    world.submit(ticket, spread.width - 0.01)
    world.cancel(ticket)
    second = world.submit(ticket, spread.width - 0.02, number=2)
    assert second.state is OrderState.ACCEPTED
    first = world.find(ticket, 1)
    assert first is not None
    assert first.state is OrderState.CANCELED
    assert world.cancel(ticket, 2).state is OrderState.CANCELED


def test_an_order_that_the_account_cannot_carry_is_rejected_and_leaves_nothing(world: World) -> None:
    spread = some_spread(world)
    ticket = an_entry(world, spread, contracts=500_000, slot="too much")
    before = world.positions(), world.working()
    update = world.submit(ticket, spread.width - 0.01)
    assert (update.state, update.reason) == (OrderState.REJECTED, Reason.BUYING_POWER)
    assert (world.positions(), world.working()) == before


def test_an_exit_of_what_is_not_held_is_rejected(world: World) -> None:
    spread = some_spread(world)
    ticket = an_exit(world, an_entry(world, spread, slot="not held"))
    update = world.submit(ticket, -0.01)
    assert (update.state, update.reason) == (OrderState.REJECTED, Reason.NOT_HELD)


def test_legs_that_have_not_expired_are_not_settled(world: World) -> None:
    spread = some_spread(world)
    legs = [spread.short_symbol, spread.long_symbol]
    assert world.ask(world.broker.settlements(legs, at=world.now)) == {}


def test_a_spread_of_calls_rests_like_one_of_puts(world: World) -> None:
    puts = some_spread(world)
    calls = a_vertical(puts.expiration, puts.short_strike, puts.short_strike + puts.width, underlying=puts.underlying)
    ticket = an_entry(world, calls, contracts=1, slot="calls")
    assert world.submit(ticket, calls.width - 0.01).state is OrderState.ACCEPTED
    assert world.cancel(ticket).state is OrderState.CANCELED
