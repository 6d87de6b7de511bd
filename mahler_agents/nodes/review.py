"""Nodes of the review graph's trade: one call each into the stages.

Size and execute see the candidate and never a word of the advice (`advisors.py`); only the route to them depends on it.
"""

import asyncio
import sqlite3
from typing import Literal, TypedDict

from mahler_agents.execution import OrderTicket, client_order_id, lowest_credit, wait_for
from mahler_agents.market.snapshot import Exposure
from mahler_agents.nodes.tracing import Update
from mahler_agents.progress import Stage
from mahler_agents.record.durable import insert
from mahler_agents.recording import sizing_row
from mahler_agents.review import Decision, ReviewContext, ReviewState
from mahler_agents.risk import Sizing, size, trade_delta
from mahler_agents.screen import Candidate
from mahler_agents.shadows import shadow_credit
from mahler_agents.types import Reason, Spread, SpreadQuote


class SizeInput(TypedDict):
    """All that sizing gets of the state: no advice, by construction."""

    candidate: Candidate


class ExecuteInput(TypedDict):
    """All that execution gets of the state: no advice, by construction."""

    ticket: OrderTicket


def route_after_advisory(state: ReviewState) -> Literal["size", "record"]:
    """Choose the way after the advisory edge: the only thing that advice can do."""
    advice = state.get("advice")
    return "size" if advice is not None and advice.proceed else "record"


async def size_stage(state: SizeInput, context: ReviewContext) -> Update:
    """Size the candidate on the risk open at its turn; the sizing and the order are committed in one transaction.

    What a process had committed that ended before the scan did stays as it is.
    """
    candidate, config, account = state["candidate"], context.config, context.account
    limit_credit = lowest_credit(candidate.credit, config.min_fill_to_screened_credit)
    order_id = client_order_id(
        account_id=account.account_id, slot=context.slot, spread=candidate.spread, purpose="entry", attempt=1
    )

    def decide(exposures: tuple[Exposure, ...], entries: int) -> tuple[Sizing, OrderTicket | None]:
        sizing = size(
            spread=candidate.spread,
            limit_credit=limit_credit,
            account=account,
            exposures=exposures,
            limits=context.limits,
            trades_left=config.max_trades_per_scan - entries,
            multiplier=context.multiplier,
            delta=trade_delta(candidate.spread, exposures, context.delta_facts, account.equity),
        )
        if held is not None:
            sizing = sizing.forbidden_by(Reason.ALREADY_ORDERED)
        if context.forbidden is not None:
            sizing = sizing.forbidden_by(context.forbidden)
        if sizing.contracts == 0:
            return sizing, None
        return sizing, OrderTicket(
            client_order_id=order_id,
            account_id=account.account_id,
            slot=context.slot,
            candidate_id=context.candidate_id,
            spread=candidate.spread,
            contracts=sizing.contracts,
            limit_credit=limit_credit,
            decided_at=context.decision_at,
            exit_params=context.terms.exits,
        )

    def keep(connection: sqlite3.Connection, sizing: Sizing, barred: Reason | None) -> None:
        insert(connection, "sizings", sizing_row(context.candidate_id, _barred(sizing, barred)))

    await context.turns.wait(context.index)
    held = await asyncio.to_thread(context.ledger.entry, order_id)
    if (sizing := context.sized) is not None:
        ticket = held if held is not None and held.candidate_id == context.candidate_id else None
    else:
        decided, ticket, barred = await asyncio.to_thread(context.ledger.reserve, decide, slot=context.slot, keep=keep)
        sizing = _barred(decided, barred)
    if ticket is not None:
        context.orders.add(ticket)
    context.turns.end(context.index)
    context.tell(Stage.SIZE, sizing)
    return {"sizing": sizing, "ticket": ticket}


def _barred(sizing: Sizing, by: Reason | None) -> Sizing:
    return sizing if by is None else sizing.forbidden_by(by)


def route_after_size(state: ReviewState) -> Literal["execute", "record"]:
    """Execute what was reserved; nothing else reaches the broker."""
    return "execute" if state.get("ticket") is not None else "record"


async def execute_stage(state: ExecuteInput, context: ReviewContext) -> Update:
    """Wait for the end of the reserved order: all of a scan are worked together, after the last turn."""
    execution = await context.orders.execution(state["ticket"])
    context.tell(Stage.EXECUTE, execution)
    return {"execution": execution}


async def record_stage(state: ReviewState, context: ReviewContext) -> Update:
    """Record how the candidate ended, and begin to follow it as a shadow."""
    decision = _decision(state)
    await _follow(state, context)
    verdict = state.get("verdict")
    context.recording.decided(
        context.candidate_id,
        decision=decision.decision,
        reason=decision.reason.value,
        ai_summary=verdict.summary if verdict else None,
        confidence=verdict.confidence if verdict else None,
    )
    return {"decision": decision}


async def _follow(state: ReviewState, context: ReviewContext) -> None:
    """Enter the candidate's shadow at the decision time's quotes: those of its order, or the same instant's."""
    spread, execution = state["candidate"].spread, state.get("execution")
    if execution is None and context.forbidden is not None and context.market.live:
        _not_followed(context, f"{spread.label}: the quotes of the decision time are gone")
        return
    if execution is None or execution.reason is Reason.ABANDONED:
        quote = await _decision_quote(spread, context)
    else:
        quote = execution.quote
    if quote is None:
        _not_followed(context, f"{spread.label}: a leg had no quote at the decision time")
        return
    credit = shadow_credit(quote, width=spread.width, concession=context.config.entry_concession)
    if credit is None:
        _not_followed(context, f"{spread.label}: at the decision time an entry would have been no credit spread")
        return
    await asyncio.to_thread(
        context.shadows.enter,
        context.candidate_id,
        spread,
        entry_credit=credit,
        at=context.decision_at,
        exit_params=context.terms.exits,
    )


def _not_followed(context: ReviewContext, why: str) -> None:
    message = f"{why}; not followed as a shadow"
    context.recording.event("no_shadow", message, candidate_id=context.candidate_id, level="warning")


async def _decision_quote(spread: Spread, context: ReviewContext) -> SpreadQuote | None:
    await wait_for(context.market, context.clock)(context.decision_at)
    quotes = await context.market.quotes([spread.short_symbol, spread.long_symbol], context.decision_at)
    return SpreadQuote.of(quotes, spread)


def _decision(state: ReviewState) -> Decision:
    if (execution := state.get("execution")) is not None:
        return Decision(decision="traded" if execution.traded else "skipped", reason=execution.reason)
    if (sizing := state.get("sizing")) is not None:
        return Decision(decision="skipped", reason=sizing.binding)
    advice = state.get("advice")
    return Decision(decision="skipped", reason=(advice and advice.skip_reason) or Reason.ERROR)
