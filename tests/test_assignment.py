"""Early assignment: a short call in the money before an ex-date, when an exercise pays."""

import datetime as dt

import pytest
from trading_builders import a_spread

from mahler_agents.exits.assignment import AssignmentRisk, assignment_risk
from mahler_agents.market.snapshot import Dividend
from mahler_agents.types import Quote, SpreadType

WEDNESDAY = dt.date(2026, 3, 18)
AT = dt.datetime(2026, 3, 18, 15, 0, tzinfo=dt.UTC)
CALL = a_spread(spread_type=SpreadType.BEAR_CALL, short=540.0)
PUT = a_spread(spread_type=SpreadType.BULL_PUT, short=540.0)
EX_DATE = dt.date(2026, 3, 27)


def found(
    *,
    spot: float = 543.0,
    mid: float | None = 3.5,
    dollars: float | None = 1.6,
    ex_date: dt.date = EX_DATE,
    spread: object = CALL,
    today: dt.date = WEDNESDAY,
) -> AssignmentRisk | None:
    short = None if mid is None else Quote(bid=mid - 0.05, ask=mid + 0.05, at=AT)
    dividends = (Dividend(ex_date=ex_date, dollars=dollars),)
    return assignment_risk(spread, spot=spot, short=short, dividends=dividends, today=today)


def test_a_dividend_above_the_time_value_of_a_call_in_the_money_is_told_with_its_figures() -> None:
    risk = found()
    assert risk is not None
    assert risk.text == ("short call 3.00 in the money, time value 0.50; dividend of 1.60, ex-date 2026-03-27")


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ({"spot": 540.0}, False),
        ({"spot": 540.01, "mid": 0.5}, True),
        ({"spread": PUT, "spot": 520.0}, False),
        ({"dollars": 0.5}, False),
        ({"dollars": 0.51}, True),
        ({"dollars": 0.1, "ex_date": dt.date(2026, 3, 19)}, True),  # the last session before it
        ({"dollars": 0.1, "ex_date": dt.date(2026, 3, 23), "today": dt.date(2026, 3, 20)}, True),  # over a weekend
        ({"dollars": 0.1, "ex_date": dt.date(2026, 3, 20)}, False),
        ({"ex_date": WEDNESDAY}, False),  # who exercises today gets it no more
        ({"ex_date": CALL.expiration}, True),
        ({"ex_date": CALL.expiration + dt.timedelta(days=1)}, False),
        ({"dollars": None}, True),
        ({"mid": None}, True),
        ({"mid": 2.9}, True),  # below its intrinsic value: no time value is left
    ],
)
def test_it_takes_a_call_in_the_money_and_an_exercise_that_pays(case: dict[str, object], *, told: bool) -> None:
    assert (found(**case) is not None) is told


def test_without_dividends_there_is_no_early_exercise() -> None:
    assert assignment_risk(CALL, spot=560.0, short=None, dividends=(), today=WEDNESDAY) is None
