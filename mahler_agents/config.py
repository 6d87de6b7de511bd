"""Config: what the user sets, checked once at the start; dated facts that are nobody's choice."""

import datetime as dt
import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from mahler_agents.errors import ConfigError
from mahler_agents.types import UNIVERSE, Environment, Frozen

_FEDERAL_FUNDS_MIDPOINTS: tuple[tuple[dt.date, float], ...] = (
    (dt.date(2020, 3, 16), 0.00125),
    (dt.date(2022, 3, 17), 0.00375),
    (dt.date(2022, 5, 5), 0.00875),
    (dt.date(2022, 6, 16), 0.01625),
    (dt.date(2022, 7, 28), 0.02375),
    (dt.date(2022, 9, 22), 0.03125),
    (dt.date(2022, 11, 3), 0.03875),
    (dt.date(2022, 12, 15), 0.04375),
    (dt.date(2023, 2, 2), 0.04625),
    (dt.date(2023, 3, 23), 0.04875),
    (dt.date(2023, 5, 4), 0.05125),
    (dt.date(2023, 7, 27), 0.05375),
    (dt.date(2024, 9, 19), 0.04875),
    (dt.date(2024, 11, 8), 0.04625),
    (dt.date(2024, 12, 19), 0.04375),
    (dt.date(2025, 9, 18), 0.04125),
    (dt.date(2025, 10, 30), 0.03875),
    (dt.date(2025, 12, 11), 0.03625),
)
"""Midpoint of the federal funds target range (Federal Reserve, FOMC statements), each from its effective date on."""

RATE_TRUSTED_FOR = dt.timedelta(days=40)
"""How long the last entry is believed to be the rate in force.

No two entries lie closer than 41 days (a test counts), so within 40 none can have followed that the table lacks.
"""


def risk_free_rate(on: dt.date) -> float:
    """Return the annual risk-free rate on a date: the midpoint of the federal funds target range then in force.

    After the last entry it is that one, and `stale_rate` says from when on it may be wrong. Raises `ConfigError` before
    the first date of the table.
    """
    known = [rate for since, rate in _FEDERAL_FUNDS_MIDPOINTS if since <= on]
    if not known:
        first = _FEDERAL_FUNDS_MIDPOINTS[0][0]
        raise ConfigError(f"no risk-free rate is known for {on}: the table begins on {first}")
    return known[-1]


def stale_rate(on: dt.date) -> str | None:
    """Return why the risk-free rate of a date may be wrong: the last entry is too old by then; None if it is not."""
    since, rate = _FEDERAL_FUNDS_MIDPOINTS[-1]
    if on - since <= RATE_TRUSTED_FOR:
        return None
    return (
        f"the table ends with the {rate:.3%} of {since}, {(on - since).days:,} days before: it may have changed since"
    )


def _distinct_names(universe: tuple[str, ...]) -> tuple[str, ...]:
    if not universe or len(set(universe)) < len(universe):
        raise ValueError("name at least one underlying, and each once")
    return universe


def _whole_cents(dollars: float) -> float:
    if abs(dollars * 100 - round(dollars * 100)) > 1e-6:
        raise ValueError("use whole cents: accounts are kept in them")
    return dollars


class DeskRules(Frozen):
    """How the desk works, wherever it trades; every default is a rule of the house."""

    universe: Annotated[tuple[str, ...], AfterValidator(_distinct_names)] = UNIVERSE
    """The underlyings that are screened."""
    max_candidates: Annotated[int, Field(ge=1, le=10)] = 10
    """Candidates that one scan reviews: at most the best of each underlying and direction."""
    max_trades_per_scan: Annotated[int, Field(ge=0)] = 3
    """Trades that one scan opens at most."""
    decision_delay_seconds: Annotated[float, Field(ge=0, le=1800)] = 180.0
    """The legs are quoted again this long after the snapshot; LLM calls that have not ended by then fail."""
    entry_concession: Annotated[float, Field(ge=0, le=1)] = 0.66
    """An entry order concedes up to this share of the way from mid to the natural side."""
    min_fill_to_screened_credit: Annotated[float, Field(gt=0, le=1)] = 0.75
    """The lowest credit that an entry may concede to, as a share of the credit that the screen saw; sized on."""
    lost_answer_grace_seconds: Annotated[float, Field(ge=1, le=15)] = 10.0
    """A broker that gave no certain answer about an order is asked for it this long before it is sent once more."""
    max_mark_age_seconds: Annotated[float, Field(gt=0)] | None = None
    """A leg's quote that is older makes no mark: nothing is closed on it. None: what the market says of its feed."""
    live_requires_verdict: bool = True
    """Live only: without a verdict nothing is traded."""
    debate_rounds: Annotated[int, Field(ge=0, le=5)] = 0
    """Rounds in which a bull and a bear argue between the analysts and the fund manager."""
    commission_per_contract_and_leg: Annotated[float, Field(ge=0), AfterValidator(_whole_cents)] = 1.0
    """Dollars in whole cents, charged by the embedded broker."""


class DeskConfig(DeskRules):
    """What a desk is told: its rules, what it trades with, and its owner's word."""

    environment: Environment = Environment.PAPER
    live_confirmation: str | None = None
    """Of a live account with real money: `trade real money in account ID`, typed by its owner; it is refused else."""


def config_from(variables: Mapping[str, str] = os.environ) -> DeskConfig:
    """Return the house's settings in the environment that the variables name, with the user's word for a live account.

    `MAHLER_LIVE_CONFIRMATION` is that word. Raises `ConfigError` as `environment_from` does.
    """
    return DeskConfig(
        environment=environment_from(variables), live_confirmation=variables.get("MAHLER_LIVE_CONFIRMATION") or None
    )


def environment_from(variables: Mapping[str, str] = os.environ) -> Environment:
    """Return the environment that `MAHLER_ENVIRONMENT`, or else `ENVIRONMENT`, names; paper if both are unset or empty.

    Raises `ConfigError` on anything but `paper` and `live`: a typing error must never trade real money.
    """
    for name in ("MAHLER_ENVIRONMENT", "ENVIRONMENT"):
        value = variables.get(name)
        if not value:
            continue
        try:
            return Environment(value)
        except ValueError:
            raise ConfigError(f"{name}={value!r} is not an environment: use `paper` or `live`") from None
    return Environment.PAPER
