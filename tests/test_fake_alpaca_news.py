"""The fake Alpaca's news, corporate actions and VIX: the sample market's, in the vendors' shapes."""

import csv
import datetime as dt
import html
from typing import Any

import pytest
import requests
from alpaca.data.enums import CorporateActionsType
from alpaca.data.requests import CorporateActionsRequest, NewsRequest
from fake_alpaca_clients import Clients, ask, get, new_york, pages, sample_at, world_at

from mahler_agents.clock import NEW_YORK
from mahler_agents.market.sample import DEFAULT_AS_OF
from mahler_agents.market.sample.world import SYMBOLS
from mahler_agents.testing.fake_alpaca import FakeAlpaca, MarketDataSettings
from mahler_agents.testing.fake_alpaca.world import at_once

NEWS = "/v1beta1/news"
ACTIONS = "/v1/corporate-actions"
VIX = "/api/global/delayed_quotes/quotes/_VIX.json"
HISTORY = "/api/global/us_indices/daily_prices/{}_History.csv"
AFTERNOON = new_york("2026-03-17T15:59")


@pytest.mark.parametrize("at", [DEFAULT_AS_OF, AFTERNOON])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_news_of_a_week_are_the_sample_s_headlines_newest_first(symbol: str, at: dt.datetime) -> None:
    told = [one for page in pages(world_at(at), NEWS, "news", symbols=symbol, start="2026-03-10") for one in page]
    expected = sample_at(at).underlyings[symbol].headlines
    assert expected is not None
    assert [(dt.datetime.fromisoformat(one["created_at"]), html.unescape(one["headline"])) for one in told] == [
        (headline.at, headline.text) for headline in expected
    ]
    assert all(one["symbols"] == [symbol] and "synthetic" in one["source"] for one in told)


def test_alpaca_py_s_models_read_all_pages_of_news() -> None:
    asked = NewsRequest(
        symbols="SPY,TLT", start=DEFAULT_AS_OF - dt.timedelta(days=90), include_content=True, sort="asc"
    )
    with FakeAlpaca(market_data=MarketDataSettings(page_cap=17)) as fake:
        found = Clients(fake, raw=False).news.get_news(asked).data["news"]
        raw = Clients(fake).news.get_news(asked)["news"]
    assert len(found) == len(raw) > 150
    assert len({one.id for one in found}) == len(found)
    assert [one.created_at for one in found] == sorted(one.created_at for one in found)
    assert {symbol for one in found for symbol in one.symbols} == {"SPY", "TLT"}
    assert all(one.content for one in found)


def test_by_default_news_are_ten_of_today_without_content() -> None:
    page = ask(world_at(AFTERNOON), NEWS).json["news"]
    assert 0 < len(page) <= 10
    assert {one["created_at"][:10] for one in page} == {"2026-03-17"}
    assert {one["content"] for one in page} == {""}


@pytest.mark.parametrize("at", ["2026-03-16T08:05", "2026-03-16T16:14:59", "2026-03-16T16:15", "2026-03-22T12:00"])
def test_no_article_is_later_than_now(at: str) -> None:
    now = new_york(at)
    asked = {"start": "2026-03-10", "end": "2026-04-01T00:00:00Z"}
    told = [one for page in pages(world_at(now), NEWS, "news", **asked) for one in page]
    later = [one for page in pages(world_at(new_york("2026-04-02T10:00")), NEWS, "news", **asked) for one in page]
    assert told == [one for one in later if dt.datetime.fromisoformat(one["created_at"]) <= now]


def dividends(world: Any, **params: Any) -> list[Any]:
    return [
        one for page in pages(world, ACTIONS, "corporate_actions", **params) for one in page.get("cash_dividends", [])
    ]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_dividends_to_come_are_the_sample_s(symbol: str) -> None:
    world = world_at(DEFAULT_AS_OF)
    expected = at_once(world.market.dividends([symbol], DEFAULT_AS_OF))[symbol]
    last = max((dividend.ex_date for dividend in expected), default=dt.date(2026, 9, 1))
    told = dividends(world, symbols=symbol, types="cash_dividend", start="2026-03-17", end=last + dt.timedelta(days=40))
    coming = [(dt.date.fromisoformat(one["ex_date"]), one["rate"]) for one in told if one["ex_date"] > "2026-03-17"]
    assert coming[: len(expected)] == [(dividend.ex_date, dividend.dollars) for dividend in expected]


def test_dividends_are_found_by_the_day_of_their_payment() -> None:
    world = world_at(DEFAULT_AS_OF)
    found = dividends(world, symbols="SPY", start="2026-03-01", end="2026-04-30")
    assert [(one["ex_date"], one["process_date"], one["payable_date"]) for one in found] == [
        ("2026-03-18", "2026-04-01", "2026-04-01")
    ]
    assert dividends(world, symbols="SPY", start="2026-03-18", end="2026-03-31") == []
    assert dividends(world, ids=found[0]["id"]) == found


def test_alpaca_py_s_models_read_all_pages_of_corporate_actions() -> None:
    asked = CorporateActionsRequest(
        symbols=list(SYMBOLS),
        types=[CorporateActionsType.CASH_DIVIDEND, CorporateActionsType.FORWARD_SPLIT],
        start=dt.date(2025, 1, 1),
        end=dt.date(2026, 1, 1),
    )
    with FakeAlpaca(market_data=MarketDataSettings(page_cap=5)) as fake:
        found = Clients(fake, raw=False).actions.get_corporate_actions(asked).data
        none = Clients(fake, raw=False).actions.get_corporate_actions(
            CorporateActionsRequest(types=[CorporateActionsType.SPIN_OFF])
        )
    assert set(found) == {"cash_dividends"}
    paid = [(one.process_date, one.symbol) for one in found["cash_dividends"]]
    assert paid == sorted(set(paid))
    assert {symbol for _, symbol in paid} == {"SPY", "QQQ", "IWM", "TLT"}
    assert none.data == {}


