"""The fake Alpaca's exchange: what time does to its orders and positions: fills, ends of days, expirations."""

import datetime as dt
from collections.abc import Iterable

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.testing.fake_alpaca.chance import chance
from mahler_agents.testing.fake_alpaca.expiry import settle
from mahler_agents.testing.fake_alpaca.matching import fill_cents, leg_cents
from mahler_agents.testing.fake_alpaca.orders import Execution, Order, Status, Step
from mahler_agents.testing.fake_alpaca.valuation import equity_cents
from mahler_agents.testing.fake_alpaca.world import World

LOOKS_EVERY = dt.timedelta(minutes=1)
"""How often open orders meet the market while the clock moves on."""
SETTLES_AFTER = dt.timedelta(hours=2)
"""After the close of their last session expired contracts are settled: at 18:00 New York, but for half-days.

The vendor exercises by 18:00 New York (alpaca.markets/support/what-is-automatic-exercise)."""

SLOW_CANCEL = dt.timedelta(seconds=1)
"""How long a cancel takes that takes its time."""

ARRIVES_AFTER = dt.timedelta(minutes=1)
"""How late a request is carried out that comes late."""

_MOST_WILLING = 0.8
_PART_OF_FILLS = 0.5


def advance(world: World, instant: dt.datetime) -> None:
    """Move the clock on to an instant, and let everything happen on the way, in order."""
    while world.now < instant:
        world.now = min([instant, *_stops(world, instant)])
        _arrive(world)
        look(world)
        today = world.now.astimezone(NEW_YORK).date()
        if calendar.is_session(today):
            close = calendar.session_close(today)
            if world.now == close:
                _end_day(world)
            if world.now == close + SETTLES_AFTER:
                settle(world, today)


def look(world: World) -> None:
    """Let the open orders meet the market, each once an instant: the oldest first."""
    for order in world.books.open_orders:
        if order.cancels_at is not None and world.now >= order.cancels_at:
            order.end(Status.CANCELED, world.now)
        elif order.script or order.looked_at == world.now or not is_open(world.now):
            continue
        else:
            order.looked_at = world.now
            if order.status in {Status.ACCEPTED, Status.PENDING_NEW}:
                order.status = Status.NEW
            _meet_market(world, order)


def step_scripts(world: World, orders: Iterable[Order]) -> None:
    """Carry out the next step of each scripted order among these, as they are about to be looked at."""
    for order in orders:
        if order.is_open and order.script:
            _carry_out(world, order, order.script.pop(0))


def _arrive(world: World) -> None:
    """Carry out the requests that were on the way until now."""
    due = [request for at, request in world.on_the_way if at <= world.now]
    world.on_the_way = [one for one in world.on_the_way if one[0] > world.now]
    for request in due:
        request()


def _stops(world: World, instant: dt.datetime) -> list[dt.datetime]:
    """Return the coming instants at which something may happen, the first of each kind."""
    today = world.now.astimezone(NEW_YORK).date()
    ahead = [calendar.session(day) for day in calendar.sessions(today, today + dt.timedelta(days=10))]
    times = [at for hours in ahead for at in (hours.close, hours.close + SETTLES_AFTER)]
    times += [at for at, _ in world.on_the_way]
    if world.books.open_orders:
        times += [hours.open for hours in ahead]
        if is_open(world.now):
            times.append(_next_look(world.now))
        times += [order.cancels_at for order in world.books.open_orders if order.cancels_at is not None]
    return [at for at in times if world.now < at < instant]


def _next_look(now: dt.datetime) -> dt.datetime:
    return now.replace(second=0, microsecond=0) + LOOKS_EVERY


def is_open(now: dt.datetime) -> bool:
    """Return whether the market trades; at the instant of the close it does for the last time."""
    today = now.astimezone(NEW_YORK).date()
    return calendar.is_session(today) and calendar.session(today).open <= now <= calendar.session_close(today)


def _meet_market(world: World, order: Order) -> None:
    symbols = [leg.symbol for leg in order.legs]
    quotes = world.quotes(symbols)
    net = fill_cents(order, quotes, willing(world, order))
    if net is not None:
        _fill(world, order, _size(world, order), net)


def willing(world: World, order: Order) -> float:
    """Return how far from mid to natural an order must come: the same for all orders of these legs on one day."""
    if world.settings.fill_at is not None:
        return world.settings.fill_at
    day = world.now.astimezone(NEW_YORK).date().isoformat()
    return _MOST_WILLING * chance(world.seed, "willing", day, *sorted(leg.symbol for leg in order.legs))


def _size(world: World, order: Order) -> int:
    """Return how many units fill now: all that is left, or where parts may fill sometimes a part."""
    if not world.settings.partial_fills or order.left == 1:
        return order.left
    names = (order.client_order_id, world.now.isoformat())
    if chance(world.seed, "part", *names) >= _PART_OF_FILLS:
        return order.left
    return 1 + int(chance(world.seed, "size", *names) * (order.left - 1))


def _fill(world: World, order: Order, units: int, net: int) -> None:
    quotes = world.quotes([leg.symbol for leg in order.legs])
    contracts = units * sum(leg.ratio for leg in order.legs if leg.is_option)
    world.books.fill(
        order,
        Execution(
            units=units,
            net_cents=net,
            leg_cents=leg_cents(order.legs, quotes, net),
            commission_cents=round(100 * world.settings.commission) * contracts,
            at=world.now,
        ),
    )


def _carry_out(world: World, order: Order, step: Step) -> None:
    if step is Step.REJECT:
        order.end(Status.REJECTED, world.now)
    elif step is Step.EXPIRE:
        order.end(Status.EXPIRED, world.now)
    else:
        units = order.left if step is Step.FILL else order.left // 2
        if units:
            _fill(world, order, units, _scripted_price(world, order))


def _scripted_price(world: World, order: Order) -> int:
    """Return the price of a scripted fill: the limit, or natural without one."""
    if order.limit_cents is not None:
        return order.limit_cents
    quotes = world.quotes([leg.symbol for leg in order.legs])
    net = fill_cents(order, quotes, 1.0)
    return 0 if net is None else net


def _end_day(world: World) -> None:
    """End the orders that were good for the day (their scripts run out first), and keep the day's equity."""
    for order in world.books.open_orders:
        while order.is_open and order.script:
            step_scripts(world, [order])
        if order.is_open and order.expires_at <= world.now:
            order.end(Status.EXPIRED, world.now)
    world.books.last_equity_cents = equity_cents(world)
