"""The fake Alpaca's second check of an order: its contracts, what the account holds and may do, and what it can pay.

The tags of the sources are those of `order_fields`.
"""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import InputError
from mahler_agents.market import calendar
from mahler_agents.market.occ import ContractTerms, parse_symbol
from mahler_agents.market.sample.listing import is_listed
from mahler_agents.market.sample.world import SYMBOLS
from mahler_agents.testing.fake_alpaca.books import dollars
from mahler_agents.testing.fake_alpaca.http import RefusedError
from mahler_agents.testing.fake_alpaca.matching import natural_cents
from mahler_agents.testing.fake_alpaca.order_fields import AskedLeg, AskedOrder, invalid
from mahler_agents.testing.fake_alpaca.orders import Leg, Order
from mahler_agents.testing.fake_alpaca.valuation import cost_basis_cents, options_buying_power_cents
from mahler_agents.testing.fake_alpaca.world import World
from mahler_agents.units import CONTRACT_MULTIPLIER

_LAST_OPENINGS = dt.timedelta(minutes=30)
"""Before the close of its last session a contract is no longer opened [overview], "Expiration": from 15:30 on."""


def forbidden(message: str, **more: str) -> RefusedError:
    """Return the refusal of an order that the account may not place: 403, code 40310000 [overview]."""
    return RefusedError(403, 40310000, message, **more)


def check_order(world: World, asked: AskedOrder, legs: Sequence[Leg], *, replaced: Order | None = None) -> None:
    """Refuse an order that the account cannot have; of one that it replaces, what that binds is free.

    Raises `RefusedError`.
    """
    options = [leg for leg in legs if leg.is_option]
    _check_level(world, asked, options)
    _check_hours(world, asked, options)
    _check_one_underlying(options)
    for leg in options:
        _check_opening(world, leg)
    _check_held(world, asked, legs, replaced)
    if asked.is_multi_leg:
        _check_covered(options)
        _check_sign(asked, options)
    elif options and not options[0].buys and not options[0].closes:
        _check_secured(world, asked, options[0])
        return
    _check_power(world, asked, legs, replaced)


def terms_of(world: World, symbol: str) -> ContractTerms:
    """Return the terms of a contract that can be traded now; raises `RefusedError`."""
    try:
        terms = parse_symbol(symbol)
    except InputError:
        raise invalid(f"asset not found for {symbol}") from None  # [overview]
    today = world.now.astimezone(NEW_YORK).date()
    last = _last_session(terms)
    if last < today or (last == today and world.now >= calendar.session_close(last)):
        raise invalid(f'contract "{symbol}" is expired')  # [overview]
    session = today if calendar.is_session(today) else calendar.next_session(today)
    if not is_listed(terms, session):
        raise invalid(f'contract "{symbol}" not found')  # [overview]
    return terms


def intent_of(world: World, leg: AskedLeg, *, without: Order | None = None) -> str:
    """Return a leg's position intent, which the position implies; raises `RefusedError` if it says another.

    `without` is an order whose closing legs do not count: that which is being replaced.
    """
    if leg.symbol in SYMBOLS:
        return ""
    held = world.books.count(leg.symbol) + _closing(world, leg.symbol, without)
    closes = held < 0 if leg.buys else held > 0
    inferred = f"{'buy' if leg.buys else 'sell'}_to_{'close' if closes else 'open'}"
    if leg.intent and leg.intent.endswith("_close") and not closes:
        return leg.intent  # nothing is there to close: told as such, with the quantities
    if leg.intent and leg.intent != inferred:
        raise invalid(f"position intent mismatch, inferred: {inferred}, specified: {leg.intent}")  # [overview]
    return inferred


def _closing(world: World, symbol: str, without: Order | None) -> int:
    """Return how many of a symbol the open orders that close it will add, below zero if they take."""
    return sum(
        order.left * leg.signed_ratio
        for order in world.books.open_orders
        if order is not without
        for leg in order.legs
        if leg.symbol == symbol and (leg.closes or (not leg.is_option and not leg.buys))
    )


def _check_level(world: World, asked: AskedOrder, options: Sequence[Leg]) -> None:
    level = world.settings.options_level
    if not options or (level and all(leg.closes for leg in options)):
        return
    if level == 0:
        raise forbidden("account not authorized to trade options")  # [overview]
    if asked.is_multi_leg and level < 3:
        raise forbidden("account not eligible to trade spreads or uncovered contracts")  # [overview]
    if not asked.is_multi_leg and options[0].buys and level < 2:
        raise forbidden("account not eligible to trade long option contracts")  # [overview]


def _check_hours(world: World, asked: AskedOrder, options: Sequence[Leg]) -> None:
    """Refuse market orders of options while the exchange is closed [overview]; limit orders wait for the open."""
    today = world.now.astimezone(NEW_YORK).date()
    hours = calendar.session(today) if calendar.is_session(today) else None
    if asked.limit is None and options and (hours is None or not hours.open <= world.now < hours.close):
        raise invalid("options market orders are only allowed during market hours")


