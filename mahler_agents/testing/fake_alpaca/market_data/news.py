"""The fake Alpaca's market data, news: the sample market's headlines as articles.

Shape: schema `news` of *Market Data API* 1.1. The newest come first unless asked otherwise; text is HTML-escaped, and
an article has content only if the request asks for it.
"""

import datetime as dt
import html
from functools import lru_cache
from typing import Any, NamedTuple

from mahler_agents.market import calendar
from mahler_agents.market.sample.headlines import SessionMove, headlines
from mahler_agents.market.sample.history import close
from mahler_agents.market.sample.paths import simulate_paths
from mahler_agents.market.sample.world import FIRST_DATE, INDEX, LAST_DATE, SYMBOLS
from mahler_agents.testing.fake_alpaca.http import Request, Response, Route
from mahler_agents.testing.fake_alpaca.market_data.chains import has
from mahler_agents.testing.fake_alpaca.market_data.horizon import midnight, session_date, stamp
from mahler_agents.testing.fake_alpaca.market_data.query import STOCK, Query, token
from mahler_agents.testing.fake_alpaca.market_data.timeframe import sessions_between
from mahler_agents.testing.fake_alpaca.world import World

MOST_ARTICLES, ARTICLES = 50, 10


class Article(NamedTuple):
    """A headline, in the order of its time and number."""

    at: dt.datetime
    number: int
    """No two articles have the same."""
    symbol: str
    text: str
    source: str


def news(request: Request, world: World) -> Response:
    """Answer with a page of articles."""
    query = Query(
        request,
        ("symbols", "start", "end", "sort", "limit", "include_content", "exclude_contentless", "page_token"),
    )
    symbols = query.symbols("symbols", STOCK, needed=False) or SYMBOLS
    until = min(query.instant("end") or world.now, world.now)
    start = query.instant("start") or midnight(session_date(until))
    descending = query.one_of("sort", ("asc", "desc"), "desc") == "desc"
    cap = world.settings.market_data.page_cap or MOST_ARTICLES
    limit = min(query.count("limit", default=ARTICLES, most=MOST_ARTICLES), cap)
    with_content = query.flag("include_content")
    query.flag("exclude_contentless")  # no article is
    found = [
        article
        for symbol in symbols
        if has(world, symbol) and start <= until
        for article in _articles(world.seed, symbol, start, until)
    ]
    found.sort(reverse=descending)
    begin = _place_after(query, found)
    page = found[begin : begin + limit]
    following = token(_key(page[-1])) if begin + limit < len(found) else None
    return Response(
        json={"news": [_json(article, with_content=with_content) for article in page], "next_page_token": following}
    )


def _articles(seed: int, symbol: str, start: dt.datetime, until: dt.datetime) -> list[Article]:
    """Return an underlying's articles of the sessions' days from `start` to `until`."""
    dates = sessions_between(start, until, earliest=FIRST_DATE, latest=LAST_DATE)
    found = (article for date in dates for article in _articles_of(seed, symbol, date))
    return [article for article in found if start <= article.at <= until]


@lru_cache(maxsize=4096)
def _articles_of(seed: int, symbol: str, date: dt.date) -> tuple[Article, ...]:
    """Return all articles of a session's day."""
    index, paths = INDEX[symbol], simulate_paths(seed)
    row = paths.rows[date]
    move = SessionMove(
        close=calendar.session_close(date), change=close(paths, index, row) / close(paths, index, row - 1) - 1
    )
    told = headlines(seed, index, midnight(date + dt.timedelta(days=1)), [move])
    return tuple(
        Article(
            at=one.at,
            number=(date.toordinal() * len(SYMBOLS) + index) * 100 + count,
            symbol=symbol,
            text=one.text,
            source=one.source,
        )
        for count, one in enumerate(reversed(told))
        if one.at.date() == date
    )


def _place_after(query: Query, found: list[Article]) -> int:
    after = query.page_token()
    if after is None:
        return 0
    place = next((number for number, article in enumerate(found) if _key(article) == after), None)
    if place is None:
        query.refuse("invalid page_token")
    return place + 1


def _key(article: Article) -> str:
    return f"{int(article.at.timestamp())}000000000|{article.number}"


def _json(article: Article, *, with_content: bool) -> dict[str, Any]:
    text = html.escape(article.text)
    return {
        "id": article.number,
        "headline": text,
        "author": article.source,
        "created_at": stamp(article.at),
        "updated_at": stamp(article.at),
        "summary": "",
        "content": f"<p>{text}.</p>" if with_content else "",
        "url": None,
        "images": [],
        "symbols": [article.symbol],
        "source": article.source,
    }


ROUTES = (Route(method="GET", path="/v1beta1/news", handler=news),)
