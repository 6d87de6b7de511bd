"""The fake Alpaca's market data, contracts: the list of option contracts, which the trading host answers.

Shape and defaults: schema `OptionContract` of *Trading API*. Open interest and close price are of the session before,
as text, and left out where there was none. Without a last date the list ends at the coming weekend.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mahler_agents.market import calendar
from mahler_agents.market.occ import ContractTerms, parse_symbol
from mahler_agents.market.sample.history import close
from mahler_agents.market.sample.listing import WEEKLY_DAYS, contracts, expirations, is_listed
from mahler_agents.market.sample.paths import simulate_paths
from mahler_agents.market.sample.world import FIRST_DATE, INDEX, INSTRUMENTS
from mahler_agents.testing.fake_alpaca.http import RefusedError, Request, Response, Route
from mahler_agents.testing.fake_alpaca.market_data import board
from mahler_agents.testing.fake_alpaca.market_data.chains import (
    ADJUSTED,
    ADJUSTED_SIZE,
    Listing,
    chain_listing,
    has,
    named_listing,
    session_tape,
)
from mahler_agents.testing.fake_alpaca.market_data.filters import FILTERS, filtered
from mahler_agents.testing.fake_alpaca.market_data.horizon import session_date
from mahler_agents.testing.fake_alpaca.market_data.query import OPTION, STOCK, Query, token
from mahler_agents.testing.fake_alpaca.stable_id import stable_id
from mahler_agents.testing.fake_alpaca.world import World

MOST_CONTRACTS, CONTRACTS = 10_000, 100
_SATURDAY = 5
_EXPIRED_REACH = 0.25
"""Expired contracts are told with strikes so far beyond the closes of their last eight weeks."""


def contract_list(request: Request, world: World) -> Response:
    """Answer with a page of contracts, in the order of symbols."""
    query = Query(
        request,
        (
            "underlying_symbols",
            "status",
            "style",
            "show_deliverables",
            "ppind",
            *FILTERS,
            "limit",
            "page_token",
        ),
        trading_host=True,
    )
    underlyings = query.symbols("underlying_symbols", STOCK, needed=False) or tuple(sorted(INDEX))
    cap = world.settings.market_data.page_cap or MOST_CONTRACTS
    limit = min(query.count("limit", default=CONTRACTS, most=MOST_CONTRACTS), cap)
    after, deliverables = query.page_token() or "", query.flag("show_deliverables")
    today = known_date(world)
    active = query.one_of("status", ("active", "inactive"), "active") == "active"
    american = query.one_of("style", ("american", "european"), "american") == "american"
    found: list[dict[str, Any]] = []
    for underlying in underlyings:
        if not has(world, underlying) or not american:
            continue
        listing = chain_listing(world, underlying, today) if active else expired(query, world, underlying, today)
        mask = filtered(query, listing, underlying) & (listing.symbol > after) & _until_weekend(query, listing, today)
        found += contracts_of(world, listing, np.flatnonzero(mask)[: limit + 1], deliverables=deliverables)
    found.sort(key=lambda contract: contract["symbol"])
    page = found[:limit]
    following = token(page[-1]["symbol"]) if len(found) > limit else None
    return Response(json={"option_contracts": page, "next_page_token": following})


def one_contract(request: Request, world: World) -> Response:
    """Answer with one contract by its symbol, also one that has expired."""
    Query(request, (), trading_host=True)
    symbol = request.args["symbol"]
    today = known_date(world)
    missing = RefusedError(404, 40410000, f"option contract {symbol} not found")
    if not OPTION.fullmatch(symbol):
        raise missing
    if found := named_listing(world, (symbol,), today):
        return Response(json=next(contracts_of(world, found[0], np.arange(1), deliverables=True)))
    terms = parse_symbol(symbol)
    has_expired = FIRST_DATE <= terms.expiration < today and is_listed(terms, terms.expiration)
    if not has_expired or not has(world, terms.underlying):
        raise missing
    return Response(json=next(contracts_of(world, _as_listing([terms]), np.arange(1), deliverables=True)))


def known_date(world: World) -> dt.date:
    """Return the session whose contracts are active: today's, and after a weekend's or holiday's eve the next one's."""
    date = session_date(world.now)
    return date if calendar.is_session(date) else calendar.next_session(date)


def expired(query: Query, world: World, underlying: str, today: dt.date) -> Listing:
    """Return the contracts of an underlying that have expired, from the first date that is asked for."""
    index = INDEX[underlying]
    exact = query.date("expiration_date")
    first = max(exact or query.date("expiration_date_gte") or today - dt.timedelta(days=365), FIRST_DATE)
    last = min(exact or query.date("expiration_date_lte") or today, today - dt.timedelta(days=1))
    terms = [
        ContractTerms(underlying, day, right, strike)
        for day in _expirations_between(first, last)
        for right in ("call", "put")
        for strike in _strikes_before(world.seed, index, day)
    ]
    return _as_listing(terms)


def _expirations_between(first: dt.date, last: dt.date) -> list[dt.date]:
    days = (first + dt.timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if calendar.is_session(day) and expirations(day)[0] == day]


def _strikes_before(seed: int, index: int, expiration: dt.date) -> list[float]:
    """Return the strikes around where an underlying closed in the weeks before an expiration."""
    paths = simulate_paths(seed)
    row = paths.rows[expiration]
    closes = [close(paths, index, before) for before in range(row - WEEKLY_DAYS * 5 // 7, row + 1)]
    step = INSTRUMENTS[index].strike_steps[0]
    low, high = min(closes) * (1 - _EXPIRED_REACH), max(closes) * (1 + _EXPIRED_REACH)
    return [step * number for number in range(int(low / step), int(high / step) + 1)]


def _as_listing(terms: list[ContractTerms]) -> Listing:
    columns = contracts(terms)
    order = np.argsort(columns.symbol)
    return Listing(
        symbol=columns.symbol[order],
        adjusted=np.zeros(len(order), dtype=np.bool_),
        contracts=board.take(columns, order),
    )


def _until_weekend(query: Query, listing: Listing, today: dt.date) -> NDArray[np.bool_]:
    """Return which rows the default of `expiration_date_lte` lets through: all, if a date is given."""
    if query.date("expiration_date") or query.date("expiration_date_lte"):
        return np.ones(len(listing), dtype=np.bool_)
    weekend = today + dt.timedelta(days=(_SATURDAY - today.weekday()) % 7)
    return listing.contracts.expiration <= np.datetime64(weekend)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What is known of contracts from the session before; one row a contract, 0 where there is nothing."""

    date: dt.date
    open_interest: list[float]
    close_price: list[float]


