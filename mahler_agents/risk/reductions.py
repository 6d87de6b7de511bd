"""Stage 9, monitor: the share that the breaker asks to close and what is open in, contracts to keep out; pure."""

import math
from collections.abc import Sequence

from pydantic import AwareDatetime

from mahler_agents.risk.breaker import Ask, CloseShare
from mahler_agents.types import Frozen


class Holding(Frozen):
    """A position as a reduction sees it."""

    entry_order_id: str
    contracts: int
    """What is open, less what an earlier reduction has still to close: no share is taken of a share."""
    profit_dollars: float | None
    """Unrealised, of all its contracts, at mid; None if it was never marked.

    At mid, since the account's equity, whose loss asks for the share, is: a wide quote is no loss.
    """


class Reduction(Frozen):
    """How many contracts of a position may stay: standing until they are all that is left, whatever the losses do."""

    code: str
    """The breaker's step that asked, e.g. `week_loss_halt`."""
    at: AwareDatetime
    entry_order_id: str
    keep: int


def reductions(ask: Ask, holdings: Sequence[Holding], at: AwareDatetime) -> tuple[Reduction, ...]:
    """Return what may stay of each position that the share takes from; the others are not named."""
    keeps = _KEEPS[ask.close](holdings)
    return tuple(
        Reduction(code=ask.code, at=at, entry_order_id=holding.entry_order_id, keep=keep)
        for holding, keep in zip(holdings, keeps, strict=True)
        if keep < holding.contracts
    )


def _none(holdings: Sequence[Holding]) -> list[int]:
    return [holding.contracts for holding in holdings]


def _worst_quarter(holdings: Sequence[Holding]) -> list[int]:
    """Close the worst quarter of the positions whole, their number rounded up; equals by their ids.

    A position that was never marked comes after the others: its loss is not known, and nothing is assumed for it.
    """

    def by_profit(holding: Holding) -> tuple[float, str]:
        return (math.inf if holding.profit_dollars is None else holding.profit_dollars, holding.entry_order_id)

    held = sorted((holding for holding in holdings if holding.contracts > 0), key=by_profit)
    worst = {holding.entry_order_id for holding in held[: math.ceil(len(held) / 4)]}
    return [0 if holding.entry_order_id in worst else holding.contracts for holding in holdings]


def _half(holdings: Sequence[Holding]) -> list[int]:
    """Close half of each position's contracts, rounded up: of 5 contracts 2 stay, of 1 none."""
    return [holding.contracts // 2 for holding in holdings]


def _all(holdings: Sequence[Holding]) -> list[int]:
    return [0] * len(holdings)


_KEEPS = {
    CloseShare.NONE: _none,
    CloseShare.WORST_QUARTER: _worst_quarter,
    CloseShare.HALF: _half,
    CloseShare.ALL: _all,
}
