"""The fake Alpaca's market data, filters: what both hosts can be asked of a list of option contracts."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mahler_agents.testing.fake_alpaca.market_data.chains import ADJUSTED, Listing
from mahler_agents.testing.fake_alpaca.market_data.query import Query

FILTERS = (
    "type",
    "strike_price_gte",
    "strike_price_lte",
    "expiration_date",
    "expiration_date_gte",
    "expiration_date_lte",
    "root_symbol",
)


def filtered(query: Query, listing: Listing, underlying: str) -> NDArray[np.bool_]:
    """Return which rows of a chain the filters of the query let through."""
    mine = listing.contracts
    kind = query.one_of("type", ("call", "put", ""), "")
    mask = np.ones(len(listing), dtype=np.bool_) if not kind else mine.is_put == (kind == "put")
    root = query.text("root_symbol")
    if root is not None:
        mask &= np.where(listing.adjusted, root == underlying + ADJUSTED, root == underlying)
    limits: tuple[tuple[str, Callable[[Any], Any]], ...] = (
        ("strike_price_gte", lambda least: mine.strike >= least),
        ("strike_price_lte", lambda most: mine.strike <= most),
    )
    for name, passes in limits:
        bound = query.number(name)
        mask &= True if bound is None else passes(bound)
    days: tuple[tuple[str, Callable[[Any], Any]], ...] = (
        ("expiration_date", lambda day: mine.expiration == day),
        ("expiration_date_gte", lambda day: mine.expiration >= day),
        ("expiration_date_lte", lambda day: mine.expiration <= day),
    )
    for name, passes in days:
        day = query.date(name)
        mask &= True if day is None else passes(np.datetime64(day))
    return mask
