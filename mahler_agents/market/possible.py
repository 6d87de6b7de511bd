"""Stage 1, market, last step: what a market says in, the same without figures that cannot be out, and why.

An impossible figure is treated as an absent one, and named in `Snapshot.missing`: nothing is computed from it, and
nothing stands in for it. Contracts are not looked at here: the screen rejects them one by one, under reasons.
"""

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np

from mahler_agents.clock import NEW_YORK
from mahler_agents.market.snapshot import Bars, Bools, MarketData, Snapshot

_NAMED = 3
"""Bars that are named where there are many."""
_ROUNDING = 1e-9  # a close at its high must not be above it by a binary fraction
_PRICES = ("open", "high", "low", "close")


def without_impossible(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with impossible bars and index levels absent, each named in `missing`.

    A bar is impossible with a price of zero or below, or infinite, a negative volume, a high below its low, an open or
    close outside the two, or a date after the snapshot's. An index level is one above zero.
    """
    missing = dict(snapshot.missing)
    levels = {"vix": snapshot.vix, "vix_3_month": snapshot.vix_3_month}
    for name, level in levels.items():
        if level is not None and possible_level(level) is None:
            levels[name], missing[name] = None, f"the market says {level:g}: an index is above 0"
    today = snapshot.as_of.astimezone(NEW_YORK).date()
    underlyings: dict[str, MarketData] = {}
    for name, held in snapshot.underlyings.items():
        bars, why = possible_bars(held.bars, today)
        underlyings[name] = held if bars is held.bars else replace(held, bars=bars)
        if why is not None:
            missing[f"bars.{name}"] = why
    return replace(snapshot, underlyings=underlyings, missing=missing, **levels)


def possible_level(level: float | None) -> float | None:
    """Return an index's level in points, None if it is no finite number above zero."""
    return level if level is not None and 0 < level < math.inf else None


def possible_bars(bars: Bars, today: dt.date) -> tuple[Bars, str | None]:
    """Return the bars with all figures of impossible ones NaN, and which those are; the same bars if none is.

    `today` is the exchange date until which a bar can be.
    """
    wrong = dict(_wrong(bars, today))
    impossible = np.logical_or.reduce(list(wrong.values()))
    if not impossible.any():
        return bars, None
    columns = {one.name: getattr(bars, one.name) for one in fields(bars)}
    blank = {name: np.where(impossible, np.nan, column) for name, column in columns.items() if name != "date"}
    rows = np.flatnonzero(impossible)
    named = [f"{bars.date[row]} ({next(why for why, bad in wrong.items() if bad[row])})" for row in rows[-_NAMED:]]
    more = f" and {len(rows) - _NAMED:,} earlier" if len(rows) > _NAMED else ""
    return Bars(date=bars.date, **blank), f"taken as absent, being impossible: {', '.join(named)}{more}"


def _wrong(bars: Bars, today: dt.date) -> Iterator[tuple[str, Bools]]:
    """Yield what a bar can have wrong, and the bars that have; NaN is absent, and nothing is wrong with that."""
    yield "after the snapshot", bars.date > np.datetime64(today, "D")
    for name in _PRICES:
        column = getattr(bars, name)
        yield f"impossible {name}", (column <= 0) | np.isinf(column)
    yield "impossible volume", (bars.volume < 0) | np.isinf(bars.volume)
    yield "high below low", bars.high < bars.low
    for name in ("open", "close"):
        column = getattr(bars, name)
        outside = (column > bars.high * (1 + _ROUNDING)) | (column < bars.low * (1 - _ROUNDING))
        yield f"{name} outside low and high", outside
