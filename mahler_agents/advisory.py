"""Stage 6, advisory edge: a `Verdict` (or its absence) and the environment in, `Advice` out.

The one place where an LLM's judgement meets the trade. In paper mode it never stops one. In live mode a low confidence
without an explicit approval does, and nothing else: no number leaves this module for sizing or orders.
"""

from decimal import Decimal
from enum import StrEnum

from mahler_agents.analysts.fund_manager import Verdict
from mahler_agents.types import Environment, Frozen, Reason

HIGH_CONFIDENCE = 0.7
MEDIUM_CONFIDENCE = 0.4
SKIPPED_LOW_CONFIDENCE = "Low confidence from AI analysis"


class Confidence(StrEnum):
    """The fund manager's confidence as a closed set of levels."""

    HIGH = "high"
    """0.7 or more."""
    MEDIUM = "medium"
    """0.4 or more."""
    LOW = "low"
    """Below 0.4."""
    NONE = "none"
    """No verdict: neither an approval nor a veto in any statistic."""

    @classmethod
    def of(cls, confidence: float) -> "Confidence":
        """Return the level of a confidence in [0, 1]."""
        if confidence >= HIGH_CONFIDENCE:
            return cls.HIGH
        return cls.MEDIUM if confidence >= MEDIUM_CONFIDENCE else cls.LOW


class AdviceCode(StrEnum):
    """Why the advisory edge let a candidate pass, or did not."""

    CONFIDENT = "confident"
    """Medium or high confidence."""
    ADVISORY_ONLY = "advisory_only"
    """Paper: low confidence, logged and passed."""
    FUND_MANAGER_OVERRIDE = "fund_manager_override"
    """Live: low confidence, but explicitly approved with at least one contract."""
    LOW_CONFIDENCE = "low_confidence"
    """Live: low confidence and no explicit approval; skipped."""
    NO_VERDICT = "no_verdict"
    """No quorum or no verdict: paper passes, live skips unless configured otherwise."""
    RULES_ONLY = "rules_only"
    """The LLM is switched off."""


class Advice(Frozen):
    """What the advisory edge recorded about a candidate; only `proceed` is ever acted on."""

    level: Confidence
    would_veto: bool
    """Low confidence and no explicit approval: what live mode would have stopped."""
    rejected: bool
    """The verdict did not approve, whatever its confidence."""
    proceed: bool
    code: AdviceCode
    message: str
    """The line that the log and the user see."""

    @property
    def skip_reason(self) -> Reason | None:
        """The code under which a candidate that does not proceed is counted."""
        if self.proceed:
            return None
        return Reason.LOW_CONFIDENCE if self.code is AdviceCode.LOW_CONFIDENCE else Reason.NO_VERDICT


def advise(
    verdict: Verdict | None,
    *,
    underlying: str,
    environment: Environment,
    llm_on: bool,
    live_requires_verdict: bool,
) -> Advice:
    """Return the advice on one candidate; a pure function of the verdict and the environment."""
    if verdict is None:
        return _without_verdict(underlying, environment, llm_on=llm_on, live_requires_verdict=live_requires_verdict)
    level = Confidence.of(verdict.confidence)
    approved = verdict.approved and verdict.contracts > 0
    would_veto = level is Confidence.LOW and not approved
    shown = f"{level.value.capitalize()} confidence ({_whole_percent(verdict.confidence)}%) for {underlying}"
    if level is not Confidence.LOW:
        code, proceed = AdviceCode.CONFIDENT, True
        how = "paper trading, agents advisory" if environment is Environment.PAPER else "live trading"
        message = f"{shown} - proceeding ({how})"
    elif environment is Environment.PAPER:
        code, proceed = AdviceCode.ADVISORY_ONLY, True
        message = f"{shown} - proceeding (paper trading, agents advisory)"
    elif approved:
        code, proceed = AdviceCode.FUND_MANAGER_OVERRIDE, True
        message = f"{shown} - proceeding (approved by the fund manager)"
    else:
        code, proceed = AdviceCode.LOW_CONFIDENCE, False
        message = f"{shown} - skipped: {SKIPPED_LOW_CONFIDENCE}"
    return Advice(
        level=level,
        would_veto=would_veto,
        rejected=not verdict.approved,
        proceed=proceed,
        code=code,
        message=message,
    )


def _whole_percent(confidence: float) -> int:
    # Down, never to the nearest: 0.399 is low, and "Low confidence (40%)" would contradict itself. Decimal, since
    # 0.29 * 100 is less than 29 in binary fractions.
    return int(Decimal(str(confidence)) * 100)


def _without_verdict(underlying: str, environment: Environment, *, llm_on: bool, live_requires_verdict: bool) -> Advice:
    code = AdviceCode.NO_VERDICT if llm_on else AdviceCode.RULES_ONLY
    proceed = environment is Environment.PAPER or not live_requires_verdict
    why = "No verdict" if llm_on else "LLM switched off"
    how = "paper trading, agents advisory" if environment is Environment.PAPER else "live trading"
    outcome = f"proceeding ({how})" if proceed else "skipped: live trading requires a verdict"
    return Advice(
        level=Confidence.NONE,
        would_veto=False,
        rejected=False,
        proceed=proceed,
        code=code,
        message=f"{why} for {underlying} - {outcome}",
    )
