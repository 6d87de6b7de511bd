"""The fake Alpaca's option chains: the sample market's own figures in the vendor's shape, page after page."""

import datetime as dt
import math
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.enums import OptionsFeed
from alpaca.data.requests import (
    OptionChainRequest,
    OptionLatestQuoteRequest,
    OptionLatestTradeRequest,
    OptionSnapshotRequest,
)
from alpaca.trading.enums import ContractType
from conftest import at_scale
from fake_alpaca_clients import REAL_TIME, Clients, ask, get, new_york, pages, sample_at, world_at
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mahler_agents.errors import InputError
from mahler_agents.market.occ import parse_symbol
from mahler_agents.market.sample import DEFAULT_AS_OF
from mahler_agents.market.sample.world import SYMBOLS
from mahler_agents.market.snapshot import Chain
from mahler_agents.testing.fake_alpaca import FakeAlpaca, MarketDataSettings
from mahler_agents.testing.fake_alpaca.world import at_once

LATE = new_york("2026-03-17T15:41:07")
CLOSE = new_york("2026-03-17T16:00")
BIG = MarketDataSettings(chain_contracts=10_000)


def chain_of(world: Any, symbol: str, **params: Any) -> dict[str, Any]:
    return {
        name: one for page in pages(world, CHAIN.format(symbol), "snapshots", **params) for name, one in page.items()
    }


CHAIN = "/v1beta1/options/snapshots/{}"
NAMED = "/v1beta1/options/snapshots"
QUOTES = "/v1beta1/options/quotes/latest"
TRADES = "/v1beta1/options/trades/latest"


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def assert_equal_to_the_sample(shown: dict[str, Any], chain: Chain, at: dt.datetime) -> None:
    """Compare a chain's quotes, volatilities, greeks and volumes, contract by contract."""
    assert set(shown) == set(chain.symbol.tolist())
    for row, symbol in enumerate(chain.symbol.tolist()):
        snapshot = shown[symbol]
        quote = snapshot["latestQuote"]
        assert (quote["bp"], quote["ap"]) == (chain.bid[row], chain.ask[row])
        assert (at - instant(quote["t"])).total_seconds() == pytest.approx(chain.quote_age_seconds[row], abs=1e-5)
        assert ("greeks" in snapshot) == ("impliedVolatility" in snapshot) == (not math.isnan(chain.delta[row]))
        if "greeks" in snapshot:
            greeks = snapshot["greeks"]
            assert snapshot["impliedVolatility"] == chain.implied_volatility[row]
            assert (greeks["delta"], greeks["gamma"]) == (chain.delta[row], chain.gamma[row])
            assert greeks["theta"] == chain.theta_per_day[row]
            assert greeks["vega"] == chain.vega_per_vol_point[row]
        bars = [snapshot[name] for name in ("dailyBar", "prevDailyBar") if name in snapshot]
        recent = [bar["v"] for bar in bars if instant(bar["t"]) >= new_york("2026-03-16T00:00")]
        assert max(recent, default=0) == chain.volume[row]


@pytest.mark.parametrize("at", [DEFAULT_AS_OF, LATE, CLOSE])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_chain_is_the_sample_market_s_at_that_instant(symbol: str, at: dt.datetime) -> None:
    market_data = REAL_TIME.model_copy(update={"adjusted_underlying": None})
    shown = chain_of(world_at(at, market_data), symbol, limit=1000)
    assert_equal_to_the_sample(shown, sample_at(at).underlyings[symbol].chain, at)


def test_alpaca_py_s_models_read_a_whole_chain_without_null_greeks() -> None:
    with FakeAlpaca(market_data=MarketDataSettings(page_cap=100)) as fake:
        chain = Clients(fake, raw=False).options.get_option_chain(OptionChainRequest(underlying_symbol="IWM"))
    expected = sample_at(DEFAULT_AS_OF).underlyings["IWM"].chain
    assert list(chain) == sorted(expected.symbol.tolist())
    row = expected.symbol.tolist().index("IWM260417P00205000")
    assert chain["IWM260417P00205000"].latest_quote.ask_price == expected.ask[row]
    assert chain["IWM260417P00205000"].greeks.delta == expected.delta[row]
    assert chain["IWM260417P00205000"].implied_volatility == expected.implied_volatility[row]


