"""Stage 8, execute: the arithmetic of the embedded broker's account; values in, values out; pure.

Money is in whole cents: credits are whole cents per share, and a contract is 100 shares.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from mahler_agents.clock import NEW_YORK
from mahler_agents.execution.orders import LEGS, OrderTicket, Ticket
from mahler_agents.execution.profit import received_cents
from mahler_agents.execution.settlement import LegSettlement
from mahler_agents.market import calendar
from mahler_agents.market.occ import ContractTerms, parse_symbol
from mahler_agents.types import CONTRACT_MULTIPLIER, Reason, Spread

K = TypeVar("K")

Legs = tuple[str, str]
"""Symbols of a spread's short and its long leg."""

STARTING_CASH_CENTS = 10_000_000

_LONGEST_CLOSURE = dt.timedelta(days=7)
"""Between two sessions of the exchange there are fewer days."""


@dataclass(frozen=True, kw_only=True)
class PaperAccount:
    """Cash, option legs, and the spreads that they were sold as."""

    cash_cents: int = STARTING_CASH_CENTS
    legs: Mapping[str, int]
    """OCC symbol -> contracts, negative if short; none of them 0."""
    spreads: Mapping[Legs, int]
    """Short and long symbol -> contracts. Legs of neighbouring spreads net: of them alone, a spread cannot be told."""


@dataclass(frozen=True, kw_only=True)
class OpenOrder:
    """What of an order may still fill."""

    ticket: Ticket
    contracts: int


def fees_cents(contracts: int, commission_cents: int) -> int:
    """Return the fees of spreads, for a commission per contract and leg; whole cents."""
    return commission_cents * LEGS * contracts


def after_fill(
    account: PaperAccount, spread: Spread, *, opens: bool, contracts: int, credit: float, fees: int
) -> PaperAccount:
    """Return the account after spreads were sold (`opens`) or bought back, for a credit per share less `fees` in cents.

    A credit below zero is paid.
    """
    longs = contracts if opens else -contracts
    return PaperAccount(
        cash_cents=account.cash_cents + received_cents(credit, contracts) - fees,
        legs=_moved(account.legs, {spread.short_symbol: -longs, spread.long_symbol: longs}),
        spreads=_moved(account.spreads, {(spread.short_symbol, spread.long_symbol): longs}),
    )


def after_settlement(account: PaperAccount, leg: LegSettlement) -> PaperAccount:
    """Return the account after all contracts of a leg were settled in cash; without them, it is the same."""
    contracts = account.legs.get(leg.symbol, 0)
    cash = account.cash_cents + received_cents(leg.dollars_per_share, contracts)
    return PaperAccount(
        cash_cents=cash,
        legs=_moved(account.legs, {leg.symbol: -contracts}),
        spreads={legs: count for legs, count in account.spreads.items() if leg.symbol not in legs},
    )


def settled(symbol: str, at: dt.datetime, underlying_price: float) -> LegSettlement:
    """Return how a leg is settled at the underlying's price: its intrinsic value in cash.

    The price is taken to the cent, as official closes are: legs rounded one by one could owe more than the width.
    """
    value = max(0.0, round(_intrinsic(parse_symbol(symbol), round(underlying_price, 2)), 2))
    return LegSettlement(
        symbol=symbol,
        at=at,
        underlying_price=underlying_price,
        dollars_per_share=value,
        in_the_money=value > 0,
    )


def settles_at(symbol: str, *, by: dt.datetime) -> dt.datetime | None:
    """Return the close at which a leg expired, None if that is after the instant `by`.

    It is the close of its expiration's session, or of the session before, where the expiration is a holiday.
    """
    expiration = parse_symbol(symbol).expiration
    if expiration > by.astimezone(NEW_YORK).date() + _LONGEST_CLOSURE:
        return None  # without the calendar, which ends some years from now
    session = expiration if calendar.is_session(expiration) else calendar.previous_session(expiration)
    close = calendar.session_close(session)
    return close if close <= by else None


def equity_dollars(account: PaperAccount, mids: Mapping[str, float]) -> float:
    """Return cash plus every leg at its mid (dollars per share, by symbol), to the cent."""
    value = sum(contracts * mids[symbol] for symbol, contracts in account.legs.items()) * CONTRACT_MULTIPLIER
    return round(account.cash_cents / 100 + value, 2)


def buying_power_dollars(account: PaperAccount, working: Iterable[OpenOrder], commission_cents: int) -> float:
    """Return cash less the most that the legs could owe at expiry, as if working entries had filled at their worst."""
    for order in working:
        if isinstance(order.ticket, OrderTicket):
            account = _filled_at_worst(account, order, commission_cents)
    return round(account.cash_cents / 100 - worst_payout_dollars(account.legs), 2)


def refusal(
    account: PaperAccount, working: Iterable[OpenOrder], asked: OpenOrder, commission_cents: int
) -> Reason | None:
    """Return why the broker refuses an order, None if it takes it.

    An entry needs buying power for all its contracts at its lowest credit, beside the entries that are working. An exit
    needs spreads that are held, and that no other working exit is closing.
    """
    orders, ticket = tuple(working), asked.ticket
    if isinstance(ticket, OrderTicket):
        left = buying_power_dollars(account, (*orders, asked), commission_cents)
        return Reason.BUYING_POWER if left < 0 else None
    for order in orders:
        if not isinstance(order.ticket, OrderTicket):
            account = _filled_at_worst(account, order, commission_cents)
    held = account.spreads.get((ticket.spread.short_symbol, ticket.spread.long_symbol), 0)
    return Reason.NOT_HELD if held < asked.contracts else None


def worst_payout_dollars(held: Mapping[str, int]) -> float:
    """Return the most that option legs could owe at expiry, dollars: what the broker sets aside.

    `held` maps OCC symbols to contracts, negative if short. Legs of one underlying, expiration and right offset each
    other; others do not. The payoff is piecewise linear, so that its worst point is at a strike, at zero or far above.
    """
    groups: dict[tuple[str, dt.date, str], list[tuple[ContractTerms, int]]] = defaultdict(list)
    for symbol, contracts in held.items():
        option = parse_symbol(symbol)
        groups[option.underlying, option.expiration, option.right].append((option, contracts))
    return sum(_worst_of_group(legs) for legs in groups.values()) * CONTRACT_MULTIPLIER


def _worst_of_group(legs: list[tuple[ContractTerms, int]]) -> float:
    strikes = [option.strike for option, _ in legs]
    prices = [0.0, *strikes, 2 * max(strikes)]
    owed = (-sum(contracts * max(0.0, _intrinsic(option, price)) for option, contracts in legs) for price in prices)
    return max(0.0, *owed)


def _intrinsic(option: ContractTerms, price: float) -> float:
    return option.strike - price if option.right == "put" else price - option.strike


def _filled_at_worst(account: PaperAccount, order: OpenOrder, commission_cents: int) -> PaperAccount:
    return after_fill(
        account,
        order.ticket.spread,
        opens=isinstance(order.ticket, OrderTicket),
        contracts=order.contracts,
        credit=order.ticket.worst_credit,
        fees=fees_cents(order.contracts, commission_cents),
    )


def _moved(held: Mapping[K, int], by: Mapping[K, int]) -> Mapping[K, int]:
    moved = {key: held.get(key, 0) + contracts for key, contracts in by.items()}
    return {key: contracts for key, contracts in {**held, **moved}.items() if contracts}
