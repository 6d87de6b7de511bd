"""Verification: was every position watched, and closed when its rule said so and not before? Rows in, `Judged` out."""

import datetime as dt
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mahler_agents.clock import NEW_YORK
from mahler_agents.exits import ExitDecision, ExitParams, ExitRule, Mark, decide
from mahler_agents.record.conduct_rows import Conduct, MarkConduct, OrderConduct, OutcomeConduct, PositionConduct
from mahler_agents.text import count, per_share, words
from mahler_agents.verification.finding import Evidence, Judged, Shown

MAX_UNQUOTED = 0.5
"""Share of the passes over a position in which it may have no quote."""
_RULES = frozenset(rule.value for rule in ExitRule)
_EXPIRED = "expired_"
_BY_HAND = "closed_by_hand"


@dataclass(frozen=True, kw_only=True)
class Breach:
    """A mark at which a rule said close."""

    at: str
    decision: ExitDecision


@dataclass(frozen=True, kw_only=True)
class Life:
    """From when to when a position was open."""

    opened_at: str
    ended_at: str | None
    """None: it still is."""

    def covers(self, at: str) -> bool:
        """Return whether anything of it was open just before an instant."""
        return self.opened_at < at and (self.ended_at is None or at <= self.ended_at)

    def within(self, passes: Sequence[str]) -> Sequence[str]:
        """Return those of sorted instants that it covers."""
        last = len(passes) if self.ended_at is None else bisect_right(passes, self.ended_at)
        return passes[bisect_right(passes, self.opened_at) : last]


def exits_at_thresholds(evidence: Evidence) -> Judged:
    """Judge whether the mark of every closing order's pass had met the order's rule."""
    conduct = evidence.conduct
    positions = {one.entry_order_id: one for one in conduct.positions}
    marks = {(mark.entry_order_id, mark.at): mark for mark in conduct.marks}
    asked = [order for order in _exits(conduct) if order.decided_at >= conduct.begins and order.closes in positions]
    settled = [one for one in conduct.outcomes if one.exit_order_id is None and one.closed_at >= conduct.begins]
    wrong = [
        Shown(where=order.client_order_id, what=why)
        for order in asked
        if (why := _too_early(order, positions[order.closes or ""], marks, conduct))
    ]
    wrong += [
        Shown(where=one.entry_order_id, what=why)
        for one in settled
        if (why := _settled_early(one, positions[one.entry_order_id]))
    ]
    rules = Counter([order.rule or "?" for order in asked] + [one.rule for one in settled])
    told = ", ".join(f"{number:,} {words(rule)}" for rule, number in rules.most_common())
    return Judged(
        checked=len(asked) + len(settled),
        of="closings",
        text=f"{len(asked) + len(settled):,} closings, none before its threshold: {told}"
        if rules
        else "nothing closed",
        wrong=tuple(wrong),
        shown=tuple(
            Shown(where=order.client_order_id, what=_why(order, positions[order.closes or ""], marks))
            for order in asked
        ),
    )


def _too_early(
    order: OrderConduct,
    position: PositionConduct,
    marks: Mapping[tuple[str, str], MarkConduct],
    conduct: Conduct,
) -> str | None:
    if order.rule not in _RULES:
        asked = any(one.entry_order_id == order.closes and one.code == order.rule for one in conduct.reductions)
        return None if asked else f"closed by {order.rule}, which asked for nothing"
    mark = marks.get((position.entry_order_id, order.decided_at))
    if mark is None or mark.mid_cost is None:
        return f"closed by {words(order.rule)} at {order.decided_at}, without a mark"
    decision = decision_at(position, mark)
    if decision is not None and decision.rule == order.rule:
        return None
    said = "no rule was met" if decision is None else f"the rule was {words(decision.rule)}"
    return f"closed by {words(order.rule)} at a cost of {per_share(mark.mid_cost)}: {said} ({_thresholds(position)})"


