"""Shadows: entered as an order would be, closed by the exit rules, at every pass and at the closes alone."""

import datetime as dt

import pytest

from mahler_agents.exits import ExitParams, ExitRule
from mahler_agents.shadows import Shadow, shadow_exits
from mahler_agents.types import Quote, Spread, SpreadQuote, SpreadType

AT = dt.datetime(2026, 3, 17, 19, 0, tzinfo=dt.UTC)
SPREAD = Spread(
    underlying="SPY",
    spread_type=SpreadType.BULL_PUT,
    expiration=dt.date(2026, 4, 17),
    short_strike=540.0,
    long_strike=535.0,
    short_symbol="SPY260417P00540000",
    long_symbol="SPY260417P00535000",
)


def shadow(*, exited: bool = False, daily_exited: bool = False) -> Shadow:
    return Shadow(candidate_id="run.1", spread=SPREAD, entry_credit=0.50, exited=exited, daily_exited=daily_exited)


def quote(mid: float, half: float = 0.02) -> SpreadQuote:
    """A spread that costs `mid` to close at mid, and two half spreads more at the natural side."""
    return SpreadQuote(
        short=Quote(bid=mid + 0.20 - half, ask=mid + 0.20 + half, at=AT),
        long=Quote(bid=0.20 - half, ask=0.20 + half, at=AT),
    )


@pytest.mark.parametrize(
    ("mid", "dte", "rule", "debit", "pnl"),
    [
        (0.50, 31, None, None, None),
        (0.17, 31, ExitRule.PROFIT_TARGET, 0.21, 25.0),
        (1.20, 31, ExitRule.STOP_LOSS, 1.24, -78.0),
        (0.50, 21, ExitRule.TIME_EXIT, 0.54, -8.0),
        (7.00, 31, ExitRule.STOP_LOSS, 5.00, -454.0),
    ],
)
def test_a_shadow_pays_the_natural_side_and_the_fees_of_four_legs_never_more_than_the_width(
    mid: float, dte: int, rule: ExitRule | None, debit: float | None, pnl: float | None
) -> None:
    exits = shadow_exits(shadow(), quote(mid), at=AT, dte=dte, at_close=False, params=ExitParams(), commission=1.0)
    if rule is None:
        assert exits == ()
        return
    [found] = exits
    assert (found.rule, found.daily, found.debit, found.pnl_dollars) == (rule, False, pytest.approx(debit), pnl)


@pytest.mark.parametrize(
    ("exited", "daily_exited", "at_close", "kinds"),
    [
        (False, False, False, [False]),
        (False, False, True, [False, True]),
        (True, False, False, []),
        (True, False, True, [True]),
        (False, True, True, [False]),
    ],
)
def test_the_daily_check_looks_at_closes_only_and_each_check_closes_once(
    *, exited: bool, daily_exited: bool, at_close: bool, kinds: list[bool]
) -> None:
    found = shadow_exits(
        shadow(exited=exited, daily_exited=daily_exited),
        quote(0.10),
        at=AT,
        dte=31,
        at_close=at_close,
        params=ExitParams(),
        commission=1.0,
    )
    assert [one.daily for one in found] == kinds
