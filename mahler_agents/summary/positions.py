"""Summary: what an account did in, the trades of its day and the risk that it held at the end out; pure."""

import datetime as dt
from collections.abc import Mapping, Sequence

from mahler_agents.exits import ExitParams
from mahler_agents.record.accounts import LastMark
from mahler_agents.record.conduct_rows import Conduct, PositionConduct
from mahler_agents.record.trace_rows import RunRow
from mahler_agents.summary.day import ExitMade, Heat, HeldPosition, OpenedTrade
from mahler_agents.units import CONTRACT_MULTIPLIER


def opened_trades(conduct: Conduct) -> tuple[OpenedTrade, ...]:
    """Return the positions that were opened in the span, oldest first."""
    return tuple(_opened(one, conduct) for one in conduct.positions if one.opened_at >= conduct.begins)


def _opened(position: PositionConduct, conduct: Conduct) -> OpenedTrade:
    candidate_of = {order.client_order_id: order.candidate_id for order in conduct.orders}
    candidates = {one.id: one for one in conduct.candidates}
    candidate = candidates.get(candidate_of.get(position.entry_order_id) or "")
    advice = candidate and candidate.advice
    return OpenedTrade(
        entry_order_id=position.entry_order_id,
        label=position.label,
        underlying=position.underlying,
        run_id=candidate and candidate.run_id,
        opened_at=position.opened_at,
        contracts=position.contracts,
        credit=position.entry_credit,
        received_dollars=round(position.entry_credit * CONTRACT_MULTIPLIER * position.contracts, 2),
        fees=position.fees,
        risk_dollars=round(position.max_loss_dollars * position.contracts, 2),
        advice_level=advice and advice.level,
        confidence=candidate and candidate.confidence,
        would_veto=advice and advice.would_veto,
    )


def exits_made(conduct: Conduct) -> tuple[ExitMade, ...]:
    """Return what was closed in the span, oldest first."""
    by_id = {position.entry_order_id: position for position in conduct.positions}
    return tuple(
        ExitMade(
            entry_order_id=one.entry_order_id,
            label=by_id[one.entry_order_id].label,
            rule=one.rule,
            contracts=one.contracts,
            of_contracts=by_id[one.entry_order_id].contracts,
            entry_credit=by_id[one.entry_order_id].entry_credit,
            debit=one.exit_debit,
            closed_at=one.closed_at,
            pnl_dollars=one.pnl_dollars,
        )
        for one in conduct.outcomes
        if one.closed_at >= conduct.begins
    )


def held_positions(conduct: Conduct, marks: Mapping[str, LastMark], date: dt.date) -> tuple[HeldPosition, ...]:
    """Return what was open when the span ended, oldest first."""
    closed: dict[str, int] = {}
    for one in conduct.outcomes:
        closed[one.entry_order_id] = closed.get(one.entry_order_id, 0) + one.contracts
    left = ((position, position.contracts - closed.get(position.entry_order_id, 0)) for position in conduct.positions)
    return tuple(_held(position, open_, marks.get(position.entry_order_id), date) for position, open_ in left if open_)


def _held(position: PositionConduct, contracts: int, mark: LastMark | None, date: dt.date) -> HeldPosition:
    params = None if position.exit_params is None else ExitParams.model_validate(position.exit_params)
    expiration = dt.date.fromisoformat(position.expiration)
    fees = position.fees * contracts / position.contracts
    gain = None if mark is None else (position.entry_credit - mark.mid_cost) * CONTRACT_MULTIPLIER * contracts - fees
    return HeldPosition(
        entry_order_id=position.entry_order_id,
        label=position.label,
        contracts=contracts,
        entry_credit=position.entry_credit,
        dte=(expiration - date).days,
        risk_dollars=round(position.max_loss_dollars * contracts, 2),
        target_cost=None if params is None else round(params.target_cost(position.entry_credit), 6),
        stop_cost=None if params is None else round(params.stop_cost(position.entry_credit), 6),
        time_exit_from=None if params is None else str(expiration - dt.timedelta(days=params.time_exit_dte)),
        mid_cost=None if mark is None else mark.mid_cost,
        marked_at=None if mark is None else mark.at,
        pnl_dollars=None if gain is None else round(gain, 2),
    )


def heat(conduct: Conduct, held: Sequence[HeldPosition], equity: float | None, last_scan: RunRow | None) -> Heat | None:
    """Return the risk of what was held and of entries whose end is not known; None if the day has no equity."""
    if equity is None:
        return None
    pending = sum(
        (abs(one.short_strike - one.long_strike) - one.limit_credit)
        * CONTRACT_MULTIPLIER
        * (one.contracts - one.filled)
        for one in conduct.orders
        if one.purpose == "entry" and one.pending
    )
    in_all = sum(one.risk_dollars for one in held)
    limits = {} if last_scan is None else last_scan.config.get("limits", {})
    return Heat(
        held_dollars=round(in_all, 2),
        pending_dollars=round(pending, 2),
        share=(in_all + pending) / equity if equity > 0 else None,
        limit_share=limits.get("max_portfolio_heat_pct"),
    )
