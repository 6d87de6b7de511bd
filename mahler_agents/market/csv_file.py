"""Below stage 1, chain file: a vendor's CSV of option quotes in, columns by date and underlying out, or one error.

Columns as historical vendors (and the options_backtester project) name them. Units were checked against our own
pricing: theta is dollars per share and calendar day, vega dollars per share and volatility point, as in `Chain`.
"""

import csv
import datetime as dt
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mahler_agents.errors import InputError
from mahler_agents.market import calendar
from mahler_agents.market.occ import parse_symbol

COLUMNS = (
    "underlying",
    "underlying_last",
    "optionroot",
    "type",
    "expiration",
    "quotedate",
    "strike",
    "last",
    "bid",
    "ask",
    "volume",
    "openinterest",
    "impliedvol",
    "delta",
    "gamma",
    "theta",
    "vega",
    "optionalias",
)
"""The columns that a file needs, in any order; further ones are ignored."""

_OPTIONAL_FIGURES = {
    "bid": "bid",
    "ask": "ask",
    "volume": "volume",
    "openinterest": "open_interest",
    "impliedvol": "implied_volatility",
    "delta": "delta",
    "gamma": "gamma",
    "theta": "theta_per_day",
    "vega": "vega_per_vol_point",
}
"""Column of the file -> column of `Chain`; an empty field is an absent figure (NaN)."""

_CHAIN_COLUMNS = ("symbol", "expiration", "is_put", "strike", *_OPTIONAL_FIGURES.values())

_FIRST_LINE = 2  # line 1 is the header

Table = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class DayOfChain:
    """One underlying's rows of one date."""

    spot: float
    """Close of the underlying, dollars per share."""
    columns: Mapping[str, NDArray[Any]]
    """As `chain_from_columns` takes them."""

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """OCC symbol -> row."""
        return {str(symbol): row for row, symbol in enumerate(self.columns["symbol"])}


@dataclass(frozen=True, kw_only=True)
class ChainFile:
    """All of a file: by date (in order), then by underlying."""

    path: Path
    days: Mapping[dt.date, Mapping[str, DayOfChain]]
    unusable: Mapping[dt.date, str]
    """Dates of the file that were left out -> why."""

    @cached_property
    def first_day_digest(self) -> str:
        """Six hex characters of the SHA-256 of the first usable day: its date, underlyings, closes and quotes."""
        date, chains = next(iter(self.days.items()))
        digest = hashlib.sha256(date.isoformat().encode())
        for underlying, chain in chains.items():
            order = np.argsort(chain.columns["symbol"])
            digest.update(f"{underlying} {chain.spot!r}".encode())
            for name in ("symbol", "bid", "ask"):
                digest.update(" ".join(map(str, chain.columns[name][order].tolist())).encode())
        return digest.hexdigest()[:6]


def read_chain_file(path: Path) -> ChainFile:
    """Return the file's chains; raises `InputError` naming the file, and the line and column where there is one.

    Left out and named are dates that are not sessions, and dates that repeat the day before: vendors write files on
    holidays too, with the quotes of the session before.
    """
    table = _read_table(path)
    days = _by_day(path, _parse(path, table))
    unusable = dict(_unusable(days))
    usable = {date: chains for date, chains in days.items() if date not in unusable}
    if not usable:
        date, why = next(iter(unusable.items()))
        raise InputError(f"{path} has no usable date: {date} {why}")
    return ChainFile(path=path, days=usable, unusable=unusable)