def test_a_chain_of_10_000_with_a_fifth_of_greeks_null_arrives_whole_and_breaks_alpaca_py_s_models() -> None:
    with FakeAlpaca(null_greeks=0.2, market_data=BIG) as fake:
        chain = Clients(fake).options.get_option_chain(OptionChainRequest(underlying_symbol="SPY"))
        with pytest.raises(ValidationError):
            Clients(fake, raw=False).options.get_option_chain(OptionChainRequest(underlying_symbol="SPY"))
    standard = {symbol for symbol in chain if not symbol.startswith("SPY1")}
    assert len(standard) >= 10_000
    assert all(one["latestQuote"]["ap"] > 0 for one in chain.values())
    priced = [one for one in (chain[symbol] for symbol in standard) if one["latestQuote"]["bp"] > 0]
    whole = [one for one in priced if gap_of(one) == "0 of 5 greeks null, volatility there"]
    assert 0.20 <= 1 - len(whole) / len(priced) <= 0.26  # and 3 % of which the sample has none


def gap_of(snapshot: dict[str, Any]) -> str:
    """Say in which way greeks and volatility are missing."""
    volatility = "left out" if "impliedVolatility" not in snapshot else "null"
    if snapshot.get("impliedVolatility") is not None:
        volatility = "there"
    if not snapshot.get("greeks"):
        return f"greeks {'null' if 'greeks' in snapshot else 'left out'}, volatility {volatility}"
    nulls = [name for name, value in snapshot["greeks"].items() if value is None]
    return f"{len(nulls)} of {len(snapshot['greeks'])} greeks null, volatility {volatility}"


def test_the_gaps_of_a_feed_come_in_all_five_ways() -> None:
    shown = chain_of(world_at(DEFAULT_AS_OF, null_greeks=1.0), "TLT", limit=1000)
    assert {gap_of(one) for one in shown.values()} == {
        "greeks left out, volatility left out",
        "greeks null, volatility null",
        "5 of 5 greeks null, volatility null",
        "1 of 5 greeks null, volatility there",
        "0 of 5 greeks null, volatility left out",
    }


def test_the_quotes_of_a_large_chain_are_those_that_orders_are_filled_at() -> None:
    world = world_at(DEFAULT_AS_OF, BIG)
    shown = chain_of(world, "GLD", limit=1000)
    asked = list(shown)[::97]
    quotes = world.quotes(asked)
    assert set(quotes) == set(asked)
    assert {s: (q.bid, q.ask) for s, q in quotes.items()} == {
        s: (shown[s]["latestQuote"]["bp"], shown[s]["latestQuote"]["ap"]) for s in asked
    }


@settings(max_examples=at_scale(400))
@given(limit=st.integers(40, 1000), cap=st.none() | st.integers(40, 400), symbol=st.sampled_from(SYMBOLS))
def test_any_page_size_gives_every_contract_once_and_in_order(limit: int, cap: int | None, symbol: str) -> None:
    world = world_at(DEFAULT_AS_OF, MarketDataSettings(page_cap=cap))
    sizes = [list(page) for page in pages(world, CHAIN.format(symbol), "snapshots", limit=limit)]
    symbols = [name for page in sizes for name in page]
    assert symbols == sorted(set(symbols))
    assert all(len(page) <= min(limit, cap or limit) for page in sizes)
    assert set(symbols) >= set(sample_at(DEFAULT_AS_OF).underlyings[symbol].chain.symbol.tolist())


