"""The fake Alpaca's market data, board: an underlying and an instant in, the option contracts and their figures out.

The figures are the sample market's own, from the same functions as its chain; only more of them (trades, two days of
bars) and, if the settings say so, of more contracts.
"""

import datetime as dt
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mahler_agents import pricing
from mahler_agents.market import calendar
from mahler_agents.market.occ import ContractTerms, parse_symbol
from mahler_agents.market.sample.caching import read_only
from mahler_agents.market.sample.history import close
from mahler_agents.market.sample.listing import Contracts, contracts, expirations, shown_contracts
from mahler_agents.market.sample.moment import open_moment
from mahler_agents.market.sample.noise import Topic, uniform
from mahler_agents.market.sample.paths import simulate_paths
from mahler_agents.market.sample.quoting import open_interest, quote, session_volume, without_greeks
from mahler_agents.market.sample.surface import Floats, thirty_day_volatility
from mahler_agents.market.sample.world import INDEX, INSTRUMENTS, RISK_FREE_RATE, SYMBOLS
from mahler_agents.testing.fake_alpaca.market_data.horizon import session_date

_LEAST_TRADE = 0.01


@dataclass(frozen=True, kw_only=True)
class Tape:
    """What traded in one session, or in its part until an instant; one row a contract."""

    date: dt.date
    open: Floats
    """Dollars per share: the middle of the quotes at the open, whole cents."""
    close: Floats
    """The same at the end of what is seen."""
    volume: Floats
    """Contracts; a contract with none has no bar."""


@dataclass(frozen=True, kw_only=True)
class Ticks:
    """Contracts at one instant; one row a contract, figures in the units of `Chain`."""

    at: dt.datetime
    bid: Floats
    ask: Floats
    age_seconds: Floats
    implied_volatility: Floats
    """NaN, as the greeks, where the feed has none."""
    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats
    """Per point of the rate."""


def board(seed: int, symbol: str, date: dt.date, least: int | None = None) -> Contracts:
    """Return the contracts that the chain of an underlying shows in a session, at least so many of them."""
    return _board(seed, INDEX[symbol], date, least)


@lru_cache(maxsize=64)
def _board(seed: int, index: int, date: dt.date, least: int | None) -> Contracts:
    reference, volatility = _morning(seed, index, date)
    shown = shown_contracts(index, date, reference, volatility)
    return read_only(shown if least is None or least <= len(shown) else _wide(index, date, reference, least))


def _wide(index: int, date: dt.date, reference: float, least: int) -> Contracts:
    """Return `least` contracts or a few more: in every expiration the strikes nearest to the money."""
    step = INSTRUMENTS[index].strike_steps[0]
    days = expirations(date)
    count = -(-least // (2 * len(days)))
    first = max(1, round(reference / step) - count // 2)
    strikes = [step * number for number in range(first, first + count)]
    return contracts(
        [
            ContractTerms(SYMBOLS[index], day, right, strike)
            for day in days
            for right in ("put", "call")
            for strike in strikes
        ]
    )


def take(listed: Contracts, rows: NDArray[np.intp]) -> Contracts:
    """Return some rows of contracts."""
    return Contracts(**{column.name: getattr(listed, column.name)[rows] for column in fields(listed)})


def some_contracts(symbols: tuple[str, ...]) -> Contracts:
    """Return contracts of one underlying by their symbols, shown or not."""
    return contracts([parse_symbol(symbol) for symbol in symbols])


def ticks(seed: int, listed: Contracts, at: dt.datetime) -> Ticks:
    """Return the figures of one underlying's contracts at an instant at which the exchange is open."""
    moment = open_moment(seed, at)
    quoted = quote(seed, listed, moment.state, moment.at, moment.seconds_open)
    value = pricing.value(
        is_put=listed.is_put,
        spot=moment.state.spot[listed.instrument],
        strike=listed.strike,
        years=quoted.years,
        rate=RISK_FREE_RATE,
        volatility=quoted.volatility,
        dividend_yield=quoted.dividend_yield,
    )
    unknown = without_greeks(seed, listed, moment.date) | (quoted.bid == 0)

    def known(column: Floats) -> Floats:
        return np.where(unknown, np.nan, column)

    return Ticks(
        at=moment.at,
        bid=quoted.bid,
        ask=quoted.ask,
        age_seconds=quoted.age_seconds,
        implied_volatility=known(quoted.volatility),
        delta=known(value.delta),
        gamma=known(value.gamma),
        theta=known(value.theta_per_day),
        vega=known(value.vega_per_vol_point),
        rho=known(value.rho_per_rate_point),
    )


def interest(seed: int, listed: Contracts, date: dt.date) -> Floats:
    """Return the open interest that is known in a session: that of the night before."""
    reference, volatility = _morning(seed, int(listed.instrument[0]), date)
    return open_interest(seed, listed, date, reference, volatility)


def tape(seed: int, listed: Contracts, date: dt.date) -> Tape:
    """Return what traded of one underlying's contracts in a whole session that has passed.

    Its volumes are those that the sample market tells the next day; a contract that was not listed traded none.
    """
    hours = calendar.session(date)
    following = calendar.next_session(date)
    lives_on = listed.expiration >= np.datetime64(following)
    volume = np.zeros(len(listed))
    for alive, known in ((lives_on, following), (~lives_on, date)):
        rows = np.flatnonzero(alive & _listed_on(listed, date))
        if len(rows):
            mine = take(listed, rows)
            volume[rows] = session_volume(seed, mine, interest(seed, mine, known), date)
    return Tape(date=date, open=mids(seed, listed, hours.open), close=mids(seed, listed, hours.close), volume=volume)


def tape_until(seed: int, listed: Contracts, at: dt.datetime) -> Tape:
    """Return what has traded in the session of an instant until then."""
    date = session_date(at)
    moment = open_moment(seed, at)
    today = session_volume(seed, listed, interest(seed, listed, date), date)
    return Tape(
        date=date,
        open=mids(seed, listed, calendar.session(date).open),
        close=mids(seed, listed, at),
        volume=np.floor(moment.session_share * today) * _listed_on(listed, date),
    )


def mids(seed: int, listed: Contracts, at: dt.datetime) -> Floats:
    """Return what contracts trade at: the middle of bid and ask, whole cents, at least one."""
    moment = open_moment(seed, at)
    quoted = quote(seed, listed, moment.state, moment.at, moment.seconds_open)
    return np.maximum(((quoted.bid + quoted.ask) / 2).round(2), _LEAST_TRADE)


def draws(seed: int, listed: Contracts) -> Floats:
    """Return a number in (0, 1) for each contract, the same on every date: by it a share of all is chosen."""
    return uniform(seed, Topic.MISSING, listed.identity, 0)


def _morning(seed: int, index: int, date: dt.date) -> tuple[float, float]:
    """Return an underlying's close and 30-day volatility of the session before a date."""
    paths = simulate_paths(seed)
    row = paths.rows[date] - 1
    return close(paths, index, row), float(thirty_day_volatility(paths.factors[row, -1], index))


def _listed_on(listed: Contracts, date: dt.date) -> NDArray[np.bool_]:
    return np.isin(listed.expiration, np.asarray(expirations(date), dtype="datetime64[D]"))
