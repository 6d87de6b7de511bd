"""The fake Alpaca's orders: how they are worked, fill, end, are found and replaced; and what scripts make of them."""

import datetime as dt
import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.models import Asset, Order, Position, TradeAccount
from alpaca.trading.requests import (
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    OptionLegRequest,
    ReplaceOrderRequest,
)
from conftest import at_scale
from fake_orders import LONG, SHORT, ask, at, client_of, entry, exit_, order, pass_, place, simple
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_agents.errors import InputError
from mahler_agents.testing.fake_alpaca import FAULTS, FakeAlpaca
from mahler_agents.testing.fake_alpaca.matching import leg_cents, mid_cents, natural_cents
from mahler_agents.testing.fake_alpaca.orders import Leg
from mahler_agents.types import Quote

MID, NATURAL = -0.36, -0.33
"""Of the put spread at the fake's first instant: what a seller is paid."""
GONE = "00000000-0000-4000-8000-000000000000"


# --- Matching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fill_at", "limit", "paid"),
    [
        (1.0, -0.34, None),  # only where it is marketable, as on the vendor's paper accounts
        (1.0, -0.33, -0.33),
        (1.0, -0.10, -0.33),  # never worse than natural
        (0.0, -0.36, -0.36),
        (0.0, -0.37, None),
        (0.5, -0.34, -0.34),
        (0.5, -0.35, None),
    ],
)
def test_a_limit_fills_at_itself_once_it_has_come_far_enough_and_never_worse_than_natural(
    fill_at: float, limit: float, paid: float | None
) -> None:
    with FakeAlpaca(fill_at=fill_at) as fake:
        found = order(fake, place(fake, entry(limit)))
    assert found["status"] == ("new" if paid is None else "filled")
    assert found["filled_avg_price"] == (None if paid is None else f"{paid:g}")


def test_a_market_order_fills_at_natural() -> None:
    with FakeAlpaca() as fake:
        found = order(fake, place(fake, entry(None)))
    assert (found["status"], float(found["filled_avg_price"])) == ("filled", NATURAL)


def test_working_an_order_by_cents_ends_in_a_fill_on_some_days_and_not_on_others() -> None:
    ends: set[str] = set()
    for day in range(16, 21):
        with FakeAlpaca(start=at(f"2026-03-{day}T10:00")) as fake:
            quotes = fake.world.quotes([SHORT, LONG])
            mid = quotes[SHORT].mid - quotes[LONG].mid
            natural = quotes[SHORT].bid - quotes[LONG].ask
            found = order(fake, place(fake, entry(f"{-(mid - 0.5 * (mid - natural)):.2f}")))
            ends.add(found["status"])
    assert ends == {"new", "filled"}


def test_an_open_order_meets_the_market_as_the_clock_moves_on() -> None:
    with FakeAlpaca(fill_at=1.0) as fake:
        placed = place(fake, entry(-0.45))
        assert order(fake, placed)["status"] == "new"
        fake.advance_to(at("2026-03-18T10:00"))
        found = order(fake, placed)
    assert found["status"] in {"filled", "expired"}
    assert found["filled_at"] is None or found["filled_at"] > "2026-03-17T14:00:00Z"


def test_a_short_put_s_price_rises_until_an_order_that_waits_for_it_is_filled() -> None:
    """One that asks for more than the market pays at first, and that it comes to pay in the course of the day."""
    with FakeAlpaca(fill_at=1.0, seed=5) as fake:
        quotes = [fake.world.quotes([SHORT], at(f"2026-03-17T{hour}:00"))[SHORT].bid for hour in range(10, 16)]
        best = max(quotes)
        assert best > quotes[0]
        placed = place(fake, simple(SHORT, "sell", best))
        fake.advance_to(at("2026-03-17T15:30"))
        found = order(fake, placed)
    assert found["status"] == "filled"
    assert float(found["filled_avg_price"]) >= best
    assert found["filled_at"] > found["created_at"]


PRICES = st.tuples(st.integers(0, 3000), st.integers(1, 200)).map(
    lambda pair: Quote(bid=pair[0] / 100, ask=(pair[0] + pair[1]) / 100, at=at("2026-03-17T10:00"))
)


