"""Stage 1, market: a seed and an instant in, the `Snapshot` of a made-up market out.

Everything is a function of (seed, instant): paths are drawn once a seed on a grid of 5 minutes, interpolated between,
and all else (quotes, open interest, headlines) is computed from them. Caches save time and are never asked for truth.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import InputError
from mahler_agents.market import calendar
from mahler_agents.market.occ import parse_symbol
from mahler_agents.market.sample.chain import chain
from mahler_agents.market.sample.headlines import headlines
from mahler_agents.market.sample.history import bars, recent_moves, volatility_history
from mahler_agents.market.sample.listing import contracts, expirations, is_listed
from mahler_agents.market.sample.moment import Moment, find_moment, new_york_date, open_moment
from mahler_agents.market.sample.paths import simulate_paths
from mahler_agents.market.sample.quoting import quote
from mahler_agents.market.sample.surface import vix, vix_3_month
from mahler_agents.market.sample.world import (
    FIRST_DATE,
    INDEX,
    INSTRUMENTS,
    LAST_DATE,
    RISK_FREE_RATE,
    SYMBOLS,
    ex_dates,
)
from mahler_agents.market.snapshot import Dividend, MarketData, Snapshot, Timetable
from mahler_agents.types import Quote

DEFAULT_SEED = 22
SCAN_TIME = dt.time(10, 0)
"""New York time of a date's scan."""
DEFAULT_AS_OF = dt.datetime.combine(dt.date(2026, 3, 17), SCAN_TIME, NEW_YORK).astimezone(dt.UTC)
"""A normal session."""


class SampleMarket:
    """The embedded market: SPY, QQQ, IWM, TLT and GLD as they might be, synthetic and the same for everyone.

    Prices of any instant from `FIRST_DATE` to `LAST_DATE` in the sessions' hours; early exercise is not priced.
    """

    live = False
    max_quote_age_seconds = 300.0  # a feed in real time, whose quietest contracts are quoted every two minutes
    synthetic = True

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        if seed < 0:
            raise InputError(f"seed {seed} is below zero: the sample market takes 0, 1, 2, ...")
        self.seed = seed

    @property
    def name(self) -> str:
        """`sample`."""
        return "sample"

    @property
    def world(self) -> str:
        """`sample-` and the seed: another seed is another world."""
        return f"sample-{self.seed}"

    def default_as_of(self) -> dt.datetime:
        """Return 10:00 New York of one fixed session, UTC."""
        return DEFAULT_AS_OF

    def instant_of(self, date: dt.date) -> dt.datetime:
        """Return 10:00 New York of the date, UTC."""
        return dt.datetime.combine(date, SCAN_TIME, NEW_YORK).astimezone(dt.UTC)

    def timetable(self, date: dt.date, every: dt.timedelta) -> Timetable:
        """Return the session's instants, `every` so often from the open to the close, or that the date is too far."""
        if not FIRST_DATE <= date <= LAST_DATE:
            return Timetable(absent=f"is outside the sample market, which has {FIRST_DATE} to {LAST_DATE}")
        hours = calendar.session(date)
        passes = (hours.close - hours.open) // every
        return Timetable(instants=tuple(hours.open + number * every for number in range(passes + 1)))

    async def snapshot(self, as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
        """Return the market at `as_of`; underlyings that it does not have are named in `missing`.

        Raises `InputError` outside the sessions' hours and the market's range.
        """
        moment = open_moment(self.seed, as_of)
        known = [name for name in underlyings if name in INDEX]
        if not known:
            raise InputError(f"the sample market has none of {', '.join(underlyings)}: it has {', '.join(SYMBOLS)}")
        return Snapshot(
            as_of=moment.at,
            market=self.name,
            source=f"synthetic, seed {self.seed}",
            synthetic=self.synthetic,
            underlyings={name: self._market_data(INDEX[name], moment) for name in known},
            risk_free_rate=RISK_FREE_RATE,
            vix=vix(moment.state.factors),
            vix_3_month=vix_3_month(moment.state.factors),
            missing={
                f"underlyings.{name}": f"the sample market has {', '.join(SYMBOLS)} only"
                for name in underlyings
                if name not in INDEX
            },
        )

    async def quotes(self, symbols: Sequence[str], at: dt.datetime) -> Mapping[str, Quote]:
        """Return the quotes at the instant `at`, as the snapshot of that instant has them.

        Left out are expired contracts and those never listed; all are while the exchange is closed. Raises
        `InputError` on a malformed symbol and outside the market's range.
        """
        terms = {symbol: parse_symbol(symbol) for symbol in symbols}
        moment = find_moment(self.seed, at)
        if moment is None:
            return {}
        listed = [t for t in terms.values() if is_listed(t, moment.date)]
        if not listed:
            return {}
        columns = contracts(listed)
        quoted = quote(self.seed, columns, moment.state, moment.at, moment.seconds_open)
        rows = zip(
            columns.symbol.tolist(),
            quoted.bid.tolist(),
            quoted.ask.tolist(),
            quoted.age_seconds.tolist(),
            strict=True,
        )
        return {
            symbol: Quote(bid=bid, ask=ask, at=moment.at - dt.timedelta(seconds=age)) for symbol, bid, ask, age in rows
        }

    async def dividends(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, tuple[Dividend, ...]]:
        """Return the dividends to come until the last expiration listed on `at`'s date; all are known from the first.

        Left out are underlyings that the market does not have. Raises `InputError` outside the market's range.
        """
        date = new_york_date(at)
        return {name: _coming_dividends(INDEX[name], date) for name in underlyings if name in INDEX}

    async def prices(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, float]:
        """Return the underlyings' prices at the instant `at`, dollars per share; the last of a session is its close.

        Left out are underlyings that the market does not have; all are while the exchange is closed. Raises
        `InputError` outside the market's range.
        """
        moment = find_moment(self.seed, at)
        if moment is None:
            return {}
        return {name: float(moment.state.spot[INDEX[name]]) for name in underlyings if name in INDEX}

    async def vix(self, at: dt.datetime) -> float | None:
        """Return the made-up VIX at the instant `at`, as the snapshot of that instant has it; None while closed."""
        moment = find_moment(self.seed, at)
        return None if moment is None else vix(moment.state.factors)

    def _market_data(self, index: int, moment: Moment) -> MarketData:
        moves = recent_moves(simulate_paths(self.seed), index, moment.row)
        return MarketData(
            chain=chain(self.seed, index, moment),
            bars=bars(self.seed, index, moment.row),
            volatility_history=volatility_history(self.seed, index, moment.row),
            headlines=headlines(self.seed, index, moment.at, moves),
            dividends=_coming_dividends(index, moment.date),
        )


def _coming_dividends(index: int, date: dt.date) -> tuple[Dividend, ...]:
    """Return the dividends after the date until the last listed expiration."""
    days = (day for day in ex_dates(index) if date < day <= expirations(date)[-1])
    return tuple(Dividend(ex_date=day, dollars=INSTRUMENTS[index].dividend) for day in days)