def _read_table(path: Path) -> Table:
    """Return the file's needed columns as text."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file: {error}") from None
    if not rows:
        raise InputError(f"{path} is empty: it needs the columns {', '.join(COLUMNS)}")
    header = [name.strip() for name in rows[0]]
    absent = [name for name in COLUMNS if name not in header]
    if absent:
        raise InputError(f"{path} lacks the column {', '.join(absent)}: it needs {', '.join(COLUMNS)}")
    body = rows[1:]
    while body and not body[-1]:
        body.pop()
    if not body:
        raise InputError(f"{path} has a header but no rows")
    for line, row in enumerate(body, start=_FIRST_LINE):
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: {len(row)} fields, the header has {len(header)}")
    return dict(zip(header, zip(*body, strict=True), strict=True))


def _parse(path: Path, table: Table) -> dict[str, NDArray[Any]]:
    """Return the columns of `Chain`, and `underlying`, `date` and `spot`, one row a line of the file."""
    columns: dict[str, NDArray[Any]] = {
        "underlying": np.asarray(table["underlying"], dtype=np.str_),
        "symbol": np.asarray(table["optionroot"], dtype=np.str_),
        "date": _dates(path, table, "quotedate"),
        "expiration": _dates(path, table, "expiration"),
        "is_put": _rights(path, table),
        "strike": _prices(path, table, "strike"),
        "spot": _prices(path, table, "underlying_last"),
    }
    for name, chain_name in _OPTIONAL_FIGURES.items():
        columns[chain_name] = _figures(path, table, name)
    _check_symbols(path, columns)
    return columns


def _refuse(path: Path, row: int, column: str, text: str, why: str) -> NoReturn:
    raise InputError(f"{path}, line {row + _FIRST_LINE}, column {column}: {text!r} {why}")


def _figures(path: Path, table: Table, column: str) -> NDArray[np.float64]:
    """Return a column of finite numbers, with NaN where a field is empty or says NaN."""

    texts = table[column]
    try:
        values = np.asarray(texts, dtype=np.float64)  # ten times as fast as field by field
    except ValueError:
        values = np.asarray([_figure(path, row, column, text) for row, text in enumerate(texts)], dtype=np.float64)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        _refuse(path, int(infinite[0]), column, texts[int(infinite[0])], "is not a finite number")
    return values


def _figure(path: Path, row: int, column: str, text: str) -> float:
    if not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError:
        _refuse(path, row, column, text, "is not a number")


def _prices(path: Path, table: Table, column: str) -> NDArray[np.float64]:
    """Return a column of which every row needs a number above zero."""
    values = _figures(path, table, column)
    bad = np.flatnonzero(~(values > 0))
    if len(bad):
        _refuse(path, int(bad[0]), column, table[column][int(bad[0])], "is not a price above 0")
    return values


def _dates(path: Path, table: Table, column: str) -> NDArray[np.datetime64]:
    """Return a column of ISO dates; each distinct text is parsed once."""
    texts = table[column]
    parsed: dict[str, dt.date] = {}
    for row, text in enumerate(texts):
        if text in parsed:
            continue
        try:
            parsed[text] = dt.date.fromisoformat(text)
        except ValueError:
            _refuse(path, row, column, text, "is not a date (YYYY-MM-DD)")
    return np.asarray([parsed[text] for text in texts], dtype="datetime64[D]")


def _rights(path: Path, table: Table) -> NDArray[np.bool_]:
    for row, text in enumerate(table["type"]):
        if text not in {"put", "call"}:
            _refuse(path, row, "type", text, "is neither put nor call")
    return np.asarray([text == "put" for text in table["type"]], dtype=np.bool_)


def _check_symbols(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Refuse a symbol that says other terms than its row: what is ordered is the symbol."""
    rows = zip(
        columns["symbol"].tolist(),
        columns["expiration"].tolist(),
        columns["is_put"].tolist(),
        columns["strike"].tolist(),
        strict=True,
    )
    for row, (symbol, expiration, is_put, strike) in enumerate(rows):
        try:
            terms = parse_symbol(symbol)
        except InputError:
            _refuse(path, row, "optionroot", symbol, "is not an OCC option symbol such as SPY210129P00345000")
        if (terms.expiration, terms.right, terms.strike) != (expiration, "put" if is_put else "call", strike):
            _refuse(path, row, "optionroot", symbol, "does not agree with the row's type, expiration and strike")


def _by_day(path: Path, columns: Mapping[str, NDArray[Any]]) -> dict[dt.date, dict[str, DayOfChain]]:
    """Return the chains by date and underlying, both in order; rows keep the file's order."""
    names, name_of_row = np.unique(columns["underlying"], return_inverse=True)
    order = np.lexsort((name_of_row, columns["date"]))
    dates, names_in_order = columns["date"][order], name_of_row[order]
    starts = np.flatnonzero((dates[1:] != dates[:-1]) | (names_in_order[1:] != names_in_order[:-1])) + 1
    days: dict[dt.date, dict[str, DayOfChain]] = {}
    for rows in np.split(order, starts):
        first = int(rows[0])
        chain = {name: columns[name][rows] for name in _CHAIN_COLUMNS}
        _check_distinct(path, chain["symbol"].tolist(), rows)
        days.setdefault(columns["date"][first].item(), {})[str(names[name_of_row[first]])] = DayOfChain(
            spot=float(columns["spot"][first]), columns=chain
        )
    return days


def _check_distinct(path: Path, symbols: Sequence[str], rows: NDArray[np.intp]) -> None:
    """Refuse a symbol that stands twice in one day: which of its quotes holds cannot be known."""
    if len(set(symbols)) == len(symbols):
        return
    twice = next(i for i, symbol in enumerate(symbols) if symbol in symbols[:i])
    _refuse(path, int(rows[twice]), "optionroot", symbols[twice], "stands twice on the same quotedate")


def _unusable(days: Mapping[dt.date, Mapping[str, DayOfChain]]) -> Iterable[tuple[dt.date, str]]:
    """Yield the dates that are not sessions, or repeat the one before, with the reason."""
    before: Mapping[str, DayOfChain] | None = None
    for date, chains in days.items():
        if not calendar.is_session(date):
            yield date, "is not a session of the New York exchange, so its rows repeat another day's"
        elif before is not None and _same(before, chains):
            yield date, "repeats the quotes of the date before it in the file"
        else:
            before = chains


def _same(one: Mapping[str, DayOfChain], other: Mapping[str, DayOfChain]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].spot == other[name].spot
        and all(
            np.array_equal(column, other[name].columns[key], equal_nan=column.dtype.kind == "f")
            for key, column in one[name].columns.items()
        )
        for name in one
    )
