"""Alpaca as a broker, request by request: what is sent, what is asked again, and what each answer becomes."""

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from alpaca_answers import BROKER_ORDER_ID, ORDER_ID, an_account, an_activity, an_order
from alpaca_server import Answer, Server, serving
from builders import EXPIRATION
from trading_builders import DECIDED_AT, QuotedMarket, a_spread, a_ticket

from mahler_agents.alpaca import AlpacaSettings, Credentials, alpaca_settings
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.clock import SimulatedClock
from mahler_agents.errors import BrokerError, ConfigError
from mahler_agents.execution import OrderState, OrderUpdate
from mahler_agents.execution.alpaca.broker import ASK_AGAIN_AFTER, AlpacaBroker
from mahler_agents.execution.orders import attempt_id
from mahler_agents.types import Environment, Reason

T = TypeVar("T")

KEYS = Credentials(key_id="PKCANARY0123456789", secret_key="canarySecretCanarySecretCanary")  # noqa: S106
BY_CLIENT_ID = "/v2/orders:by_client_order_id"
BY_ID = f"/v2/orders/{BROKER_ORDER_ID}"
SECOND, THIRD = "5f2b7f3a-17c8-4b0c-9d2e-3f1c7a1b77aa", "5f2b7f3a-17c8-4b0c-9d2e-3f1c7a1b88bb"
TICKET = a_ticket()
SENT_ID = attempt_id(TICKET.client_order_id, 1)
AFTER_EXPIRY = dt.datetime.combine(EXPIRATION + dt.timedelta(days=3), dt.time(14), dt.UTC)


