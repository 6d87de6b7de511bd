"""The fake Alpaca's bars, and its quotes and snapshots of stocks: the sample's prices, never later than now."""

import datetime as dt
from typing import Any

import numpy as np
import pytest
from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.requests import (
    OptionBarsRequest,
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from conftest import at_scale
from fake_alpaca_clients import Clients, ask, new_york, pages, sample_at, world_at
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.market.sample import DEFAULT_AS_OF
from mahler_agents.market.sample.moment import open_moment
from mahler_agents.market.sample.world import INDEX, SYMBOLS
from mahler_agents.testing.fake_alpaca import FakeAlpaca, MarketDataSettings

STOCKS = "/v2/stocks/bars"
OPTIONS = "/v1beta1/options/bars"
PUT, CALL = "SPY260417P00560000", "SPY260417C00620000"


def bars_of(world: Any, path: str, symbols: str, **params: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for page in pages(world, path, "bars", symbols=symbols, **{"timeframe": "1Day", **params}):
        for symbol, bars in page.items():
            found.setdefault(symbol, []).extend(bars)
    return found


def date_of(bar: Any) -> dt.date:
    at = dt.datetime.fromisoformat(bar["t"]).astimezone(NEW_YORK)
    assert at.time() == dt.time()
    return at.date()


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_daily_bars_before_today_are_the_sample_s_and_today_s_is_what_has_traded(symbol: str) -> None:
    expected = sample_at(DEFAULT_AS_OF).underlyings[symbol].bars
    *whole, today = bars_of(world_at(DEFAULT_AS_OF), STOCKS, symbol, start=str(expected.date[0]))[symbol]
    assert [date_of(bar) for bar in whole] == expected.date.tolist()
    for field, column in zip("ohlcv", ("open", "high", "low", "close", "volume"), strict=True):
        assert [bar[field] for bar in whole] == getattr(expected, column).tolist()
    assert date_of(today) == dt.date(2026, 3, 17)
    assert today["c"] == sample_at(DEFAULT_AS_OF).underlyings[symbol].chain.spot
    assert today["v"] < 0.2 * np.median(expected.volume)


def test_pages_ascend_so_that_a_limit_gives_the_oldest_bars() -> None:
    world = world_at(DEFAULT_AS_OF)
    first = ask(world, STOCKS, symbols="SPY", timeframe="1Day", start="2025-01-02", limit=5).json
    newest = ask(world, STOCKS, symbols="SPY", timeframe="1Day", start="2025-01-02", limit=5, sort="desc").json
    assert date_of(first["bars"]["SPY"][0]) == dt.date(2025, 1, 2)
    assert [date_of(bar) for bar in newest["bars"]["SPY"]][:2] == [dt.date(2026, 3, 17), dt.date(2026, 3, 16)]
    assert first["next_page_token"]


def test_alpaca_py_follows_the_pages_of_several_symbols_to_the_end() -> None:
    asked = StockBarsRequest(
        symbol_or_symbols=list(SYMBOLS),
        timeframe=TimeFrame.Day,
        start=dt.datetime(2025, 9, 1),  # noqa: DTZ001 - alpaca-py takes it for UTC
        feed=DataFeed.IEX,
        adjustment=Adjustment.RAW,
        sort=Sort.ASC,
    )
    with FakeAlpaca(market_data=MarketDataSettings(page_cap=71)) as fake:
        found = Clients(fake, raw=False).stocks.get_stock_bars(asked).data
    sessions = calendar.sessions(dt.date(2025, 9, 2), dt.date(2026, 3, 17))
    assert {symbol: len(bars) for symbol, bars in found.items()} == dict.fromkeys(SYMBOLS, len(sessions))
    assert found["TLT"][-2].close == sample_at(DEFAULT_AS_OF).underlyings["TLT"].bars.close[-1]


@settings(max_examples=at_scale(400))
@given(limit=st.integers(1, 60), descending=st.booleans())
def test_any_page_size_gives_every_bar_once(limit: int, *, descending: bool) -> None:
    world, asked = world_at(DEFAULT_AS_OF), {"start": "2026-02-20", "sort": "desc" if descending else "asc"}
    whole = bars_of(world, STOCKS, "GLD,SPY,TLT", **asked)
    assert bars_of(world, STOCKS, "GLD,SPY,TLT", limit=limit, **asked) == whole
    assert {symbol: len(bars) for symbol, bars in whole.items()} == dict.fromkeys(("GLD", "SPY", "TLT"), 18)


def test_adjusted_bars_lose_what_dividends_were_of_the_close_before() -> None:
    world = world_at(new_york("2026-03-19T12:00"))  # SPY went ex on March 18
    raw, adjusted = (bars_of(world, STOCKS, "SPY,GLD", start="2026-03-10", adjustment=how) for how in ("raw", "all"))
    assert raw["GLD"] == adjusted["GLD"]
    ratios = {date_of(a): b["c"] / a["c"] for a, b in zip(raw["SPY"], adjusted["SPY"], strict=True)}
    before = next(bar["c"] for bar in raw["SPY"] if date_of(bar) == dt.date(2026, 3, 17))
    assert ratios[dt.date(2026, 3, 18)] == ratios[dt.date(2026, 3, 19)] == 1
    assert ratios[dt.date(2026, 3, 17)] == pytest.approx(1 - 1.70 / before, abs=1e-6)
    assert ratios[dt.date(2026, 3, 10)] == pytest.approx(1 - 1.70 / before, abs=1e-6)


@pytest.mark.parametrize("timeframe", ["1Min", "5T", "59Min", "1Hour", "4H", "1Day", "1Week", "1Month", "3M"])
def test_bars_of_any_length_add_up_to_the_same_session(timeframe: str) -> None:
    world = world_at(new_york("2026-03-31T16:30"))
    asked = {"start": "2026-03-01T00:00:00-05:00"} if timeframe != "3M" else {"start": "2026-01-01"}
    bars = bars_of(world, STOCKS, "SPY", timeframe=timeframe, limit=10_000, **asked)["SPY"]
    days = bars_of(world, STOCKS, "SPY", **asked)["SPY"]
    if timeframe == "1Week":  # the first full one begins on Monday
        days = [bar for bar in days if date_of(bar) >= dt.date(2026, 3, 2)]
    assert bars[0]["o"] == days[0]["o"]
    assert bars[-1]["c"] == days[-1]["c"]
    assert (max(b["h"] for b in bars), min(b["l"] for b in bars)) == (
        max(b["h"] for b in days),
        min(b["l"] for b in days),
    )
    assert sum(b["v"] for b in bars) == sum(b["v"] for b in days)


minutes = st.integers(0, 60 * 24 * 9).map(lambda count: new_york("2026-03-11T06:00") + dt.timedelta(minutes=count))


@settings(max_examples=at_scale(600))
@given(now=minutes, timeframe=st.sampled_from(["1Min", "30Min", "1Hour", "1Day"]))
def test_what_was_told_of_the_past_never_changes_and_nothing_is_told_of_the_future(
    now: dt.datetime, timeframe: str
) -> None:
    asked = {"start": "2026-03-10", "timeframe": timeframe, "limit": 10_000, "end": "2026-04-01T00:00:00Z"}
    early = bars_of(world_at(now), STOCKS, "QQQ", **asked)["QQQ"]
    late = bars_of(world_at(new_york("2026-03-25T10:00")), STOCKS, "QQQ", **asked)["QQQ"]
    assert early[:-1] == late[: len(early) - 1]  # the last may be running
    assert all(dt.datetime.fromisoformat(bar["t"]) <= now for bar in early)
    at = min(now, last_close(now)) if now >= last_close(now) else now
    assert early[-1]["c"] == float(open_moment(22, at).state.spot[INDEX["QQQ"]])


def last_close(now: dt.datetime) -> dt.datetime:
    """Return the instant itself while the exchange is open, else the last close."""
    date = now.astimezone(NEW_YORK).date()
    if calendar.is_session(date) and now > calendar.session(date).open:
        return min(now, calendar.session_close(date))
    return calendar.session_close(calendar.previous_session(date))


def test_half_days_end_at_their_early_close() -> None:
    world = world_at(new_york("2026-11-27T18:00"))
    day = {"start": "2026-11-27"}
    hours = bars_of(world, STOCKS, "SPY", timeframe="1Hour", **day)["SPY"]
    starts = [f"{dt.datetime.fromisoformat(bar['t']).astimezone(NEW_YORK):%H:%M}" for bar in hours]
    assert starts == ["09:00", "10:00", "11:00", "12:00"]  # by the clock, though the session opens at 09:30
    assert hours[-1]["c"] == bars_of(world, STOCKS, "SPY", **day)["SPY"][-1]["c"]


def test_stock_quotes_trades_and_snapshots_are_the_sample_s_price_now() -> None:
    with FakeAlpaca() as fake:
        stocks = Clients(fake, raw=False).stocks
        quotes = stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=[*SYMBOLS, "XYZ"]))
        trades = stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=list(SYMBOLS)))
        shown = stocks.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=list(SYMBOLS), feed=DataFeed.IEX))
    for symbol, held in sample_at(DEFAULT_AS_OF).underlyings.items():
        spot = held.chain.spot
        assert (quotes[symbol].bid_price + quotes[symbol].ask_price) / 2 == pytest.approx(spot, abs=1e-9)
        assert trades[symbol].price == shown[symbol].latest_trade.price == shown[symbol].daily_bar.close == spot
        assert quotes[symbol].timestamp == trades[symbol].timestamp == DEFAULT_AS_OF
        assert shown[symbol].previous_daily_bar.close == held.bars.close[-1]
        assert shown[symbol].minute_bar.close == spot
    assert set(quotes) == set(SYMBOLS)


