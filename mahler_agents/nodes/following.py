"""Nodes of the monitor graph beside the trade: what may happen to a short call, and what became of the shadows."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence

from langgraph.runtime import Runtime

from mahler_agents.errors import MahlerError
from mahler_agents.execution import Position, Settlement, settled, settles_at
from mahler_agents.exits import NoMark, mark_spread
from mahler_agents.exits.assignment import assignment_risk
from mahler_agents.market import calendar
from mahler_agents.market.snapshot import Dividend
from mahler_agents.monitor import Alert, MonitorContext, MonitorState
from mahler_agents.nodes.monitor import Update, alert, new_york_date
from mahler_agents.shadows import Shadow, ShadowExit, shadow_at_expiry, shadow_exits
from mahler_agents.types import Quote, SpreadQuote, SpreadType


async def assignment(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Tell which short calls may be assigned early, and where nobody knows."""
    context, at = runtime.context, state["at"]
    gone = {one.position.entry_order_id for one in state.get("closings", ()) if one.closed >= one.position.contracts}
    calls = [
        one
        for one in state.get("positions", ())
        if one.spread.spread_type is SpreadType.BEAR_CALL
        and one.spread.expiration >= new_york_date(at)
        and one.entry_order_id not in gone
    ]
    if not calls:
        return {}
    try:
        prices = await context.market.prices(sorted({one.spread.underlying for one in calls}), at)
        in_the_money = [one for one in calls if prices.get(one.spread.underlying, 0.0) > one.spread.short_strike]
        underlyings = sorted({one.spread.underlying for one in in_the_money})
        dividends = await context.market.dividends(underlyings, at) if underlyings else {}
    except MahlerError as error:
        message = f"early assignment was not looked for: {error}"
        context.recording.event("assignment_failed", message, level="error")
        return {"failed": (message,)}
    alerts = [_price_unknown(one) for one in calls if one.spread.underlying not in prices]
    for position in in_the_money:
        spot, quotes = prices[position.spread.underlying], state.get("quotes", {})
        alerts += _risk_of(position, spot, quotes, dividends, new_york_date(at))
    by_id = {position.entry_order_id: position for position in calls}
    for one in alerts:
        context.recording.alert_once(one.code, by_id[one.entry_order_id], _ONCE[one.code], at)
    return {"alerts": tuple(alerts)}


_ONCE = {
    "assignment_risk": "short call in the money before an ex-date: it may be assigned early",
    "ex_dates_unknown": "short call in the money, and the ex-dates of its underlying are not known",
    "price_unknown": "the price of its underlying is not known: early assignment is not looked for",
}
"""What the record says of an alert, once a position; its figures change with every pass, and are in the result."""


def _price_unknown(position: Position) -> Alert:
    return alert(position, "price_unknown", _ONCE["price_unknown"])


def _risk_of(
    position: Position,
    spot: float,
    quotes: Mapping[str, Quote],
    dividends: Mapping[str, Sequence[Dividend]],
    today: dt.date,
) -> list[Alert]:
    spread = position.spread
    coming = dividends.get(spread.underlying)
    if coming is None:
        return [alert(position, "ex_dates_unknown", _ONCE["ex_dates_unknown"])]
    risk = assignment_risk(spread, spot=spot, short=quotes.get(spread.short_symbol), dividends=coming, today=today)
    return [] if risk is None else [alert(position, "assignment_risk", risk.text)]


async def shadows(state: MonitorState, runtime: Runtime[MonitorContext]) -> Update:
    """Ask the exit rules about every shadow that has a mark, and settle those that have expired.

    A market that fails here costs no more than this pass's look at them.
    """
    try:
        exits = await _exits(state, runtime.context)
    except MahlerError as error:
        message = f"the shadows were not followed: {error}"
        runtime.context.recording.event("shadows_failed", message, level="error")
        return {"failed": (message,)}
    if exits:
        await asyncio.to_thread(runtime.context.shadows.close, exits)
    return {}


async def _exits(state: MonitorState, context: MonitorContext) -> list[ShadowExit]:
    at, today = state["at"], new_york_date(state["at"])
    at_close = at >= calendar.session_close(today)
    exits: list[ShadowExit] = []
    for shadow in state.get("followed", ()):
        settlement = await _settlement(shadow, at, context)
        if settlement is not None:
            exits += shadow_at_expiry(shadow, settlement, commission=context.commission)
            continue
        quotes = state.get("quotes", {})
        marked = mark_spread(shadow.spread, quotes, at, max_age_seconds=context.max_mark_age_seconds)
        quote = SpreadQuote.of(quotes, shadow.spread)
        if quote is None or isinstance(marked, NoMark):
            continue
        dte = (shadow.spread.expiration - today).days
        exits += shadow_exits(shadow, quote, at=at, dte=dte, at_close=at_close, commission=context.commission)
    return exits


async def _settlement(shadow: Shadow, at: dt.datetime, context: MonitorContext) -> Settlement | None:
    """Return how a shadow was settled, at the close at which positions are; None before it, or if that is not known."""
    symbols = (shadow.spread.short_symbol, shadow.spread.long_symbol)
    close = settles_at(symbols[0], by=at)
    if close is None:
        return None
    underlying = shadow.spread.underlying
    price = (await context.market.prices([underlying], close)).get(underlying)
    return None if price is None else Settlement.of(shadow.spread, {one: settled(one, close, price) for one in symbols})
