"""Stage 3, verdict: the panel's opinions, its failures and the portfolio in, `Verdict` out.

The verdict advises: `contracts` is recorded and scored, and sizes nothing.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field

from mahler_agents.analysts.base import Opinion, Probability, Reply, Stance, Terms, rounded
from mahler_agents.analysts.grounding import Grounding
from mahler_agents.analysts.trade import TradeBrief, trade_facts
from mahler_agents.analysts.untrusted import sanitised
from mahler_agents.llm.failures import Failure
from mahler_agents.market.snapshot import Account, Snapshot
from mahler_agents.screen import Candidate
from mahler_agents.types import Frozen

NAME = "fund_manager"
QUORUM = 2
"""Opinions without which the fund manager is not asked: there is no verdict then."""
MAX_CONTRACTS = 100
MAX_SUMMARY_CHARS = 400


class OpinionFact(Frozen):
    """One analyst's opinion as the fund manager reads it."""

    analyst: str
    stance: Stance
    confidence: Probability
    p_profit: Probability
    summary: str
    """Sanitised: a model wrote it, perhaps after a headline that meant to be obeyed."""


class UnavailableFact(Frozen):
    """An analyst that gave no opinion: neither for the trade nor against it."""

    analyst: str
    kind: str
    """Code of the failure, e.g. `timeout`."""


class FundManagerBrief(TradeBrief):
    """What the panel said and what the account carries; None where the snapshot holds no account."""

    opinions: tuple[OpinionFact, ...]
    """By analyst's name, so that the brief does not depend on which reply came first."""
    unavailable: tuple[UnavailableFact, ...]
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
) -> FundManagerBrief:
    """Return the fund manager's facts about one candidate."""
    return FundManagerBrief(
        **trade_facts(candidate, terms),
        opinions=tuple(_opinion_fact(one) for one in sorted(opinions, key=lambda one: one.analyst)),
        unavailable=tuple(
            UnavailableFact(analyst=one.role, kind=one.kind.value) for one in sorted(failures, key=lambda one: one.role)
        ),
        **_portfolio_facts(snapshot.account, candidate.spread.underlying),
    )


def _opinion_fact(opinion: Opinion) -> OpinionFact:
    return OpinionFact(
        analyst=opinion.analyst,
        stance=opinion.stance,
        confidence=round(opinion.confidence, 2),
        p_profit=round(opinion.p_profit, 2),
        summary=sanitised(opinion.summary, MAX_SUMMARY_CHARS),
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
