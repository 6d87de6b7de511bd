"""Verification: what did stops cost beyond their thresholds, and why? Rows in, `Judged` out; pure."""

from dataclasses import dataclass

from mahler_agents.exits import ExitRule
from mahler_agents.record.conduct_rows import Conduct, OrderConduct, OutcomeConduct, PositionConduct
from mahler_agents.text import cents, count, per_share
from mahler_agents.units import CONTRACT_MULTIPLIER
from mahler_agents.verification.exits import breaching
from mahler_agents.verification.finding import Evidence, Judged, Shown

_HALF_A_CENT = 0.005


@dataclass(frozen=True, kw_only=True)
class Overshoot:
    """What one stop cost beyond its threshold, dollars per share; `gap` + `wait` + `slippage` is all of it."""

    threshold: float
    first_mark: float
    """The first at or beyond the threshold."""
    last_mark: float
    """That of the pass whose order filled."""
    debit: float

    @property
    def gap(self) -> float:
        """By how much the first mark was beyond the threshold: no pass could have seen less."""
        return self.first_mark - self.threshold

    @property
    def wait(self) -> float:
        """How the mark moved until the pass whose order filled: 0 if the first one's did."""
        return self.last_mark - self.first_mark

    @property
    def slippage(self) -> float:
        """By how much the fill was beyond its pass's mark: mid to natural side."""
        return self.debit - self.last_mark

    @property
    def text(self) -> str:
        """All of it in words."""
        resent = f", then {per_share(self.last_mark)} (wait {per_share(self.wait)})" if self.wait else ""
        return (
            f"stop {per_share(self.threshold)}, first mark beyond it {per_share(self.first_mark)}"
            f" (gap {per_share(self.gap)}){resent}, bought back at {per_share(self.debit)}"
            f" (slippage {per_share(self.slippage)})"
        )


def overshoot(evidence: Evidence) -> Judged:
    """Judge whether what stops cost beyond their thresholds is explained: gap by the mark, slippage by the fill."""
    conduct = evidence.conduct
    stops = [one for one in conduct.outcomes if _is_stop(one) and one.closed_at >= conduct.begins]
    positions = {one.entry_order_id: one for one in conduct.positions}
    orders = {order.client_order_id: order for order in conduct.orders}
    found = overshoots(conduct)
    wrong: list[Shown] = []
    shown: list[Shown] = []
    sums = {"gap": 0.0, "wait": 0.0, "slippage": 0.0}
    for stop in stops:
        split, order = found.get((stop.entry_order_id, stop.number)), orders.get(stop.exit_order_id or "")
        if why := _unexplained(stop, split, order, positions[stop.entry_order_id]):
            wrong.append(Shown(where=stop.entry_order_id, what=why))
        elif split is not None:
            shown.append(Shown(where=stop.entry_order_id, what=split.text))
            for part in sums:
                sums[part] += getattr(split, part) * CONTRACT_MULTIPLIER * stop.contracts
    return Judged(
        checked=len(stops),
        of="stops",
        text=_text(len(stops), **sums) if stops else "nothing was stopped",
        wrong=tuple(wrong),
        shown=tuple(shown),
        figures={f"{part}_dollars": round(dollars, 2) for part, dollars in sums.items()},
    )


def overshoots(conduct: Conduct) -> dict[tuple[str, int], Overshoot]:
    """Return what each stop cost beyond its threshold, by its position and number; without those that no mark shows."""
    first = {
        position.entry_order_id: breach.decision
        for position, breaches in breaching(conduct, begins="")
        for breach in reversed(breaches)
        if breach.decision.rule is ExitRule.STOP_LOSS
    }
    marks = {(mark.entry_order_id, mark.at): mark.mid_cost for mark in conduct.marks}
    decided = {order.client_order_id: order.decided_at for order in conduct.orders}
    split: dict[tuple[str, int], Overshoot] = {}
    for one in filter(_is_stop, conduct.outcomes):
        breach = first.get(one.entry_order_id)
        own = marks.get((one.entry_order_id, decided.get(one.exit_order_id or "", "")))
        if breach is not None and own is not None:
            split[one.entry_order_id, one.number] = Overshoot(
                threshold=breach.threshold, first_mark=breach.observed, last_mark=own, debit=one.exit_debit
            )
    return split


def _is_stop(outcome: OutcomeConduct) -> bool:
    return outcome.rule == ExitRule.STOP_LOSS.value


def _text(stops: int, *, gap: float, wait: float, slippage: float) -> str:
    waited = f", {cents(wait)} wait for a fill" if wait else ""
    return (
        f"{count(stops, 'stop')} cost {cents(gap + wait + slippage)} beyond the threshold: {cents(gap)} gap, by which"
        f" the first mark was beyond it{waited}, and {cents(slippage)} slippage, by which the fill was beyond the mark"
    )


def _unexplained(
    stop: OutcomeConduct, split: Overshoot | None, order: OrderConduct | None, position: PositionConduct
) -> str | None:
    if split is None:
        return f"stopped at {per_share(stop.exit_debit)}, and no mark before it was beyond the stop"
    if stop.exit_debit > position.width + _HALF_A_CENT:
        return f"bought back at {per_share(stop.exit_debit)}, more than the width of {per_share(position.width)}"
    if order is not None and stop.exit_debit > -order.limit_credit + _HALF_A_CENT:
        return f"bought back at {per_share(stop.exit_debit)}, the order's limit was {per_share(-order.limit_credit)}"
    return None