@given(
    quotes=st.tuples(PRICES, PRICES),
    buys=st.tuples(st.booleans(), st.booleans()),
    ratios=st.sampled_from([(1, 1), (1, 2), (3, 1), (2, 3)]),
    share=st.floats(0, 1),
)
def test_prices_of_legs_add_up_to_the_net_price_and_are_none_below_0(
    quotes: tuple[Quote, Quote], buys: tuple[bool, bool], ratios: tuple[int, int], share: float
) -> None:
    legs = tuple(
        Leg(id=name, client_order_id=name, symbol=name, buys=buy, ratio=ratio, intent="buy_to_open")
        for name, buy, ratio in zip("ab", buys, ratios, strict=True)
    )
    seen = dict(zip("ab", quotes, strict=True))
    natural, mid = natural_cents(legs, seen), mid_cents(legs, seen)
    assert natural >= mid
    net = min(natural, round(mid + share * (natural - mid) + 0.5))
    prices = leg_cents(legs, seen, net)
    assert sum(leg.signed_ratio * price for leg, price in zip(legs, prices, strict=True)) == pytest.approx(net)
    assert min(prices) >= 0


# --- Parts ------------------------------------------------------------------------------------------------------------


@settings(max_examples=at_scale(100))
@given(seed=st.integers(0, 4))
def test_parts_fill_one_after_another_and_the_books_add_up(seed: int) -> None:
    with FakeAlpaca(partial_fills=True, seed=seed) as fake:
        before = fake.books()["cash_cents"]
        placed = place(fake, entry(-0.01, units=9))
        seen = [order(fake, placed)]
        while seen[-1]["status"] != "filled":
            assert seen[-1]["status"] == "partially_filled"
            pass_(fake, minutes=1)
            seen.append(order(fake, placed))
        counts = [int(one["filled_qty"]) for one in seen]
        assert counts == sorted(counts)
        assert counts[-1] == 9
        books = fake.books()
        fills = books["orders"][0]["fills"]
        assert books["cash_cents"] - before == -100 * sum(one["units"] * one["net_cents"] for one in fills)
        assert books["positions"] == {LONG: 9, SHORT: -9}
        assert float(seen[-1]["filled_avg_price"]) == pytest.approx(
            sum(one["units"] * one["net_cents"] for one in fills) / 900, abs=1e-6
        )


def test_an_order_meets_the_market_once_an_instant_however_often_it_is_asked_for() -> None:
    with FakeAlpaca(partial_fills=True, seed=3) as fake:
        placed = [place(fake, entry(-0.01, units=5)) for _ in range(8)]
        seen = [order(fake, one)["filled_qty"] for one in placed]
        assert set(seen) - {"5"}
        assert [order(fake, one)["filled_qty"] for one in placed] == seen


def test_a_part_that_is_closed_leaves_the_price_of_the_rest_as_it_was() -> None:
    with FakeAlpaca() as fake:
        order(fake, place(fake, entry(None, units=3)))
        pass_(fake, hours=2)
        order(fake, place(fake, exit_(None)))
        assert ask(fake, "GET", f"/v2/positions/{SHORT}").json["avg_entry_price"] == "1.57"


def test_a_commission_is_taken_for_each_contract_of_each_leg() -> None:
    with FakeAlpaca(commission=0.65) as fake:
        found = order(fake, place(fake, entry(None, units=3)))
        assert found["commission"] == "3.9"
        assert fake.books()["cash_cents"] == 10_000_000 + 3 * 3300 - 390
        fees = ask(fake, "GET", "/v2/account/activities/FEE").json
        assert [fee["net_amount"] for fee in fees] == ["-3.9"]


# --- Ends -------------------------------------------------------------------------------------------------------------


def test_a_day_order_expires_at_the_close() -> None:
    with FakeAlpaca() as fake:
        placed = place(fake, entry(-4.0))
        fake.advance_to(at("2026-03-17T15:59:59"))
        assert order(fake, placed)["status"] == "new"
        fake.advance_to(at("2026-03-17T16:00"))
        found = order(fake, placed)
    assert (found["status"], found["expired_at"]) == ("expired", "2026-03-17T20:00:00Z")


