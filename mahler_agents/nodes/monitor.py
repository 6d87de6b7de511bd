"""Nodes of the monitor graph: one call each into the stages.

Each of them goes on where a position fails: what keeps one from being looked after is told, recorded, and must not keep
the others from their stops.
"""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import MahlerError
from mahler_agents.execution import (
    Close,
    PaperBroker,
    Position,
    Settlement,
    broken_positions,
    close_positions,
    settles_at,
)
from mahler_agents.exits import Mark, NoMark, decide, mark_spread
from mahler_agents.market.possible import possible_level
from mahler_agents.market.snapshot import Account
from mahler_agents.monitor import Alert, Closing, Due, MonitorContext, MonitorState, Settled
from mahler_agents.risk import BreakerDecision

Update = dict[str, Any]


async def mark(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Quote everything that is held or followed, and mark every open position; one that cannot be marked is told.

    A position past its expiration has no quotes any more: it is for the settlement to end.
    """
    context, at = runtime.context, state["at"]
    opened = await asyncio.to_thread(context.ledger.open_positions, at)
    followed = await asyncio.to_thread(context.shadows.followed, at)
    live = [one for one in (*opened, *followed) if one.spread.expiration >= new_york_date(at)]
    legs = {symbol for one in live for symbol in (one.spread.short_symbol, one.spread.long_symbol)}
    quotes = await context.market.quotes(sorted(legs), at) if legs else {}
    marks: dict[str, Mark] = {}
    alerts: list[Alert] = []
    for position in (one for one in opened if one in live):
        found = mark_spread(position.spread, quotes, at, max_age_seconds=context.max_mark_age_seconds)
        context.recording.mark(position, at, found)
        if isinstance(found, NoMark):
            alerts.append(alert(position, "no_mark", f"{found.reason}; nothing is closed by a rule"))
        else:
            marks[position.entry_order_id] = found
    return {
        "opened": opened,
        "positions": opened,
        "followed": followed,
        "quotes": quotes,
        "marks": marks,
        "alerts": tuple(alerts),
    }


async def settle(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Book what expiration closed; a position past it that the broker cannot settle is told in every pass."""
    context, at = runtime.context, state["at"]
    positions = state.get("positions", ())
    due = [one for one in positions if settles_at(one.spread.short_symbol, by=at) is not None]
    if not due:
        return {}
    settled: list[Settled] = []
    alerts: list[Alert] = []
    failed: list[str] = []
    for position in due:
        try:
            settlement = await _settle(position, at, context)
        except MahlerError as error:
            failed.append(_told(context, "settlement_failed", position, error))
            continue
        if settlement is not None:
            context.recording.settled(position, settlement)
            settled.append(Settled(position=position, settlement=settlement))
        elif (expired := settles_at(position.spread.short_symbol, by=at)) and new_york_date(expired) < new_york_date(
            at
        ):
            alerts.append(
                alert(position, "unsettled", _unsettled(position, new_york_date(expired), context.broker.name))
            )
            context.recording.alert("unsettled", position, alerts[-1].text, at)
    ended = {one.position.entry_order_id for one in settled}
    return {
        "positions": tuple(one for one in positions if one.entry_order_id not in ended),
        "settled": tuple(settled),
        "alerts": tuple(alerts),
        "failed": tuple(failed),
    }


async def _settle(position: Position, at: dt.datetime, context: MonitorContext) -> Settlement | None:
    spread = position.spread
    legs = await context.broker.settlements([spread.short_symbol, spread.long_symbol], at=at)
    settlement = Settlement.of(spread, legs)
    if settlement is not None:
        await asyncio.to_thread(context.ledger.book_settlement, position, settlement)
    return settlement


def _unsettled(position: Position, expired: dt.date, broker: str) -> str:
    """Return what is to be done about a position that has expired and is not settled."""
    todo = "look at the account"
    if broker == PaperBroker.name:
        underlying = position.spread.underlying
        todo = (
            f"the market has no closing price of {underlying} on {expired}, and none is assumed;"
            " add that day to its file, and the next pass settles it"
        )
    return f"expired on {expired} and not settled: {todo}"


async def breaker(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Evaluate the circuit breaker before anything is closed, and say what may stay of each position.

    So a halt begins when its loss does, on the equity of these marks. If it cannot be evaluated the exits go on.
    """
    context, at = runtime.context, state["at"]
    await context.recording.flush()  # the losses of the positions are read from the record
    update: Update = {}
    try:
        account = await context.broker.account(at)
        update = {"account": account, "breaker": await _evaluated(account, at, context)}
    except MahlerError as error:
        message = f"the circuit breaker was not evaluated before the exits: {error}"
        context.recording.event("breaker_failed", message, level="error")
        update = {"failed": (message,)}
    standing = await asyncio.to_thread(context.breaker.standing)
    for reduction in standing.values():
        if reduction.at == at:
            context.recording.reduction(reduction)
    return {**update, "standing": standing}


async def _evaluated(account: Account, at: dt.datetime, context: MonitorContext) -> BreakerDecision:
    try:
        vix = possible_level(await context.market.vix(at))
    except MahlerError as error:
        context.recording.event("vix_not_evaluated", f"no VIX: {error}", level="warning")
        vix = None
    return await asyncio.to_thread(context.breaker.evaluate, equity=account.equity, at=at, vix=vix)


async def exits(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Ask the exit rules about every position that has a mark; where none closes it, the breaker may ask for a part.

    Of one whose legs are not at the broker nothing is due, and the user is told: to close what is not there would open
    what nobody asked for.
    """
    context, positions = runtime.context, state.get("positions", ())
    broken = broken_positions(positions, context.missing_legs)
    dues: dict[str, Due] = {}
    alerts: list[Alert] = []
    for position in positions:
        found = state.get("marks", {}).get(position.entry_order_id)
        due = None if found is None else _due(position, found, state)
        if legs := broken.get(position.entry_order_id):
            text = _broken(position, legs)
            context.recording.alert_once("broken_leg", position, text, state["at"])
            told = "" if due is None else f" ({due.rule} asks to close {due.contracts:,} now)"
            alerts.append(alert(position, "broken_leg", text + told))
        elif due is not None:
            dues[position.entry_order_id] = due
    return {"dues": dues, "alerts": tuple(alerts)}


def _broken(position: Position, legs: Sequence[str]) -> str:
    return (
        f"the broker does not hold {' and '.join(legs)} as the ledger does: no closing order is sent for"
        f" {position.entry_order_id} until it does; put it right at the broker (closed there by hand?"
        " `mahler reconcile --closed` books it)"
    )


def _due(position: Position, found: Mark, state: MonitorState) -> Due | None:
    reduction = state.get("standing", {}).get(position.entry_order_id)
    decision = decide(
        entry_credit=position.entry_credit,
        dte=(position.spread.expiration - new_york_date(state["at"])).days,
        mark=found,
        params=position.exit_params,
    )
    if decision is not None:
        rule, contracts = decision.rule.value, position.contracts
    elif reduction is not None:
        rule, contracts = reduction.code, position.contracts - reduction.keep
    else:
        return None
    return Due(rule=rule, contracts=contracts, mark=found, decision=decision, reduction=reduction)


async def close(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Send a closing order for everything that is due; only a target that nothing else presses may wait for a price.

    All are at the broker before any of them waits; what is urgent comes first.
    """
    context, dues = runtime.context, state.get("dues", {})
    asked = [(one, dues[one.entry_order_id]) for one in state.get("positions", ()) if one.entry_order_id in dues]
    asked.sort(key=lambda one: not one[1].urgent)
    closes = [
        Close(position=position, contracts=due.contracts, rule=due.rule, urgent=due.urgent) for position, due in asked
    ]
    orders = await close_positions(closes, context.trading, slot=context.slot, at=state["at"])
    closings: list[Closing] = []
    failed: list[str] = []
    for (position, due), order in zip(asked, orders, strict=True):
        if isinstance(order, MahlerError):
            failed.append(_told(context, "exit_failed", position, order))
            order = None  # noqa: PLW2901 - nothing came of it
        closings.append(Closing(position=position, due=due, order=order))
    return {"closings": tuple(closings), "failed": tuple(failed)}


async def record(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Record the account as it stands after the pass; a breaker that could not be evaluated before it is now.

    It is marked at the pass's quotes, and stands in the record at the last of the pass's fills, which it holds.
    """
    context, at = runtime.context, state["at"]
    account = state.get("account")
    if account is None or any(closing.order is not None for closing in state.get("closings", ())):
        account = await context.broker.account(at)
    fills = [one.order.traded for one in state.get("closings", ()) if one.order is not None]
    context.recording.equity(account, max([at, *(traded.at for traded in fills if traded is not None)]))
    evaluated = state.get("breaker")
    return {"account": account, "breaker": evaluated or await _evaluated(account, at, context)}


def alert(position: Position, code: str, text: str) -> Alert:
    """Return an alert about a position."""
    return Alert(code=code, entry_order_id=position.entry_order_id, spread=position.spread.label, text=text)


def new_york_date(at: dt.datetime) -> dt.date:
    """Return the exchange's date at an instant."""
    return at.astimezone(NEW_YORK).date()


def _told(context: MonitorContext, code: str, position: Position, error: MahlerError) -> str:
    message = f"{position.spread.label}: {error}"
    context.recording.event(code, message, level="error")
    return message
