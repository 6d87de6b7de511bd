"""The fake Alpaca's matching: an order and the quotes of its legs in, the price at which it fills out; pure.

The rule. The *natural* price buys every leg at its ask and sells it at its bid; *mid* takes all of them at mid. A limit
order fills at its limit once that has come `willing` of the way from mid to natural, and never worse than natural: an
order that pays more than natural fills at natural. A market order fills at natural. So an order that starts at mid has
to be worked, and whether it fills before natural depends on the day. With `willing` = 1 orders fill only where they are
marketable, as on the vendor's paper accounts (docs.alpaca.markets/docs/paper-trading).
"""

import math
from collections.abc import Mapping, Sequence

from mahler_agents.testing.fake_alpaca.orders import Leg, Order
from mahler_agents.types import Quote

_GUARD = 1e-6


def fill_cents(order: Order, quotes: Mapping[str, Quote], willing: float) -> int | None:
    """Return the net price at which an order fills now, cents per share; None if it does not."""
    if any(leg.symbol not in quotes for leg in order.legs):
        return None
    natural, mid = natural_cents(order.legs, quotes), mid_cents(order.legs, quotes)
    if order.limit_cents is None:
        return natural
    if order.limit_cents + _GUARD < mid + willing * (natural - mid):
        return None
    return min(order.limit_cents, natural)


def natural_cents(legs: Sequence[Leg], quotes: Mapping[str, Quote]) -> int:
    """Return what one unit pays when each leg trades at the worse side, cents per share."""
    return sum(leg.signed_ratio * round(100 * _side(leg, quotes[leg.symbol])) for leg in legs)


def mid_cents(legs: Sequence[Leg], quotes: Mapping[str, Quote]) -> float:
    """Return what one unit pays at mid, cents per share."""
    return sum(leg.signed_ratio * 100 * quotes[leg.symbol].mid for leg in legs)


def leg_cents(legs: Sequence[Leg], quotes: Mapping[str, Quote], net_cents: int) -> tuple[float, ...]:
    """Return a price for each leg, cents per share, at least 0, which add up to the net price.

    Each gives way as far from mid as the whole did, in whole cents; what is left over is one leg's.
    """
    if len(legs) == 1:
        return (abs(float(net_cents)),)
    if any(leg.symbol not in quotes for leg in legs):
        prices = [0 for _ in legs]
    else:
        natural, mid = natural_cents(legs, quotes), mid_cents(legs, quotes)
        way = 0.0 if math.isclose(natural, mid) else min(1.0, max(0.0, (net_cents - mid) / (natural - mid)))
        prices = [math.floor(100 * _between(leg, quotes[leg.symbol], way)) for leg in legs]
    left = net_cents - sum(leg.signed_ratio * price for leg, price in zip(legs, prices, strict=True))
    taker = next(
        place
        for place in sorted(range(len(legs)), key=lambda place: legs[place].ratio)
        if prices[place] + left / legs[place].signed_ratio >= 0
    )
    whole = [float(price) for price in prices]
    whole[taker] += left / legs[taker].signed_ratio
    return tuple(whole)


def _side(leg: Leg, quote: Quote) -> float:
    return quote.ask if leg.buys else quote.bid


def _between(leg: Leg, quote: Quote, way: float) -> float:
    return quote.mid + way * (_side(leg, quote) - quote.mid)