def test_an_order_from_after_the_close_waits_for_the_next_session_and_ends_with_it() -> None:
    with FakeAlpaca(start=at("2026-03-20T17:00")) as fake:  # a Friday
        placed = place(fake, entry(-4.0))
        fake.advance_to(at("2026-03-23T09:29"))
        assert order(fake, placed)["status"] == "accepted"
        fake.advance_to(at("2026-03-23T09:31"))
        assert order(fake, placed)["status"] == "new"
        fake.advance_to(at("2026-03-24T12:00"))
        assert order(fake, placed)["expired_at"] == "2026-03-23T20:00:00Z"


def test_an_order_that_waits_for_the_open_fills_at_it() -> None:
    with FakeAlpaca(start=at("2026-03-20T17:00")) as fake:
        placed = place(fake, entry(-0.01))
        fake.advance_to(at("2026-03-23T12:00"))
        assert order(fake, placed)["filled_at"] == "2026-03-23T13:30:00Z"


def test_a_canceled_order_is_over_and_cannot_be_canceled_again() -> None:
    with FakeAlpaca() as fake:
        placed = place(fake, entry(-4.0))
        path = f"/v2/orders/{placed['id']}"
        answer = ask(fake, "DELETE", path)
        assert (answer.status, answer.json) == (204, None)
        assert order(fake, placed)["status"] == "canceled"
        again = ask(fake, "DELETE", path)
        assert (again.status, again.json["code"]) == (422, 42210000)
        assert again.json["message"] == 'order is already in "canceled" state'


def test_a_fill_wins_over_a_cancel_that_comes_too_late() -> None:
    with FakeAlpaca() as fake:
        placed = place(fake, entry(-0.01))
        answer = ask(fake, "DELETE", f"/v2/orders/{placed['id']}")
        assert (answer.status, answer.json["message"]) == (422, 'order is already in "filled" state')
        assert fake.books()["positions"] == {LONG: 1, SHORT: -1}


def test_all_open_orders_are_canceled_at_once() -> None:
    with FakeAlpaca() as fake:
        placed = [place(fake, entry(-4.0)) for _ in range(2)]
        told = client_of(fake).cancel_orders()
        assert {str(one.id) for one in told} == {one["id"] for one in placed}
        assert {order(fake, one)["status"] for one in placed} == {"canceled"}


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
def test_an_order_that_is_not_there_is_not_found(method: str) -> None:
    with FakeAlpaca() as fake:
        answer = ask(fake, method, f"/v2/orders/{GONE}", {} if method == "PATCH" else None)
        assert (answer.status, answer.json["code"]) == (404, 40410000)
        answer = ask(fake, "GET", "/v2/orders:by_client_order_id?client_order_id=nobody-s")
        assert (answer.status, answer.json["code"]) == (404, 40410000)
        assert ask(fake, "GET", "/v2/orders:by_client_order_id").status == 422


# --- Scripts ----------------------------------------------------------------------------------------------------------


def test_accepted_then_rejected() -> None:
    with FakeAlpaca() as fake:
        fake.fail("POST /v2/orders", "accepted_then_rejected")
        placed = place(fake, entry(-0.01))
        assert placed["status"] == "pending_new"
        found = order(fake, placed)
        assert found["status"] == "rejected"
        assert found["failed_at"]
        assert fake.books()["positions"] == {}


def test_partial_then_expired() -> None:
    with FakeAlpaca() as fake:
        fake.fail("POST /v2/orders", "partial_then_expired")
        placed = place(fake, entry(-0.36, units=5))
        seen = [order(fake, placed) for _ in range(3)]
        assert [(one["status"], one["filled_qty"]) for one in seen] == [
            ("partially_filled", "2"), ("expired", "2"), ("expired", "2")]  # fmt: skip
        assert fake.books()["positions"] == {LONG: 2, SHORT: -2}