@pytest.mark.parametrize(
    ("path", "params", "words"),
    [
        (NEWS, {"limit": 51}, "invalid limit: 51 is not in 1 to 50"),
        (NEWS, {"symbol": "SPY"}, "unexpected query parameter(s): symbol"),
        (NEWS, {"include_content": "maybe"}, "invalid include_content"),
        (NEWS, {"page_token": "MTIz"}, "invalid page_token"),
        (ACTIONS, {"types": "dividend"}, "invalid types: dividend"),
        (ACTIONS, {"limit": 1001}, "invalid limit"),
        (ACTIONS, {"start": "2026-03-17T00:00:00Z"}, "invalid start"),
        (ACTIONS, {"ids": "x", "symbols": "SPY"}, "ids cannot be used with other filters"),
        (ACTIONS, {"page_token": "MTIz"}, "invalid page_token"),
    ],
)
def test_what_the_vendor_does_not_take_is_refused(path: str, params: Any, words: str) -> None:
    response = ask(world_at(DEFAULT_AS_OF), path, **params)
    assert response.status == 400
    assert words in response.json["message"]


@pytest.mark.parametrize("at", ["2026-03-17T10:00", "2026-03-17T15:41", "2026-11-27T13:05"])
def test_the_vix_is_the_sample_s_of_15_minutes_ago(at: str) -> None:
    with FakeAlpaca(start=new_york(at)) as fake:
        answer = requests.get(fake.url + VIX, timeout=5)  # without keys, as from Cboe
        market, then = fake.world.market, fake.now - dt.timedelta(minutes=15)
    told = answer.json()
    assert told["data"]["symbol"] == "^VIX"
    assert told["data"]["current_price"] == at_once(market.vix(then))
    traded = dt.datetime.fromisoformat(told["data"]["last_trade_time"]).replace(tzinfo=NEW_YORK)
    assert traded == then
    assert told["timestamp"] == f"{then + dt.timedelta(minutes=15):%Y-%m-%d %H:%M:%S}"


def test_in_the_first_15_minutes_and_overnight_the_vix_is_the_last_close() -> None:
    closed = at_once(world_at(DEFAULT_AS_OF).market.vix(new_york("2026-03-16T16:00")))
    for at in ("2026-03-16T16:15", "2026-03-16T23:00", "2026-03-17T09:44"):
        told = ask(world_at(new_york(at)), VIX).json["data"]
        assert (told["current_price"], told["last_trade_time"]) == (closed, "2026-03-16T16:00:00")


@pytest.mark.parametrize("index", ["VIX", "VIX3M"])
def test_the_history_ends_with_the_day_before_and_goes_on_from_the_quote(index: str) -> None:
    with FakeAlpaca(start=new_york("2026-03-17T17:00")) as fake:
        text = get(fake, HISTORY.format(index)).text
        quote = get(fake, VIX.replace("VIX", index)).json()["data"]
    rows = list(csv.DictReader(text.splitlines()))
    assert text.startswith("DATE,OPEN,HIGH,LOW,CLOSE\n01/02/2020,")
    assert rows[-1]["DATE"] == "03/16/2026"
    assert float(rows[-1]["CLOSE"]) == quote["prev_day_close"]
    assert all(float(r["LOW"]) <= min(float(r["OPEN"]), float(r["CLOSE"])) <= float(r["HIGH"]) for r in rows)
    following = list(
        csv.DictReader(ask(world_at(new_york("2026-03-18T08:00")), HISTORY.format(index)).raw.decode().splitlines())
    )
    assert float(following[-1]["CLOSE"]) == quote["close"]
    assert (float(following[-1]["HIGH"]), float(following[-1]["LOW"])) == (quote["high"], quote["low"])


def test_the_three_month_index_is_the_snapshot_s() -> None:
    told = ask(world_at(DEFAULT_AS_OF + dt.timedelta(minutes=15)), VIX.replace("VIX", "VIX3M")).json
    assert told["data"]["current_price"] == sample_at(DEFAULT_AS_OF).vix_3_month


@pytest.mark.parametrize("path", [VIX.replace("VIX", "VVIX"), VIX.replace("_VIX", "VIX"), HISTORY.format("SKEW")])
def test_an_index_that_is_not_there_is_denied_as_by_cboe(path: str) -> None:
    assert ask(world_at(DEFAULT_AS_OF), path).status == 403


@pytest.mark.parametrize("minutes", [16, 47, 120, 233, 390])
def test_the_vix_s_high_and_low_are_of_what_has_been(minutes: int) -> None:
    opened = new_york("2026-03-17T09:30")
    then = opened + dt.timedelta(minutes=minutes)
    world = world_at(then + dt.timedelta(minutes=15))
    told = ask(world, VIX).json["data"]
    seen = [at_once(world.market.vix(opened + dt.timedelta(minutes=5 * n))) for n in range(minutes // 5 + 1)]
    seen.append(at_once(world.market.vix(then)))
    assert (told["open"], told["high"], told["low"]) == (seen[0], max(filter(None, seen)), min(filter(None, seen)))
