"""Evidence: the lines of all thresholds in, the verdict in words out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mahler_agents.evidence.inference import Inference
from mahler_agents.evidence.outlook import Outlook
from mahler_agents.evidence.vetoes import VetoLine

Finding = Literal["helps", "hurts", "no_evidence", "too_few_periods"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the advice helps to pick trades."""

    finding: Finding
    text: str
    threshold: float | None
    """The one that the verdict speaks of; None if no threshold leaves out and keeps trades of enough weeks."""
    outlook: Outlook | None
    """What it would take to see an effect of the size that was observed; None if there is none to see."""


def verdict(
    lines: Sequence[VetoLine], cases: int, inference: Inference, foreseen: Callable[[VetoLine], Outlook | None]
) -> Verdict:
    """Return the verdict; it says "helps" or "hurts" only of what holds over all thresholds and weekly looks.

    `foreseen` is asked what it takes to see a threshold's gain, if there is a need to say so.
    """
    known = [line for line in lines if _told(line, inference)]
    best = max(known, key=_strength, default=None)
    if not inference.enough:
        ahead = best and foreseen(best)
        text = f"too few periods to say whether the advice helps ({_held(cases, inference)}{_first_look(inference)})"
        return Verdict(finding="too_few_periods", text=text + _ahead(ahead), threshold=_of(best), outlook=ahead)
    helping = [line for line in known if line.mean_gain is not None and line.mean_gain.above_zero]
    hurting = [line for line in known if line.mean_gain is not None and line.mean_gain.below_zero]
    if helping:
        chosen = max(helping, key=_strength)
        return Verdict(
            finding="helps", text=f"the advice helps: {_gain(chosen, cases)}", threshold=chosen.threshold, outlook=None
        )
    if hurting:
        chosen = min(hurting, key=_strength)
        return Verdict(
            finding="hurts", text=f"the advice hurts: {_gain(chosen, cases)}", threshold=chosen.threshold, outlook=None
        )
    ahead = best and foreseen(best)
    text = f"no evidence that the advice helps (n = {cases:,}{_needed(best, ahead)})"
    return Verdict(finding="no_evidence", text=text, threshold=_of(best), outlook=ahead)


def _told(line: VetoLine, inference: Inference) -> bool:
    """Return whether a threshold has a gain and, once there are intervals at all, trades enough on both its sides."""
    gain = line.mean_gain
    return gain is not None and (gain.standard_error is not None or inference.periods == "too few")


def _of(line: VetoLine | None) -> float | None:
    return None if line is None else line.threshold


def _strength(line: VetoLine) -> float:
    gain = line.mean_gain
    if gain is None:
        return float("-inf")
    return gain.estimate / gain.standard_error if gain.standard_error else gain.estimate


def _held(cases: int, inference: Inference) -> str:
    settings = inference.settings
    return (
        f"n = {cases:,}; {inference.weeks_with_entries} weeks with entries are {inference.blocks:.0f} of"
        f" {settings.first_look_blocks} independent blocks of {settings.mean_block_weeks:g} weeks"
    )


def _first_look(inference: Inference) -> str:
    left = inference.settings.first_look_weeks - inference.weeks_with_entries
    return f", so the first look is {left:.0f} such weeks away"


def _ahead(outlook: Outlook | None) -> str:
    if outlook is None:
        return ""
    return (
        f"; an effect of the size so far would take about {outlook.trades:,} trades to see,"
        f" {outlook.months:,} months at the present rate"
    )


def _needed(best: VetoLine | None, outlook: Outlook | None) -> str:
    if best is None:
        return "; no threshold leaves out and keeps trades of weeks enough to tell"
    if outlook is None:
        return "; at no threshold would those that it kept have earned noticeably more than all"
    return (
        f"; would need about {outlook.trades:,} trades, {outlook.months:,} months at the present rate,"
        " to see an effect of this size"
    )


def _gain(line: VetoLine, cases: int) -> str:
    gain = line.mean_gain
    assert gain is not None and gain.sure_low is not None and gain.sure_high is not None  # noqa: S101, PT018 - just found
    more = "more" if gain.estimate > 0 else "less"
    low, high = sorted((abs(gain.sure_low), abs(gain.sure_high)))
    return (
        f"trades of confidence {line.threshold:g} or more earned ${abs(gain.estimate):,.2f} {more} each than all"
        f" (n = {cases:,}; ${low:,.2f} to ${high:,.2f} over all thresholds and weekly looks)"
    )
