"""The Alpaca market on the fake Alpaca: what it makes of what it is told, and what it says of what it is not."""

import datetime as dt
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
from alpaca.data.requests import OptionChainRequest
from alpaca_builders import Alpaca, alpaca
from fake_alpaca_clients import Clients
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.clock import NEW_YORK, SimulatedClock
from mahler_agents.errors import InputError, MarketError
from mahler_agents.market import calendar
from mahler_agents.market.alpaca.chain import raw_chain
from mahler_agents.market.alpaca.parts import bars_of, dividends_of, headlines_of, price_of, quote_of
from mahler_agents.market.alpaca.vix import index_quote
from mahler_agents.market.sample import DEFAULT_AS_OF, SampleMarket
from mahler_agents.market.snapshot import Chain, Floats
from mahler_agents.screen import ScreenParams, screen
from mahler_agents.testing.fake_alpaca.settings import MarketDataSettings
from mahler_agents.types import UNIVERSE

GREEKS = ("implied_volatility", "delta", "gamma", "theta_per_day", "vega_per_vol_point")
CLOSE = dt.datetime(2026, 3, 17, 16, 0, tzinfo=NEW_YORK).astimezone(dt.UTC)


@pytest.fixture(scope="module")
def quiet() -> Generator[Alpaca]:
    """A fake that nobody changes."""
    with alpaca(variables={"MAHLER_ALPACA_REQUESTS_PER_MINUTE": "10000"}) as one:
        yield one


def _same_contracts(ours: Chain, theirs: Chain) -> tuple[list[int], list[int]]:
    """Return the rows of the contracts that both have: ours ends where no rule looks."""
    place = {symbol: row for row, symbol in enumerate(theirs.symbol.tolist())}
    symbols = ours.symbol.tolist()
    assert set(symbols) <= set(place)
    return list(range(len(symbols))), [place[symbol] for symbol in symbols]


def _equal(ours: Floats, theirs: Floats) -> bool:
    return bool(np.allclose(ours, theirs, rtol=1e-9, atol=1e-6, equal_nan=True))


@pytest.mark.parametrize("name", UNIVERSE)
def test_a_snapshot_is_the_sample_markets_own_of_that_instant(quiet: Alpaca, name: str):
    ours = quiet.snapshot().underlyings[name]
    theirs = quiet.do(SampleMarket().snapshot(quiet.clock.now(), UNIVERSE)).underlyings[name]
    here, there = _same_contracts(ours.chain, theirs.chain)
    within = theirs.chain.expiration <= np.datetime64("2026-03-17") + 130
    assert len(here) == int(within.sum())
    for column in ("is_put", "strike", "bid", "ask", "quote_age_seconds", "multiplier", *GREEKS):
        assert _equal(getattr(ours.chain, column)[here], getattr(theirs.chain, column)[there]), column
    assert (ours.chain.expiration[here] == theirs.chain.expiration[there]).all()
    known = ours.chain.open_interest[here] > 0
    assert _equal(ours.chain.open_interest[here][known], theirs.chain.open_interest[there][known])
    assert (theirs.chain.open_interest[there][~known] == 0).all()
    assert ours.chain.spot == theirs.chain.spot
    assert (ours.bars.date == theirs.bars.date).all()
    assert _equal(ours.bars.volume, theirs.bars.volume)
    assert theirs.headlines is not None
    assert ours.headlines is not None
    assert ours.headlines[: len(theirs.headlines)] == theirs.headlines  # and some that are older
    assert theirs.dividends is not None
    assert ours.dividends == theirs.dividends[: len(ours.dividends or ())]


def test_volume_is_the_larger_of_two_sessions_as_far_as_trades_are_seen(quiet: Alpaca):
    ours = quiet.snapshot().underlyings["IWM"].chain
    theirs = quiet.do(SampleMarket().snapshot(quiet.clock.now(), UNIVERSE)).underlyings["IWM"].chain
    here, there = _same_contracts(ours, theirs)
    assert (ours.volume[here] <= theirs.volume[there]).all()
    assert np.mean(ours.volume[here] == theirs.volume[there]) > 0.9


