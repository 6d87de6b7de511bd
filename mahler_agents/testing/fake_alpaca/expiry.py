"""The fake Alpaca's expirations: contracts in the money become shares at their strike, the others nothing.

Sources: docs.alpaca.markets/us/docs/options-trading-overview, "Expiration", and the page beside it on non-trade
activities for option events: long contracts that are $0.01 or more in the money are exercised (OPEXC), short ones
assigned (OPASN), each with a trade of the shares (OPTRD); the others expire (OPEXP). On paper these activities are
shown from the next day on, while cash and positions change at once (docs.alpaca.markets/us/docs/options-trading).
"""

import datetime as dt

from mahler_agents.market import calendar
from mahler_agents.market.occ import ContractTerms, parse_symbol
from mahler_agents.testing.fake_alpaca.books import Books, dollars, number
from mahler_agents.testing.fake_alpaca.margin import intrinsic_cents
from mahler_agents.testing.fake_alpaca.world import World
from mahler_agents.units import CONTRACT_MULTIPLIER


def settle(world: World, session: dt.date) -> None:
    """Settle the contracts that expired with a session, at the underlying's price at its close."""
    due = [
        symbol for symbol, held in world.books.holdings.items() if held.shares > 1 and _last_session(symbol) <= session
    ]
    spots = world.prices({parse_symbol(symbol).underlying for symbol in due}, calendar.session_close(session))
    for symbol in sorted(due):
        terms = parse_symbol(symbol)
        if intrinsic_cents(terms, spots[terms.underlying]):
            _deliver(world.books, symbol, terms, world.now)
        else:
            _expire(world.books, symbol, world.now)


def _last_session(symbol: str) -> dt.date:
    expiration = parse_symbol(symbol).expiration
    return expiration if calendar.is_session(expiration) else calendar.previous_session(expiration)


def _expire(books: Books, symbol: str, at: dt.datetime) -> None:
    count = books.count(symbol)
    books.move(symbol, -count, 0.0, CONTRACT_MULTIPLIER)
    books.tell("OPEXP", at, next_day=True, symbol=symbol, qty=str(-count), net_amount="0", description="Option Expiry")


def _deliver(books: Books, symbol: str, terms: ContractTerms, at: dt.datetime) -> None:
    """Exercise a long contract, or have a short one assigned: shares change hands at the strike."""
    count = books.count(symbol)
    kind, words = ("OPEXC", "Option Exercise") if count > 0 else ("OPASN", "Option Assignment")
    books.move(symbol, -count, 0.0, CONTRACT_MULTIPLIER)
    books.tell(kind, at, next_day=True, symbol=symbol, qty=str(-count), net_amount="0", description=words)
    shares = count * CONTRACT_MULTIPLIER * (1 if terms.right == "call" else -1)
    strike_cents = round(100 * terms.strike)
    books.cash_cents -= shares * strike_cents
    books.move(terms.underlying, shares, strike_cents, 1)
    books.tell(
        "OPTRD",
        at,
        next_day=True,
        symbol=terms.underlying,
        qty=str(shares),
        price=number(terms.strike),
        net_amount=dollars(-shares * strike_cents),
        description="Option Trade",
    )