def test_what_a_script_has_left_to_do_is_done_by_the_close() -> None:
    with FakeAlpaca() as fake:
        fake.fail("POST /v2/orders", "partial_then_expired")
        placed = place(fake, entry(-0.36, units=5))
        fake.advance_to(at("2026-03-17T16:00"))
        assert [(one["status"], one["filled"]) for one in fake.books()["orders"]] == [("expired", 2)]
        assert order(fake, placed)["filled_qty"] == "2"


def test_cancel_fill_race() -> None:
    with FakeAlpaca() as fake:
        fake.fail("DELETE /v2/orders/{id}", "cancel_fill_race")
        placed = place(fake, entry(-4.0, units=2))
        assert ask(fake, "DELETE", f"/v2/orders/{placed['id']}").status == 204
        assert fake.books()["orders"][0]["status"] == "pending_cancel"
        found = order(fake, placed)
        assert (found["status"], found["filled_qty"], found["filled_avg_price"]) == ("filled", "2", "-4")


def test_slow_cancel() -> None:
    with FakeAlpaca() as fake:
        fake.fail("DELETE /v2/orders/{id}", "slow_cancel")
        placed = place(fake, entry(-4.0))
        assert ask(fake, "DELETE", f"/v2/orders/{placed['id']}").status == 204
        assert order(fake, placed)["status"] == "pending_cancel"
        assert ask(fake, "DELETE", f"/v2/orders/{placed['id']}").status == 422
        pass_(fake, seconds=5)
        found = order(fake, placed)
        assert (found["status"], found["canceled_at"]) == ("canceled", "2026-03-17T14:00:01Z")


@pytest.mark.parametrize(
    ("fault", "is_done"),
    [("gateway_timeout_before", False), ("500", False), ("429", False), ("401", False), ("403", False), ("404", False),
     ("422", False), ("html", False), ("reset_before", False), ("timeout_before", False),
     ("gateway_timeout_after", True), ("500_after", True), ("html_after", True), ("reset_after", True),
     ("timeout_after", True)],
)  # fmt: skip
def test_before_and_after_are_before_and_after_the_order_was_accepted(fault: str, *, is_done: bool) -> None:
    with FakeAlpaca() as fake:
        fake.fail("POST /v2/orders", fault)
        body = entry(-4.0)
        with suppress(OSError, ValueError, HTTPException):
            ask(fake, "POST", "/v2/orders", body, timeout=0.3)
        assert [one["client_order_id"] for one in fake.books()["orders"]] == [body["client_order_id"]] * is_done


def test_an_order_that_is_done_late_is_placed_a_minute_after_its_504() -> None:
    with FakeAlpaca() as fake:
        fake.fail("POST /v2/orders", "done_late")
        assert ask(fake, "POST", "/v2/orders", entry(-4.0)).status == 504
        pass_(fake, seconds=59)
        assert fake.books()["orders"] == []
        pass_(fake, seconds=10)
        [placed] = fake.books()["orders"]
        assert placed["at"] == "2026-03-17T14:01:00+00:00"


def test_an_answer_that_drips_is_one_to_an_order_that_was_accepted() -> None:
    """Each byte comes in time for a client that waits for the next one only."""
    with FakeAlpaca() as fake, socket.create_connection(("127.0.0.1", int(fake.url.rpartition(":")[2]))) as client:
        fake.fail("POST /v2/orders", "slow_drip")
        body = json.dumps(entry(-4.0))
        keys = fake.environ["APCA_API_KEY_ID"], fake.environ["APCA_API_SECRET_KEY"]
        head = f"POST /v2/orders HTTP/1.1\r\nAPCA-API-KEY-ID: {keys[0]}\r\nAPCA-API-SECRET-KEY: {keys[1]}\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        seen = b""
        while b"{" not in seen:
            seen += client.recv(4096)
        assert len(seen.partition(b"{")[2]) < 100
        assert len(fake.books()["orders"]) == 1


def test_an_order_s_own_fault_meets_orders_only() -> None:
    with FakeAlpaca() as fake, pytest.raises(InputError, match="script it at `POST /v2/orders`"):
        fake.fail("GET /v2/clock", "accepted_then_rejected")


