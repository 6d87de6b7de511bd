"""Evidence: a pool of cases in, everything that can be said of its advice out; pure, and all that a face shows."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mahler_agents.evidence.analysts import FUND_MANAGER, AnalystLine, analyst_lines
from mahler_agents.evidence.calibration import Calibration, calibration
from mahler_agents.evidence.cases import Case, Columns, in_order
from mahler_agents.evidence.groups import GroupLine, group_lines
from mahler_agents.evidence.inference import Estimate, Inference
from mahler_agents.evidence.outlook import Outlook, outlook
from mahler_agents.evidence.pools import Pool
from mahler_agents.evidence.settings import Settings
from mahler_agents.evidence.sizes import SizeLine, size_line
from mahler_agents.evidence.verdict import Verdict, verdict
from mahler_agents.evidence.vetoes import Book, VetoLine, book, pick, veto_line


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the advice of some cases was worth."""

    cases: int
    first_entry: str
    last_entry: str
    weeks: int
    weeks_with_entries: int
    independent_blocks: float
    enough_periods: bool
    verdict: Verdict
    everything: Book
    """All cases, traded or not."""
    desk: Book
    """Those that the desk traded."""
    mean_pnl: Estimate | None
    """Of all cases, dollars."""
    vetoes: tuple[VetoLine, ...]
    calibration: Calibration
    sizes: SizeLine
    by_analyst: tuple[AnalystLine, ...]
    """Each analyst's own probabilities, and the fund manager's."""
    by_model: tuple[GroupLine, ...]
    by_prompt: tuple[GroupLine, ...]
    by_regime: tuple[GroupLine, ...]


@dataclass(frozen=True, kw_only=True)
class PoolReport:
    """One pool: its evidence, and apart from it what its models may remember."""

    name: str
    left_out: Mapping[str, int]
    unknown_cutoffs: tuple[str, ...]
    evidence: Evidence | None
    """None without a case."""
    remembered: Evidence | None
    """Of trades entered by the knowledge cutoff of a model that advised: never a proof of skill."""


def pool_report(pool: Pool, settings: Settings) -> PoolReport:
    """Return the report of one pool."""
    return PoolReport(
        name=pool.name,
        left_out=pool.left_out,
        unknown_cutoffs=pool.unknown_cutoffs,
        evidence=evidence(pool.cases, settings) if pool.cases else None,
        remembered=evidence(pool.remembered, settings) if pool.remembered else None,
    )


def evidence(cases: Sequence[Case], settings: Settings) -> Evidence:
    """Return what the advice of cases was worth; each has advice, and there is at least one."""
    ordered, columns = in_order(cases), Columns.of(cases)
    inference = Inference(columns.week, settings)
    models = [case.advice.model if case.advice else "" for case in ordered]
    prompts = [f"{FUND_MANAGER}@{case.advice.prompt_hash[:12]}" if case.advice else "" for case in ordered]
    regimes = [case.regime or "unknown" for case in ordered]
    by_model, by_prompt, by_regime = (group_lines(columns, names, inference) for names in (models, prompts, regimes))
    family = len(settings.thresholds)
    lines = tuple(veto_line(columns, inference, threshold, family=family) for threshold in settings.thresholds)
    return Evidence(
        cases=len(columns),
        first_entry=_date(columns.day.min()),
        last_entry=_date(columns.day.max()),
        weeks=inference.weeks,
        weeks_with_entries=inference.weeks_with_entries,
        independent_blocks=inference.blocks,
        enough_periods=inference.enough,
        verdict=verdict(lines, len(columns), inference, lambda line: _outlook(line, columns, inference)),
        everything=book(columns, np.ones(len(columns), dtype=bool)),
        desk=book(columns, columns.traded),
        mean_pnl=inference.judged(inference.mean(columns.pnl), family=1),
        vetoes=lines,
        calibration=calibration(columns, inference),
        sizes=size_line(columns, inference),
        by_analyst=analyst_lines(ordered, columns, inference),
        by_model=by_model,
        by_prompt=by_prompt,
        by_regime=by_regime,
    )


def _outlook(line: VetoLine, columns: Columns, inference: Inference) -> Outlook | None:
    figure = pick(inference, columns.pnl, (columns.confidence >= line.threshold).astype(np.float64))
    return outlook(figure, len(columns), inference, family=len(inference.settings.thresholds))


def _date(ordinal: np.integer) -> str:
    return dt.date.fromordinal(int(ordinal)).isoformat()
