"""Stage 8, execute: fills in, what each part of a position earned out, to the cent; pure.

Contracts are closed in the order in which they were opened (first in, first out). So the parts of a position add up to
the cent, whatever the prices of its fills and however the fees divide, and a fill that comes late changes no part that
is closed already.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mahler_agents.execution.orders import Fill
from mahler_agents.types import CONTRACT_MULTIPLIER


class Cents(NamedTuple):
    """Whole cents: what was received (below zero: paid), and the fees of it."""

    received: int
    fees: int


class PartResult(NamedTuple):
    """What a closed part of a position brought, dollars."""

    fees: float
    """Of its entry and its exit."""
    pnl_dollars: float
    """After those fees."""


def received_cents(credit: float, contracts: int) -> int:
    """Return what contracts bring at a credit per share, whole cents before fees."""
    return round(credit * CONTRACT_MULTIPLIER * contracts * 100)


def part_of(fills: Sequence[Fill], *, after: int, contracts: int) -> Cents:
    """Return the share that `contracts` have in an order's fills, after the first `after` ones.

    What does not divide goes to the later contracts, so that consecutive parts add up to the whole.
    """
    received = fees = 0
    for fill in sorted(fills, key=lambda one: one.number):
        first, last = (min(max(place, 0), fill.contracts) for place in (after, after + contracts))
        received += _between(received_cents(fill.credit, fill.contracts), first, last, fill.contracts)
        fees += _between(round(fill.fees * 100), first, last, fill.contracts)
        after -= fill.contracts
    return Cents(received, fees)


def part_result(entry: Cents, exit_: Cents) -> PartResult:
    """Return what a part brought: its share in the entry, and its exit."""
    fees = entry.fees + exit_.fees
    return PartResult(fees=fees / 100, pnl_dollars=(entry.received + exit_.received - fees) / 100)


def _between(cents: int, first: int, last: int, whole: int) -> int:
    return cents * last // whole - cents * first // whole