def _why(order: OrderConduct, position: PositionConduct, marks: Mapping[tuple[str, str], MarkConduct]) -> str:
    mark = marks.get((position.entry_order_id, order.decided_at))
    decision = None if mark is None else decision_at(position, mark)
    if decision is None or decision.rule != order.rule:
        return words(order.rule or "?")
    return f"{words(decision.rule)}, {_seen(decision)}"


def _thresholds(position: PositionConduct) -> str:
    params, credit = ExitParams.model_validate(position.exit_params), position.entry_credit
    target, stop = per_share(params.target_cost(credit)), per_share(params.stop_cost(credit))
    return f"target {target}, stop {stop}, time at {params.time_exit_dte} days"


def _settled_early(outcome: OutcomeConduct, position: PositionConduct) -> str | None:
    if outcome.rule == _BY_HAND:
        return None
    if not outcome.rule.startswith(_EXPIRED):
        return f"closed by {outcome.rule} without an order"
    early = _date(outcome.closed_at) < dt.date.fromisoformat(position.expiration)
    return f"{words(outcome.rule)} on {_date(outcome.closed_at)}, before {position.expiration}" if early else None


def closed_within_one_pass(evidence: Evidence) -> Judged:
    """Judge whether every mark beyond a threshold was followed by a closing order in that pass or the next."""
    conduct = evidence.conduct
    passes = conduct.passes
    wrong: list[Shown] = []
    checked, slowest = 0, 0.0
    for position, breaches in breaching(conduct):
        orders = [order.decided_at for order in _exits(conduct) if order.closes == position.entry_order_id]
        for breach in breaches:
            following = next(iter(passes[bisect_right(passes, breach.at) :]), None)
            sent = [at for at in orders if breach.at <= at and (following is None or at <= following)]
            if not sent and following is None:
                continue  # the record ends with this pass
            checked += 1
            if sent:
                slowest = max(slowest, _seconds(breach.at, sent[0]))
            else:
                rule, seen = words(breach.decision.rule), _seen(breach.decision)
                wrong.append(
                    Shown(where=position.entry_order_id, what=f"{rule} at {breach.at}, {seen}: no closing order")
                )
    return Judged(
        checked=checked,
        of="marks beyond a threshold",
        text=f"{count(checked, 'mark')} beyond a threshold; the slowest closing order was decided {slowest:.0f} s after"
        if checked
        else "no mark was beyond a threshold",
        wrong=tuple(wrong),
        figures={"slowest_seconds": slowest},
    )


def _seen(decision: ExitDecision) -> str:
    if decision.rule is ExitRule.TIME_EXIT:
        return f"{decision.observed:.0f} days left"
    return f"cost {per_share(decision.observed)}, threshold {per_share(decision.threshold)}"


def positions_marked(evidence: Evidence) -> Judged:
    """Judge whether every monitor pass looked at every open position, and most of them with a quote."""
    conduct = evidence.conduct
    passes = [at for at in conduct.passes if at >= conduct.begins]
    lives = lives_of(conduct)
    seen = {(mark.entry_order_id, mark.at): mark for mark in conduct.marks}
    wrong: list[Shown] = []
    checked = looks = unquoted = 0
    for position in conduct.positions:
        due = [at for at in lives[position.entry_order_id].within(passes) if _quoted_until(position, at)]
        missing = [at for at in due if (position.entry_order_id, at) not in seen]
        without = [at for at in due if (mark := seen.get((position.entry_order_id, at))) and mark.mid_cost is None]
        checked += bool(due)
        looks += len(due)
        unquoted += len(without)
        whole = f"of {len(due):,} passes, first at"
        if missing:
            what = f"{position.label}: not looked at in {len(missing):,} {whole} {missing[0]}"
            wrong.append(Shown(where=position.entry_order_id, what=what))
        elif len(without) > MAX_UNQUOTED * len(due):
            what = f"{position.label}: no quote in {len(without):,} {whole} {without[0]}: no rule could close it"
            wrong.append(Shown(where=position.entry_order_id, what=what))
    return Judged(
        checked=checked,
        of="positions",
        text=f"{len(passes):,} passes looked {looks:,} times at an open position; {unquoted:,} times without a quote"
        if looks
        else "no pass came while a position was open",
        wrong=tuple(wrong),
        figures={"looks": looks, "without_a_quote": unquoted},
    )


