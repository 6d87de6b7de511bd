"""The fake Alpaca's valuation: positions at mid, and what equity and buying power come to, cents."""

import datetime as dt
from collections.abc import Iterable, Mapping

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.market.occ import parse_symbol
from mahler_agents.testing.fake_alpaca.books import Holding
from mahler_agents.testing.fake_alpaca.margin import intrinsic_cents, margin_cents
from mahler_agents.testing.fake_alpaca.orders import Leg, Order
from mahler_agents.testing.fake_alpaca.world import World

_SHORT_SHARES_MARGIN = 1.5
"""Of short shares' value is set aside: Regulation T."""


def marks(world: World, symbols: Iterable[str], at: dt.datetime | None = None) -> Mapping[str, float]:
    """Return mids, cents per share, at an instant (now); while the market is closed those of its last close.

    A contract that has no quote any more, since it has expired, is marked at what it is worth.
    """
    instant = last_open(world.now if at is None else at)
    wanted = tuple(symbols)
    quotes = world.quotes(wanted, instant)
    missing = [symbol for symbol in wanted if symbol not in quotes]
    spots = world.prices({parse_symbol(symbol).underlying for symbol in missing}, instant)
    worth = {symbol: (terms := parse_symbol(symbol), spots.get(terms.underlying)) for symbol in missing}
    return {
        **{symbol: 100 * quotes[symbol].mid for symbol in wanted if symbol in quotes},
        **{symbol: float(intrinsic_cents(terms, spot)) for symbol, (terms, spot) in worth.items() if spot is not None},
    }


def last_open(at: dt.datetime) -> dt.datetime:
    """Return the instant itself while the market trades, else that of its last close."""
    date = at.astimezone(NEW_YORK).date()
    if calendar.is_session(date) and at >= calendar.session(date).open:
        return min(at, calendar.session_close(date))
    return calendar.session_close(calendar.previous_session(date))


def value_cents(holding: Holding, mark: float) -> int:
    """Return what a position is worth, below zero if it is short."""
    return round(holding.count * mark * holding.shares)


def equity_cents(world: World) -> int:
    """Return cash and all positions at mid."""
    holdings = world.books.holdings
    mids = marks(world, holdings)
    return world.books.cash_cents + sum(value_cents(held, mids[symbol]) for symbol, held in holdings.items())


def held_margin_cents(world: World) -> int:
    """Return what is set aside for the positions: by the vendor's rule for options, Regulation T's for short shares."""
    holdings = world.books.holdings
    short = {symbol: held for symbol, held in holdings.items() if held.shares == 1 and held.count < 0}
    mids = marks(world, short)
    shares = sum(-value_cents(held, mids[symbol]) * _SHORT_SHARES_MARGIN for symbol, held in short.items())
    return margin_cents(_contracts(world)) + round(shares)


def options_buying_power_cents(world: World, *, without: Order | None = None) -> int:
    """Return cash less what positions and open orders bind, but for one order (which is being replaced)."""
    bound = sum(
        cost_basis_cents(world, order.legs, order.left, _price(order))
        for order in world.books.open_orders
        if order is not without
    )
    return world.books.cash_cents - held_margin_cents(world) - bound


def cost_basis_cents(world: World, legs: Iterable[Leg], units: int, net_cents: float) -> int:
    """Return what an order binds: the margin that it adds, and its net price; at least nothing.

    Source: docs.alpaca.markets/us/docs/options-level-3-trading, "How do we calculate order cost basis?". A credit
    lowers it: that of a $10 spread sold for $5 is $500.
    """
    before, after = _contracts(world), _contracts(world)
    chosen = tuple(legs)
    for leg in chosen:
        if leg.is_option:
            after[leg.symbol] = after.get(leg.symbol, 0) + units * leg.signed_ratio
    paid = units * net_cents * chosen[0].shares
    return max(0, margin_cents(after) - margin_cents(before) + round(paid))


def _contracts(world: World) -> dict[str, int]:
    return {symbol: held.count for symbol, held in world.books.holdings.items() if held.shares > 1}


def _price(order: Order) -> float:
    """Return the net price that an open order is taken to pay; a market order's has been checked when it came."""
    return 0.0 if order.limit_cents is None else order.limit_cents