def test_filters_keep_what_they_name() -> None:
    world = world_at(DEFAULT_AS_OF)
    whole = chain_of(world, "QQQ", limit=1000)
    kept = chain_of(
        world,
        "QQQ",
        type="put",
        strike_price_gte=480,
        strike_price_lte="510.0",
        expiration_date_gte="2026-04-10",
        expiration_date_lte="2026-05-01",
    )
    expected = {
        symbol
        for symbol in whole
        if (terms := parse_symbol(symbol)).right == "put"
        and 480 <= terms.strike <= 510
        and dt.date(2026, 4, 10) <= terms.expiration <= dt.date(2026, 5, 1)
    }
    assert set(kept) == expected
    assert 0 < len(expected) < len(whole)


def test_alpaca_py_s_filters_arrive() -> None:
    asked = OptionChainRequest(
        underlying_symbol="SPY",
        feed=OptionsFeed.INDICATIVE,
        type=ContractType.CALL,
        strike_price_gte=620.0,
        expiration_date=dt.date(2026, 4, 17),
        root_symbol="SPY",
        updated_since=DEFAULT_AS_OF - dt.timedelta(days=1),
    )
    with FakeAlpaca() as fake:
        chain = Clients(fake).options.get_option_chain(asked)
    assert chain
    assert all(symbol.startswith("SPY260417C") for symbol in chain)


def test_updated_since_leaves_out_the_quotes_that_are_older() -> None:
    world = world_at(LATE)
    since = LATE - dt.timedelta(seconds=20)
    whole, recent = chain_of(world, "IWM", limit=1000), chain_of(world, "IWM", updated_since=since.isoformat())
    assert set(recent) == {s for s, one in whole.items() if instant(one["latestQuote"]["t"]) >= since}
    assert 0 < len(recent) < len(whole)


def test_one_underlying_has_adjusted_contracts_under_a_root_of_their_own() -> None:
    world = world_at(DEFAULT_AS_OF)
    adjusted = chain_of(world, "SPY", root_symbol="SPY1")
    assert 3 <= len(adjusted) <= 30
    assert all(symbol.startswith("SPY1260417") for symbol in adjusted)
    assert not any(s.startswith("QQQ1") for s in chain_of(world, "QQQ", limit=1000))
    named = ask(world, NAMED, symbols=next(iter(adjusted))).json["snapshots"]
    assert named == dict(list(adjusted.items())[:1])


def test_the_indicative_feed_s_trades_are_15_minutes_late_and_its_quotes_are_not() -> None:
    free, paid = world_at(LATE, MarketDataSettings()), world_at(LATE)
    indicative, opra = chain_of(free, "SPY", limit=1000), chain_of(paid, "SPY", limit=1000, feed="opra")
    assert {s: one["latestQuote"] for s, one in indicative.items()} == {
        s: one["latestQuote"] for s, one in opra.items()
    }

    def latest(chain: dict[str, Any]) -> dt.datetime:
        return max(instant(one["latestTrade"]["t"]) for one in chain.values() if "latestTrade" in one)

    assert latest(opra) == LATE
    assert latest(indicative) == LATE - dt.timedelta(minutes=15)


def test_before_a_contract_has_traded_today_its_daily_bar_is_that_of_a_day_before() -> None:
    world = world_at(new_york("2026-03-17T09:40"), MarketDataSettings())
    bars = [one["dailyBar"] for one in chain_of(world, "SPY", limit=1000).values() if "dailyBar" in one]
    assert bars
    assert max(instant(bar["t"]) for bar in bars) == new_york("2026-03-16T00:00")


@pytest.mark.parametrize("at", [CLOSE, new_york("2026-03-17T21:00"), new_york("2026-03-18T07:00")])
def test_while_the_exchange_is_closed_the_last_quotes_stand(at: dt.datetime) -> None:
    quotes = {s: one["latestQuote"] for s, one in chain_of(world_at(at), "QQQ", limit=1000).items()}
    assert quotes == {s: one["latestQuote"] for s, one in chain_of(world_at(CLOSE), "QQQ", limit=1000).items()}


