"""Shadows: entered as an order would be, closed by the exit rules, at every pass and at the closes alone."""

import datetime as dt

import pytest

from mahler_agents.execution import Expiry, Settlement
from mahler_agents.exits import ExitParams, ExitRule
from mahler_agents.shadows import Shadow, shadow_at_expiry, shadow_credit, shadow_exits
from mahler_agents.types import Quote, Spread, SpreadQuote, SpreadType

HOUSE = ExitParams()
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


def shadow(*, exited: bool = False, daily_exited: bool = False, params: ExitParams = HOUSE) -> Shadow:
    return Shadow(
        candidate_id="run.1",
        spread=SPREAD,
        entry_credit=0.50,
        exit_params=params,
        exited=exited,
        daily_exited=daily_exited,
    )


def quote(mid: float, half: float = 0.02) -> SpreadQuote:
    """A spread that costs `mid` to close at mid, and two half spreads more at the natural side."""
    return SpreadQuote(
        short=Quote(bid=mid + 0.20 - half, ask=mid + 0.20 + half, at=AT),
        long=Quote(bid=0.20 - half, ask=0.20 + half, at=AT),
    )


@pytest.mark.parametrize(
    ("mid", "half", "credit"),
    [
        (0.50, 0.02, 0.47),  # 0.50 - 0.66 x 0.04, rounded down
        (0.02, 0.02, None),
        (0.02, 0.05, None),
        (5.03, 0.02, None),
        (4.99, 0.02, 4.96),
    ],
)
def test_a_shadow_is_entered_at_two_thirds_to_the_natural_side_if_that_is_a_credit_spread(
    mid: float, half: float, credit: float | None
) -> None:
    assert shadow_credit(quote(mid, half), width=5.0, concession=0.66) == credit


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
    exits = shadow_exits(shadow(), quote(mid), at=AT, dte=dte, at_close=False, commission=1.0)
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
        commission=1.0,
    )
    assert [one.daily for one in found] == kinds


def test_a_shadow_is_held_to_the_thresholds_under_which_it_was_entered() -> None:
    near = shadow(params=ExitParams(profit_target=0.2))
    [found] = shadow_exits(near, quote(0.39), at=AT, dte=31, at_close=False, commission=1.0)
    assert found.rule is ExitRule.PROFIT_TARGET
    assert shadow_exits(shadow(), quote(0.39), at=AT, dte=31, at_close=False, commission=1.0) == ()


@pytest.mark.parametrize(
    ("expiry", "debit", "pnl"),
    [(Expiry.WORTHLESS, 0.0, 48.0), (Expiry.BETWEEN_STRIKES, 2.5, -202.0), (list(Expiry)[2], 5.0, -452.0)],
)
def test_an_expiration_closes_a_shadow_for_both_checks_and_has_no_exit_fees(
    expiry: Expiry, debit: float, pnl: float
) -> None:
    settlement = Settlement(at=AT, underlying_price=540.0, debit=debit, expiry=expiry)
    found = shadow_at_expiry(shadow(), settlement, commission=1.0)
    assert [(one.daily, one.rule, one.debit, one.pnl_dollars) for one in found] == [
        (False, expiry, debit, pnl),
        (True, expiry, debit, pnl),
    ]
    assert [one.daily for one in shadow_at_expiry(shadow(exited=True), settlement, commission=1.0)] == [True]