def contracts_of(
    world: World, listing: Listing, rows: NDArray[np.intp], *, deliverables: bool
) -> Iterator[dict[str, Any]]:
    """Yield some rows as the vendor writes contracts."""
    today = known_date(world)
    known = _known(world, listing, rows, today)
    mine = board.take(listing.contracts, rows)
    columns = zip(
        listing.symbol[rows].tolist(),
        listing.adjusted[rows].tolist(),
        mine.symbol.tolist(),
        known.open_interest,
        known.close_price,
        strict=True,
    )
    for symbol, adjusted, standard, held, closed in columns:
        contract = _contract(symbol, parse_symbol(standard), adjusted=adjusted, today=today)
        if held > 0:
            contract |= {"open_interest": f"{held:.0f}", "open_interest_date": known.date.isoformat()}
        if closed > 0:
            contract |= {"close_price": f"{closed:g}", "close_price_date": known.date.isoformat()}
        if deliverables:
            contract["deliverables"] = _deliverables(contract)
        yield contract


def _known(world: World, listing: Listing, rows: NDArray[np.intp], today: dt.date) -> _Known:
    before = calendar.previous_session(today)
    mine = board.take(listing.contracts, rows)
    nothing = [0.0] * len(rows)
    if not len(rows) or mine.expiration.max() < np.datetime64(today):  # expired
        return _Known(date=before, open_interest=nothing, close_price=nothing)
    tape = session_tape(world.seed, listing, before)
    return _Known(
        date=before,
        open_interest=board.interest(world.seed, mine, today).tolist(),
        close_price=(tape.close * (tape.volume > 0))[rows].tolist(),
    )


def _contract(symbol: str, terms: ContractTerms, *, adjusted: bool, today: dt.date) -> dict[str, Any]:
    alive = terms.expiration >= today
    strike = f"{terms.strike:g}"
    return {
        "id": stable_id("option contract", symbol),
        "symbol": symbol,
        "name": f"{terms.underlying} {terms.expiration:%b %d %Y} {strike} {terms.right.capitalize()}",
        "status": "active" if alive else "inactive",
        "tradable": alive,
        "expiration_date": terms.expiration.isoformat(),
        "root_symbol": terms.underlying + ADJUSTED if adjusted else terms.underlying,
        "underlying_symbol": terms.underlying,
        "underlying_asset_id": stable_id("asset", terms.underlying),
        "type": terms.right,
        "style": "american",
        "strike_price": strike,
        "multiplier": "100",
        "size": str(ADJUSTED_SIZE) if adjusted else "100",
        "ppind": True,
    }


def _deliverables(contract: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "type": "equity",
            "symbol": contract["underlying_symbol"],
            "asset_id": contract["underlying_asset_id"],
            "amount": contract["size"],
            "allocation_percentage": "100",
            "settlement_type": "T+1",
            "settlement_method": "CCC",
            "delayed_settlement": False,
        }
    ]


ROUTES = (
    Route(method="GET", path="/v2/options/contracts", handler=contract_list),
    Route(method="GET", path="/v2/options/contracts/{symbol}", handler=one_contract),
)