class Desk:
    """A broker on a server that answers as told, with a clock of its own."""

    def __init__(self, broker: AlpacaBroker, server: Server, clock: SimulatedClock) -> None:
        self.broker, self.server, self.clock = broker, server, clock

    def ask(self, request: Callable[[AlpacaBroker], Awaitable[T]]) -> T:
        async def asked() -> T:
            return await request(self.broker)

        return asyncio.run(asked())

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Method and path without its query, of each request."""
        return [(method, path.partition("?")[0]) for method, path, _ in self.server.asked]

    @property
    def waited(self) -> float:
        return (self.clock.now() - DECIDED_AT).total_seconds()

    def submit(self) -> OrderUpdate:
        return self.ask(lambda broker: broker.submit(TICKET, number=1, contracts=4, limit_credit=0.89, at=DECIDED_AT))

    def find(self) -> OrderUpdate | None:
        return self.ask(lambda broker: broker.find(ORDER_ID, at=DECIDED_AT))

    def cancel(self) -> OrderUpdate:
        return self.ask(lambda broker: broker.cancel(ORDER_ID, at=DECIDED_AT))


@contextmanager
def answering(*answers: Answer, market: QuotedMarket | None = None) -> Generator[Desk]:
    clock = SimulatedClock(DECIDED_AT)
    with serving(answers) as server, an_api(server, clock) as api:
        broker = AlpacaBroker(api, market or QuotedMarket(), clock, account_id="PA3TESTACCT")
        yield Desk(broker, server, clock)


def an_api(server: Server, clock: SimulatedClock) -> AlpacaApi:
    settings = alpaca_settings({"MAHLER_ALPACA_URL": server.url}, Environment.PAPER)
    return AlpacaApi(AlpacaSettings.model_validate({**settings.model_dump(), "timeout_seconds": 5.0}), KEYS, clock)


def told(body: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=json.dumps(body))


def refused(status: int, message: str, code: int = 40310000) -> Answer:
    return told({"code": code, "message": message}, status)


DUPLICATE = refused(422, "client_order_id must be unique", 40010001)
NO_CONTENT = Answer(status=204, body="")


# --- Opening ----------------------------------------------------------------------------------------------------------


def opened(answer: Answer) -> AlpacaBroker:
    clock = SimulatedClock(DECIDED_AT)

    async def open_it(api: AlpacaApi) -> AlpacaBroker:
        return await AlpacaBroker.open(api, QuotedMarket(), clock)

    with serving([answer]) as server, an_api(server, clock) as api:
        broker = asyncio.run(open_it(api))
        assert broker.host == server.url.removeprefix("http://")
        return broker


def test_opening_reads_whose_account_it_is() -> None:
    assert opened(told(an_account())).account_id == "PA3TESTACCT"


def test_an_account_that_cannot_trade_spreads_is_refused_at_opening() -> None:
    with pytest.raises(ConfigError, match="cannot trade spreads: its options level is 1, and they need 3"):
        opened(told(an_account(options_trading_level=1)))


def test_keys_that_alpaca_does_not_know_are_told_at_opening() -> None:
    with pytest.raises(BrokerError, match=r"Alpaca refused the account: unauthorized. \(HTTP 401"):
        opened(refused(401, "unauthorized.", 40110000))


def test_an_answer_about_another_account_is_refused() -> None:
    with (
        answering(told(an_account(account_number="PA3OTHER"))) as desk,
        pytest.raises(BrokerError, match="told of account PA3OTHER, and not of PA3TESTACCT"),
    ):
        desk.ask(lambda broker: broker.account(DECIDED_AT))


# --- Submit -----------------------------------------------------------------------------------------------------------


def test_an_order_that_is_taken_is_sent_once_and_stands_as_told() -> None:
    with answering(told(an_order("pending_new", client_order_id=SENT_ID))) as desk:
        update = desk.submit()
        assert (update.state, update.broker_order_id) == (OrderState.ACCEPTED, BROKER_ORDER_ID)
        assert desk.asked == [("POST", "/v2/orders")]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_definite_refusal_is_a_rejected_order_with_alpacas_own_words(status: int) -> None:
    with answering(refused(status, "insufficient options buying power")) as desk:
        update = desk.submit()
        assert (update.state, update.reason) == (OrderState.REJECTED, Reason.BUYING_POWER)
        assert update.detail == "insufficient options buying power"
        assert len(desk.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(hang_up=True),
        Answer(status=504, body='{"message": "gateway timeout"}'),
        Answer(status=500, body='{"message": "internal server error"}'),
        Answer(status=429, body='{"message": "too many requests"}'),
        Answer(status=502, body="<html>502 Bad Gateway</html>"),
        Answer(status=200, body="<html>all is well</html>"),
        Answer(status=422, body="<html>refused by something in between</html>"),
        told({"message": "order accepted"}),
        refused(409, "conflict"),
    ],
)
def test_an_answer_that_says_nothing_for_certain_is_an_error_and_the_order_is_not_sent_again(answer: Answer) -> None:
    with answering(answer) as desk:
        with pytest.raises(BrokerError):
            desk.submit()
        assert desk.asked == [("POST", "/v2/orders")]


def test_an_id_that_was_used_before_is_adopted_if_it_is_this_order() -> None:
    same = told(an_order("filled", filled=4, client_order_id=SENT_ID))
    with answering(DUPLICATE, same) as desk:
        update = desk.submit()
        assert (update.state, update.contracts) == (OrderState.FILLED, 4)
        assert desk.asked == [("POST", "/v2/orders"), ("GET", BY_CLIENT_ID)]


@pytest.mark.parametrize(
    ("other", "different"),
    [
        (an_order(client_order_id=SENT_ID, limit_price="-0.50"), "its limit price is -0.50, not -0.89"),
        (an_order(client_order_id=SENT_ID, qty=7), "its quantity is 7, not 4"),
        (an_order(client_order_id=SENT_ID, opens=False), "its legs are"),
    ],
)
def test_another_order_under_the_same_id_is_told_and_not_adopted(other: dict[str, Any], different: str) -> None:
    with (
        answering(DUPLICATE, told(other)) as desk,
        pytest.raises(BrokerError, match=f"Alpaca has another order under the id {SENT_ID}: .*{different}"),
    ):
        desk.submit()


def test_an_id_that_exists_and_is_not_known_is_an_error() -> None:
    with (
        answering(DUPLICATE, refused(404, "order not found")) as desk,
        pytest.raises(BrokerError, match="exists already, and does not know it"),
    ):
        desk.submit()


# --- Find -------------------------------------------------------------------------------------------------------------


def test_an_order_that_alpaca_has_never_had_is_not_found() -> None:
    with answering(refused(404, "order not found for SPY-1")) as desk:
        assert desk.find() is None


def test_a_404_that_is_not_alpacas_own_does_not_say_that_it_never_had_the_order() -> None:
    gateways = told({"message": "no Route matched with those values"}, 404)
    with answering(gateways) as desk, pytest.raises(BrokerError, match="no Route matched"):
        desk.find()


def test_an_order_that_others_replaced_is_followed_to_the_one_that_trades_now() -> None:
    ours, second = an_order("replaced", replaced_by=SECOND), an_order("replaced", id=SECOND, replaced_by=THIRD)
    live = an_order("filled", filled=4, id=THIRD, client_order_id="by-hand")
    with answering(told(ours), told(second), told(live)) as desk:
        update = desk.find()
        assert update is not None
        assert (update.state, update.contracts, update.broker_order_id) == (OrderState.FILLED, 4, THIRD)
        assert [path for _, path in desk.asked] == [BY_CLIENT_ID, f"/v2/orders/{SECOND}", f"/v2/orders/{THIRD}"]


def test_of_an_order_that_others_replaced_what_trades_now_is_canceled() -> None:
    ours, canceled = told(an_order("replaced", replaced_by=SECOND)), told(an_order("canceled", id=SECOND))
    with answering(ours, told(an_order("new", id=SECOND)), NO_CONTENT, ours, canceled) as desk:
        assert desk.cancel().state is OrderState.CANCELED
        assert ("DELETE", f"/v2/orders/{SECOND}") in desk.asked


def test_replacements_without_an_end_are_told() -> None:
    with (
        answering(told(an_order("replaced", replaced_by=SECOND))) as desk,
        pytest.raises(BrokerError, match="than 100"),
    ):
        desk.find()


def test_legs_that_the_first_answer_leaves_out_are_asked_for_by_alpacas_own_id() -> None:
    with answering(told(an_order("filled", filled=4, legs=None)), told(an_order("filled", filled=4))) as desk:
        update = desk.find()
        assert update is not None
        assert update.contracts == 4
        assert desk.asked == [("GET", BY_CLIENT_ID), ("GET", BY_ID)]
        assert "nested=True" in desk.server.asked[1][1]


def test_an_answer_about_another_order_is_refused() -> None:
    with (
        answering(told(an_order(client_order_id="somebody-elses"))) as desk,
        pytest.raises(BrokerError, match=f"told of order somebody-elses, and not of {ORDER_ID}"),
    ):
        desk.find()


def test_a_question_that_no_attempt_gets_answered_is_an_error() -> None:
    with answering(Answer(status=500, body="{}")) as desk, pytest.raises(BrokerError, match=f"find order {ORDER_ID}"):
        desk.find()


# --- Cancel -----------------------------------------------------------------------------------------------------------


def test_a_cancel_is_asked_for_until_the_order_has_ended() -> None:
    pending = told(an_order("pending_cancel"))
    with answering(told(an_order()), NO_CONTENT, pending, pending, told(an_order("canceled"))) as desk:
        assert desk.cancel().state is OrderState.CANCELED
        assert desk.asked == [("GET", BY_CLIENT_ID), ("DELETE", BY_ID), *[("GET", BY_ID)] * 3]
        assert desk.waited == 0.75


def test_an_order_that_has_ended_is_not_canceled() -> None:
    with answering(told(an_order("filled", filled=4))) as desk:
        assert desk.cancel().state is OrderState.FILLED
        assert desk.asked == [("GET", BY_CLIENT_ID)]


def test_a_fill_wins_over_a_cancel_that_came_too_late() -> None:
    too_late = refused(422, 'order is already in "filled" state', 42210000)
    with answering(told(an_order()), too_late, told(an_order("filled", filled=4))) as desk:
        update = desk.cancel()
        assert (update.state, update.contracts) == (OrderState.FILLED, 4)


@pytest.mark.parametrize("lost", [Answer(hang_up=True), Answer(status=504, body="{}"), refused(422, "try again")])
def test_a_cancel_that_was_lost_is_asked_for_again(lost: Answer) -> None:
    at_work = told(an_order())
    with answering(at_work, lost, at_work, NO_CONTENT, told(an_order("canceled"))) as desk:
        assert desk.cancel().state is OrderState.CANCELED
        assert [method for method, _ in desk.asked] == ["GET", "DELETE", "GET", "DELETE", "GET"]


def test_an_order_that_does_not_end_is_returned_as_it_stands_after_all_the_waits() -> None:
    with answering(told(an_order()), NO_CONTENT, told(an_order("pending_cancel", filled=1))) as desk:
        update = desk.cancel()
        assert (update.state, update.contracts) == (OrderState.PARTIAL, 1)
        assert desk.waited == sum(wait.total_seconds() for wait in ASK_AGAIN_AFTER)


def test_an_order_that_alpaca_does_not_know_cannot_be_canceled() -> None:
    with (
        answering(refused(404, "order not found")) as desk,
        pytest.raises(BrokerError, match=f"does not know order {ORDER_ID}, which was to be canceled"),
    ):
        desk.cancel()


# --- Positions, open orders, settlements ------------------------------------------------------------------------------


def test_everything_that_is_held_and_every_open_order_is_told() -> None:
    held = [{"symbol": "SPY", "qty": "100", "side": "long"}]
    by_hand = {"id": "77", "client_order_id": "by-hand", "symbol": "SPY", "legs": None}
    with answering(told(held), told([an_order(), by_hand])) as desk:
        assert desk.ask(lambda broker: broker.positions(DECIDED_AT)) == {"SPY": 100}
        assert [order.order_id for order in desk.ask(lambda broker: broker.working(DECIDED_AT))] == [
            ORDER_ID,
            "by-hand",
        ]
        assert "status=open" in desk.server.asked[1][1]


def open_orders(first: int, count: int, at: str) -> list[dict[str, Any]]:
    return [an_order(id=f"id-{number}", submitted_at=at) for number in range(first, first + count)]


def test_open_orders_are_read_page_by_page_each_once() -> None:
    first = [*open_orders(0, 400, "2026-03-17T14:05:00Z"), *open_orders(400, 100, "2026-03-17T14:03:00.684952901Z")]
    second = [*open_orders(400, 100, "2026-03-17T14:03:00.684952901Z"), *open_orders(500, 7, "2026-03-17T14:02:00Z")]
    with answering(told(first), told(second)) as desk:
        found = desk.ask(lambda broker: broker.working(DECIDED_AT))
        assert {order.broker_order_id for order in found} == {f"id-{number}" for number in range(507)}
        assert len(found) == 507
        assert "until=2026-03-17T14%3A03%3A00.684953" in desk.server.asked[1][1]


def test_open_orders_that_no_page_can_tell_apart_cannot_be_read() -> None:
    with (
        answering(told(open_orders(0, 500, "2026-03-17T14:05:00Z"))) as desk,
        pytest.raises(BrokerError, match="500 open orders of one instant"),
    ):
        desk.ask(lambda broker: broker.working(DECIDED_AT))


def test_legs_that_have_not_expired_are_asked_for_nowhere() -> None:
    with answering(told([])) as desk:
        assert desk.ask(lambda broker: broker.settlements([a_spread().short_symbol], at=DECIDED_AT)) == {}
        assert desk.asked == []


def test_settlements_are_read_page_by_page_and_priced_at_the_markets_close() -> None:
    spread, other, date = a_spread(), a_spread("QQQ"), EXPIRATION.isoformat()
    first = [an_activity("OPEXP", other.short_symbol, date, id=f"page-1-{number}") for number in range(100)]
    second = [
        an_activity("OPASN", spread.short_symbol, date),
        an_activity("OPEXC", spread.long_symbol, date),
    ]
    market = QuotedMarket()
    market.underlyings["SPY"] = 530.0
    with answering(told(first), told(second), market=market) as desk:
        legs = [spread.short_symbol, spread.long_symbol]
        found = desk.ask(lambda broker: broker.settlements(legs, at=AFTER_EXPIRY))
        assert [found[leg].dollars_per_share for leg in legs] == [10.0, 5.0]
        queries = [path for _, path, _ in desk.server.asked]
        assert "activity_types=OPEXP%2COPASN%2COPEXC" in queries[0]
        assert "page_token=page-1-99" in queries[1]


def test_a_leg_that_was_assigned_waits_for_a_close_that_the_market_knows() -> None:
    spread = a_spread()
    activities = told([an_activity("OPASN", spread.short_symbol, EXPIRATION.isoformat())])
    with answering(activities) as desk:
        assert desk.ask(lambda broker: broker.settlements([spread.short_symbol], at=AFTER_EXPIRY)) == {}
