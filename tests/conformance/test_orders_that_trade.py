"""Conformance: orders that trade: whole, in parts, against a cancel, at the close; and legs that expire."""

import datetime as dt

import pytest
from broker_worlds import World, a_vertical, an_entry, an_exit, close_of_day, listed_puts, some_spread

from mahler_agents.clock import NEW_YORK
from mahler_agents.execution import Expiry, OrderState, OrderTicket, OrderUpdate, Settlement, Ticket
from mahler_agents.market import calendar
from mahler_agents.types import Spread


def sold(world: World, spread: Spread, *, contracts: int = 4, slot: str = "a") -> tuple[OrderTicket, OrderUpdate]:
    """Sell a spread at natural, to the last contract."""
    ticket = an_entry(world, spread, contracts=contracts, slot=slot)
    return ticket, filled(world, ticket, world.natural_credit(spread))


def filled(world: World, ticket: Ticket, credit: float) -> OrderUpdate:
    """Send an order that trades at once, and return how it stands a second later: a broker may only have noted it."""
    world.submit(ticket, credit)
    world.later(seconds=1)
    update = world.find(ticket)
    assert update is not None
    assert update.state is OrderState.FILLED
    return update


def test_an_entry_at_natural_fills_at_its_limit_or_better_and_the_account_holds_its_legs(moving: World) -> None:
    spread, before = some_spread(moving), moving.cash()
    limit = moving.natural_credit(spread)
    ticket, update = sold(moving, spread)
    traded = update.traded
    assert traded is not None
    assert traded.contracts == 4
    assert traded.credit >= limit
    assert moving.positions() == {spread.short_symbol: -4, spread.long_symbol: 4}
    assert moving.cash() - before == pytest.approx(traded.credit * 400 - traded.fees, abs=0.001)
    assert moving.find(ticket) == update


def test_an_exit_at_natural_fills_and_the_cash_is_what_the_fills_say(moving: World) -> None:
    spread, before = some_spread(moving), moving.cash()
    entry, opened = sold(moving, spread)
    moving.later(hours=1)
    closed = filled(moving, an_exit(moving, entry), -moving.natural_debit(spread))
    assert opened.traded is not None
    assert closed.traded is not None
    assert closed.traded.credit < 0
    assert moving.positions() == {}
    fills = (opened.traded, closed.traded)
    expected = sum(one.credit * one.contracts * 100 - one.fees for one in fills)
    assert moving.cash() - before == pytest.approx(expected, abs=0.001)


def test_a_part_of_a_position_can_be_closed(moving: World) -> None:
    spread = some_spread(moving)
    entry, _ = sold(moving, spread)
    filled(moving, an_exit(moving, entry, contracts=1), -moving.natural_debit(spread))
    assert moving.positions() == {spread.short_symbol: -3, spread.long_symbol: 3}


def test_more_than_is_held_cannot_be_closed(moving: World) -> None:
    spread = some_spread(moving)
    entry, _ = sold(moving, spread)
    update = moving.submit(an_exit(moving, entry, contracts=5), -moving.natural_debit(spread))
    assert update.state is OrderState.REJECTED
    assert moving.positions() == {spread.short_symbol: -4, spread.long_symbol: 4}


def test_a_fill_that_came_first_wins_over_a_cancel(moving: World) -> None:
    spread = some_spread(moving)
    entry, update = sold(moving, spread)
    assert moving.cancel(entry) == update
    assert moving.positions()[spread.short_symbol] == -4


def test_an_id_that_has_filled_trades_nothing_again(moving: World) -> None:
    spread = some_spread(moving)
    limit = moving.natural_credit(spread)
    entry, update = sold(moving, spread)
    moving.later(minutes=1)
    assert moving.submit(entry, limit) == update
    assert moving.positions() == {spread.short_symbol: -4, spread.long_symbol: 4}


def partly_filled(world: World, spread: Spread) -> tuple[OrderTicket, OrderUpdate]:
    """Sell a spread of which a part fills at first: whether one does is chance, so one of some is taken."""
    for number in range(20):
        entry = an_entry(world, spread, contracts=9, slot=f"part-{number}")
        world.submit(entry, world.natural_credit(spread))
        update = world.find(entry)
        assert update is not None
        if update.state is OrderState.PARTIAL:
            return entry, update
    raise AssertionError("not one of 20 orders filled in part")