def test_the_newest_bars_are_taken_adjusted_and_never_todays(quiet: Alpaca):
    bars = quiet.snapshot().underlyings["SPY"].bars
    raw = quiet.do(SampleMarket().snapshot(quiet.clock.now(), UNIVERSE)).underlyings["SPY"].bars
    assert len(bars) == 1000
    assert bars.date[-1] == np.datetime64("2026-03-16")
    assert bars.close[-1] == raw.close[-1]
    assert bars.close[0] < raw.close[0]  # by the dividends since


def test_what_is_shown_says_that_it_is_made_up_whose_it_is_and_when_the_vix_was(quiet: Alpaca):
    snapshot = quiet.snapshot()
    assert snapshot.synthetic
    assert quiet.market.synthetic
    assert quiet.market.world == "alpaca-fake-22"
    assert "synthetic" in snapshot.source
    assert "VIX of 2026-03-17 09:45 New York from Cboe" in snapshot.source
    assert snapshot.vix is not None
    assert snapshot.vix_3_month is not None
    assert snapshot.vix < snapshot.vix_3_month


def test_as_of_is_when_the_last_part_had_come_and_no_quote_is_younger(quiet: Alpaca):
    snapshot = quiet.snapshot()
    assert snapshot.as_of == quiet.clock.now()
    ages = np.concatenate([held.chain.quote_age_seconds for held in snapshot.underlyings.values()])
    assert (ages >= 0).all()


def test_adjusted_contracts_are_left_out_and_counted(quiet: Alpaca):
    snapshot = quiet.snapshot()
    assert snapshot.missing["adjusted.SPY"].startswith("13 adjusted contracts")
    assert all(symbol.startswith("SPY2") for symbol in snapshot.underlyings["SPY"].chain.symbol.tolist())


def test_ten_thousand_contracts_with_a_fifth_of_the_greeks_null_lose_none():
    market_data = MarketDataSettings(chain_contracts=14_000, adjusted_underlying=None)
    with alpaca(null_greeks=0.2, market_data=market_data) as one:
        snapshot = one.snapshot(["SPY"])
        told = Clients(one.fake).options.get_option_chain(
            OptionChainRequest(underlying_symbol="SPY", expiration_date_lte=dt.date(2026, 3, 17) + dt.timedelta(130))
        )
    chain = snapshot.underlyings["SPY"].chain
    assert len(chain) >= 10_000
    assert chain.symbol.tolist() == sorted(told)
    assert not np.isnan(chain.bid).any()
    lacking = np.isnan([getattr(chain, column) for column in GREEKS]).any(axis=0)
    assert lacking.mean() > 0.15  # also those that nobody bids for
    params = ScreenParams(min_open_interest=0, min_volume=0)
    _, report = screen(snapshot, params)
    assert "no_greeks" not in report.rejected_contracts


def test_small_pages_make_the_same_chain():
    with alpaca() as whole:
        large = whole.snapshot(["IWM"]).underlyings["IWM"]
    with alpaca(market_data=MarketDataSettings(page_cap=50)) as cut:
        small = cut.snapshot(["IWM"]).underlyings["IWM"]
    assert (small.chain.symbol == large.chain.symbol).all()
    assert _equal(small.chain.open_interest, large.chain.open_interest)
    assert (small.bars.date == large.bars.date).all()


PARTS = {
    "GET /v1beta1/options/snapshots/{underlying_symbol}": ("underlyings.QQQ", "the chain of QQQ"),
    "GET /v2/stocks/snapshots": ("underlyings.QQQ", "the price of QQQ"),
    "GET /v2/options/contracts": ("open_interest.QQQ", "the option contracts of QQQ"),
    "GET /v2/stocks/bars": ("bars.QQQ", "the daily bars of QQQ"),
    "GET /v1beta1/news": ("headlines.QQQ", "the news about QQQ"),
    "GET /v1/corporate-actions": ("dividends.QQQ", "the dividends of QQQ"),
}


