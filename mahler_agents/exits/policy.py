"""Stage 9, monitor: a policy and the bars at entry in, the thresholds that a position is held to out; pure.

Two kinds: the fixed policy of the house, and a dynamic one, off by default, that scales with realised volatility.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, Self

import numpy as np

from mahler_agents.errors import InputError
from mahler_agents.exits.rules import ExitParams
from mahler_agents.indicators import realised_volatility
from mahler_agents.market.snapshot import Bars
from mahler_agents.types import Frozen

VOLATILITY_DAYS = 10
"""Daily returns that the dynamic policy looks at."""
REFERENCE_VOLATILITY = 0.15
"""Annualised volatility at which the dynamic policy's thresholds are the group's own."""
LEAST_RATIO, LARGEST_RATIO = 0.5, 2.0

DAILY_BELOW = 0.02
"""An annualised volatility below this is taken for a daily one, and refused.

2 % a year is 0.13 % a day, calmer than these ETFs trade; a day's 2 % is 32 % a year. The ratio is at its least from
7.5 % down anyway, so that nothing between is decided here.
"""

LARGEST_TARGET = 0.95
"""The most of the credit that a dynamic target may ask for.

A positive cost never reaches a target of the whole credit. The screen's smallest credit is 0.20 (10 % of a 2-dollar
width), of which 95 % leave a cost of one cent, the smallest price there is.
"""


FIXED = "fixed"
"""The fixed policy's name, beside the trading groups of the dynamic one."""


class TradingGroup(StrEnum):
    """How long the dynamic policy lets a trade run, in either direction."""

    CONSERVATIVE = "conservative"
    NEUTRAL = "neutral"
    AGGRESSIVE = "aggressive"


TARGETS: Mapping[TradingGroup, float] = {
    TradingGroup.CONSERVATIVE: 0.4,
    TradingGroup.NEUTRAL: 0.5,
    TradingGroup.AGGRESSIVE: 0.6,
}
"""Share of the credit at the reference volatility, divided by the ratio."""
STOPS: Mapping[TradingGroup, float] = {
    TradingGroup.CONSERVATIVE: 1.0,
    TradingGroup.NEUTRAL: 1.25,
    TradingGroup.AGGRESSIVE: 1.5,
}
"""Loss as a multiple of the credit at the reference volatility, times the ratio."""


class ExitPolicy(Frozen):
    """What decides the thresholds of a trade when it is entered."""

    fixed: ExitParams = ExitParams()
    """Of every trade, unless the dynamic policy is on; its time exit holds for both."""
    dynamic: TradingGroup | None = None
    """None: off."""

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the policy that `name` stands for: `fixed`, or a trading group for the dynamic one.

        Raises `InputError` for any other name.
        """
        if name == FIXED:
            return cls()
        if name not in tuple(TradingGroup):
            raise InputError(f"unknown exits {name!r}: use one of {', '.join((FIXED, *TradingGroup))}")
        return cls(dynamic=TradingGroup(name))

    @property
    def text(self) -> str:
        """The policy in words."""
        time = f"time exit at {self.fixed.time_exit_dte} days"
        if self.dynamic is None:
            return f"{FIXED}: {self.fixed.text}, {time}"
        return f"dynamic, {self.dynamic}: target and stop by each underlying's volatility at entry, {time}"


class ResolvedExits(Frozen):
    """The thresholds of one trade and where they are from."""

    params: ExitParams
    policy: Literal["fixed", "dynamic"]
    volatility: float | None = None
    """Annualised, over `VOLATILITY_DAYS`; None if the policy does not ask, or it cannot be known."""
    note: str | None = None
    """What a reader must be told: why the dynamic policy does not hold, or what of it was cut."""

    @property
    def text(self) -> str | None:
        """What the dynamic policy made of this trade, in words; None if only the fixed one was asked."""
        if self.policy == "fixed":
            return self.note
        said = f"dynamic exits at a volatility of {100 * (self.volatility or 0):.1f} %: {self.params.text}"
        return said if self.note is None else f"{said}; {self.note}"


def resolve(policy: ExitPolicy, bars: Bars | None) -> ResolvedExits:
    """Return the thresholds of a trade that is entered now, from the underlying's daily bars.

    Where the dynamic policy has no volatility to go by, the fixed one holds, and the note says why.
    """
    if policy.dynamic is None:
        return ResolvedExits(params=policy.fixed, policy="fixed")
    closes = np.empty(0) if bars is None else bars.close
    volatility = realised_volatility(closes, VOLATILITY_DAYS)
    if np.isnan(volatility):
        why = f"too few bars: {VOLATILITY_DAYS + 1} daily closes without a gap are needed of {len(closes)}"
        return _fixed_instead(policy, why, None)
    try:
        return dynamic_exits(policy.dynamic, volatility, time_exit_dte=policy.fixed.time_exit_dte)
    except InputError as error:
        return _fixed_instead(policy, str(error), volatility)


def dynamic_exits(group: TradingGroup, volatility: float, *, time_exit_dte: int) -> ResolvedExits:
    """Return the thresholds at an annualised volatility (fraction): r = volatility / 0.15, clamped to 0.5-2.

    Target: the group's share / r, at most `LARGEST_TARGET`; stop: the group's multiple x r. Raises `InputError` for a
    volatility that looks daily: with it r is always 0.5, and every stop half of what was meant.
    """
    if not DAILY_BELOW <= volatility < np.inf:
        raise InputError(
            f"volatility {volatility:.4f} looks daily: give it annualised ({DAILY_BELOW} or more), a day's times"
            " the square root of 252"
        )
    ratio = min(max(volatility / REFERENCE_VOLATILITY, LEAST_RATIO), LARGEST_RATIO)
    target = TARGETS[group] / ratio
    note = None
    if target > LARGEST_TARGET:
        note = (
            f"a target of {100 * target:.0f} % of the credit is out of reach of a positive cost:"
            f" {100 * LARGEST_TARGET:.0f} % instead"
        )
    params = ExitParams(
        profit_target=round(min(target, LARGEST_TARGET), 6),
        stop_loss=round(STOPS[group] * ratio, 6),
        time_exit_dte=time_exit_dte,
    )
    return ResolvedExits(params=params, policy="dynamic", volatility=volatility, note=note)


def _fixed_instead(policy: ExitPolicy, why: str, volatility: float | None) -> ResolvedExits:
    note = f"the fixed exit policy holds instead of the dynamic one: {why}"
    return ResolvedExits(params=policy.fixed, policy="fixed", volatility=volatility, note=note)
