"""Evidence: a pool of cases in, everything that can be said of its advice out; pure, and all that a face shows."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mahler_agents.evidence.calibration import Calibration, calibration
from mahler_agents.evidence.cases import Case, Columns, in_order
from mahler_agents.evidence.inference import Estimate, Inference
from mahler_agents.evidence.outlook import Outlook, outlook
from mahler_agents.evidence.pools import Pool
from mahler_agents.evidence.settings import Settings
from mahler_agents.evidence.sizes import SizeLine, size_line
from mahler_agents.evidence.verdict import Verdict, verdict
from mahler_agents.evidence.vetoes import Book, VetoLine, book, pick, veto_line
from mahler_agents.statistics import scores

LOW_BELOW = 0.4
"""The threshold of the desk's own veto, by which groups are held against each other."""


@dataclass(frozen=True, kw_only=True)
class GroupLine:
    """Cases of one model, prompt version or regime: a description, whose comparison needs other means."""

    name: str
    cases: int
    win_rate: float
    mean_dollars: float
    mean_forecast: float
    brier: float
    discrimination: float | None
    """Area under the curve of `confidence`."""
    vetoed: int
    """Of less confidence than the desk's own threshold."""
    mean_gain_dollars: float | None
    """Mean P&L of the others less that of all."""


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
    """Of trades entered by the knowledge cutoff of the model that advised: never a proof of skill."""


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
    models = [case.advice.model if case.advice else "" for case in ordered]
    prompts = [case.advice.prompt_hash if case.advice else "" for case in ordered]
    regimes = [case.regime or "unknown" for case in ordered]
    by_model, by_prompt, by_regime = (_groups(columns, names) for names in (models, prompts, regimes))
    return judged(columns, settings, by_model=by_model, by_prompt=by_prompt, by_regime=by_regime)


def judged(
    columns: Columns,
    settings: Settings,
    *,
    by_model: tuple[GroupLine, ...] = (),
    by_prompt: tuple[GroupLine, ...] = (),
    by_regime: tuple[GroupLine, ...] = (),
) -> Evidence:
    """Return what the advice of cases in columns was worth."""
    inference = Inference(columns.week, settings)
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
        by_model=by_model,
        by_prompt=by_prompt,
        by_regime=by_regime,
    )


def _outlook(line: VetoLine, columns: Columns, inference: Inference) -> Outlook | None:
    figure = pick(inference, columns.pnl, (columns.confidence >= line.threshold).astype(np.float64))
    return outlook(figure, len(columns), inference, family=len(inference.settings.thresholds))


def _groups(columns: Columns, names: Sequence[str]) -> tuple[GroupLine, ...]:
    members: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        members[name].append(place)
    return tuple(_group(name, columns.where(np.array(members[name]))) for name in sorted(members))


def _group(name: str, columns: Columns) -> GroupLine:
    kept = columns.confidence >= LOW_BELOW
    return GroupLine(
        name=name,
        cases=len(columns),
        win_rate=float(columns.won.mean()),
        mean_dollars=float(columns.pnl.mean()),
        mean_forecast=float(columns.p_profit.mean()),
        brier=scores.brier_score(columns.won, columns.p_profit),
        discrimination=scores.auc(columns.won > 0, columns.confidence),
        vetoed=int((~kept).sum()),
        mean_gain_dollars=float(columns.pnl[kept].mean() - columns.pnl.mean()) if 0 < kept.sum() < kept.size else None,
    )


def _date(ordinal: np.integer) -> str:
    return dt.date.fromordinal(int(ordinal)).isoformat()
