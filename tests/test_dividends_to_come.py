"""Dividends to come: announced, or estimated by the last year's dates where a regular payer has announced none yet."""

import asyncio
import datetime as dt
import json

from alpaca_server import Answer, serving

from mahler_agents.alpaca import Credentials, alpaca_settings
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.clock import SimulatedClock
from mahler_agents.market.alpaca.fetch import Fetch
from mahler_agents.market.dividends import dividends_to_come
from mahler_agents.market.snapshot import Dividend
from mahler_agents.types import Environment

TODAY = dt.date(2026, 5, 20)
PAID = [Dividend(ex_date=dt.date.fromisoformat(day), dollars=1.7) for day in ("2025-06-20", "2025-09-19", "2025-12-19")]
SPRING = Dividend(ex_date=dt.date(2026, 3, 20), dollars=1.7)


def to_come(*told: Dividend) -> list[str]:
    found = dividends_to_come(told, today=TODAY, until=TODAY + dt.timedelta(days=130))
    return [f"{one.date_text} {one.dollars}" for one in found]


def test_the_next_dividends_of_who_pays_every_quarter_are_estimated_until_they_are_announced() -> None:
    # 2026-06-19 is a holiday.
    assert to_come(*PAID, SPRING) == ["2026-06-22 (estimated) None", "2026-09-18 (estimated) None"]
    announced = Dividend(ex_date=dt.date(2026, 6, 18), dollars=1.8)
    assert to_come(*PAID, SPRING, announced) == ["2026-06-18 1.8", "2026-09-18 (estimated) None"]


def test_a_payment_that_has_just_come_on_another_day_is_not_expected_once_more() -> None:
    early = Dividend(ex_date=TODAY, dollars=1.7)
    assert to_come(*PAID, early) == ["2026-09-18 (estimated) None"]


def test_of_who_pays_now_and_then_or_never_nothing_is_expected() -> None:
    assert to_come() == []
    assert to_come(*PAID[:2]) == []


def test_an_estimate_is_said_to_be_one_where_a_volatility_goes_without_it() -> None:
    (first, _) = dividends_to_come((*PAID, SPRING), today=TODAY, until=TODAY + dt.timedelta(days=130))
    assert first.model_dump() == {"ex_date": dt.date(2026, 6, 22), "dollars": None, "estimated": True}
    assert SPRING.model_dump() == {"ex_date": dt.date(2026, 3, 20), "dollars": 1.7}


def test_alpaca_is_asked_for_a_years_dividends_so_that_the_next_can_be_estimated() -> None:
    paid = [{"symbol": "SPY", "ex_date": f"{one.ex_date}", "rate": one.dollars} for one in (*PAID, SPRING)]
    answer = Answer(body=json.dumps({"corporate_actions": {"cash_dividends": paid}, "next_page_token": None}))
    keys, clock = Credentials(key_id="PK0", secret_key="s"), SimulatedClock(dt.datetime(2026, 5, 20, 14, tzinfo=dt.UTC))  # noqa: S106
    with (
        serving([answer]) as server,
        AlpacaApi(alpaca_settings({"MAHLER_ALPACA_URL": server.url}, Environment.PAPER), keys, clock) as api,
    ):
        found = asyncio.run(Fetch(api, clock).coming_dividends("SPY", TODAY))
        assert [one.date_text for one in found] == ["2026-06-22 (estimated)", "2026-09-18 (estimated)"]
        assert "start=2025-05-20" in server.asked[0][1]
