"""The fake Alpaca's market data, chains: an underlying and the world in, its listed symbols and their figures out.

A chain of the vendor's has contracts of more than one root: one underlying of the fake also has a few adjusted ones,
whose root ends in 1 and which deliver something else than 100 shares. Their quotes are those of
their standard siblings.
"""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mahler_agents.market import calendar
from mahler_agents.market.occ import parse_symbol
from mahler_agents.market.sample.caching import read_only
from mahler_agents.market.sample.listing import Contracts, is_listed
from mahler_agents.market.sample.world import INDEX
from mahler_agents.testing.fake_alpaca.market_data import board
from mahler_agents.testing.fake_alpaca.market_data.board import Tape, Ticks
from mahler_agents.testing.fake_alpaca.market_data.horizon import last_instant, session_date
from mahler_agents.testing.fake_alpaca.world import World

ADJUSTED = "1"
"""What the root of an adjusted contract ends in."""
ADJUSTED_SIZE = 110
"""Shares that an adjusted contract delivers."""
_ADJUSTED_DAYS = 30
_ADJUSTED_CONTRACTS = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class Listing:
    """The symbols of a chain in order, and the contract of each; equal to itself only, so that caches may know it."""

    symbol: NDArray[np.str_]
    adjusted: NDArray[np.bool_]
    contracts: Contracts
    """One row a symbol; an adjusted one's is its standard sibling."""

    def __len__(self) -> int:
        return len(self.symbol)

    def take(self, rows: NDArray[np.intp]) -> "Listing":
        """Return some of its rows."""
        return Listing(
            symbol=self.symbol[rows], adjusted=self.adjusted[rows], contracts=board.take(self.contracts, rows)
        )


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a feed shows of the rows of a listing."""

    ticks: Ticks
    tapes: tuple[Tape, Tape, Tape]
    """The session up to the last trade that may be seen, and the two before it."""
    traded_until: dt.datetime


def has(world: World, underlying: str) -> bool:
    """Return whether the world has data of an underlying."""
    return underlying in INDEX and underlying not in world.settings.market_data.missing_underlyings


def chain_listing(world: World, underlying: str, date: dt.date) -> Listing:
    """Return what the chain of an underlying shows in a session, the same object each time."""
    settings = world.settings.market_data
    adjusted_root = underlying + ADJUSTED if underlying == settings.adjusted_underlying else None
    return _chain_listing(world.seed, underlying, date, settings.chain_contracts, adjusted_root)


@lru_cache(maxsize=64)
def _chain_listing(seed: int, underlying: str, date: dt.date, least: int | None, adjusted_root: str | None) -> Listing:
    shown = board.board(seed, underlying, date, least)
    usual = board.board(seed, underlying, date).symbol
    also = np.empty(0, dtype=np.intp) if adjusted_root is None else _adjusted_rows(shown, usual, date)
    renamed = [f"{adjusted_root}{symbol[len(underlying) :]}" for symbol in shown.symbol[also].tolist()]
    symbol = np.concatenate([shown.symbol, np.asarray(renamed, dtype=np.str_)])
    order = np.argsort(symbol)
    rows = np.concatenate([np.arange(len(shown)), also])
    return Listing(
        symbol=symbol[order], adjusted=order >= len(shown), contracts=read_only(board.take(shown, rows[order]))
    )


def _adjusted_rows(shown: Contracts, usual: NDArray[np.str_], date: dt.date) -> NDArray[np.intp]:
    """Return the contracts that have an adjusted sibling: evenly spaced ones of the first far expiration."""
    first = shown.expiration[shown.expiration >= np.datetime64(date + dt.timedelta(days=_ADJUSTED_DAYS))].min()
    rows = np.flatnonzero((shown.expiration == first) & np.isin(shown.symbol, usual))
    return rows[:: max(1, len(rows) // _ADJUSTED_CONTRACTS)]


def named_listing(world: World, symbols: tuple[str, ...], date: dt.date) -> list[Listing]:
    """Return the contracts of symbols that have a market in a session, shown or not, a listing for each underlying.

    An adjusted contract is there only if the chain shows it.
    """
    found: list[Listing] = []
    for underlying in INDEX:
        if not has(world, underlying):
            continue
        chain = chain_listing(world, underlying, date)
        adjusted = chain.take(np.flatnonzero(chain.adjusted & np.isin(chain.symbol, symbols)))
        if len(adjusted):
            found.append(adjusted)
        mine = tuple(
            s for s in symbols if parse_symbol(s).underlying == underlying and is_listed(parse_symbol(s), date)
        )
        if mine:
            listed = board.some_contracts(mine)
            found.append(Listing(symbol=listed.symbol, adjusted=np.zeros(len(mine), dtype=np.bool_), contracts=listed))
    return found


def figures(world: World, listing: Listing, traded_until: dt.datetime) -> Figures:
    """Return what a feed shows of a listing now, its trades up to `traded_until`."""
    return _figures(world.seed, listing, last_instant(world.now), traded_until)


@lru_cache(maxsize=24)
def _figures(seed: int, listing: Listing, at: dt.datetime, traded_until: dt.datetime) -> Figures:
    traded = session_date(traded_until)
    before = calendar.previous_session(traded)
    is_today = traded == session_date(at)
    return Figures(
        ticks=board.ticks(seed, listing.contracts, at),
        tapes=(
            board.tape_until(seed, listing.contracts, traded_until)
            if is_today
            else session_tape(seed, listing, traded),
            session_tape(seed, listing, before),
            session_tape(seed, listing, calendar.previous_session(before)),
        ),
        traded_until=traded_until,
    )


@lru_cache(maxsize=48)
def session_tape(seed: int, listing: Listing, date: dt.date) -> Tape:
    return board.tape(seed, listing.contracts, date)