def test_every_fault_has_a_test() -> None:
    here = Path(__file__)
    source = here.read_text(encoding="utf-8") + here.with_name("test_fake_alpaca.py").read_text(encoding="utf-8")
    assert [fault for fault in FAULTS if f'"{fault}"' not in source] == []


# --- Lists ------------------------------------------------------------------------------------------------------------


def test_orders_are_listed_by_status_time_side_and_symbol_newest_first() -> None:
    with FakeAlpaca() as fake:
        first = place(fake, entry(-4.0))
        pass_(fake, seconds=10)
        second = place(fake, simple(LONG, "buy", 0.01))
        pass_(fake, seconds=10)
        third = place(fake, entry(-0.01))
        client = client_of(fake)

        def ids(**filters: object) -> list[str]:
            return [str(one.id) for one in client.get_orders(GetOrdersRequest(nested=True, **filters))]

        assert ids() == [second["id"], first["id"]]
        assert ids(status=QueryOrderStatus.CLOSED) == [third["id"]]
        everything = [third["id"], second["id"], first["id"]]
        assert ids(status=QueryOrderStatus.ALL) == everything
        assert ids(status=QueryOrderStatus.ALL, direction="asc", limit=2) == everything[:0:-1]
        middle = dt.datetime(2026, 3, 17, 14, 0, 10, tzinfo=dt.UTC)
        assert ids(status=QueryOrderStatus.ALL, after=middle) == [third["id"]]
        assert ids(status=QueryOrderStatus.ALL, until=middle) == [first["id"]]
        assert ids(status=QueryOrderStatus.ALL, symbols=[SHORT]) == [third["id"], first["id"]]
        assert ids(status=QueryOrderStatus.ALL, symbols=[LONG], side=OrderSide.SELL) == [third["id"], first["id"]]


def test_a_flat_list_tells_legs_by_themselves() -> None:
    with FakeAlpaca() as fake:
        placed = place(fake, entry(-4.0))
        told = ask(fake, "GET", "/v2/orders").json
        assert [one["id"] for one in told] == [placed["id"], *(leg["id"] for leg in placed["legs"])]
        assert [one["legs"] for one in told] == [None, None, None]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "status=new", "direction=up", "after=soon"])
def test_a_filter_that_is_none_is_refused(query: str) -> None:
    with FakeAlpaca() as fake:
        assert ask(fake, "GET", f"/v2/orders?{query}").status == 422


# --- Replacing --------------------------------------------------------------------------------------------------------


def test_a_replaced_order_is_over_and_another_is_worked_in_its_place() -> None:
    with FakeAlpaca(fill_at=1.0) as fake:
        order(fake, old := place(fake, entry(-0.45, units=3)))
        new = client_of(fake).replace_order_by_id(
            old["id"], ReplaceOrderRequest(limit_price=-0.33, client_order_id="another")
        )
        assert isinstance(new, Order)
        assert (str(new.replaces), new.client_order_id, new.limit_price, new.qty) == (
            old["id"],
            "another",
            "-0.33",
            "3",
        )
        assert (before := order(fake, old))["status"] == "replaced"
        assert before["replaced_by"] == str(new.id)
        assert order(fake, {"id": str(new.id)})["status"] == "filled"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"limit_price": -0.45, "client_order_id": "b"}, "order parameters are not changed"),
        ({"limit_price": -0.33}, "client_order_id is required"),
        ({"limit_price": -0.335, "client_order_id": "b"}, "sub-penny increment"),
        ({"limit_price": 0.33, "client_order_id": "b"}, "for a credit spread"),
        ({"qty": 0, "client_order_id": "b"}, "qty must be > 0"),
        ({"qty": 400, "client_order_id": "b"}, "insufficient options buying power"),
        ({"stop_price": 1, "client_order_id": "b"}, "can be changed"),
        ({"time_in_force": "gtc", "client_order_id": "b"}, "can be changed"),
        ({"price": 1, "client_order_id": "b"}, "unknown field price"),
        ([], "must be an object"),
    ],
)
def test_a_replacement_is_refused(change: object, said: str) -> None:
    with FakeAlpaca() as fake:
        order(fake, old := place(fake, entry(-0.45, units=3)))
        answer = ask(fake, "PATCH", f"/v2/orders/{old['id']}", change)
        assert answer.status in {403, 422}
        assert said in answer.json["message"]
        assert order(fake, old)["status"] == "new"


