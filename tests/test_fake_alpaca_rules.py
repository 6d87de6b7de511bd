"""The fake Alpaca's strictness: a row for every check of an order, with the one thing that is wrong and the refusal."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest
from fake_orders import CALL, HIGHER_CALL, LONG, SHORT, ask, at, entry, exit_, leg, order, place, simple

from mahler_agents.testing.fake_alpaca import (
    FakeAlpaca,
    account_routes,
    order_fields,
    order_routes,
    order_rules,
    replacing,
)

MALFORMED, INVALID, FORBIDDEN = (422, 40010001), (422, 42210000), (403, 40310000)
SELL, BUY = leg(SHORT, "sell_to_open"), leg(LONG, "buy_to_open")


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAlpaca]:
    """Return a fake whose books no test here changes: all that they send is refused."""
    with FakeAlpaca() as server:
        yield server


FIELDS = {
    "a body that is no object": (["order"], MALFORMED, "request body must be an object"),
    "an unknown field": (entry(limit=-0.4, price=1), MALFORMED, "unknown field price"),
    "an unknown field of a leg": (
        entry(legs=[{**SELL, "qty": 1}, BUY]), MALFORMED, "unknown field leg.0.qty"),
    "no client_order_id": (entry(client_order_id=None), MALFORMED, "client_order_id is required"),
    "an empty client_order_id": (entry(client_order_id=""), MALFORMED, "client_order_id is required"),
    "a client_order_id of 49 characters": (
        entry(client_order_id="x" * 49), MALFORMED, "client_order_id must be no more than 48"),
    "no quantity": (entry(units=None), MALFORMED, "qty is required"),
    "a quantity of 0": (entry(units=0), MALFORMED, "qty must be > 0"),
    "a quantity below 0": (entry(units=-1), MALFORMED, "qty must be > 0"),
    "half a contract": (entry(units="1.5"), INVALID, "qty must be integer"),
    "a quantity that is no number": (entry(units="many"), MALFORMED, "qty must be a number"),
    "a quantity that is no finite number": (entry(units="NaN"), MALFORMED, "qty must be a number"),
    "true for a quantity": (entry(units=True), MALFORMED, "qty must be a number"),
    "a limit order without a limit": (entry(None, type="limit"), INVALID, "limit price is required"),
    "a market order with a limit": (entry(-0.4, type="market"), INVALID, "limit price is only valid for limit orders"),
    "a limit of three decimals": (entry("-0.405"), INVALID, "sub-penny increment"),
    "a sum of floats for a limit": (entry(-(0.1 + 0.2)), INVALID, "sub-penny increment"),
    "a credit spread's limit above 0": (entry(0.4), INVALID, "invalid limit price: 0.4 for a credit spread"),
    "a debit's limit below 0": (
        entry(-0.4, legs=[leg(SHORT, "buy_to_open"), leg(LONG, "sell_to_open")]), INVALID, "for a debit spread"),
    "a bear call's limit above 0": (
        entry(0.4, legs=[leg(CALL, "sell_to_open"), leg(HIGHER_CALL, "buy_to_open")]), INVALID, "for a credit spread"),
    "a stop order": (entry(type="stop"), INVALID, "invalid order type"),
    "a stop price": (entry(stop_price=1), INVALID, "stop_price is not valid"),
    "a trailing price": (entry(trail_price=1), INVALID, "trail_price is not valid"),
    "good till canceled": (entry(time_in_force="gtc"), INVALID, "invalid time in force"),
    "good till canceled, simple": (
        simple(LONG, "buy", 1, time_in_force="gtc"), INVALID, "invalid option time_in_force"),
    "no time in force": (entry(time_in_force=None), INVALID, "invalid time in force"),
    "an amount of dollars": (entry(notional=100), INVALID, "notional orders are not supported"),
    "extended hours": (entry(extended_hours=True), INVALID, "extended hours is not supported"),
    "a symbol beside the legs": (entry(symbol="SPY"), MALFORMED, "symbol is not allowed for mleg order"),
    "a side beside the legs": (entry(side="sell"), MALFORMED, "side is not allowed for mleg order"),
    "an intent beside the legs": (
        entry(position_intent="sell_to_open"), MALFORMED, "position_intent is not allowed for mleg order"),
    "no legs": (entry(legs=None), MALFORMED, "legs is required"),
    "one leg": (entry(legs=[BUY]), MALFORMED, "2 to 4 legs"),
    "five legs": (
        entry(legs=[leg(f"SPY260417P00{strike}000", "buy_to_open") for strike in range(561, 566)]),
        MALFORMED, "2 to 4 legs"),
    "one contract twice": (entry(legs=[BUY, BUY]), MALFORMED, "unique symbols"),
    "ratios with a common factor": (
        entry(legs=[leg(SHORT, "sell_to_open", 2), leg(LONG, "buy_to_open", 2)]), INVALID, "GCD[2 2] = 2"),
    "a ratio of 0": (entry(legs=[leg(SHORT, "sell_to_open", 0), BUY]), MALFORMED, "leg.0 ratio_qty must be > 0"),
    "no ratio": (entry(legs=[SELL, leg(LONG, "buy_to_open", None)]), MALFORMED, "leg.1 ratio_qty is required"),
    "no intent": (entry(legs=[SELL, {**BUY, "position_intent": None}]), INVALID, "leg.1 position intent is required"),
    "an intent that is none": (
        entry(legs=[{**SELL, "position_intent": "sell"}, BUY]), MALFORMED, "leg.0 position intent must be one of"),
    "an intent of the other side": (
        entry(legs=[{**SELL, "side": "buy"}, BUY]), INVALID, "does not match side buy"),
    "a side that is none in a leg": (
        entry(legs=[{**SELL, "side": "short"}, BUY]), MALFORMED, "leg.0 position intent: side must be buy or sell"),
    "a leg without a symbol": (entry(legs=[SELL, {**BUY, "symbol": ""}]), MALFORMED, "leg.1 symbol is required"),
    "a leg that is no object": (entry(legs=[SELL, LONG]), MALFORMED, "leg.1 must be an object"),
    "a simple order with legs": (
        simple(LONG, "buy", 1, legs=[SELL, BUY]), MALFORMED, "legs are only allowed for mleg orders"),
    "a bracket": (simple(LONG, "buy", 1, order_class="bracket"), INVALID, "complex orders not supported"),
    "a take-profit": (simple(LONG, "buy", 1, take_profit={"limit_price": 2}), INVALID, "complex orders not supported"),
    "a simple order without a symbol": (simple("", "buy", 1), MALFORMED, "symbol is required"),
    "a simple order without a side": (simple(LONG, "", 1), MALFORMED, "side must be buy or sell"),
    "a simple limit below 0": (simple(LONG, "buy", -1), INVALID, "limit price must be > 0"),
}  # fmt: skip
RULES = {
    "a malformed contract": (entry(legs=[SELL, leg("SPY", "buy_to_open")]), INVALID, "asset not found for SPY"),
    "a contract that is not listed": (
        entry(legs=[SELL, leg("SPY260417P00565500", "buy_to_open")]),
        INVALID, 'contract "SPY260417P00565500" not found'),
    "a contract that has expired": (
        entry(legs=[leg("SPY260313P00570000", "sell_to_open"), BUY]), INVALID, "is expired"),
    "legs of two underlyings": (
        entry(legs=[SELL, leg("QQQ260417P00500000", "buy_to_open")]), INVALID, "underlying asset mismatch: SPY != QQQ"),
    "two short legs": (
        entry(legs=[SELL, leg(LONG, "sell_to_open")]), FORBIDDEN, "not eligible to trade uncovered option contracts"),
    "a put that covers no call": (
        entry(legs=[leg(CALL, "sell_to_open"), BUY]), FORBIDDEN, "uncovered option contracts"),
    "two short for one long": (
        entry(legs=[leg(SHORT, "sell_to_open", 2), BUY]), FORBIDDEN, "uncovered option contracts"),
    "a short leg that outlives its cover": (
        entry(legs=[SELL, leg("SPY260410P00565000", "buy_to_open")]), FORBIDDEN, "uncovered option contracts"),
    "more than the buying power": (
        entry(-0.4, units=218), FORBIDDEN, "(required: 100280, available: 100000)"),
    "to close what is not held": (
        exit_(), FORBIDDEN, "insufficient qty available for order (requested: 1, available: 0)"),
    "to sell shares that are not held": (simple("SPY", "sell"), FORBIDDEN, "insufficient qty available for order"),
    "more shares than can be paid": (simple("SPY", "buy", 600, units=200), FORBIDDEN, "insufficient"),
    "a put that cash does not secure": (
        simple(SHORT, "sell", 1.5, units=2), FORBIDDEN, "cash-secured put (required: 113700, available: 100000)"),
    "a call that no shares cover": (
        simple(CALL, "sell", 0.3), FORBIDDEN, "insufficient underlying qty available for covered call"),
}  # fmt: skip


@pytest.mark.parametrize("what", [*FIELDS, *RULES])
def test_an_order_is_refused_that_has(fake: FakeAlpaca, what: str) -> None:
    body, refusal, said = {**FIELDS, **RULES}[what]
    answer = ask(fake, "POST", "/v2/orders", body)
    assert (answer.status, answer.json["code"]) == refusal, answer.json
    assert said in answer.json["message"]
    assert fake.books()["orders"] == []


@pytest.mark.parametrize(
    "body",
    [
        entry(),
        entry("-0.40", units="3"),
        entry(None),
        entry(client_order_id="x" * 48),
        entry(legs=[{**SELL, "side": None}, BUY]),
        entry(-0.2, legs=[leg(CALL, "sell_to_open"), leg(HIGHER_CALL, "buy_to_open")]),
        entry(-0.5, legs=[SELL, BUY, leg(CALL, "sell_to_open"), leg(HIGHER_CALL, "buy_to_open")]),
        entry(0.5, legs=[leg(SHORT, "sell_to_open"), leg(LONG, "buy_to_open", 2)]),
        entry(2.5, legs=[leg(SHORT, "buy_to_open"), leg("SPY260410P00570000", "sell_to_open")]),
        entry(-0.4, units=217),
        simple(LONG, "buy", 1.3),
        simple(LONG, "buy"),
        simple(SHORT, "sell", 1.5),
        simple("SPY", "buy", 600, units=100),
    ],
)
def test_an_order_is_taken_that_has_nothing_wrong(body: Mapping[str, Any]) -> None:
    with FakeAlpaca() as fake:
        assert (
            place(fake, {name: value for name, value in body.items() if value is not None})["status"] == "pending_new"
        )


CITED = re.compile(r"\[(overview|options|level 3|orders|client|activities|ours)\]|github\.com/")


@pytest.mark.parametrize(
    "module", [order_fields, order_rules, order_routes, replacing, account_routes], ids=lambda module: module.__name__
)
def test_every_check_cites_where_it_is_from(module: ModuleType) -> None:
    source = inspect.getsource(module)
    lines = source.splitlines()
    functions = [one for one in ast.walk(ast.parse(source)) if isinstance(one, ast.FunctionDef)]
    checks = [(one, raised) for one in functions for raised in ast.walk(one) if isinstance(raised, ast.Raise)]
    assert len(checks) > 4
    for function, raised in checks:
        # In the function's docstring, or on the check's lines and the two before them.
        around = [ast.get_docstring(function) or "", *lines[raised.lineno - 3 : raised.end_lineno]]
        assert CITED.search("\n".join(around)), lines[raised.lineno - 1]


def test_an_id_is_taken_once_for_ever() -> None:
    with FakeAlpaca() as fake:
        body = entry(-4.0)
        placed = place(fake, body)
        for _ in range(2):
            answer = ask(fake, "POST", "/v2/orders", body)
            assert (answer.status, answer.json["code"]) == MALFORMED
            assert answer.json["message"] == "client_order_id must be unique"
            ask(fake, "DELETE", f"/v2/orders/{placed['id']}")
        assert len(fake.books()["orders"]) == 1


def test_an_open_order_binds_buying_power_until_it_is_over() -> None:
    with FakeAlpaca(cash=1000) as fake:
        first = place(fake, entry(-4.0, units=2))  # binds 2 x (500 - 400)
        assert ask(fake, "POST", "/v2/orders", entry(-0.1, units=2)).json["options_buying_power"] == "800"
        ask(fake, "DELETE", f"/v2/orders/{first['id']}")
        place(fake, entry(-0.1, units=2))


def test_a_spread_that_is_held_binds_its_margin_once() -> None:
    with FakeAlpaca(cash=1000) as fake:
        for _ in range(2):
            assert order(fake, place(fake, entry(-0.33)))["status"] == "filled"
        assert ask(fake, "POST", "/v2/orders", entry(-0.33)).json["options_buying_power"] == "66"


@pytest.mark.parametrize(
    ("level", "body", "said"),
    [
        (2, entry(), "not eligible to trade spreads or uncovered contracts"),
        (1, simple(LONG, "buy", 1.3), "not eligible to trade long option contracts"),
        (0, simple(SHORT, "sell", 1.5), "not authorized to trade options"),
    ],
)
def test_an_account_s_level_limits_what_it_may_open(level: int, body: Mapping[str, Any], said: str) -> None:
    with FakeAlpaca(options_level=level) as fake:
        answer = ask(fake, "POST", "/v2/orders", dict(body))
        assert (answer.status, answer.json["code"]) == FORBIDDEN
        assert said in answer.json["message"]


def test_an_intent_must_be_the_one_that_the_position_implies() -> None:
    with FakeAlpaca() as fake:
        order(fake, place(fake, entry(-0.01)))
        for legs in ([leg(SHORT, "buy_to_open"), leg(LONG, "sell_to_close")],
                     [leg(LONG, "sell_to_open"), leg("SPY260417P00560000", "buy_to_open")]):  # fmt: skip
            answer = ask(fake, "POST", "/v2/orders", entry(None, legs=legs))
            assert (answer.status, answer.json["code"]) == INVALID
            assert "position intent mismatch, inferred: " in answer.json["message"]


def test_what_one_order_closes_another_cannot() -> None:
    with FakeAlpaca() as fake:
        order(fake, place(fake, entry(-0.01, units=3)))
        place(fake, exit_(0.01, units=2))
        answer = ask(fake, "POST", "/v2/orders", exit_(0.01, units=2))
        assert (answer.status, answer.json["code"]) == FORBIDDEN
        assert (answer.json["existing_qty"], answer.json["held_for_orders"], answer.json["available"]) == (
            "3",
            "2",
            "1",
        )
        place(fake, exit_(0.01))


def test_market_orders_of_options_wait_for_the_session_and_limit_orders_need_not() -> None:
    for closed in ("2026-03-17T09:29", "2026-03-17T16:00", "2026-03-21T12:00"):
        with FakeAlpaca(start=at(closed)) as fake:
            answer = ask(fake, "POST", "/v2/orders", entry(None))
            assert (answer.status, answer.json["code"]) == INVALID
            assert answer.json["message"] == "options market orders are only allowed during market hours"
            assert place(fake, entry(-0.4))["status"] == "accepted"


def test_a_contract_is_not_opened_in_its_last_half_hour_and_closed_until_the_end() -> None:
    legs = [leg("SPY260417P00570000", "sell_to_open"), leg("SPY260417P00565000", "buy_to_open")]
    with FakeAlpaca(start=at("2026-04-17T15:29:59")) as fake:
        order(fake, place(fake, entry(None, legs=legs)))
        fake.advance_to(at("2026-04-17T15:30:00"))
        answer = ask(fake, "POST", "/v2/orders", entry(-0.01, legs=legs))
        assert (answer.status, answer.json["code"]) == INVALID
        assert "expires soon, unable to open new positions" in answer.json["message"]
        place(fake, exit_(0.01))
        fake.advance_to(at("2026-04-17T16:00:00"))
        assert "is expired" in ask(fake, "POST", "/v2/orders", exit_(0.01)).json["message"]
