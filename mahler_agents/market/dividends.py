"""Below the screen, dividends: those told in, those to come out; and a chain's dividend yields for pricing."""

import datetime as dt
from collections.abc import Sequence

import numpy as np

from mahler_agents import pricing
from mahler_agents.market import calendar
from mahler_agents.market.snapshot import Dates, Dividend, Floats

_A_YEAR = dt.timedelta(weeks=52)
"""From an ex-date to that of the next year, which is often the same weekday."""
_REGULAR = 3
"""Payments within a year of who pays every quarter or month, at least."""


def dividends_to_come(told: Sequence[Dividend], *, today: dt.date, until: dt.date) -> tuple[Dividend, ...]:
    """Return the dividends with ex-dates after `today`, from those of the last year and those announced.

    ETFs announce late: where a regular payer's next one is not announced, its date is estimated (that of a year ago
    plus 52 weeks, on a session) up to `until`, and its amount is not known. One that is nearer to a date that is told
    than half of the usual time between two is that one.
    """
    announced = tuple(one for one in told if one.ex_date > today)
    past = sorted(one.ex_date for one in told if today - _A_YEAR < one.ex_date <= today)
    if len(past) < _REGULAR:
        return announced
    apart = float(np.median(np.diff(np.asarray(past, dtype="datetime64[D]")).astype(int)))
    moved = (date + _A_YEAR for date in past)
    expected = (date if calendar.is_session(date) else calendar.next_session(date) for date in moved)
    estimates = tuple(
        Dividend(ex_date=date, estimated=True)
        for date in expected
        if today < date <= until and all(abs((date - one.ex_date).days) >= apart / 2 for one in told)
    )
    return tuple(sorted((*announced, *estimates), key=lambda one: one.ex_date))


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
