"""Stage 3, verdict: the panel's opinions, its failures and the portfolio in, `Verdict` out.

The verdict advises: `contracts` is recorded and scored, and sizes nothing.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field

from mahler_agents.analysts.base import Opinion, Probability, Reply, Terms, rounded
from mahler_agents.analysts.debate import Argument, ArgumentFact, argument_facts
from mahler_agents.analysts.grounding import Grounding
from mahler_agents.analysts.panel import PanelBrief, panel_facts
from mahler_agents.analysts.trade import trade_facts
from mahler_agents.llm.failures import Failure
from mahler_agents.market.snapshot import Account, Snapshot
from mahler_agents.screen import Candidate
from mahler_agents.types import Frozen

NAME = "fund_manager"
MAX_CONTRACTS = 100


class FundManagerBrief(PanelBrief):
    """What the panel and the debate said, and what the account carries; None where the snapshot holds no account."""

    arguments: tuple[ArgumentFact, ...] = ()
    """The debate in its order; empty if there was none."""
    equity_dollars: int | None
    heat_pct: float | None
    """Risk of all positions and pending orders, percent of equity."""
    positions: int | None
    """Open positions and pending orders."""
    underlying_risk_pct: float | None
    """Risk already carried in this underlying, percent of equity."""


class VerdictReply(Reply):
    """The fund manager's reply."""

    approved: bool
    contracts: Annotated[int, Field(ge=0, le=MAX_CONTRACTS)]
    """Advice, recorded only: the rules size the trade."""


class Verdict(Frozen):
    """The fund manager's reply and what it was a reply to."""

    summary: str
    confidence: Probability
    """Conviction to take the trade: it drives the advisory levels."""
    p_profit: Probability
    """Probability that P&L after fees under the exit policy is above 0: it is scored for calibration."""
    approved: bool
    contracts: Annotated[int, Field(ge=0, le=MAX_CONTRACTS)]
    """Advice, recorded only."""
    grounding: Grounding | None = None
    """Which numbers of the summary stand in the brief; None if that was not looked at."""
    brief_hash: str
    prompt_hash: str
    model: str
    """The model that the provider says replied."""


def brief(
    snapshot: Snapshot,
    candidate: Candidate,
    terms: Terms,
    opinions: Iterable[Opinion],
    failures: Iterable[Failure],
    *,
    arguments: Iterable[Argument] = (),
) -> FundManagerBrief:
    """Return the fund manager's facts about one candidate."""
    return FundManagerBrief(
        **trade_facts(candidate, terms),
        **panel_facts(opinions, failures),
        arguments=argument_facts(arguments),
        **_portfolio_facts(snapshot.account, candidate.spread.underlying),
    )


def _portfolio_facts(account: Account | None, underlying: str) -> dict[str, Any]:
    if account is None:
        return {"equity_dollars": None, "heat_pct": None, "positions": None, "underlying_risk_pct": None}

    def pct_of_equity(dollars: float) -> float | None:
        return rounded(100 * dollars / account.equity, 1) if account.equity > 0 else None

    here = sum(exposure.risk_dollars for exposure in account.exposures if exposure.underlying == underlying)
    return {
        "equity_dollars": round(account.equity),
        "heat_pct": pct_of_equity(account.heat_dollars),
        "positions": len(account.exposures),
        "underlying_risk_pct": pct_of_equity(here),
    }