def test_the_delayed_feed_is_15_minutes_late() -> None:
    late = ask(world_at(DEFAULT_AS_OF), "/v2/stocks/trades/latest", symbols="SPY", feed="delayed_sip").json
    at = DEFAULT_AS_OF - dt.timedelta(minutes=15)
    assert dt.datetime.fromisoformat(late["trades"]["SPY"]["t"]) == at
    assert late["trades"]["SPY"]["p"] == float(open_moment(22, at).state.spot[INDEX["SPY"]])


def test_the_last_15_minutes_of_the_sip_need_the_subscription() -> None:
    now = new_york("2026-03-17T12:00")
    asked = {"symbols": "SPY", "timeframe": "1Min", "start": "2026-03-17T15:30:00Z", "end": now.isoformat()}
    free, paid = world_at(now, MarketDataSettings()), world_at(now)
    refused = ask(free, STOCKS, **asked)
    assert (refused.status, refused.json) == (403, {"message": "subscription does not permit querying recent SIP data"})
    assert ask(free, "/v2/stocks/quotes/latest", symbols="SPY", feed="sip").status == 403
    assert ask(free, STOCKS, **asked, feed="iex").json == ask(paid, STOCKS, **asked).json
    without_end = {name: value for name, value in asked.items() if name != "end"}
    newest = ask(free, STOCKS, **without_end).json["bars"]["SPY"][-1]["t"]
    assert dt.datetime.fromisoformat(newest) == now - dt.timedelta(minutes=16)


