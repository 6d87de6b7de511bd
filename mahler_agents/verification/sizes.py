"""Verification: were trades sized by the limits and placed? Rows in, `Judged` out; pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mahler_agents.record.conduct_rows import CandidateConduct, Conduct, OrderConduct
from mahler_agents.record.trace_rows import RunRow, SizingRow
from mahler_agents.text import count, dollars
from mahler_agents.types import ASSET_CLASSES, AssetClass, Reason
from mahler_agents.units import CONTRACT_MULTIPLIER
from mahler_agents.verification.exits import lives_of
from mahler_agents.verification.finding import Evidence, Judged, Shown

FULL_BOOK = frozenset(
    {
        Reason.DUPLICATE_POSITION,
        Reason.ALREADY_ORDERED,
        Reason.MAX_TRADES_PER_SCAN,
        Reason.MAX_PORTFOLIO_HEAT,
        Reason.MAX_PER_UNDERLYING,
        Reason.MAX_EQUITY_CLASS,
        Reason.MAX_TREASURY_CLASS,
        Reason.MAX_COMMODITY_CLASS,
        Reason.MAX_POSITIONS_PER_EQUITY_CLASS,
        Reason.MAX_BETA_WEIGHTED_DELTA,
        Reason.HALTED,
        Reason.KILL_SWITCH,
        Reason.REDUCING,
    }
)
"""Reasons for which a desk that works well may place nothing: what it holds already, or a halt."""
_TOLERANCE_DOLLARS = 1.0
_CODES = frozenset(reason.value for reason in Reason)
_CLASS_LIMITS = {
    AssetClass.EQUITY: "max_equity_class_pct",
    AssetClass.TREASURY: "max_treasury_class_pct",
    AssetClass.COMMODITY: "max_commodity_class_pct",
}


def zero_sizes_named(evidence: Evidence) -> Judged:
    """Judge whether every size of 0 names the limit that binds it, as the candidate's own reason."""
    zeros = [one for one in evidence.conduct.candidates if one.sizing is not None and one.sizing.contracts == 0]
    wrong = [Shown(where=one.id, what=why) for one in zeros if one.sizing and (why := _unnamed(one, one.sizing))]
    reasons = Counter(one.sizing.binding for one in zeros if one.sizing is not None)
    told = ", ".join(f"{number:,} {code}" for code, number in reasons.most_common())
    return Judged(
        checked=len(zeros),
        of="sizes of 0",
        text=f"{count(len(zeros), 'size')} of 0, each with its limit: {told}" if zeros else "no size was 0",
        wrong=tuple(wrong),
        shown=tuple(
            Shown(where=one.id, what=f"{one.sizing.binding}, {one.label}") for one in zeros if one.sizing is not None
        ),
    )


def _unnamed(one: CandidateConduct, sizing: SizingRow) -> str | None:
    if sizing.binding not in _CODES:
        return f"{sizing.binding!r} is no limit"
    if not any(limit.code == sizing.binding and limit.contracts == 0 for limit in sizing.constraints):
        return f"{sizing.binding} is said to bind and allows contracts"
    return None if one.reason == sizing.binding else f"sized 0 by {sizing.binding}, skipped for {one.reason}"


def sizes_bound(evidence: Evidence) -> Judged:
    """Judge whether every size is the least that any limit allows, and names that limit."""
    sized = [(one.id, one.sizing) for one in evidence.conduct.candidates if one.sizing is not None]
    wrong = [Shown(where=key, what=why) for key, sizing in sized if (why := _not_least(sizing))]
    binding = Counter(sizing.binding for _, sizing in sized)
    told = ", ".join(f"{number:,} {code}" for code, number in binding.most_common())
    return Judged(
        checked=len(sized),
        of="sizes",
        text=f"{len(sized):,} sizes are the least of all limits: {told}",
        wrong=tuple(wrong),
    )


def _not_least(sizing: SizingRow) -> str | None:
    allowed = [limit for limit in sizing.constraints if limit.contracts is not None]
    least = min((limit.contracts or 0 for limit in allowed), default=0)
    if sizing.contracts != least:
        return f"{sizing.contracts} contracts, the limits allow {least}"
    binds = any(limit.code == sizing.binding and limit.contracts == least for limit in allowed)
    return None if binds else f"{sizing.binding} is said to bind and does not"


def trades_placed(evidence: Evidence) -> Judged:
    """Judge whether all that was sized was ordered, and only a full book or a halt kept the desk from trading."""
    conduct = evidence.conduct
    reviewed = [one for one in conduct.candidates if one.reviewed]
    ordered = {order.candidate_id for order in conduct.orders if order.purpose == "entry"}
    sized = [one for one in reviewed if one.sizing is not None and one.sizing.contracts > 0]
    wrong = [
        Shown(where=one.id, what=f"{one.label} was sized and never ordered: {one.reason}")
        for one in sized
        if one.id not in ordered
    ]
    if reviewed and not any(one.id in ordered for one in reviewed):
        starved = [one for one in reviewed if one.reason not in FULL_BOOK]
        wrong += [Shown(where=one.id, what=f"nothing was ordered at all: {one.reason}") for one in starved]
    traded = [one for one in reviewed if one.decision == "traded"]
    ends = Counter(one.reason or "unfinished" for one in reviewed if one.decision != "traded")
    told = "".join(f", {number:,} {code}" for code, number in ends.most_common())
    return Judged(
        checked=len(reviewed),
        of="reviewed candidates",
        text=f"{len(reviewed):,} reviewed, {len(ordered & {one.id for one in reviewed}):,} ordered,"
        f" {len(traded):,} traded{told}",
        wrong=tuple(wrong),
        shown=tuple(Shown(where=one.id, what=one.label) for one in traded),
        figures={"reviewed": len(reviewed), "traded": len(traded)},
    )


