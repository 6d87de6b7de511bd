"""Stage 1, market: a file of end-of-day option chains in, the `Snapshot` of one of its dates out.

What such a file does not hold (headlines, the VIX, a history of implied volatility) is absent, and named in
`Snapshot.missing` with the reason; nothing is derived to fill a gap.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mahler_agents.clock import NEW_YORK
from mahler_agents.config import risk_free_rate, stale_rate
from mahler_agents.errors import InputError
from mahler_agents.market import calendar
from mahler_agents.market.csv_file import ChainFile, DayOfChain, read_chain_file
from mahler_agents.market.snapshot import Bars, Chain, Dividend, MarketData, Snapshot, Timetable, chain_from_columns
from mahler_agents.types import CONTRACT_MULTIPLIER, Quote

_ABSENT = {
    "vix": "not in the file",
    "vix_3_month": "not in the file",
    "volatility_history": "not in the file: it holds quotes, not a 30-day implied volatility",
    "headlines": "not in the file",
    "bars.open": "not in the file: its bars are the underlying's daily closes",
    "bars.high": "not in the file: its bars are the underlying's daily closes",
    "bars.low": "not in the file: its bars are the underlying's daily closes",
    "bars.volume": "not in the file: its bars are the underlying's daily closes",
}


class CsvMarket:
    """The market that a vendor's end-of-day chain file shows: one instant a day, the session's close.

    The file is read once, at the start; the columns are those of `csv_file.COLUMNS`. Raises `InputError` if the file
    cannot be used, naming line and column.
    """

    live = False
    max_quote_age_seconds = 60.0  # every quote is of the close, as the snapshot is
    synthetic = False

    def __init__(self, path: str | Path) -> None:
        self._file: ChainFile = read_chain_file(Path(path))

    @property
    def name(self) -> str:
        """`csv`."""
        return "csv"

    @property
    def world(self) -> str:
        """`csv-`, the file's name without its ending and a digest of its first day's quotes.

        So two files of one name in two folders are two worlds, and a file that grows by a day stays in its own.
        """
        return f"csv-{self._file.path.stem}-{self._file.first_day_digest}"

    @property
    def dates(self) -> tuple[dt.date, ...]:
        """The dates of the file that can be asked for, in order."""
        return tuple(self._file.days)

    def default_as_of(self) -> dt.datetime:
        """Return the close of the last date in the file, UTC."""
        return calendar.session_close(self.dates[-1])

    def instant_of(self, date: dt.date) -> dt.datetime:
        """Return the close of the date, UTC; raises `InputError` if the file has no usable rows of it."""
        self._day_on(date)
        return calendar.session_close(date)

    def timetable(self, date: dt.date, every: dt.timedelta) -> Timetable:  # noqa: ARG002 - it has one instant a day
        """Return the close of the session, or why the file has no quotes of it."""
        if date in self._file.days:
            return Timetable(instants=(calendar.session_close(date),))
        return Timetable(absent=self._why_absent(date))

    async def snapshot(self, as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
        """Return the chains of the New York date of `as_of`, as of that session's close.

        Raises `InputError` if `as_of` is before that close, if the file has no usable rows of that date, or none of the
        `underlyings` on it.
        """
        date, day = self._day(as_of)
        found = [underlying for underlying in underlyings if underlying in day]
        if not found:
            raise InputError(
                f"{self._file.path} holds none of {', '.join(underlyings)} on {date}: it holds {', '.join(sorted(day))}"
            )
        absent = {f"underlyings.{name}": f"not in the file on {date}" for name in underlyings if name not in day}
        left_out = {f"dates.{left}": why for left, why in self._file.unusable.items() if left <= date}
        stale = {"risk_free_rate": why} if (why := stale_rate(date)) else {}
        return Snapshot(
            as_of=calendar.session_close(date),
            market=self.name,
            source=f"end-of-day quotes of {date} from {self._file.path.name}",
            synthetic=self.synthetic,
            underlyings={name: self._market_data(name, date, day[name]) for name in found},
            risk_free_rate=risk_free_rate(date),
            missing={**_ABSENT, **absent, **left_out, **stale},
        )

    async def quotes(self, symbols: Sequence[str], at: dt.datetime) -> Mapping[str, Quote]:
        """Return the end-of-day quotes of the New York date of `at`: a later instant of that day has no others.

        Left out are symbols that the file does not hold on that date, and rows without a bid, without a positive ask,
        or with a bid above it. Raises `InputError` before that day's close, and if the file has no usable rows of that
        date.
        """
        date, day = self._day(at)
        close = calendar.session_close(date)
        rows = {symbol: (chain, row) for chain in day.values() for symbol, row in chain.rows.items()}
        quotes: dict[str, Quote] = {}
        for symbol in symbols:
            if symbol not in rows:
                continue
            chain, row = rows[symbol]
            bid, ask = float(chain.columns["bid"][row]), float(chain.columns["ask"][row])
            if 0 <= bid <= ask and ask > 0:
                quotes[symbol] = Quote(bid=bid, ask=ask, at=close)
        return quotes

    async def dividends(
        self,
        underlyings: Sequence[str],  # noqa: ARG002 - the protocol's arguments
        at: dt.datetime,  # noqa: ARG002
    ) -> Mapping[str, tuple[Dividend, ...]]:
        """Return nothing: such a file does not hold dividends, so none of any underlying is known."""
        return {}

    async def prices(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, float]:
        """Return the underlyings' closes of the New York date of `at`, dollars per share.

        Left out is what the file does not hold, and everything before that day's close.
        """
        date = at.astimezone(NEW_YORK).date()
        day = self._file.days.get(date, {})
        known = [name for name in underlyings if name in day and at >= calendar.session_close(date)]
        return {name: day[name].spot for name in known}

    async def vix(self, at: dt.datetime) -> float | None:  # noqa: ARG002 - the protocol's argument
        """Return None: such a file does not hold the VIX."""
        return None

    def _day(self, instant: dt.datetime) -> tuple[dt.date, Mapping[str, DayOfChain]]:
        if instant.tzinfo is None:
            raise InputError(f"{instant} has no time zone: give an aware time")
        date = instant.astimezone(NEW_YORK).date()
        day = self._day_on(date)
        close = calendar.session_close(date)
        if instant < close:  # its quotes would be of the future
            raise InputError(
                f"{instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M} is before the close"
                f" ({close.astimezone(NEW_YORK):%H:%M} New York), of which {self._file.path} holds the quotes:"
                " ask for the date, or a time from its close on"
            )
        return date, day

    def _day_on(self, date: dt.date) -> Mapping[str, DayOfChain]:
        day = self._file.days.get(date)
        if day is None:
            raise InputError(self._no_such_date(date))
        return day

    def _no_such_date(self, date: dt.date) -> str:
        dates = self.dates
        before = [d for d in dates if d < date]
        after = [d for d in dates if d > date]
        nearest = " and ".join(d.isoformat() for d in (*before[-1:], *after[:1]))
        why = self._why_absent(date)
        return f"{date} {why} ({self._file.path} holds {dates[0]} to {dates[-1]}): the nearest usable is {nearest}"

    def _why_absent(self, date: dt.date) -> str:
        return self._file.unusable.get(date, "is not in the file")

    def _market_data(self, underlying: str, date: dt.date, day: DayOfChain) -> MarketData:
        closes = {d: chains[underlying].spot for d, chains in self._file.days.items() if underlying in chains}
        return MarketData(chain=_chain(underlying, day), bars=_bars({d: c for d, c in closes.items() if d <= date}))


def _chain(underlying: str, day: DayOfChain) -> Chain:
    roots = np.asarray([symbol[:-15] for symbol in day.columns["symbol"]], dtype=np.str_)
    return chain_from_columns(
        underlying,
        day.spot,
        {
            **day.columns,
            "quote_age_seconds": np.zeros(len(roots)),  # of the close, as the snapshot is
            # A root that is not the underlying's symbol, such as SPY1, is an adjusted contract: its deliverable is
            # not in the file.
            "multiplier": np.where(roots == underlying, float(CONTRACT_MULTIPLIER), np.nan),
        },
    )


def _bars(closes: Mapping[dt.date, float]) -> Bars:
    absent = np.full(len(closes), np.nan)
    return Bars(
        date=np.asarray(list(closes), dtype="datetime64[D]"),
        open=absent,
        high=absent,
        low=absent,
        close=np.asarray(list(closes.values()), dtype=np.float64),
        volume=absent,
    )
