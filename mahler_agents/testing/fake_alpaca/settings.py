"""The fake Alpaca's settings: how its account, its feed and its network behave."""

import datetime as dt
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from mahler_agents.errors import InputError
from mahler_agents.market.sample import DEFAULT_AS_OF, DEFAULT_SEED
from mahler_agents.market.sample.world import FIRST_DATE, LAST_DATE
from mahler_agents.types import Frozen

EARLIEST, LATEST = FIRST_DATE + dt.timedelta(days=10), LAST_DATE - dt.timedelta(days=10)
"""Between these a fake may start: before and after a few sessions of the sample market are needed."""


def _startable(start: dt.datetime) -> dt.datetime:
    if not EARLIEST <= start.date() <= LATEST:
        raise InputError(f"a fake Alpaca cannot start at {start}: choose a time from {EARLIEST} to {LATEST}")
    return start


class MarketDataSettings(Frozen):
    """How the fake's market data are, other than a free account's of five quiet underlyings."""

    real_time_data: bool = False
    """True if the account has the real-time subscription: OPRA, and the last 15 minutes of SIP and of option bars."""
    chain_contracts: Annotated[int, Field(gt=0)] | None = None
    """Every chain shows at least so many contracts, the strikes nearest to the money; None: as many as the market."""
    page_cap: Annotated[int, Field(gt=0)] | None = None
    """No page has more items, whatever its request asks for: the vendor promises at most as many."""
    missing_underlyings: tuple[str, ...] = ()
    """Of these there are no data at all."""
    adjusted_underlying: str | None = "SPY"
    """Its chain also has a few adjusted contracts; None: no chain has."""


class Settings(Frozen):
    """What a fake is made with."""

    seed: Annotated[int, Field(ge=0)] = DEFAULT_SEED
    """Of the sample market, and of all that chance decides."""
    start: Annotated[AwareDatetime, AfterValidator(_startable)] = DEFAULT_AS_OF
    """The first instant of its clock."""
    cash: Annotated[float, Field(ge=0)] = 100_000.0
    """Of the account at the start, dollars in whole cents."""
    options_level: Annotated[int, Field(ge=0, le=3)] = 3
    """The options trading level that the account has: spreads need 3."""
    latency_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Real seconds before an answer is sent."""
    partial_fills: bool = False
    """True if an order may fill in parts."""
    fill_at: Annotated[float, Field(ge=0, le=1)] | None = None
    """How far from mid to natural a limit must come to fill; None: as far as chance decides for these legs this day."""
    commission: Annotated[float, Field(ge=0)] = 0.0
    """Per contract of each leg, dollars in whole cents."""
    null_greeks: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The share of contracts whose snapshot has greeks and implied volatility that are null."""
    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    """More in one minute of the fake's clock are answered with 429; None: no limit."""
    flow: bool = False
    """True if the clock also runs by itself, at real speed."""
    market_data: MarketDataSettings = MarketDataSettings()
    """What its market data host has."""