@dataclass(frozen=True, kw_only=True)
class _Carried:
    """Risk that stood when an entry was reserved, dollars."""

    underlying: str
    risk: float


def risk_within_limits(evidence: Evidence) -> Judged:
    """Judge, from orders and fills alone, whether any entry took the risk at max loss beyond a limit."""
    conduct = evidence.conduct
    runs = {run.slot: run for run in conduct.runs}
    entries = [order for order in conduct.orders if order.purpose == "entry" and order.slot in runs]
    candidates = {one.id: one for one in conduct.candidates}
    wrong: list[Shown] = []
    worst = 0.0
    for order in entries:
        carried = list(_carried(order, conduct, candidates))
        equity = _equity_at(conduct, runs[order.slot].as_of)
        if equity is None:
            continue
        candidate = candidates.get(order.candidate_id or "")
        worst = max(worst, (sum(one.risk for one in carried) + _own_risk(order)) / equity)
        reasons = _beyond(order, carried, equity, runs[order.slot], candidate and candidate.sizing)
        wrong += [Shown(where=order.client_order_id, what=why) for why in reasons]
    return Judged(
        checked=len(entries),
        of="entries",
        text=f"{count(len(entries), 'entry', 'entries')}; the most risk at an entry, recomputed from fills and orders,"
        f" was {100 * worst:.1f} % of equity",
        wrong=tuple(wrong),
        figures={"largest_heat": round(worst, 6)},
    )


def _carried(order: OrderConduct, conduct: Conduct, candidates: Mapping[str, CandidateConduct]) -> Iterator[_Carried]:
    """Yield what was held, and what the same scan had reserved before in the order of its ranks."""

    def rank(one: OrderConduct) -> int:
        candidate = candidates.get(one.candidate_id or "")
        return 0 if candidate is None else candidate.rank

    for position in conduct.positions:
        entry = next((one for one in conduct.orders if one.client_order_id == position.entry_order_id), None)
        if entry is None or entry.slot == order.slot or position.opened_at > order.decided_at:
            continue
        closed = sum(
            one.contracts
            for one in conduct.outcomes
            if one.entry_order_id == position.entry_order_id and one.closed_at <= order.decided_at
        )
        risk = position.max_loss_dollars * (position.contracts - closed)
        yield _Carried(underlying=position.underlying, risk=risk)
    for other in conduct.orders:
        if other.purpose == "entry" and other.slot == order.slot and rank(other) < rank(order):
            yield _Carried(underlying=other.underlying, risk=_own_risk(other))


def _own_risk(order: OrderConduct) -> float:
    width = abs(order.short_strike - order.long_strike)
    return (width - order.limit_credit) * CONTRACT_MULTIPLIER * order.contracts


def _equity_at(conduct: Conduct, at: str) -> float | None:
    known = [point.equity for point in conduct.equity if point.at <= at]
    return known[-1] if known and known[-1] > 0 else None


def _beyond(
    order: OrderConduct, carried: Sequence[_Carried], equity: float, run: RunRow, sizing: SizingRow | None
) -> Iterator[str]:
    limits, own = run.config.get("limits", {}), _own_risk(order)
    kind = _class_of(order.underlying)
    heat = sum(one.risk for one in carried)
    parts = {
        "max_risk_per_trade_pct": own,
        "max_single_position_pct": own,
        "max_portfolio_heat_pct": own + heat,
        "max_per_underlying_pct": own + _risk_of(carried, [order.underlying]),
        _CLASS_LIMITS[kind]: own + sum(one.risk for one in carried if _class_of(one.underlying) is kind),
    }
    for name, risk in parts.items():
        if name in limits and risk > limits[name] * equity + _TOLERANCE_DOLLARS:
            yield f"{dollars(risk)} at risk, {name} of {dollars(equity)} is {dollars(limits[name] * equity)}"
    used = [
        limit.used_dollars for limit in (sizing.constraints if sizing else ()) if limit.code == "max_portfolio_heat"
    ]
    if used and used[0] is not None and used[0] < heat - _TOLERANCE_DOLLARS:
        yield f"it was sized on a heat of {dollars(used[0])}, and {dollars(heat)} were at risk"


def _risk_of(carried: Iterable[_Carried], underlyings: Sequence[str]) -> float:
    return sum(one.risk for one in carried if one.underlying in underlyings)


def _class_of(underlying: str) -> AssetClass:
    return ASSET_CLASSES.get(underlying, AssetClass.EQUITY)


def no_duplicates(evidence: Evidence) -> Judged:
    """Judge whether no two positions of one underlying, type and expiration were open at once."""
    conduct = evidence.conduct
    ends = lives_of(conduct)
    lives = [(one, one.opened_at, ends[one.entry_order_id].ended_at) for one in conduct.positions]
    wrong = [
        Shown(where=later.entry_order_id, what=f"{later.label} was opened while {one.label} was open")
        for place, (one, _, ended) in enumerate(lives)
        for later, opened, _ in lives[place + 1 :]
        if (one.underlying, one.spread_type, one.expiration) == (later.underlying, later.spread_type, later.expiration)
        and (ended is None or opened < ended)
    ]
    return Judged(
        checked=len(lives),
        of="positions",
        text=f"{count(len(lives), 'position')}, no two of one underlying, type and expiration at once",
        wrong=tuple(wrong),
    )
