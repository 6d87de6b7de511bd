"""Evidence: the record's reviewed candidates in, the cases that count out, by pool, with what was left out and why.

A case counts once its time-exit date has passed, whether it ended before or not: counted at its exit, quick wins would
come first. Pools are never mixed: paper trading on a real market, live trading, sample data, a toy model, a file of
past quotes, seen again.
"""

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from mahler_agents.clock import NEW_YORK
from mahler_agents.evidence.cases import Advised, Case, Opinion
from mahler_agents.evidence.cutoffs import Cutoff, cutoff_of
from mahler_agents.evidence.simulated import Terms, simulated_p_profit
from mahler_agents.record.advised import AdvisedReader, HeardOpinion, ReviewedRow
from mahler_agents.types import CONTRACT_MULTIPLIER

Heard: TypeAlias = dict[str, dict[str, Opinion]]
"""Candidate -> analyst -> what it said."""
LEGS = 2
TIME_EXIT_DTE = 21
PAST_MARKETS = "csv-"
"""How the names of markets begin that are files of past quotes."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Cases that may be counted together."""

    name: str
    cases: tuple[Case, ...]
    remembered: tuple[Case, ...]
    """Entered by the knowledge cutoff of a model that advised: it may remember how they ended."""
    unknown_cutoffs: tuple[str, ...]
    """Models of cases here of which no cutoff is known."""
    left_out: Mapping[str, int]
    """Reason -> reviewed candidates."""


def read_pools(path: Path, cutoffs: tuple[Cutoff, ...]) -> tuple[Pool, ...]:
    """Return the pools of a record, by name. Raises as the record's readers do."""
    with AdvisedReader(path) as reader:
        rows, replayed, last = reader.reviewed(), reader.replayed(), reader.last_instant()
        heard, debaters = _heard(reader.opinions()), reader.debaters()
    until = _new_york_date(last) if last else dt.date.min
    names = {row.run_id: pool_name(row) for row in rows}
    found = [
        _pool(
            name,
            [row for row in rows if names[row.run_id] == name],
            heard,
            debaters=debaters,
            until=until,
            cutoffs=cutoffs,
        )
        for name in _in_order(names)
    ]
    if found and replayed:
        found[0] = replace(found[0], left_out={**found[0].left_out, "of_a_replay": replayed})
    return tuple(found)


def pool_name(row: ReviewedRow) -> str:
    """Return the pool that a candidate belongs to."""
    parts = [
        ("sample data", row.synthetic),
        ("live", row.environment == "live"),
        ("toy model", row.toy_model),
        ("past market", row.market.startswith(PAST_MARKETS)),  # `mahler simulate`: its clock was set back for it
        ("market seen again", row.rerun_of is not None),
    ]
    return ", ".join(name for name, holds in parts if holds) or "paper"


def _in_order(names: Mapping[str, str]) -> list[str]:
    return sorted(set(names.values()), key=lambda name: (name != "paper", name != "live", name))


def _heard(opinions: Iterable[HeardOpinion]) -> Heard:
    found: Heard = {}
    for one in opinions:
        found.setdefault(one.candidate_id, {})[one.analyst] = Opinion(one.confidence, one.p_profit, one.model)
    return found


def _pool(
    name: str,
    rows: list[ReviewedRow],
    heard: Heard,
    *,
    debaters: Mapping[str, frozenset[str]],
    until: dt.date,
    cutoffs: tuple[Cutoff, ...],
) -> Pool:
    reasons = {row.candidate_id: _left_out(row, until) for row in rows}
    counted = [row for row in rows if reasons[row.candidate_id] is None]
    chances = simulated_p_profit([_terms(row) for row in counted])
    cases = [
        _case(row, chance, heard.get(row.candidate_id, {}), debaters.get(row.candidate_id, frozenset()))
        for row, chance in zip(counted, chances, strict=True)
    ]
    real = not any(row.synthetic for row in rows)  # nobody can remember what was made up
    models = {model for case in cases for model in case.models} if real else set[str]()
    known = {model: cutoff_of(model, cutoffs) for model in models}
    remembered = [case for case in cases if real and _remembered(case, known)]
    set_apart = {case.candidate_id for case in remembered}
    return Pool(
        name=name,
        cases=tuple(case for case in cases if case.candidate_id not in set_apart),
        remembered=tuple(remembered),
        unknown_cutoffs=tuple(sorted(model for model, cutoff in known.items() if cutoff is None)),
        left_out=dict(sorted(_counts(reasons.values()).items())),
    )


