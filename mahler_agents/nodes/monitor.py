"""Nodes of the monitor graph: one call each into the stages."""

import asyncio
from typing import Any

from langgraph.runtime import Runtime

from mahler_agents.clock import NEW_YORK
from mahler_agents.execution import OrderUpdate, close_position
from mahler_agents.exits import ExitDecision, Mark, decide
from mahler_agents.monitor import MonitorContext, MonitorState
from mahler_agents.types import SpreadQuote

Update = dict[str, Any]


async def mark(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Mark every open position, whatever its days to expiration; one that cannot be marked is told."""
    context, at = runtime.context, state["at"]
    positions = await asyncio.to_thread(context.ledger.open_positions)
    legs = {symbol for one in positions for symbol in (one.spread.short_symbol, one.spread.long_symbol)}
    quotes = await context.market.quotes(sorted(legs), at) if legs else {}
    marks: dict[str, Mark] = {}
    for position in positions:
        short, long = quotes.get(position.spread.short_symbol), quotes.get(position.spread.long_symbol)
        found = Mark.of(SpreadQuote(short=short, long=long), at) if short and long else None
        context.recording.mark(position, at, found)
        if found is not None:
            marks[position.entry_order_id] = found
    return {"positions": positions, "marks": marks}


async def exits(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Ask the exit rules about every position that has a mark."""
    today = state["at"].astimezone(NEW_YORK).date()
    marks = state.get("marks", {})
    decisions: dict[str, ExitDecision] = {}
    for position in state.get("positions", ()):
        found = marks.get(position.entry_order_id)
        if found is None:
            continue
        dte = (position.spread.expiration - today).days
        decision = decide(entry_credit=position.entry_credit, dte=dte, mark=found, params=runtime.context.params)
        if decision is not None:
            decisions[position.entry_order_id] = decision
    return {"exits": decisions}


async def close(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Send a closing order for every position that a rule says to close."""
    context, decisions = runtime.context, state.get("exits", {})
    orders: dict[str, OrderUpdate] = {}
    for position in state.get("positions", ()):
        decision = decisions.get(position.entry_order_id)
        if decision is None:
            continue
        update = await close_position(
            position,
            rule=decision.rule.value,
            slot=context.slot,
            at=state["at"],
            market=context.market,
            broker=context.broker,
            ledger=context.ledger,
        )
        if update is not None:
            orders[position.entry_order_id] = update
    return {"orders": orders}


async def record(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Record the account as it stands after the pass, and evaluate the circuit breaker on it.

    So a halt begins when its loss does. Without a VIX, whose rules bind only what a scan opens.
    """
    context, at = runtime.context, state["at"]
    account = await context.broker.account(at)
    context.recording.equity(account, at)
    breaker = await asyncio.to_thread(context.breaker.evaluate, equity=account.equity, at=at, vix=None)
    return {"account": account, "breaker": breaker}