def test_quotes_and_trades_come_by_symbol_also_of_contracts_that_no_chain_shows() -> None:
    shown, far = "SPY260417P00560000", "SPY260918P00300000"
    with FakeAlpaca() as fake:
        clients = Clients(fake, raw=False)
        asked = [shown, far, "SPY260417P00541000", "XYZ260417P00050000", "SPY250417P00540000"]
        quotes = clients.options.get_option_latest_quote(OptionLatestQuoteRequest(symbol_or_symbols=asked))
        trades = clients.options.get_option_latest_trade(OptionLatestTradeRequest(symbol_or_symbols=shown))
        snapshots = clients.options.get_option_snapshot(OptionSnapshotRequest(symbol_or_symbols=[shown, far]))
        expected = fake.world.quotes([shown, far])
    assert {s: (q.bid_price, q.ask_price) for s, q in quotes.items()} == {
        s: (q.bid, q.ask) for s, q in expected.items()
    }
    assert trades[shown].price == snapshots[shown].latest_trade.price
    assert {s: one.latest_quote for s, one in snapshots.items()} == quotes


def test_a_contract_is_quoted_to_its_last_session_s_close_and_not_after() -> None:
    symbol = "SPY260320P00600000"
    last, after = world_at(new_york("2026-03-20T16:00")), world_at(new_york("2026-03-23T09:31"))
    assert symbol in ask(last, QUOTES, symbols=symbol).json["quotes"]
    assert ask(after, QUOTES, symbols=symbol).json == {"quotes": {}}