def expired_settled(evidence: Evidence) -> Judged:
    """Judge whether nothing is open past its expiration."""
    last, lives = _date(evidence.last_at), lives_of(evidence.conduct)
    past = [one for one in evidence.conduct.positions if dt.date.fromisoformat(one.expiration) < last]
    wrong = [
        Shown(where=one.entry_order_id, what=f"{one.label} is open on {last}")
        for one in past
        if lives[one.entry_order_id].ended_at is None
    ]
    return Judged(
        checked=len(past),
        of="positions past their expiration",
        text=f"{len(past):,} positions are past their expiration" if past else "nothing has expired",
        wrong=tuple(wrong),
    )


def decision_at(position: PositionConduct, mark: MarkConduct) -> ExitDecision | None:
    """Return what the rules said of a position at a mark; None to hold, or without a mark or recorded thresholds."""
    if mark.mid_cost is None or position.exit_params is None:
        return None
    at = dt.datetime.fromisoformat(mark.at)
    return decide(
        entry_credit=position.entry_credit,
        dte=(dt.date.fromisoformat(position.expiration) - _date(mark.at)).days,
        mark=Mark(at=at, mid_cost=mark.mid_cost, natural_cost=mark.natural_cost or mark.mid_cost),
        params=ExitParams.model_validate(position.exit_params),
    )


def breaching(conduct: Conduct, begins: str | None = None) -> Iterator[tuple[PositionConduct, list[Breach]]]:
    """Yield every position with the marks, from `begins` on, at which it was open and a rule said close.

    One whose legs the broker did not hold is left out: no closing order is sent for it, and an alert says so.
    """
    since = conduct.begins if begins is None else begins
    by_position: dict[str, list[MarkConduct]] = defaultdict(list)
    for mark in conduct.marks:
        by_position[mark.entry_order_id].append(mark)
    lives = lives_of(conduct)
    broken = {event.message.partition(": ")[0] for event in conduct.events if event.code == "broken_leg"}
    for position in conduct.positions:
        if position.label in broken:
            continue
        found = [
            Breach(at=mark.at, decision=decision)
            for mark in by_position[position.entry_order_id]
            if mark.at >= since and lives[position.entry_order_id].covers(mark.at)
            if (decision := decision_at(position, mark)) is not None
        ]
        if found:
            yield position, found


def lives_of(conduct: Conduct) -> Mapping[str, Life]:
    """Return from when to when each position was open, by entry order id."""
    parts: dict[str, list[OutcomeConduct]] = defaultdict(list)
    for part in conduct.outcomes:
        parts[part.entry_order_id].append(part)
    return {
        one.entry_order_id: Life(
            opened_at=one.opened_at,
            ended_at=parts[one.entry_order_id][-1].closed_at
            if sum(part.contracts for part in parts[one.entry_order_id]) >= one.contracts
            else None,
        )
        for one in conduct.positions
    }


def _quoted_until(position: PositionConduct, at: str) -> bool:
    return _date(at) <= dt.date.fromisoformat(position.expiration)


def _exits(conduct: Conduct) -> list[OrderConduct]:
    return [order for order in conduct.orders if order.purpose == "exit"]


def _date(at: str) -> dt.date:
    return dt.datetime.fromisoformat(at).astimezone(NEW_YORK).date()


def _seconds(earlier: str, later: str) -> float:
    return (dt.datetime.fromisoformat(later) - dt.datetime.fromisoformat(earlier)).total_seconds()