@pytest.mark.parametrize(("route", "named"), PARTS.items(), ids=[part for part, _ in PARTS.values()])
def test_a_part_that_fails_is_named_and_nothing_stands_in_for_it(route: str, named: tuple[str, str]):
    part, what = named
    with alpaca() as one:
        one.fake.fail(route, "500", times=4)
        if part.startswith("underlyings"):
            with pytest.raises(MarketError, match=f"Alpaca gave none of QQQ: no certain answer from Alpaca for {what}"):
                one.snapshot(["QQQ"])
            return
        snapshot = one.snapshot(["QQQ"])
    assert what in snapshot.missing[part]
    held = snapshot.underlyings["QQQ"]
    absent = {
        "open_interest.QQQ": bool(np.isnan(held.chain.open_interest).all()),
        "bars.QQQ": len(held.bars) == 0,
        "headlines.QQQ": held.headlines is None,
        "dividends.QQQ": held.dividends is None,
    }
    assert [name for name, is_absent in absent.items() if is_absent] == [part]


def test_an_underlying_that_cannot_be_had_is_dropped_and_the_others_are_not():
    with alpaca(market_data=MarketDataSettings(missing_underlyings=("QQQ",))) as one:
        snapshot = one.snapshot()
    assert sorted(snapshot.underlyings) == ["GLD", "IWM", "SPY", "TLT"]
    assert snapshot.missing["underlyings.QQQ"] == "there is no price of it"


@pytest.mark.parametrize(
    "fault", ["500", "html", "reset_before", "timeout_before", "slow_drip", "gateway_timeout_before"]
)
def test_a_request_that_fails_once_costs_nothing_of_the_snapshot(fault: str):
    with alpaca(timeout=0.5) as one:
        one.fake.fail("GET /v1beta1/options/snapshots/{underlying_symbol}", fault)
        snapshot = one.snapshot(["SPY"])
        assert not one.fake.scripted
    assert [name for name in snapshot.missing if not name.startswith(("risk", "adjusted"))] == []


def test_a_limit_of_requests_is_heeded_and_the_snapshot_is_whole():
    with alpaca(requests_per_minute=12) as one:
        snapshot = one.snapshot()
        waited = one.clock.now() - DEFAULT_AS_OF
    assert sorted(snapshot.underlyings) == sorted(UNIVERSE)
    assert dt.timedelta(minutes=1) <= waited
    assert snapshot.as_of == DEFAULT_AS_OF + waited


def test_our_own_limit_lets_the_server_refuse_nothing():
    with alpaca(requests_per_minute=20, variables={"MAHLER_ALPACA_REQUESTS_PER_MINUTE": "20"}) as one:
        one.snapshot(["SPY", "IWM"])
        assert one.clock.now() == DEFAULT_AS_OF  # 16 requests
        one.snapshot(["SPY", "IWM"])
        assert one.clock.now() - DEFAULT_AS_OF >= dt.timedelta(seconds=60)


def test_the_vix_is_the_vix_or_absent():
    with alpaca() as one:
        one.fake.fail("GET /api/global/delayed_quotes/quotes/{file}", "500", times=8)
        snapshot = one.snapshot(["SPY"])
    assert snapshot.vix is None
    assert "Cboe's VIX" in snapshot.missing["vix"]
    assert "VIX" not in snapshot.source
    with alpaca(variables={"MAHLER_ALPACA_VIX": "none"}) as off:
        assert off.snapshot(["SPY"]).missing["vix"] == "not asked for: MAHLER_ALPACA_VIX is none"
        assert off.do(off.market.vix(off.clock.now())) is None


