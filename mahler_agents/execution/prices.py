"""Stage 8, execute: a quote in, the prices out that an order is worked at, one after another; pure.

Credits per share in whole cents, negative where it is paid: every order, entry or exit, goes from its best price to its
worst, and the last is the one that must not be passed.
"""

from mahler_agents.execution.orders import closing_debit, round_down_to_cent, round_up_to_cent
from mahler_agents.types import SpreadQuote

CONCESSION_STEPS = 5
"""Equal steps in which an order goes from mid to its last price."""


def entry_prices(quote: SpreadQuote, *, concession: float, floor: float) -> tuple[float, ...]:
    """Return the credits of an entry order, from mid down to `concession` of the way to natural, in whole cents.

    Five equal steps after the first price; rounded down, never below `floor`, repeated prices left out.
    """
    shares = [concession * step / CONCESSION_STEPS for step in range(CONCESSION_STEPS + 1)]
    prices = [max(floor, round_down_to_cent(quote.credit_at(share))) for share in shares]
    return tuple(dict.fromkeys(prices))


def exit_prices(quote: SpreadQuote, width: float, *, urgent: bool) -> tuple[float, ...]:
    """Return the credits (below zero: paid) of an exit order: from mid to natural, or natural alone if it is `urgent`.

    Five equal steps after the first price; debits are rounded up, and never above the width, repeated prices left out.
    """
    natural = closing_debit(quote, width)
    if urgent:
        return (0.0 - natural,)
    mid = min(natural, max(0.0, round_up_to_cent(quote.mid_credit)))
    way = natural - mid
    debits = [round_up_to_cent(mid + way * step / CONCESSION_STEPS) for step in range(CONCESSION_STEPS)]
    return tuple(dict.fromkeys(0.0 - debit for debit in [*debits, natural]))


def lowest_credit(screened_credit: float, share: float) -> float:
    """Return the lowest credit that an entry may concede to, per share: a share of the screen's, at least a cent.

    It is what the trade is sized on, so that no fill can risk more than was allowed.
    """
    return max(0.01, round_down_to_cent(screened_credit * share))
