"""Stage 7, size: daily bars in, betas to SPY out, each saying where it is from; pure."""

from collections.abc import Iterable, Mapping

import numpy as np

from mahler_agents.market.snapshot import Bars, Floats, MarketData
from mahler_agents.types import Frozen

INDEX = "SPY"
"""What betas are to, and whose 1 % move a portfolio's delta is told for."""
HOUSE_BETAS: Mapping[str, float] = {"SPY": 1.0, "QQQ": 1.15, "IWM": 1.20, "TLT": -0.30, "GLD": 0.05}
"""Used where none can be estimated."""
RETURNS = 252
"""Daily returns that an estimate uses: the last year's."""
MIN_RETURNS = 60
"""Fewer are too few."""


class Beta(Frozen):
    """How many percent an underlying moves for each percent of SPY."""

    value: float
    days: int | None
    """Daily returns that it was estimated on; None: it is of the house's table."""


def betas(underlyings: Iterable[str], markets: Mapping[str, MarketData]) -> Mapping[str, Beta]:
    """Return each underlying's beta: SPY's is 1, another's estimated, else the table's, else left out."""
    index = markets.get(INDEX)
    found: dict[str, Beta] = {}
    for name in underlyings:
        market = None if name == INDEX else markets.get(name)  # SPY's to itself is a definition, and in the table
        estimate = None if market is None or index is None else estimated_beta(market.bars, index.bars)
        if estimate is not None:
            found[name] = estimate
        elif name in HOUSE_BETAS:
            found[name] = Beta(value=HOUSE_BETAS[name], days=None)
    return found


def estimated_beta(bars: Bars, index: Bars) -> Beta | None:
    """Return the slope of the least-squares line of daily returns on the index's, with an intercept.

    beta = cov(r, r_index) / var(r_index) (Sharpe, Management Science 9(2), 1963, the single-index model), on the
    last `RETURNS` simple returns between days on which both closed. None with fewer than `MIN_RETURNS`, or if the index
    never moved.
    """
    own, its = _closes_on_common_days(bars, index)
    returns, moves = (closes[1:] / closes[:-1] - 1 for closes in (own[-RETURNS - 1 :], its[-RETURNS - 1 :]))
    if len(returns) < MIN_RETURNS:
        return None
    off = moves - moves.mean()
    variance = float(off @ off)
    if variance == 0:
        return None
    return Beta(value=float(off @ (returns - returns.mean())) / variance, days=len(returns))


def _closes_on_common_days(bars: Bars, index: Bars) -> tuple[Floats, Floats]:
    """Return both closes of the days on which both have one, oldest first; an impossible close is none."""
    own, its = (np.isfinite(one.close) & (one.close > 0) for one in (bars, index))
    _, here, there = np.intersect1d(bars.date[own], index.date[its], return_indices=True)
    return bars.close[own][here], index.close[its][there]
