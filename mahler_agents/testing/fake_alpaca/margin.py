"""The fake Alpaca's margin: option positions in, what has to be set aside for them out; pure.

The vendor's rule (docs.alpaca.markets/us/docs/options-level-3-trading, "How do we calculate maintenance margin
requirements?"): the largest loss of the combined payoff at expiration over all prices of the underlying, premiums left
out, for each expiration by itself, of which the largest counts. Underlyings add up.
"""

from collections import defaultdict
from collections.abc import Mapping

from mahler_agents.market.occ import ContractTerms, parse_symbol
from mahler_agents.units import CONTRACT_MULTIPLIER


def margin_cents(contracts: Mapping[str, int]) -> int:
    """Return the maintenance margin of option positions (OCC symbol -> contracts, below zero if short), cents."""
    by_underlying: dict[str, dict[object, list[tuple[ContractTerms, int]]]] = defaultdict(lambda: defaultdict(list))
    for symbol, count in contracts.items():
        terms = parse_symbol(symbol)
        by_underlying[terms.underlying][terms.expiration].append((terms, count))
    return sum(max(_largest_loss(legs) for legs in dates.values()) for dates in by_underlying.values())


def _largest_loss(legs: list[tuple[ContractTerms, int]]) -> int:
    """Return the largest loss at expiration, cents; far above the strikes it is that of ten times the highest one.

    The payoff is a broken line: its lowest point is at a strike, or at an end.
    """
    strikes = [terms.strike for terms, _ in legs]
    prices = [0.0, *strikes, 10 * max(strikes)]
    return max(0, *(-sum(count * intrinsic_cents(terms, price) for terms, count in legs) for price in prices)) * (
        CONTRACT_MULTIPLIER
    )


def intrinsic_cents(terms: ContractTerms, price: float) -> int:
    """Return what a contract is worth at expiration at a price of the underlying (dollars), cents per share."""
    value = terms.strike - price if terms.right == "put" else price - terms.strike
    return max(0, round(100 * value))
