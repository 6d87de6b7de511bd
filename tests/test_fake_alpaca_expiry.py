"""The fake Alpaca's expirations: nothing, shares or both legs' worth is left; activities; and the account's days."""

import datetime as dt

import pytest
from alpaca.trading.models import NonTradeActivity, TradeActivity
from fake_orders import ask, at, entry, leg, order, place, simple

from mahler_agents.market.occ import format_symbol
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.testing.fake_alpaca.margin import margin_cents

FRIDAY = dt.date(2026, 3, 20)
CLOSE = at("2026-03-20T16:00")
SETTLED = at("2026-03-20T18:00")
NEXT_DAY = at("2026-03-21T00:00")


def put(strike: float) -> str:
    return format_symbol("SPY", FRIDAY, "put", strike)


def closing_price(seed: int = 22) -> float:
    with FakeAlpaca(seed=seed) as fake:
        return fake.world.prices(["SPY"], CLOSE)["SPY"]


def spread_held_to_the_end(fake: FakeAlpaca, short: float, long: float) -> int:
    """Sell a put spread that expires that week, let it expire, and return the cash that there was before that."""
    legs = [leg(put(short), "sell_to_open"), leg(put(long), "buy_to_open")]
    assert order(fake, place(fake, entry(None, legs=legs)))["status"] == "filled"
    fake.advance_to(CLOSE)
    assert set(fake.books()["positions"]) == {put(short), put(long)}
    cash = fake.books()["cash_cents"]
    fake.advance_to(SETTLED)
    return cash


def told(fake: FakeAlpaca) -> list[tuple[str, str, str, str]]:
    """Return the activities that are no fills, oldest first."""
    found = ask(fake, "GET", "/v2/account/activities?direction=asc").json
    return [
        (one["activity_type"], one["symbol"], one["qty"], one["net_amount"])
        for one in found
        if one["activity_type"] != "FILL"
    ]


