"""Evidence: advised cases in, what would have come of leaving out those of little confidence out.

The question is whether the advice picks: do the trades that it would have kept earn more than all of them? A veto that
knew nothing would earn more by trading less whenever trades lose, and less whenever they gain; so the verdict rests on
the mean per trade, and the sums stand beside it.
"""

from dataclasses import dataclass, replace

import numpy as np

from mahler_agents.evidence.cases import Columns, Floats, Numbers, Truths
from mahler_agents.evidence.inference import Estimate, Figure, Inference

WEEKS_A_YEAR = 52.0


@dataclass(frozen=True, kw_only=True)
class Book:
    """What trades brought together, one contract each."""

    trades: int
    pnl_dollars: float
    mean_dollars: float | None
    win_rate: float | None
    profit_factor: float | None
    """Gross profit / gross loss; None without a loss."""
    sharpe: float | None
    """Of weekly P&L by the week of exit, annualised; a description, without an interval."""
    max_drawdown_dollars: float
    """Largest fall of the P&L so far from its peak, by day of exit; a description."""


@dataclass(frozen=True, kw_only=True)
class VetoLine:
    """One threshold: the trades of less confidence are left out."""

    threshold: float
    vetoed: int
    vetoed_pnl_dollars: float
    """What dropping them saves, with the sign turned."""
    kept: Book
    mean_gain: Estimate | None
    """Mean P&L of the kept less that of all, dollars a trade: whether the advice picks."""
    win_rate_gain: Estimate | None
    profit_factor_ratio: Estimate | None
    """Natural logarithm of the kept trades' profit factor over that of all."""
    replaced: int
    """Vetoed trades of the desk for which the scan had a next-ranked candidate that is not vetoed."""
    with_replacements: Book
    """The desk's trades, each vetoed one with the next-ranked candidate in its place, if there is one."""
    replacement_gain: Estimate | None
    """P&L of that less that of the desk's trades, dollars for each trade of the desk."""


def book(cases: Columns, chosen: Truths) -> Book:
    """Return what the chosen cases brought together."""
    pnl, day = cases.pnl[chosen], cases.exit_day[chosen]
    gained, lost = float(pnl[pnl > 0].sum()), -float(pnl[pnl < 0].sum())
    return Book(
        trades=int(pnl.size),
        pnl_dollars=round(float(pnl.sum()), 2),
        mean_dollars=float(pnl.mean()) if pnl.size else None,
        win_rate=float((pnl > 0).mean()) if pnl.size else None,
        profit_factor=gained / lost if lost else None,
        sharpe=_sharpe(pnl, (day - 1) // 7) if pnl.size else None,
        max_drawdown_dollars=_drawdown(pnl, day),
    )


def veto_line(cases: Columns, inference: Inference, threshold: float, *, family: int) -> VetoLine:
    """Return what a threshold would have done; `family` is how many are looked at."""
    kept = cases.confidence >= threshold
    chosen = kept.astype(np.float64)
    replaced, replacements = replacements_of(cases, vetoed=~kept)
    return VetoLine(
        threshold=threshold,
        vetoed=int((~kept).sum()),
        vetoed_pnl_dollars=round(float(cases.pnl[~kept].sum()), 2),
        kept=book(cases, kept),
        mean_gain=inference.judged(pick(inference, cases.pnl, chosen), family=family),
        win_rate_gain=inference.judged(pick(inference, cases.won, chosen), family=family),
        profit_factor_ratio=inference.judged(_profit_factors(inference, cases.pnl, chosen), family=family),
        replaced=int(replaced),
        with_replacements=book(cases, (cases.traded & kept) | replacements),
        replacement_gain=inference.judged(_replacement(inference, cases, kept, replacements), family=family),
    )


def pick(inference: Inference, values: Floats, chosen: Floats) -> Figure | None:
    """Return the mean of the chosen less that of all; None where nothing or everything is chosen."""
    if not 0 < chosen.sum() < chosen.size:
        return None
    return _beside(inference, chosen, _difference(inference.mean(values, chosen), inference.mean(values)))


def replacements_of(cases: Columns, *, vetoed: Truths) -> tuple[int, Truths]:
    """Return how many vetoed trades of the desk are replaced, and the candidates that take their places.

    Of each scan, as many as were vetoed of those that it traded: the best-ranked that it did not trade, that rank
    behind the first of the vetoed, and that are not vetoed themselves.
    """
    if not len(cases):
        return 0, np.zeros(0, dtype=bool)
    lost = cases.traded & vetoed
    scans = int(cases.scan.max()) + 1
    wanted = np.bincount(cases.scan[lost], minlength=scans)
    first = np.full(scans, np.iinfo(np.int64).max)
    np.minimum.at(first, cases.scan[lost], cases.rank[lost])
    free = ~cases.traded & ~vetoed & (cases.rank > first[cases.scan])
    so_far = np.cumsum(free)
    before = np.zeros(scans, dtype=np.int64)
    begins = np.flatnonzero(np.diff(cases.scan, prepend=-1))
    before[cases.scan[begins]] = so_far[begins] - free[begins]
    taken = free & (so_far - before[cases.scan] <= wanted[cases.scan])
    return int(taken.sum()), taken


def _replacement(inference: Inference, cases: Columns, kept: Truths, replacements: Truths) -> Figure | None:
    then = ((cases.traded & kept) | replacements).astype(np.float64)
    desk = cases.traded.astype(np.float64)
    if not (then != desk).any():
        return None
    figure = inference.ratio(cases.pnl * (then - desk), desk)
    return figure and replace(figure, weeks=inference.weeks_of(then != desk))


def _profit_factors(inference: Inference, pnl: Floats, chosen: Floats) -> Figure | None:
    if not 0 < chosen.sum() < chosen.size:
        return None
    factors = (_log_profit_factor(inference, pnl, one) for one in (chosen, np.ones_like(pnl)))
    return _beside(inference, chosen, _difference(*factors))


def _log_profit_factor(inference: Inference, pnl: Floats, chosen: Floats) -> Figure | None:
    gains, losses = np.clip(pnl, 0, None) * chosen, np.clip(-pnl, 0, None) * chosen
    gained, lost = float(gains.sum()), float(losses.sum())
    if not gained or not lost:
        return None
    influence = inference.by_week(gains) / gained - inference.by_week(losses) / lost
    weeks = min(inference.weeks_of(gains > 0), inference.weeks_of(losses > 0))
    return Figure(estimate=float(np.log(gained / lost)), influence=influence, weeks=weeks)


def _beside(inference: Inference, chosen: Floats, figure: Figure | None) -> Figure | None:
    """Return a figure of the chosen beside all, of no more weeks than those of the fewer, chosen or not."""
    return figure and replace(figure, weeks=min(figure.weeks, inference.weeks_of(chosen == 0)))


def _difference(one: Figure | None, other: Figure | None) -> Figure | None:
    return None if one is None or other is None else one.minus(other)


def _sharpe(pnl: Floats, week: Numbers) -> float | None:
    weekly = np.bincount((week - week.min()).astype(np.int64), weights=pnl)
    spread = float(weekly.std(ddof=1)) if weekly.size > 1 else 0.0
    return float(weekly.mean()) / spread * WEEKS_A_YEAR**0.5 if spread else None


def _drawdown(pnl: Floats, day: Numbers) -> float:
    if not pnl.size:
        return 0.0
    days, places = np.unique(day, return_inverse=True)
    curve = np.concatenate([[0.0], np.cumsum(np.bincount(places, weights=pnl, minlength=days.size))])
    return round(float((np.maximum.accumulate(curve) - curve).max()), 2)
