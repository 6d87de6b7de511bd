"""The fake Alpaca's books as a property: whatever is done to it, its activities explain its cash and its positions."""

import contextlib
import datetime as dt
from collections import Counter
from decimal import Decimal
from typing import Any

from conftest import at_scale
from fake_orders import LONG, SHORT, ask, entry, exit_, leg, simple
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_agents.testing.fake_alpaca import FakeAlpaca

LOWER = "SPY260417P00560000"
NEAR = ("SPY260320P00600000", "SPY260320P00595000")

CREDITS = st.integers(-60, 0).map(lambda cents: f"{cents / 100:.2f}")
DEBITS = st.integers(0, 120).map(lambda cents: f"{cents / 100:.2f}")
UNITS = st.integers(1, 6)
ORDERS = st.one_of(
    st.builds(lambda limit, units: entry(limit, units=units), CREDITS, UNITS),
    st.builds(lambda limit, units: exit_(limit, units=units), DEBITS, UNITS),
    st.builds(
        lambda limit, units: entry(
            limit, units=units, legs=[leg(NEAR[0], "sell_to_open"), leg(NEAR[1], "buy_to_open")]
        ),
        st.none() | CREDITS,
        UNITS,
    ),
    st.builds(
        lambda units: entry(None, units=units, legs=[leg(LONG, "buy_to_open", 2), leg(LOWER, "sell_to_open")]), UNITS
    ),
    st.builds(lambda side, units: simple(LONG, side, units=units), st.sampled_from(["buy", "sell"]), UNITS),
    st.builds(lambda units: simple("SPY", "sell", units=100 * units), UNITS),
)
STEPS = st.one_of(
    ORDERS.map(lambda body: ("order", body)),
    st.tuples(st.just("pass"), st.sampled_from([60, 3600, 86_400, 260_000])),
    st.tuples(st.sampled_from(["cancel", "replace", "fault"]), st.integers(0, 5)),
)
FAULTS = ("accepted_then_rejected", "partial_then_expired", "gateway_timeout_after", "500", "reset_after", "html_after")


def do(fake: FakeAlpaca, what: str, how: Any) -> None:
    """Do one thing, whatever comes of it."""
    orders = fake.books()["orders"]
    if what == "order":
        with contextlib.suppress(OSError, ValueError):
            ask(fake, "POST", "/v2/orders", how)
    elif what == "pass":
        fake.advance_to(fake.now + dt.timedelta(seconds=how))
    elif what == "fault":
        fake.fail("POST /v2/orders", FAULTS[how])
    elif orders and what == "cancel":
        ask(fake, "DELETE", f"/v2/orders/{orders[how % len(orders)]['id']}")
    elif orders:
        chosen = orders[how % len(orders)]
        change = {"limit_price": (chosen["limit_cents"] or 0) / 100 + 0.01, "client_order_id": f"r-{len(orders)}"}
        ask(fake, "PATCH", f"/v2/orders/{chosen['id']}", change)


@settings(max_examples=at_scale(400))
@given(seed=st.integers(0, 2), steps=st.lists(STEPS, max_size=14))
def test_activities_explain_cash_and_positions_to_the_cent(seed: int, steps: list[tuple[str, Any]]) -> None:
    with FakeAlpaca(seed=seed, partial_fills=True, commission=0.65) as fake:
        for step in steps:
            do(fake, *step)
        books = fake.books()
    cash, held = Decimal(100_000), Counter[str]()
    for one in books["activities"]:
        kind, symbol = one["activity_type"], one.get("symbol", "")
        if kind == "FILL":
            count = int(one["qty"]) * (1 if one["side"] == "buy" else -1)
            cash -= Decimal(one["price"]) * count * (100 if len(symbol) > 5 else 1)
            held[symbol] += count
        else:
            cash += Decimal(one["net_amount"])
            held[symbol] += int(one.get("qty", 0))
    assert round(cash * 100) == books["cash_cents"]
    assert {symbol: count for symbol, count in held.items() if count} == books["positions"]
    ids = [order["client_order_id"] for order in books["orders"]]
    assert len(set(ids)) == len(ids)
    for order in books["orders"]:
        assert sum(fill["units"] for fill in order["fills"]) == order["filled"] <= order["units"]
        assert (order["status"] == "filled") is (order["filled"] == order["units"])
        for fill in order["fills"]:
            if order["limit_cents"] is not None:
                assert fill["net_cents"] <= order["limit_cents"]


def test_every_kind_of_order_here_is_one_that_is_taken() -> None:
    with FakeAlpaca() as fake:
        bodies = [
            entry(-0.01),
            entry(None, legs=[leg(NEAR[0], "sell_to_open"), leg(NEAR[1], "buy_to_open")]),
            entry(None, legs=[leg("SPY260417P00555000", "buy_to_open", 2), leg(LOWER, "sell_to_open")]),
            exit_(2.0),
        ]
        for body in bodies:
            assert ask(fake, "POST", "/v2/orders", body).status == 200
        ask(fake, "GET", "/v2/orders")
        assert SHORT not in fake.books()["positions"]