REFUSED = {
    "an unknown parameter": (CHAIN.format("SPY"), {"sort": "asc"}, "unexpected query parameter(s): sort"),
    "a limit for the latest": (QUOTES, {"symbols": "SPY260417P00540000", "limit": 10}, "unexpected query parameter(s)"),
    "a page of 1,001": (CHAIN.format("SPY"), {"limit": 1001}, "invalid limit: 1001 is not in 1 to 1000"),
    "a page of 0": (CHAIN.format("SPY"), {"limit": 0}, "invalid limit"),
    "a type of neither": (CHAIN.format("SPY"), {"type": "P"}, "invalid type: P"),
    "a strike that is no number": (CHAIN.format("SPY"), {"strike_price_gte": "nan"}, "invalid strike_price_gte"),
    "a date that is none": (CHAIN.format("SPY"), {"expiration_date": "2026-02-30"}, "is no date"),
    "a date in another form": (CHAIN.format("SPY"), {"expiration_date": "20260417"}, "not YYYY-MM-DD"),
    "a time without a zone": (CHAIN.format("SPY"), {"updated_since": "2026-03-17T10:00:00"}, "not RFC-3339"),
    "a token of ours": (CHAIN.format("SPY"), {"page_token": "next!"}, "invalid page_token"),
    "an unknown feed": (CHAIN.format("SPY"), {"feed": "sip"}, "invalid feed: sip"),
    "no symbols": (QUOTES, {}, "symbols is required"),
    "a stock among options": (QUOTES, {"symbols": "SPY260417P00540000,SPY"}, "invalid symbol: SPY"),
    "101 symbols": (TRADES, {"symbols": ",".join(["SPY260417P00540000"] * 101)}, "at most 100"),
    "an underlying that is none": (CHAIN.format("spy"), {}, "invalid underlying symbol"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_vendor_does_not_take_is_refused_with_400(case: str) -> None:
    path, params, words = REFUSED[case]
    response = ask(world_at(DEFAULT_AS_OF), path, **params)
    assert response.status == 400
    assert words in response.json["message"]


def test_opra_is_refused_to_an_account_without_the_subscription() -> None:
    with FakeAlpaca() as fake:
        asked = OptionChainRequest(underlying_symbol="SPY", feed=OptionsFeed.OPRA)
        with pytest.raises(APIError, match="OPRA agreement is not signed") as refused:
            Clients(fake).options.get_option_chain(asked)
        assert refused.value.status_code == 403
        assert get(fake, CHAIN.format("SPY"), feed="indicative").status_code == 200


@pytest.mark.parametrize("symbol", ["XYZ", "TLT"])
def test_a_chain_of_an_underlying_without_data_is_empty(symbol: str) -> None:
    world = world_at(DEFAULT_AS_OF, MarketDataSettings(missing_underlyings=("TLT",)))
    assert ask(world, CHAIN.format(symbol)).json == {"snapshots": {}, "next_page_token": None}


def test_two_worlds_of_one_seed_tell_the_same() -> None:
    first, second = (chain_of(world_at(LATE, null_greeks=0.3), "GLD", limit=1000) for _ in range(2))
    other = chain_of(world_at(LATE, null_greeks=0.3, seed=23), "GLD", limit=1000)
    assert first == second
    assert first != other


def test_quotes_by_symbol_are_the_sample_s_with_their_times() -> None:
    world = world_at(LATE)
    symbols = ("SPY260417P00540000", "TLT260515C00092500")
    quotes = at_once(world.market.quotes(symbols, LATE))
    told = ask(world, QUOTES, symbols=",".join(symbols)).json["quotes"]
    assert {s: (one["bp"], one["ap"], instant(one["t"])) for s, one in told.items()} == {
        s: (q.bid, q.ask, q.at) for s, q in quotes.items()
    }


EVERYTHING = {
    CHAIN.format("IWM"): {"limit": 100},
    NAMED: {"symbols": "SPY260417P00560000,SPY1260417P00560000"},
    QUOTES: {"symbols": "SPY260417P00560000,TLT260320C00090000"},
    TRADES: {"symbols": "SPY260417P00560000"},
    "/v1beta1/options/bars": {"symbols": "SPY260417P00560000", "timeframe": "1Hour", "start": "2026-03-12"},
    "/v2/options/contracts": {"underlying_symbols": "SPY"},
    "/v2/options/contracts/SPY260417P00560000": {},
    "/v2/stocks/bars": {"symbols": "SPY", "timeframe": "5Min", "start": "2026-03-12", "adjustment": "all"},
    "/v2/stocks/quotes/latest": {"symbols": "SPY"},
    "/v2/stocks/trades/latest": {"symbols": "SPY", "feed": "delayed_sip"},
    "/v2/stocks/snapshots": {"symbols": "SPY,TLT"},
    "/v1beta1/news": {"start": "2026-03-12"},
    "/v1/corporate-actions": {"end": "2026-06-01"},
    "/api/global/delayed_quotes/quotes/_VIX3M.json": {},
    "/api/global/us_indices/daily_prices/VIX_History.csv": {},
}


@settings(max_examples=at_scale(400))
@given(
    now=st.integers(0, 17 * 86_400).map(lambda seconds: new_york("2026-03-12T00:00") + dt.timedelta(seconds=seconds))
)
def test_every_question_has_an_answer_at_any_hour_and_nothing_in_it_is_later_than_now(now: dt.datetime) -> None:
    for market_data in (REAL_TIME, MarketDataSettings()):
        world = world_at(now, market_data)
        for path, params in EVERYTHING.items():
            response = ask(world, path, **params)
            assert response.status == 200, (path, response.json)
            assert all(instant(text) <= now for text in times_in(response.json)), path


def times_in(told: Any) -> list[str]:
    """Return every time in an answer."""
    if isinstance(told, dict):
        own = [value for name, value in told.items() if name in {"t", "created_at", "updated_at"}]
        return own + [text for value in told.values() for text in times_in(value)]
    return [text for value in told for text in times_in(value)] if isinstance(told, list) else []


@pytest.mark.parametrize("start", ["2024-01-12T10:00", "2028-12-19T10:00"])
def test_a_fake_has_all_it_needs_from_its_earliest_to_its_latest_start(start: str) -> None:
    world = world_at(new_york(start))
    assert len(chain_of(world, "TLT", limit=1000)) > 100
    assert ask(world, "/v2/options/contracts", underlying_symbols="TLT").json["option_contracts"]
    assert ask(world, "/api/global/delayed_quotes/quotes/_VIX.json").status == 200


@pytest.mark.parametrize("start", ["2024-01-11T10:00", "2028-12-20T10:00"])
def test_a_start_outside_the_sample_market_is_refused_with_the_range(start: str) -> None:
    with pytest.raises(InputError, match="from 2024-01-12 to 2028-12-19"):
        world_at(new_york(start))