def test_what_is_told_of_an_order_that_fills_in_parts_is_cumulative_and_adds_up(in_parts: World) -> None:
    spread, before = some_spread(in_parts), in_parts.cash()
    entry, update = partly_filled(in_parts, spread)
    others = in_parts.positions()[spread.long_symbol] - update.contracts
    told = [update]
    while not told[-1].ended and in_parts.now < close_of_day(in_parts) - dt.timedelta(minutes=5):
        in_parts.later(minutes=1)
        found = in_parts.find(entry)
        assert found is not None
        told.append(found)
    last = in_parts.cancel(entry)
    counts = [one.contracts for one in told]
    assert counts == sorted(counts)
    assert in_parts.positions()[spread.short_symbol] == -(others + last.contracts)
    assert last.traded is not None
    if others == 0:
        received = last.traded.credit * last.contracts * 100
        assert in_parts.cash() - before == pytest.approx(received, abs=0.001)


def test_what_had_filled_of_a_canceled_order_is_held(in_parts: World) -> None:
    spread = some_spread(in_parts)
    entry, update = partly_filled(in_parts, spread)
    held = in_parts.positions()[spread.short_symbol]
    ended = in_parts.cancel(entry)
    assert (ended.state, ended.contracts) == (OrderState.CANCELED, update.contracts)
    assert in_parts.positions()[spread.short_symbol] == held


def test_an_order_ends_with_its_day(moving: World) -> None:
    spread = some_spread(moving)
    entry = an_entry(moving, spread)
    moving.submit(entry, spread.width - 0.01)
    moving.clock.advance_to(close_of_day(moving) + dt.timedelta(minutes=1))
    found = moving.find(entry)
    assert found is not None
    assert (found.state, found.traded) == (OrderState.EXPIRED, None)
    assert moving.working() == set()


@pytest.mark.parametrize("expiry", Expiry)
def test_legs_that_expire_are_settled_at_the_underlyings_close(moving: World, expiry: Expiry) -> None:
    spread, close = expiring(moving, expiry)
    cash = moving.cash()
    _, update = sold(moving, spread, contracts=2)
    assert update.traded is not None
    legs = [spread.short_symbol, spread.long_symbol]
    moving.clock.advance_to(close - dt.timedelta(minutes=1))
    assert moving.ask(moving.broker.settlements(legs, at=moving.now)) == {}
    moving.clock.advance_to(calendar.session(calendar.next_session(spread.expiration)).open)
    settlement = Settlement.of(spread, moving.ask(moving.broker.settlements(legs, at=moving.now)))
    assert settlement is not None
    assert settlement.expiry is expiry
    [price] = moving.ask(moving.market.prices([spread.underlying], close)).values()
    debit = round(min(spread.width, max(0.0, spread.short_strike - round(price, 2))), 2)
    assert (settlement.debit, settlement.at) == (debit, close)
    assert not {symbol for symbol in moving.positions() if symbol in legs}
    earned = (update.traded.credit - settlement.debit) * 200
    # A real account is left with shares between the strikes: bought at the strike, worth the close.
    shares = moving.positions().get(spread.underlying, 0)
    assert moving.cash() - cash == pytest.approx(earned - shares * round(price, 2), abs=0.011)


def expiring(world: World, expiry: Expiry) -> tuple[Spread, dt.datetime]:
    """Return the put spread of the week's end whose end is known here: the market's prices to come are."""
    today = world.now.astimezone(NEW_YORK).date()
    expiration, strikes = min(listed_puts(world)[1].items())
    assert expiration > today
    close = calendar.session_close(expiration)
    [price] = world.ask(world.market.prices(["SPY"], close)).values()
    below, above = sorted(one for one in strikes if one < price), sorted(one for one in strikes if one > price)
    short, long = {
        Expiry.WORTHLESS: (below[-1], below[-2]),
        Expiry.BETWEEN_STRIKES: (above[0], below[-1]),
        Expiry.IN_THE_MONEY: (above[1], above[0]),
    }[expiry]
    return a_vertical(expiration, short, long), close