def test_an_exit_is_replaced_although_its_own_contracts_are_held_for_it() -> None:
    with FakeAlpaca() as fake:
        order(fake, place(fake, entry(None)))
        order(fake, old := place(fake, exit_(0.01)))
        answer = ask(fake, "PATCH", f"/v2/orders/{old['id']}", {"limit_price": 0.02, "client_order_id": "b"})
        assert answer.status == 200, answer.json


def test_what_is_over_is_not_replaced() -> None:
    with FakeAlpaca() as fake:
        filled = place(fake, entry(-0.01))
        change = {"limit_price": -0.02, "client_order_id": "b"}
        answer = ask(fake, "PATCH", f"/v2/orders/{filled['id']}", change)
        assert (answer.status, answer.json["message"]) == (422, "cannot replace order in filled status")
        order(fake, old := place(fake, entry(-0.45)))
        assert ask(fake, "PATCH", f"/v2/orders/{old['id']}", {**change, "limit_price": -0.44}).status == 200
        answer = ask(fake, "PATCH", f"/v2/orders/{old['id']}", {"limit_price": -0.43, "client_order_id": "c"})
        assert (answer.status, answer.json["message"]) == (422, "order already replaced")


def test_a_market_order_gets_no_limit_by_replacing() -> None:
    with FakeAlpaca(start=at("2026-03-17T16:30")) as fake:
        placed = place(fake, simple("SPY", "buy"))
        answer = ask(fake, "PATCH", f"/v2/orders/{placed['id']}", {"limit_price": 500, "client_order_id": "b"})
        assert (answer.status, answer.json["message"]) == (422, "limit price is only valid for limit orders")


def test_only_what_is_left_of_an_order_is_replaced() -> None:
    with FakeAlpaca(partial_fills=True, seed=3) as fake:
        placed = place(fake, entry(-0.01, units=50))
        while order(fake, placed)["status"] != "partially_filled":
            placed = place(fake, entry(-0.01, units=50))
        filled = int(order(fake, placed)["filled_qty"])
        answer = ask(fake, "PATCH", f"/v2/orders/{placed['id']}", {"qty": filled, "client_order_id": "rest"})
        assert (answer.status, answer.json["message"]) == (422, "qty must be > filled_qty")
        answer = ask(fake, "PATCH", f"/v2/orders/{placed['id']}", {"limit_price": -4, "client_order_id": "rest"})
        assert answer.json["qty"] == str(50 - filled)


# --- alpaca-py -----------------------------------------------------------------------------------------------------


def request(limit: float, client_order_id: str) -> LimitOrderRequest:
    return LimitOrderRequest(
        qty=2,
        order_class="mleg",
        time_in_force=TimeInForce.DAY,
        limit_price=limit,
        client_order_id=client_order_id,
        legs=[
            OptionLegRequest(symbol=SHORT, ratio_qty=1, side="sell", position_intent="sell_to_open"),
            OptionLegRequest(symbol=LONG, ratio_qty=1, side="buy", position_intent="buy_to_open"),
        ],
    )