def test_option_bars_need_a_signed_agreement_for_the_last_15_minutes_only() -> None:
    asked: dict[str, Any] = {
        "symbol_or_symbols": [PUT, CALL],
        "timeframe": TimeFrame.Day,
        "start": DEFAULT_AS_OF - dt.timedelta(days=30),
    }
    with FakeAlpaca() as fake:
        client = Clients(fake, raw=False).options
        with pytest.raises(APIError, match="OPRA agreement is not signed"):
            client.get_option_bars(OptionBarsRequest(**asked, end=DEFAULT_AS_OF))
        found = client.get_option_bars(OptionBarsRequest(**asked)).data
        assert set(found) == {PUT, CALL}
        assert (
            found
            == client.get_option_bars(OptionBarsRequest(**asked, end=DEFAULT_AS_OF - dt.timedelta(minutes=15))).data
        )


def test_option_bars_close_in_the_middle_of_the_sample_s_quotes_with_its_volume() -> None:
    world = world_at(DEFAULT_AS_OF)
    bars = bars_of(world, OPTIONS, f"{PUT},{CALL}", start="2026-02-20", end="2026-03-16T23:00:00Z")
    chain = sample_at(DEFAULT_AS_OF).underlyings["SPY"].chain
    for symbol, told in bars.items():
        assert len(told) == 17
        for bar in told:
            close = calendar.session_close(date_of(bar))
            quote = world_at(close).quotes([symbol])[symbol]
            assert bar["c"] == pytest.approx(max(0.01, (quote.bid + quote.ask) / 2), abs=0.005001)
        row = chain.symbol.tolist().index(symbol)
        assert told[-1]["v"] <= chain.volume[row]


def test_an_expired_contract_keeps_its_bars() -> None:
    world = world_at(DEFAULT_AS_OF)
    bars = bars_of(world, OPTIONS, "SPY260213P00590000", start="2026-01-02")["SPY260213P00590000"]
    assert date_of(bars[-1]) <= dt.date(2026, 2, 13)
    assert len(bars) > 10
    hours = OptionBarsRequest(
        symbol_or_symbols="SPY260213P00590000",
        timeframe=TimeFrame(2, TimeFrameUnit.Hour),
        start=new_york("2026-02-05T00:00"),
        end=new_york("2026-02-06T00:00"),
    )
    with FakeAlpaca() as fake:
        told = Clients(fake).options.get_option_bars(hours)["SPY260213P00590000"]
    day = next(bar for bar in bars if date_of(bar) == dt.date(2026, 2, 5))
    assert sum(bar["v"] for bar in told) == day["v"]
    assert (told[0]["o"], told[-1]["c"]) == (day["o"], day["c"])