def _change(monkeypatch: pytest.MonkeyPatch, how: str, change: Callable[[str, Any], None]) -> None:
    """Have each answer to a kind of request changed before the market sees it; `change` is told what was asked."""
    ask = getattr(AlpacaApi, how)

    async def changed(self: AlpacaApi, asked: Any, *, what: str, **rest: Any) -> Any:
        answer = await ask(self, asked, what=what, **rest)
        change(what, answer)
        return answer

    monkeypatch.setattr(AlpacaApi, how, changed)


def test_a_vix3m_of_another_session_than_the_vix_s_is_absent_and_named(monkeypatch: pytest.MonkeyPatch):
    def of_yesterday(what: str, answer: Any) -> None:
        if what == "Cboe's VIX3M":
            answer["data"]["last_trade_time"] = "2026-03-16T16:15:00"

    _change(monkeypatch, "get_public", of_yesterday)
    with alpaca() as one:
        snapshot = one.snapshot(["SPY"])
    assert snapshot.vix is not None
    assert snapshot.vix_3_month is None
    assert snapshot.missing["vix_3_month"] == "Cboe's VIX3M is of 2026-03-16 and its VIX of 2026-03-17"


@pytest.mark.parametrize("never", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_quote_of_never_costs_its_underlying_alone(monkeypatch: pytest.MonkeyPatch, never: str):
    def of_never(what: str, answer: Any) -> None:
        if what == "the price of TLT":
            answer["TLT"] |= {part: {"t": never, "bp": 0, "ap": 0, "p": 0} for part in ("latestQuote", "latestTrade")}

    _change(monkeypatch, "get", of_never)
    with alpaca() as one:
        snapshot = one.snapshot(["SPY", "TLT"])
    assert list(snapshot.underlyings) == ["SPY"]
    assert snapshot.missing["underlyings.TLT"] == "there is no price of it"


def test_keys_that_are_refused_are_told_so():
    with (
        pytest.raises(Exception, match=r"Alpaca refused the clock: .* \(HTTP 403"),
        alpaca(variables={"APCA_API_SECRET_KEY": "canary-of-another-account"}),
    ):
        pass


def test_opra_without_a_subscription_is_refused_in_alpacas_words():
    with alpaca(variables={"MAHLER_ALPACA_OPTION_FEED": "opra"}) as one:
        assert one.market.max_quote_age_seconds == 300
        with pytest.raises(MarketError, match="OPRA agreement is not signed"):
            one.snapshot(["SPY"])


def test_there_is_nothing_but_now(quiet: Alpaca):
    past = quiet.clock.now() - dt.timedelta(days=1)
    for asked in (past, quiet.clock.now() + dt.timedelta(hours=1)):
        with pytest.raises(InputError, match="the market alpaca has only now, 2026-03-17 10:00 New York"):
            quiet.do(quiet.market.snapshot(asked, UNIVERSE))
        assert quiet.do(quiet.market.quotes(["SPY260417P00540000"], asked)) == {}
        assert quiet.do(quiet.market.prices(["SPY"], asked)) == {}
        assert quiet.do(quiet.market.vix(asked)) is None
    with pytest.raises(InputError, match="and not 2026-03-16: leave --as-of out"):
        quiet.market.instant_of(dt.date(2026, 3, 16))
    assert quiet.market.instant_of(dt.date(2026, 3, 17)) == quiet.clock.now() == quiet.market.default_as_of()


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-03-17T09:29", "the exchange is closed at 2026-03-17 09:29 New York: it is open 09:30"),
        ("2026-03-17T16:01", "the exchange is closed at 2026-03-17 16:01"),
        ("2026-03-21T12:00", "2026-03-21 is not a session"),
    ],
)
def test_no_snapshot_is_made_while_the_exchange_is_closed(at: str, said: str):
    with (
        alpaca(start=dt.datetime.fromisoformat(at).replace(tzinfo=NEW_YORK)) as one,
        pytest.raises(InputError, match=said),
    ):
        one.snapshot()