def _check_one_underlying(options: Sequence[Leg]) -> None:
    underlyings = [parse_symbol(leg.symbol).underlying for leg in options]
    for underlying in underlyings[1:]:
        if underlying != underlyings[0]:
            raise invalid(f"underlying asset mismatch: {underlyings[0]} != {underlying}")  # [overview]


def _check_opening(world: World, leg: Leg) -> None:
    last = _last_session(parse_symbol(leg.symbol))
    if not leg.closes and world.now >= calendar.session_close(last) - _LAST_OPENINGS:
        raise invalid(f'contract "{leg.symbol}" expires soon, unable to open new positions')  # [overview]


def _check_held(world: World, asked: AskedOrder, legs: Sequence[Leg], replaced: Order | None) -> None:
    """Refuse to close more than is held and not being closed already.

    Code and words are those of github.com/alpacahq/Alpaca-API issue 282.
    """
    for leg in legs:
        if not (leg.closes or (not leg.is_option and not leg.buys)):
            continue
        held, free = (
            world.books.count(leg.symbol),
            world.books.count(leg.symbol) + _closing(world, leg.symbol, replaced),
        )
        available = max(0, -free if leg.buys else free)
        requested = asked.units * leg.ratio
        if requested > available:
            raise forbidden(
                f"insufficient qty available for order (requested: {requested}, available: {available})",
                symbol=leg.symbol,
                existing_qty=str(abs(held)),
                held_for_orders=str(abs(held) - available),
                available=str(available),
            )


def _check_covered(options: Sequence[Leg]) -> None:
    """Refuse short legs that no long leg of the same order covers [level 3], "MLeg restrictions regarding ..."."""
    free: Counter[str] = Counter()
    for leg in sorted(options, key=lambda leg: (parse_symbol(leg.symbol).expiration, leg.buys), reverse=True):
        if leg.closes:
            continue
        # From the last expiration on, longs before shorts: a long leg covers until it expires.
        free[parse_symbol(leg.symbol).right] += leg.signed_ratio
        if free[parse_symbol(leg.symbol).right] < 0:
            raise forbidden("account not eligible to trade uncovered option contracts")  # [overview]


def _check_sign(asked: AskedOrder, options: Sequence[Leg]) -> None:
    """Refuse a vertical whose limit has the wrong sign: below zero is a credit [client], LimitOrderRequest.

    [ours] The vendor fills such an order at once, at the natural price: what was meant as a limit is none.
    """
    if asked.limit is None or len(options) != 2 or any(leg.ratio != 1 for leg in options):
        return
    one, other = (parse_symbol(leg.symbol) for leg in options)
    if (one.expiration, one.right) != (other.expiration, other.right) or options[0].buys == options[1].buys:
        return
    bought, sold = (one, other) if options[0].buys else (other, one)
    pays = (bought.strike > sold.strike) is (bought.right == "put")
    if (asked.limit < 0 and pays) or (asked.limit > 0 and not pays):
        kind = "debit" if pays else "credit"
        raise invalid(f"invalid limit price: {asked.limit} for a {kind} spread, whose limit is not of that sign")


def _check_secured(world: World, asked: AskedOrder, leg: Leg) -> None:
    """Refuse a single short contract without its collateral [overview], "Buying Power Checks"."""
    terms = parse_symbol(leg.symbol)
    if terms.right == "call":
        required = asked.units * CONTRACT_MULTIPLIER
        available = max(0, world.books.count(terms.underlying))
        if available < required:
            raise forbidden(
                "insufficient underlying qty available for covered call"
                f" (required: {required}, available: {available})",
                symbol=leg.symbol,
            )
        return
    credit = -_net_cents(world, asked, [leg])
    needed = round(asked.units * CONTRACT_MULTIPLIER * (100 * terms.strike - credit))
    _refuse_without(world, needed, None, "insufficient options buying power for cash-secured put")


def _check_power(world: World, asked: AskedOrder, legs: Sequence[Leg], replaced: Order | None) -> None:
    """Refuse an opening order that the account cannot pay for; to close is always allowed."""
    if all(leg.closes or (not leg.is_option and not leg.buys) for leg in legs):
        return
    needed = cost_basis_cents(world, legs, asked.units, _net_cents(world, asked, legs))
    _refuse_without(world, needed, replaced, "insufficient options buying power")


def _refuse_without(world: World, needed: int, replaced: Order | None, words: str) -> None:
    """Refuse an order that needs more than the options buying power [overview]."""
    available = options_buying_power_cents(world, without=replaced)
    if needed > available:
        shown = dollars(needed), dollars(available)
        raise forbidden(
            f"{words} (required: {shown[0]}, available: {shown[1]})",
            cost_basis=shown[0],
            options_buying_power=shown[1],
        )


def _net_cents(world: World, asked: AskedOrder, legs: Sequence[Leg]) -> int:
    """Return what an order is taken to pay, cents per share: its limit, or natural without one."""
    if asked.net_limit_cents is not None:
        return asked.net_limit_cents
    quotes = world.quotes([leg.symbol for leg in legs])
    return natural_cents(legs, quotes) if all(leg.symbol in quotes for leg in legs) else 0


def _last_session(terms: ContractTerms) -> dt.date:
    is_session = calendar.is_session(terms.expiration)
    return terms.expiration if is_session else calendar.previous_session(terms.expiration)
