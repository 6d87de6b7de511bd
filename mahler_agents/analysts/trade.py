"""Stage 3, brief: what identifies a trade; a `Candidate` in, the fields out that every brief of the panel shares."""

import datetime as dt
from typing import Any

from mahler_agents.analysts.base import Brief, Terms, rounded
from mahler_agents.screen import Candidate
from mahler_agents.types import CONTRACT_MULTIPLIER


class TradeBrief(Brief):
    """The trade under review; prices in dollars per share unless said."""

    underlying: str
    spread: str
    """As a trader says it, e.g. `SPY 540/535 put spread, 2026-04-17`."""
    spread_type: str
    """`bull_put` or `bear_call`."""
    short_strike: float
    long_strike: float
    expiration: dt.date
    dte: int
    """Calendar days to expiration."""
    credit: float
    """At mid."""
    width: float
    credit_pct_of_width: float
    """Percent."""
    max_loss_dollars: float
    """Of one contract, before fees, dollars."""
    break_even_price: float
    """Price of the underlying at expiry at which P&L before fees is zero."""
    profit_target_pct: float
    """Exit policy: profit is taken at this percentage of the credit."""
    stop_loss_pct: float
    """Exit policy: the trade is stopped at a loss of this percentage of the credit."""
    break_even_probability: float
    """Share of trades that must reach the target, the rest being stopped, for P&L after fees to average zero."""


class AnalystBrief(TradeBrief):
    """What an analyst reads of the trade, before its own facts."""

    memory: str | None = None
    """What became of similar trades that had been closed by then; only if the analyst's prompt asks for it."""


def break_even_probability(credit: float, width: float, terms: Terms) -> float:
    """Return loss / (profit + loss), each of one contract after fees, at the exit policy's target and stop.

    `credit` and `width` in dollars per share. The stop never costs more than the max loss. 1.0 if the target does not
    pay the fees. Time exits, which end between target and stop, are left out.
    """
    exits, fees = terms.exits, terms.round_trip_fees_dollars
    profit = exits.profit_target * credit * CONTRACT_MULTIPLIER - fees
    loss = min(exits.stop_loss * credit, width - credit) * CONTRACT_MULTIPLIER + fees
    return loss / (profit + loss) if profit > 0 else 1.0


def trade_facts(candidate: Candidate, terms: Terms) -> dict[str, Any]:
    """Return the fields of `TradeBrief` for a candidate."""
    spread, credit = candidate.spread, candidate.credit
    return {
        "underlying": spread.underlying,
        "spread": spread.label,
        "spread_type": spread.spread_type.value,
        "short_strike": spread.short_strike,
        "long_strike": spread.long_strike,
        "expiration": spread.expiration,
        "dte": candidate.dte,
        "credit": rounded(credit, 3),
        "width": rounded(spread.width, 2),
        "credit_pct_of_width": rounded(100 * credit / spread.width, 1),
        "max_loss_dollars": rounded(spread.max_loss_dollars(credit), 2),
        "break_even_price": rounded(spread.breakeven(credit), 2),
        "profit_target_pct": rounded(100 * terms.exits.profit_target, 1),
        "stop_loss_pct": rounded(100 * terms.exits.stop_loss, 1),
        "break_even_probability": rounded(break_even_probability(credit, spread.width, terms), 2),
    }


def share_of_spot(candidate: Candidate) -> float:
    """Return how far the short strike lies out of the money, as a share of spot; negative in the money."""
    distance = candidate.spot - candidate.spread.short_strike
    return (distance if candidate.spread.right == "put" else -distance) / candidate.spot