def test_worthless_legs_expire_and_the_credit_stays() -> None:
    strike = 5 * int(closing_price() // 5) - 10
    with FakeAlpaca() as fake:
        cash = spread_held_to_the_end(fake, strike, strike - 5)
        books = fake.books()
        assert (books["positions"], books["cash_cents"]) == ({}, cash)
        assert told(fake) == []  # on paper they are shown the next day
        fake.advance_to(NEXT_DAY)
        assert told(fake) == [("OPEXP", put(strike - 5), "-1", "0"), ("OPEXP", put(strike), "1", "0")]


def test_two_legs_in_the_money_cost_the_width_and_leave_no_shares() -> None:
    strike = 5 * int(closing_price() // 5) + 15
    with FakeAlpaca() as fake:
        cash = spread_held_to_the_end(fake, strike, strike - 5)
        books = fake.books()
        assert (books["positions"], books["cash_cents"]) == ({}, cash - 500_00)
        fake.advance_to(NEXT_DAY)
        assert told(fake) == [
            ("OPEXC", put(strike - 5), "-1", "0"),
            ("OPTRD", "SPY", "-100", f"{100 * (strike - 5)}"),
            ("OPASN", put(strike), "1", "0"),
            ("OPTRD", "SPY", "100", f"-{100 * strike}"),
        ]


def test_a_short_leg_alone_in_the_money_leaves_shares_that_can_be_sold() -> None:
    strike = 5 * (int(closing_price() // 5) + 1)
    with FakeAlpaca() as fake:
        cash = spread_held_to_the_end(fake, strike, strike - 5)
        assert strike - 5 < closing_price() < strike
        books = fake.books()
        assert (books["positions"], books["cash_cents"]) == ({"SPY": 100}, cash - strike * 100_00)
        fake.advance_to(at("2026-03-23T10:00"))
        position = ask(fake, "GET", "/v2/positions/SPY").json
        assert (position["asset_class"], position["qty"], position["avg_entry_price"]) == (
            "us_equity", "100", str(strike))  # fmt: skip
        sold = order(fake, place(fake, simple("SPY", "sell", units=100)))
        books = fake.books()
        assert books["positions"] == {}
        assert books["cash_cents"] == cash - strike * 100_00 + round(100_00 * float(sold["filled_avg_price"]))


def test_a_half_day_settles_two_hours_after_its_close() -> None:
    day = dt.date(2026, 11, 27)
    symbol = format_symbol("SPY", day, "put", 300)
    with FakeAlpaca(start=at("2026-11-27T10:00")) as fake:
        order(fake, place(fake, simple(symbol, "buy")))
        fake.advance_to(at("2026-11-27T14:59"))
        assert fake.books()["positions"] == {symbol: 1}
        fake.advance_to(at("2026-11-27T15:00"))
        assert fake.books()["positions"] == {}


def test_activities_parse_through_alpaca_py_and_come_in_pages() -> None:
    strike = 5 * int(closing_price() // 5) - 10
    with FakeAlpaca() as fake:
        spread_held_to_the_end(fake, strike, strike - 5)
        fake.advance_to(NEXT_DAY)
        everything = ask(fake, "GET", "/v2/account/activities").json
        assert [one["activity_type"] for one in everything] == ["OPEXP", "OPEXP", "FILL", "FILL"]
        assert {str(NonTradeActivity(**one).date) for one in everything[:2]} == {"2026-03-20"}
        assert {TradeActivity(**one).side.value for one in everything[2:]} == {"buy", "sell"}
        pages, token = [], ""
        while page := ask(fake, "GET", f"/v2/account/activities?page_size=3{token}").json:
            pages.append(page)
            token = f"&page_token={page[-1]['id']}"
        assert [len(page) for page in pages] == [3, 1]
        assert [one for page in pages for one in page] == everything
        assert ask(fake, "GET", "/v2/account/activities?page_token=nobody-s").status == 422
        assert ask(fake, "GET", "/v2/account/activities?page_size=101").status == 422
        assert len(ask(fake, "GET", "/v2/account/activities/OPEXP").json) == 2
        assert len(ask(fake, "GET", "/v2/account/activities?activity_types=FILL,FEE").json) == 2
        assert len(ask(fake, "GET", "/v2/account/activities?date=2026-03-17").json) == 2
        assert len(ask(fake, "GET", "/v2/account/activities?after=2026-03-18").json) == 2
        assert len(ask(fake, "GET", "/v2/account/activities?until=2026-03-18").json) == 2
        assert ask(fake, "GET", "/v2/account/activities?after=soon").status == 422


def test_the_equity_of_the_day_before_is_that_of_its_close() -> None:
    with FakeAlpaca() as fake:
        order(fake, place(fake, entry(None, units=5)))
        fake.advance_to(at("2026-03-17T16:00"))
        evening = ask(fake, "GET", "/v2/account").json["equity"]
        fake.advance_to(at("2026-03-18T11:00"))
        account = ask(fake, "GET", "/v2/account").json
        assert (account["last_equity"], account["equity"] != evening) == (evening, True)


def test_a_position_is_marked_at_the_last_close_while_the_exchange_is_closed() -> None:
    with FakeAlpaca() as fake:
        order(fake, place(fake, entry(None)))
        fake.advance_to(at("2026-03-20T16:00"))
        friday = ask(fake, "GET", "/v2/positions").json
        fake.advance_to(at("2026-03-22T12:00"))
        assert ask(fake, "GET", "/v2/positions").json == friday


@pytest.mark.parametrize(
    ("legs", "dollars"),
    [
        ({"C100": 1, "C110": -1, "C200": 1, "C190": -1}, 0),  # the vendor's two examples
        ({"C200": 1, "C190": -1}, 1000),
        ({"P540": -2, "P535": 2}, 1000),
        ({"P540": -1, "P535": 1, "C600": -1, "C610": 1}, 1000),
        ({"P540": 1, "P535": -1}, 0),
        ({"P100": -1}, 10_000),
    ],
)
def test_the_margin_is_the_largest_loss_of_the_combined_payoff(legs: dict[str, int], dollars: int) -> None:
    expiration = dt.date(2026, 4, 17)
    held = {
        format_symbol("SPY", expiration, "put" if name[0] == "P" else "call", float(name[1:])): count
        for name, count in legs.items()
    }
    assert margin_cents(held) == 100 * dollars


def test_of_several_expirations_the_largest_margin_counts_and_underlyings_add_up() -> None:
    def spread(underlying: str, day: int, width: int) -> dict[str, int]:
        expiration = dt.date(2026, 4, day)
        return {
            format_symbol(underlying, expiration, "put", 500.0): -1,
            format_symbol(underlying, expiration, "put", 500.0 - width): 1,
        }

    held = {**spread("SPY", 17, 5), **spread("SPY", 24, 10), **spread("QQQ", 17, 5)}
    assert margin_cents(held) == 1500_00
