"""Below the screen, dividends: those to come and a chain's expirations in, dividend yields for pricing out."""

import datetime as dt
from collections.abc import Sequence

import numpy as np

from mahler_agents import pricing
from mahler_agents.market.snapshot import Dates, Dividend, Floats


def dividend_yields(
    dividends: Sequence[Dividend] | None, *, spot: float, expiration: Dates, as_of: dt.datetime, rate: float
) -> Floats:
    """Return the yield of the dividends inside each option's life, annualised, one an element of `expiration`.

    A dividend whose amount is not known counts as none, as do all where nothing is known of any: `Snapshot.all_missing`
    says so. NaN where the dividends are worth `spot` (dollars per share) or more.
    """
    known = [dividend for dividend in dividends or () if dividend.dollars is not None]
    if not known:
        return np.zeros(len(expiration))
    expirations, place = np.unique(expiration, return_inverse=True)
    worth = pricing.dividends_present_value(
        ex_date=np.asarray([dividend.ex_date for dividend in known], dtype="datetime64[D]"),
        dollars=[dividend.dollars or 0.0 for dividend in known],
        as_of=as_of,
        expiration=expirations,
        rate=rate,
    )
    years = pricing.years_to_expiry(as_of, expirations)
    return pricing.dividend_yield(present_value=worth, spot=spot, years=years)[place]
