"""Stage 8, execute: open positions and what is missing of their legs in, those that no order can close out; pure.

Buying back a leg that the account does not hold would open a new position: such a close is no exit, and is not sent.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mahler_agents.execution.positions import Position


def broken_positions(positions: Iterable[Position], missing: Mapping[str, int]) -> Mapping[str, tuple[str, ...]]:
    """Return by entry order id the legs of which the broker does not hold what closing the position takes.

    `missing` are the symbols of which it holds less than the ledger, and how many contracts it holds (negative is
    short). Where positions share a leg, those that lack another leg too are set aside first; if it is still not enough
    for the rest, nobody knows whose it is, and none of them can be closed.
    """
    broken: dict[str, tuple[str, ...]] = {}
    whole: list[Position] = []
    for one in positions:
        lacking = [symbol for symbol in _legs(one) if symbol in missing and _held(one, symbol, missing) < one.contracts]
        if lacking:
            broken[one.entry_order_id] = tuple(lacking)
        else:
            whole.append(one)
    needed = _needed(whole)
    for one in whole:
        short_of = [symbol for symbol in _legs(one) if symbol in missing and abs(missing[symbol]) < needed[symbol]]
        if short_of:
            broken[one.entry_order_id] = tuple(short_of)
    return broken


def _needed(positions: Sequence[Position]) -> Counter[str]:
    needed = Counter[str]()
    for one in positions:
        needed.update(dict.fromkeys(_legs(one), one.contracts))
    return needed


def _held(one: Position, symbol: str, missing: Mapping[str, int]) -> int:
    """Return how many contracts the broker holds on the side that the position has the leg on."""
    return max(0, -missing[symbol] if symbol == one.spread.short_symbol else missing[symbol])


def _legs(one: Position) -> tuple[str, str]:
    return one.spread.short_symbol, one.spread.long_symbol
