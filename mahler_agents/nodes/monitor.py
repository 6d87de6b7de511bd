"""Nodes of the monitor graph: one call each into the stages."""

import asyncio
from typing import Any

from langgraph.runtime import Runtime

from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import MahlerError
from mahler_agents.execution import OrderUpdate, close_position
from mahler_agents.exits import ExitDecision, ExitRule, Mark, decide
from mahler_agents.market import calendar
from mahler_agents.monitor import MonitorContext, MonitorState
from mahler_agents.shadows import ShadowExit, shadow_exits
from mahler_agents.types import Spread, SpreadQuote

Update = dict[str, Any]


async def mark(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Quote everything that is held or followed, and mark every open position; one that cannot be marked is told."""
    context, at = runtime.context, state["at"]
    positions = await asyncio.to_thread(context.ledger.open_positions, at)
    followed = await asyncio.to_thread(context.shadows.followed, at)
    spreads = [one.spread for one in (*positions, *followed)]
    legs = {symbol for spread in spreads for symbol in (spread.short_symbol, spread.long_symbol)}
    quotes = await context.market.quotes(sorted(legs), at) if legs else {}
    marks: dict[str, Mark] = {}
    for position in positions:
        quote = SpreadQuote.of(quotes, position.spread)
        found = Mark.of(quote, at) if quote is not None else None
        context.recording.mark(position, at, found)
        if found is not None:
            marks[position.entry_order_id] = found
    return {"positions": positions, "followed": followed, "quotes": quotes, "marks": marks}


async def exits(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Ask the exit rules about every position that has a mark."""
    marks = state.get("marks", {})
    decisions: dict[str, ExitDecision] = {}
    for position in state.get("positions", ()):
        found = marks.get(position.entry_order_id)
        if found is None:
            continue
        dte = _dte(position.spread, state)
        decision = decide(entry_credit=position.entry_credit, dte=dte, mark=found, params=runtime.context.params)
        if decision is not None:
            decisions[position.entry_order_id] = decision
    return {"exits": decisions}


async def close(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Send a closing order for every position that a rule says to close."""
    context, decisions = runtime.context, state.get("exits", {})
    orders: dict[str, OrderUpdate] = {}
    failed: dict[str, str] = {}
    for position in state.get("positions", ()):
        decision = decisions.get(position.entry_order_id)
        if decision is None:
            continue
        try:
            update = await close_position(
                position,
                contracts=position.contracts,
                rule=decision.rule.value,
                urgent=decision.rule is not ExitRule.PROFIT_TARGET,
                slot=context.slot,
                at=state["at"],
                market=context.market,
                broker=context.broker,
                ledger=context.ledger,
                wait=context.wait,
            )
        except MahlerError as error:
            # One position that cannot be closed must not keep the others from their stops.
            failed[position.entry_order_id] = f"{position.spread.label}: {error}"
            context.recording.event("exit_failed", failed[position.entry_order_id], level="error")
            continue
        if update is not None:
            orders[position.entry_order_id] = update
    return {"orders": orders, "failed": failed}


async def shadows(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Ask the exit rules about every shadow that has a quote."""
    context, at = runtime.context, state["at"]
    at_close = at >= calendar.session_close(at.astimezone(NEW_YORK).date())
    exits: list[ShadowExit] = []
    for shadow in state.get("followed", ()):
        quote = SpreadQuote.of(state.get("quotes", {}), shadow.spread)
        if quote is not None:
            exits += shadow_exits(
                shadow,
                quote,
                at=at,
                dte=_dte(shadow.spread, state),
                at_close=at_close,
                params=context.params,
                commission=context.commission,
            )
    if exits:
        await asyncio.to_thread(context.shadows.close, exits)
    return {}


def _dte(spread: Spread, state: MonitorState) -> int:
    return (spread.expiration - state["at"].astimezone(NEW_YORK).date()).days


async def record(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Record the account as it stands after the pass, and evaluate the circuit breaker on it.

    So a halt begins when its loss does. Without a VIX, whose rules bind only what a scan opens.
    """
    context, at = runtime.context, state["at"]
    account = await context.broker.account(at)
    context.recording.equity(account, at)
    breaker = await asyncio.to_thread(context.breaker.evaluate, equity=account.equity, at=at, vix=None)
    return {"account": account, "breaker": breaker}