def test_alpaca_py_s_own_client_and_models_read_every_answer() -> None:
    with FakeAlpaca() as fake:
        client: TradingClient = client_of(fake)
        placed = client.submit_order(request(-0.01, "mine"))
        assert isinstance(placed, Order)
        assert (placed.client_order_id, placed.symbol, placed.side, len(placed.legs or [])) == ("mine", None, None, 2)
        assert client.get_order_by_client_id("mine").status == "filled"
        found = client.get_order_by_id(placed.id, GetOrderByIdRequest(nested=True))
        assert [float(leg.filled_avg_price or 0) for leg in found.legs or []] == [1.57, 1.24]
        assert (found.filled_qty, found.filled_avg_price) == ("2", "-0.33")

        positions = client.get_all_positions()
        assert all(isinstance(one, Position) for one in positions)
        assert {one.symbol: (one.qty, one.side.value) for one in positions} == {
            SHORT: ("-2", "short"), LONG: ("2", "long")}  # fmt: skip
        assert client.get_open_position(SHORT).avg_entry_price == "1.57"

        account = client.get_account()
        assert isinstance(account, TradeAccount)
        assert (account.cash, account.options_trading_level, account.status.value) == ("100066", 3, "ACTIVE")
        assert float(account.equity or 0) == pytest.approx(100_066 + 200 * (1.23 - 1.59))
        assert float(account.options_buying_power or 0) == 100_066 - 2 * 500

        assert isinstance(asset := client.get_asset("SPY"), Asset)
        assert asset.tradable
        assert ask(fake, "GET", "/v2/positions/QQQ").status == 404
        assert ask(fake, "GET", "/v2/assets/AAPL").status == 404


def test_a_spread_is_closed_and_leaves_nothing_but_cash() -> None:
    with FakeAlpaca() as fake:
        order(fake, place(fake, entry(None, units=2)))
        pass_(fake, minutes=30)
        held = ask(fake, "GET", "/v2/account").json
        closed = order(fake, place(fake, exit_(None, units=2)))
        debit = float(closed["filled_avg_price"])
        books = fake.books()
        assert books["positions"] == {}
        assert books["cash_cents"] == books["equity_cents"] == 10_000_000 + 2 * 3300 - round(200 * 100 * debit)
        assert float(held["equity"]) > books["equity_cents"] / 100  # natural costs more than mid


# --- Processes --------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_told_to_use_the_control_and_its_death_changes_nothing() -> None:
    with FakeAlpaca() as fake:
        child = os.fork()
        if child == 0:
            with suppress(RuntimeError):
                fake.books()
                os._exit(1)
            place(fake, entry(-0.01, client_order_id="the child's"))
            fake.control.advance_to(fake.control.now + dt.timedelta(minutes=1))
            os.kill(os.getpid(), signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert fake.books()["positions"] == {LONG: 1, SHORT: -1}
        assert fake.now == at("2026-03-17T10:01")
        assert order(fake, place(fake, entry(-0.01)))["status"] == "filled"


@pytest.mark.parametrize("sent", [1, 40, 200, 10_000])
def test_a_client_that_dies_in_the_middle_of_a_request_leaves_all_of_it_or_nothing(sent: int) -> None:
    with FakeAlpaca() as fake:
        body = json.dumps(entry(-4.0))
        keys = fake.environ["APCA_API_KEY_ID"], fake.environ["APCA_API_SECRET_KEY"]
        head = f"POST /v2/orders HTTP/1.1\r\nAPCA-API-KEY-ID: {keys[0]}\r\nAPCA-API-SECRET-KEY: {keys[1]}\r\n"
        request_ = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        with socket.create_connection(("127.0.0.1", int(fake.url.rpartition(":")[2]))) as client:
            client.sendall(request_[:sent])
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
        assert len(fake.books()["orders"]) == (sent >= len(request_))


def test_orders_of_many_threads_are_each_taken_once() -> None:
    with FakeAlpaca(cash=10_000_000) as fake:
        bodies = [entry(-0.01, client_order_id=f"thread-{number % 20}") for number in range(60)]
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda body: ask(fake, "POST", "/v2/orders", body).status, bodies))
        assert (answers.count(200), answers.count(422)) == (20, 40)
        ask(fake, "GET", "/v2/orders")
        assert fake.books()["positions"] == {LONG: 20, SHORT: -20}


def test_two_runs_of_one_world_are_the_same_to_the_byte() -> None:
    def run() -> str:
        with FakeAlpaca(partial_fills=True, seed=4) as fake:
            for number in range(5):
                place(fake, entry(-0.01, units=7, client_order_id=f"run-{number}"))
                pass_(fake, minutes=3)
            fake.advance_to(at("2026-03-18T12:00"))
            return json.dumps(fake.books())

    assert run() == run()