@pytest.mark.parametrize(
    ("path", "params", "words"),
    [
        (STOCKS, {"symbols": "SPY"}, "timeframe is required"),
        (STOCKS, {"timeframe": "1Day"}, "symbols is required"),
        (STOCKS, {"symbols": "SPY", "timeframe": "60Min"}, "invalid timeframe: 60Min"),
        (STOCKS, {"symbols": "SPY", "timeframe": "2Day"}, "invalid timeframe"),
        (STOCKS, {"symbols": "SPY", "timeframe": "daily"}, "invalid timeframe"),
        (STOCKS, {"symbols": "SPY", "timeframe": "1Day", "limit": 10_001}, "invalid limit"),
        (STOCKS, {"symbols": "SPY", "timeframe": "1Day", "adjustment": "total"}, "invalid adjustment: total"),
        (STOCKS, {"symbols": "SPY", "timeframe": "1Day", "sort": "up"}, "invalid sort"),
        (STOCKS, {"symbols": "SPY", "timeframe": "1Day", "feed": "opra"}, "invalid feed"),
        (STOCKS, {"symbols": "SPY", "timeframe": "1Day", "start": "yesterday"}, "invalid start"),
        (STOCKS, {"symbols": "SPY", "timeframe": "1Day", "page_token": "U1BZ"}, "invalid page_token"),
        (STOCKS, {"symbols": "SPY", "timeframe": "1Day", "underlying": "SPY"}, "unexpected query parameter(s)"),
        (OPTIONS, {"symbols": PUT, "timeframe": "1Day", "feed": "opra"}, "unexpected query parameter(s): feed"),
        ("/v2/stocks/quotes/latest", {"symbols": "SPY", "limit": 1}, "unexpected query parameter(s): limit"),
    ],
)
def test_what_the_vendor_does_not_take_is_refused(path: str, params: Any, words: str) -> None:
    response = ask(world_at(DEFAULT_AS_OF), path, **params)
    assert response.status == 400
    assert words in response.json["message"]


@pytest.mark.parametrize(
    ("timeframe", "dates"),
    [
        ("1Week", ["2026-03-02", "2026-03-09", "2026-03-16"]),
        ("1Month", ["2026-02-01", "2026-03-01"]),
        ("2M", ["2026-01-01", "2026-03-01"]),
    ],
)
@pytest.mark.parametrize(("path", "symbol"), [(STOCKS, "SPY"), (OPTIONS, PUT)])
def test_a_longer_bar_is_dated_by_its_first_day(path: str, symbol: str, timeframe: str, dates: list[str]) -> None:
    told = bars_of(world_at(DEFAULT_AS_OF), path, symbol, timeframe=timeframe, start=dates[0])[symbol]
    assert [date_of(bar).isoformat() for bar in told] == dates


def test_an_option_s_bar_of_a_session_that_runs_ends_now() -> None:
    now = new_york("2026-03-17T13:37")
    world = world_at(now)
    asked = {"symbols": f"{PUT},{CALL}", "start": "2026-03-17"}
    quotes = world.quotes([PUT, CALL])
    snapshots = ask(world, "/v1beta1/options/snapshots", symbols=f"{PUT},{CALL}").json["snapshots"]
    for timeframe in ("1Day", "1Hour"):
        for symbol, told in bars_of(world, OPTIONS, timeframe=timeframe, **asked).items():
            assert told[-1]["c"] == pytest.approx((quotes[symbol].bid + quotes[symbol].ask) / 2, abs=0.005001)
            assert sum(bar["v"] for bar in told) == snapshots[symbol]["dailyBar"]["v"]


def test_a_quiet_contract_has_bars_of_the_days_on_which_it_traded_only() -> None:
    symbol = "IWM260417P00185000"
    told = bars_of(world_at(DEFAULT_AS_OF), OPTIONS, symbol, start="2026-02-20", end="2026-03-16T12:00:00Z")[symbol]
    volumes = [bar["v"] for bar in told]
    assert len(told) < len(calendar.sessions(dt.date(2026, 2, 20), dt.date(2026, 3, 16)))
    assert min(volumes) == 1
