"""The fake Alpaca's market data, pages of bars: bars by symbol in, one page of them as the vendor pages out.

All of the first symbol's bars come before the second's; the limit is of bars, not of bars a symbol.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mahler_agents.testing.fake_alpaca.http import Response
from mahler_agents.testing.fake_alpaca.market_data.bars import Bar
from mahler_agents.testing.fake_alpaca.market_data.horizon import stamp
from mahler_agents.testing.fake_alpaca.market_data.query import Query, token
from mahler_agents.testing.fake_alpaca.world import World

MOST_BARS, BARS = 10_000, 1000


def page_of_bars(query: Query, world: World, bars: Mapping[str, Sequence[Bar]]) -> Response:
    """Answer with the bars after the page token; `bars` are each symbol's in the order of time."""
    cap = world.settings.market_data.page_cap or MOST_BARS
    limit = min(query.count("limit", default=BARS, most=MOST_BARS), cap)
    descending = query.one_of("sort", ("asc", "desc"), "asc") == "desc"
    ordered = [
        (symbol, bar) for symbol in sorted(bars) for bar in (reversed(bars[symbol]) if descending else bars[symbol])
    ]
    begin = _place_after(query, ordered)
    page = ordered[begin : begin + limit]
    shown: dict[str, list[dict[str, Any]]] = {}
    for symbol, bar in page:
        shown.setdefault(symbol, []).append(bar.json())
    following = token(_key(*page[-1])) if begin + limit < len(ordered) else None
    return Response(json={"bars": shown, "next_page_token": following})


def _place_after(query: Query, ordered: Sequence[tuple[str, Bar]]) -> int:
    """Return where the page begins; refuses a token of another question."""
    after = query.page_token()
    if after is None:
        return 0
    place = next((number for number, (symbol, bar) in enumerate(ordered) if _key(symbol, bar) == after), None)
    if place is None:
        query.refuse("invalid page_token")
    return place + 1


def _key(symbol: str, bar: Bar) -> str:
    return f"{symbol}|{stamp(bar.start)}"