def _counts(reasons: Iterable[str | None]) -> Counter[str]:
    return Counter(reason for reason in reasons if reason is not None)


def _left_out(row: ReviewedRow, until: dt.date) -> str | None:
    """Return why a candidate is no case, None if it is one."""
    if row.decision is None:
        return "review_did_not_end"
    if row.exit_params is None:
        return "not_followed"
    if _time_exit_date(row) >= until:
        return "time_exit_date_not_passed"
    if row.exit_at is None or row.pnl_dollars is None:
        return "no_outcome"
    if row.advised_at is None or (row.advised_at > row.decision_at and not _of_another_time(row)):
        return "advice_after_the_decision"
    if row.confidence is None or row.p_profit is None:
        return "no_verdict"
    return None


def _of_another_time(row: ReviewedRow) -> bool:
    """Return whether made-up days were scanned by a clock of other days: nobody could know how they end."""
    return row.synthetic and row.started_at > row.decision_at


def _time_exit_date(row: ReviewedRow) -> dt.date:
    days = _exits(row.exit_params or "{}").get("time_exit_dte", TIME_EXIT_DTE)
    return dt.date.fromisoformat(row.expiration) - dt.timedelta(days=days)


@lru_cache
def _exits(params: str) -> Mapping[str, Any]:
    """Return an exit policy; a desk has few of them, and each of its candidates names its own."""
    return json.loads(params)


def _remembered(case: Case, cutoffs: Mapping[str, dt.date | None]) -> bool:
    """Return whether one of the models that advised may know the end; the fund manager read what the others said."""
    return any(cutoff is not None and case.entry_date <= cutoff for cutoff in map(cutoffs.get, case.models))


def _case(row: ReviewedRow, chance: float | None, opinions: Mapping[str, Opinion], debaters: frozenset[str]) -> Case:
    width = abs(row.short_strike - row.long_strike)
    credit = row.screened_credit if row.entry_credit is None else row.entry_credit
    return Case(
        candidate_id=row.candidate_id,
        run_id=row.run_id,
        entry_date=_new_york_date(row.as_of),
        rank=row.rank,
        traded=row.decision == "traded",
        underlying=row.underlying,
        short_delta=row.short_delta,
        simulated_p_profit=chance,
        regime=row.regime,
        contracts=row.contracts,
        max_loss_dollars=round((width - credit) * CONTRACT_MULTIPLIER, 2),
        pnl_dollars=row.pnl_dollars or 0.0,
        exit_date=_new_york_date(row.exit_at or row.as_of),
        advice=_advised(row),
        opinions=opinions,
        debaters=debaters,
    )


def _advised(row: ReviewedRow) -> Advised | None:
    if row.confidence is None or row.p_profit is None:
        return None
    return Advised(
        confidence=row.confidence,
        p_profit=row.p_profit,
        approved=row.approved,
        contracts=row.advised_contracts or 0,
        model=row.model or "unknown",
        prompt_hash=row.prompt_hash or "unknown",
    )


def _terms(row: ReviewedRow) -> Terms | None:
    """Return what a spread is simulated by; None where the record does not hold all of it."""
    if not (row.spot and row.short_volatility and row.long_volatility and row.entry_credit and row.exit_params):
        return None
    exits = _exits(row.exit_params)
    return Terms(
        is_put=row.spread_type == "bull_put",
        spot=row.spot,
        short_strike=row.short_strike,
        long_strike=row.long_strike,
        short_volatility=row.short_volatility,
        long_volatility=row.long_volatility,
        dte=row.dte,
        credit=row.entry_credit,
        profit_target=exits["profit_target"],
        stop_loss=exits["stop_loss"],
        time_exit_dte=exits.get("time_exit_dte", TIME_EXIT_DTE),
        fees=2 * LEGS * (row.commission or 0.0) / CONTRACT_MULTIPLIER,
    )


@lru_cache(maxsize=10_000)
def _new_york_date(instant: str) -> dt.date:
    return dt.datetime.fromisoformat(instant).astimezone(NEW_YORK).date()
