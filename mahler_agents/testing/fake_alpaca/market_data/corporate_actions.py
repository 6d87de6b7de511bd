"""The fake Alpaca's market data, corporate actions: the sample market's cash dividends.

Shape: schema `cash_dividend` of *Market Data API* 1.1, in which the dates of a request are of `process_date`, the day
on which a dividend is paid: one whose ex-date is in the range may be paid after it.
"""

import datetime as dt
from functools import lru_cache
from typing import Any, NamedTuple

from mahler_agents.market import calendar
from mahler_agents.market.sample.world import INDEX, INSTRUMENTS, SYMBOLS, ex_dates
from mahler_agents.testing.fake_alpaca.http import Request, Response, Route
from mahler_agents.testing.fake_alpaca.market_data.chains import has
from mahler_agents.testing.fake_alpaca.market_data.horizon import session_date
from mahler_agents.testing.fake_alpaca.market_data.query import STOCK, Query, token
from mahler_agents.testing.fake_alpaca.stable_id import stable_id
from mahler_agents.testing.fake_alpaca.world import World

MOST_ACTIONS, ACTIONS = 1000, 100
_PAID_AFTER = 10
"""Sessions from the ex-date to the payment."""
_CASH_DIVIDEND = "cash_dividend"
_TYPES = frozenset(
    {
        "reverse_split", "forward_split", "unit_split", _CASH_DIVIDEND, "stock_dividend", "spin_off", "cash_merger",
        "stock_merger", "stock_and_cash_merger", "redemption", "name_change", "worthless_removal",
        "rights_distribution", "partial_call", "reorganization",
    }
)  # fmt: skip


class Paid(NamedTuple):
    """A dividend, in the order of its payment."""

    process_date: dt.date
    symbol: str
    ex_date: dt.date
    rate: float

    @property
    def action_id(self) -> str:
        """Its id."""
        return stable_id("cash dividend", self.symbol, self.ex_date)


def corporate_actions(request: Request, world: World) -> Response:
    """Answer with a page of cash dividends, if the request asks for such."""
    known = ("symbols", "cusips", "types", "region", "start", "end", "ids", "limit", "page_token", "sort")
    query = Query(request, known)
    ids = set(filter(None, (query.text("ids") or "").split(",")))
    if ids and set(request.params) & {"symbols", "types", "start", "end"}:
        query.refuse("ids cannot be used with other filters")
    types = set((query.text("types") or _CASH_DIVIDEND).split(","))
    if unknown := types - _TYPES:
        query.refuse(f"invalid types: {', '.join(sorted(unknown))}")
    found = _found(query, world) if _CASH_DIVIDEND in types else []
    if ids:
        found = [paid for symbol in SYMBOLS for paid in _dividends(symbol) if paid.action_id in ids]
    descending = query.one_of("sort", ("asc", "desc"), "asc") == "desc"
    found.sort(reverse=descending)
    cap = world.settings.market_data.page_cap or MOST_ACTIONS
    limit = min(query.count("limit", default=ACTIONS, most=MOST_ACTIONS), cap)
    begin = _place_after(query, found)
    page = found[begin : begin + limit]
    following = token(page[-1].action_id) if begin + limit < len(found) else None
    told = {"cash_dividends": [_json(paid) for paid in page]} if page else {}
    return Response(json={"corporate_actions": told, "next_page_token": following})


def _found(query: Query, world: World) -> list[Paid]:
    """Return the dividends that the filters let through, by default those that are paid today."""
    today = session_date(world.now)
    start, end = query.date("start") or today, query.date("end") or today
    symbols = query.symbols("symbols", STOCK, needed=False) or SYMBOLS
    region = query.one_of("region", ("us", "non_us", "all"), "us")
    cusips = query.text("cusips")
    return [
        paid
        for symbol in symbols
        if has(world, symbol) and region != "non_us" and (cusips is None or _cusip(symbol) in cusips.split(","))
        for paid in _dividends(symbol)
        if start <= paid.process_date <= end
    ]


@lru_cache(maxsize=len(SYMBOLS))
def _dividends(symbol: str) -> tuple[Paid, ...]:
    index = INDEX[symbol]
    return tuple(Paid(_paid_on(day), symbol, day, INSTRUMENTS[index].dividend) for day in ex_dates(index))


def _paid_on(ex_date: dt.date) -> dt.date:
    return calendar.sessions(ex_date, ex_date + dt.timedelta(days=2 * _PAID_AFTER + 7))[_PAID_AFTER]


def _place_after(query: Query, found: list[Paid]) -> int:
    after = query.page_token()
    if after is None:
        return 0
    place = next((number for number, paid in enumerate(found) if paid.action_id == after), None)
    if place is None:
        query.refuse("invalid page_token")
    return place + 1


def _json(paid: Paid) -> dict[str, Any]:
    return {
        "id": paid.action_id,
        "symbol": paid.symbol,
        "cusip": _cusip(paid.symbol),
        "rate": paid.rate,
        "special": False,
        "foreign": False,
        "process_date": paid.process_date.isoformat(),
        "ex_date": paid.ex_date.isoformat(),
        "record_date": paid.ex_date.isoformat(),
        "payable_date": paid.process_date.isoformat(),
    }


def _cusip(symbol: str) -> str:
    """Return a number that no security has."""
    return f"SYNTH0{symbol}"


ROUTES = (Route(method="GET", path="/v1/corporate-actions", handler=corporate_actions),)
