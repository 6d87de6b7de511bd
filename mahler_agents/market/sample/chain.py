"""Below the sample market, chain: a seed, an instrument and a moment in, the option `Chain` as a feed shows it out."""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mahler_agents import pricing
from mahler_agents.market.sample.caching import read_only
from mahler_agents.market.sample.history import close
from mahler_agents.market.sample.listing import Contracts, shown_contracts
from mahler_agents.market.sample.moment import Moment
from mahler_agents.market.sample.paths import simulate_paths
from mahler_agents.market.sample.quoting import open_interest, quote, session_volume, without_greeks
from mahler_agents.market.sample.surface import Floats, thirty_day_volatility
from mahler_agents.market.sample.world import RISK_FREE_RATE, SYMBOLS
from mahler_agents.market.snapshot import Chain
from mahler_agents.types import CONTRACT_MULTIPLIER


@dataclass(frozen=True, kw_only=True)
class _ShownDay:
    """What one chain shows all day: its contracts, and what the feed knows of them from the night before."""

    contracts: Contracts
    open_interest: Floats
    volume_before: Floats
    """Contracts in the last full session."""
    volume_today: Floats
    """Contracts until today's close."""
    no_greeks: NDArray[np.bool_]


def chain(seed: int, index: int, moment: Moment) -> Chain:
    """Return one instrument's chain; implied volatility and greeks have gaps, as feeds do."""
    day = _shown_day(seed, index, moment.date)
    listed = day.contracts
    quoted = quote(seed, listed, moment.state, moment.at, moment.seconds_open)
    spot = float(moment.state.spot[index])
    value = pricing.value(
        is_put=listed.is_put,
        spot=spot,
        strike=listed.strike,
        years=quoted.years,
        rate=RISK_FREE_RATE,
        volatility=quoted.volatility,
        dividend_yield=quoted.dividend_yield,
    )
    unknown = day.no_greeks | (quoted.bid == 0)  # feeds solve for the volatility of a bid

    def known(column: Floats) -> Floats:
        return np.where(unknown, np.nan, column)

    return Chain(
        underlying=SYMBOLS[index],
        spot=spot,
        symbol=listed.symbol,
        is_put=listed.is_put,
        expiration=listed.expiration,
        strike=listed.strike,
        bid=quoted.bid,
        ask=quoted.ask,
        quote_age_seconds=quoted.age_seconds,
        volume=np.maximum(day.volume_before, np.floor(moment.session_share * day.volume_today)),
        open_interest=day.open_interest,
        multiplier=np.full(len(listed), float(CONTRACT_MULTIPLIER)),
        implied_volatility=known(quoted.volatility),
        delta=known(value.delta),
        gamma=known(value.gamma),
        theta_per_day=known(value.theta_per_day),
        vega_per_vol_point=known(value.vega_per_vol_point),
    )


@lru_cache(maxsize=64)
def _shown_day(seed: int, index: int, date: dt.date) -> _ShownDay:
    paths = simulate_paths(seed)
    row = paths.rows[date]
    reference = close(paths, index, row - 1)
    volatility = float(thirty_day_volatility(paths.factors[row - 1, -1], index))
    listed = read_only(shown_contracts(index, date, reference, volatility))
    interest = open_interest(seed, listed, date, reference, volatility)
    return read_only(
        _ShownDay(
            contracts=listed,
            open_interest=interest,
            volume_before=session_volume(seed, listed, interest, paths.dates[row - 1]),
            volume_today=session_volume(seed, listed, interest, date),
            no_greeks=without_greeks(seed, listed, date),
        )
    )