def test_a_clock_that_is_wrong_is_told_before_anything_is_asked():
    ours = SimulatedClock(DEFAULT_AS_OF + dt.timedelta(seconds=45))
    with alpaca(clock=ours) as one, pytest.raises(MarketError, match="this machine's clock is 45 s ahead of Alpaca's"):
        one.snapshot()


def test_a_clock_that_is_a_little_behind_throws_no_quote_away():
    def freshly_quoted(one: Alpaca) -> int:
        return sum(int((held.chain.quote_age_seconds <= 1200).sum()) for held in one.snapshot().underlyings.values())

    with alpaca() as right:
        expected = freshly_quoted(right)
    with alpaca(clock=SimulatedClock(DEFAULT_AS_OF - dt.timedelta(seconds=20))) as behind:
        assert freshly_quoted(behind) == expected > 0


def test_a_quote_of_later_than_clocks_may_differ_has_no_age():
    told = {
        f"SPY260417P005{row}0000": {"latestQuote": {"t": f"2026-03-17T14:00:{second}Z", "bp": 1.0, "ap": 1.05}}
        for row, second in enumerate((15, 30, 31))
    }
    raw = raw_chain("SPY", told, {}, today=DEFAULT_AS_OF.date(), session_before=dt.date(2026, 3, 16))
    ages = raw.at("SPY", 540.0, DEFAULT_AS_OF).quote_age_seconds
    assert np.array_equal(ages, [0.0, 0.0, np.nan], equal_nan=True)


def test_quotes_are_those_of_the_snapshot_and_one_that_is_none_is_left_out(quiet: Alpaca):
    chain = quiet.snapshot().underlyings["IWM"].chain
    symbols = chain.symbol.tolist()[:230]
    quotes = quiet.do(quiet.market.quotes([*symbols, "IWM350101P00001000"], quiet.clock.now()))
    assert list(quotes) == symbols
    for row, symbol in enumerate(symbols):
        quote = quotes[symbol]
        assert (quote.bid, quote.ask) == (chain.bid[row], chain.ask[row])
        assert (quiet.clock.now() - quote.at).total_seconds() == pytest.approx(chain.quote_age_seconds[row], abs=1e-3)


def test_a_close_is_the_official_one_and_known_a_quarter_of_an_hour_later():
    sample = SampleMarket()
    with alpaca(start=CLOSE) as one:
        assert one.do(one.market.prices(["SPY", "TLT"], CLOSE)) == {}
        for later in (dt.timedelta(minutes=16), dt.timedelta(days=3)):
            one.move(CLOSE + later)
            known = one.do(one.market.prices(["SPY", "TLT"], CLOSE))
            assert known == one.do(sample.prices(["SPY", "TLT"], CLOSE))


def test_prices_and_dividends_of_now(quiet: Alpaca):
    now = quiet.clock.now()
    sample = SampleMarket()
    assert quiet.do(quiet.market.prices(["SPY", "TLT"], now)) == quiet.do(sample.prices(["SPY", "TLT"], now))
    ours = quiet.do(quiet.market.dividends(["SPY", "GLD"], now))
    theirs = quiet.do(sample.dividends(["SPY", "GLD"], now))
    assert ours["SPY"] == theirs["SPY"][:2]
    assert ours["GLD"] == ()
    assert calendar.is_session(ours["SPY"][0].ex_date)


@pytest.mark.parametrize("fault", ["422", "404"])
def test_a_price_that_is_refused_costs_its_underlying_alone(fault: str):
    with alpaca() as one:
        one.fake.fail("GET /v2/stocks/snapshots", fault)
        known = one.do(one.market.prices(UNIVERSE, one.clock.now()))
        theirs = one.do(SampleMarket().prices(UNIVERSE, one.clock.now()))
    assert len(known) == len(UNIVERSE) - 1
    assert known.items() <= theirs.items()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8) | st.just("2026-03-17T14:00:00Z"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["latestQuote", "greeks", "dailyBar", "bp", "ap", "t", "v", "delta"]), inner)
    ),
    max_leaves=12,
)
SYMBOLS = st.sampled_from(["SPY260417P00540000", "SPY260417C00640000", "SPY1260417P00540000", "", "SPY", "SPYXXXXXXP"])


@given(st.dictionaries(SYMBOLS, ANYTHING), st.none() | st.dictionaries(SYMBOLS, st.dictionaries(st.text(), ANYTHING)))
def test_whatever_is_told_makes_a_chain_of_every_standard_contract(
    snapshots: dict[str, object], contracts: dict[str, dict[str, object]] | None
):
    told = raw_chain("SPY", snapshots, contracts, today=DEFAULT_AS_OF.date(), session_before=dt.date(2026, 3, 16))
    chain = told.at("SPY", 600.0, DEFAULT_AS_OF)
    assert len(chain) + told.adjusted + told.strange == len(snapshots)
    for column in ("bid", "ask", "quote_age_seconds", "volume", "open_interest", *GREEKS):
        assert not np.isinf(getattr(chain, column)).any()
    assert not (chain.quote_age_seconds < 0).any()


@given(ANYTHING)
def test_whatever_is_told_of_the_other_parts_is_taken_or_absent(told: object):
    assert quote_of(told) is None or isinstance(told, dict)
    headlines_of(told)
    dividends_of(told, "SPY")
    price_of({"latestQuote": told, "latestTrade": told}, at=DEFAULT_AS_OF, max_age=dt.timedelta(minutes=5))
    assert isinstance(index_quote(told, "VIX", now=DEFAULT_AS_OF), str)
    bars_of([{"t": told, "o": told, "h": told, "c": 1}], before=dt.date(2026, 3, 17), newest=10)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"symbol": "VIXY", "current_price": 12.0, "last_trade_time": "2026-03-17T09:45:00"}, "its symbol is 'VIXY'"),
        ({"symbol": "^VIX", "current_price": 0.0, "last_trade_time": "2026-03-17T09:45:00"}, "no level"),
        ({"symbol": "^VIX", "current_price": 12.0, "last_trade_time": None}, "no time"),
        ({"symbol": "^VIX", "current_price": 12.0, "last_trade_time": "2026-03-13T16:15:00"}, "of 2026-03-13 16:15"),
        ({"symbol": "^VIX", "current_price": 12.0, "last_trade_time": "2026-03-17T10:15:00"}, "of 2026-03-17 10:15"),
    ],
)
def test_an_index_quote_of_another_index_or_time_is_none(told: dict[str, object], said: str):
    assert said in str(index_quote({"data": told}, "VIX", now=DEFAULT_AS_OF))


def test_an_index_quote_of_the_session_before_is_one():
    told = {"symbol": "^VIX", "current_price": 12.5, "last_trade_time": "2026-03-16T16:15:00"}
    assert index_quote({"data": told}, "VIX", now=DEFAULT_AS_OF) == (
        12.5,
        dt.datetime(2026, 3, 16, 20, 15, tzinfo=dt.UTC),
    )


@pytest.mark.parametrize(
    ("at", "taken"),
    [("2026-03-17T09:31", True), ("2026-03-17T10:14", True), ("2026-03-17T10:15", False), ("2026-03-17T15:55", False)],
)
def test_yesterdays_index_stands_in_for_todays_in_the_first_three_quarters_of_an_hour_only(at: str, *, taken: bool):
    told = {"symbol": "^VIX", "current_price": 12.5, "last_trade_time": "2026-03-16T16:15:00"}
    now = dt.datetime.fromisoformat(at).replace(tzinfo=NEW_YORK).astimezone(dt.UTC)
    found = index_quote({"data": told}, "VIX", now=now)
    assert isinstance(found, str) != taken
    assert taken or found == "Cboe's VIX is of 2026-03-16 16:15 New York"
