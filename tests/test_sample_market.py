"""The made-up market: a pure function of seed and instant, and a market that a trader would recognise."""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from conftest import at_scale
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_agents import pricing
from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import InputError
from mahler_agents.market import Chain, Snapshot, calendar
from mahler_agents.market.sample import SampleMarket
from mahler_agents.market.sample.chain import _shown_day
from mahler_agents.market.sample.history import bars, volatility_history
from mahler_agents.market.sample.paths import simulate_paths
from mahler_agents.screen import ScreenParams, screen, select_for_review
from mahler_agents.screen.contracts import FACTS, ChainContext, eligible_legs
from mahler_agents.types import UNIVERSE, Quote

MARKET = SampleMarket()
DEFAULT = MARKET.default_as_of()


def instant(date: str, time: str = "10:00") -> dt.datetime:
    return dt.datetime.fromisoformat(f"{date}T{time}").replace(tzinfo=NEW_YORK)


def look(at: dt.datetime, market: SampleMarket = MARKET, underlyings: Sequence[str] = UNIVERSE) -> Snapshot:
    return asyncio.run(market.snapshot(at, underlyings))


def ask(symbols: Sequence[str], at: dt.datetime, market: SampleMarket = MARKET) -> Mapping[str, Quote]:
    return asyncio.run(market.quotes(symbols, at))


def price_of(underlying: str, at: dt.datetime) -> float:
    return asyncio.run(MARKET.prices([underlying], at))[underlying]


def figures(snapshot: Snapshot) -> list[object]:
    """All that a snapshot holds, in a form that compares exactly (NaN with NaN)."""
    columns = [
        (name, part, field, column.tobytes() if isinstance(column, np.ndarray) else column)
        for name, held in snapshot.underlyings.items()
        for part in ("chain", "bars", "volatility_history")
        for field, column in vars(getattr(held, part)).items()
    ]
    news = [(held.headlines, held.dividends) for held in snapshot.underlyings.values()]
    return [snapshot.as_of, snapshot.vix, snapshot.vix_3_month, columns, news]


def forget() -> None:
    for cache in (_shown_day, bars, volatility_history, simulate_paths):
        cache.cache_clear()


sessions = st.sampled_from(calendar.sessions(dt.date(2025, 6, 1), dt.date(2026, 12, 31)))


@st.composite
def instants(draw: st.DrawFn) -> dt.datetime:
    hours = calendar.session(draw(sessions))
    seconds = draw(st.integers(0, int((hours.close - hours.open).total_seconds())))
    return hours.open + dt.timedelta(seconds=seconds)


class TestWhatASnapshotHolds:
    def test_it_is_labelled_synthetic_with_its_seed(self) -> None:
        snapshot = look(DEFAULT)
        assert snapshot.synthetic
        assert snapshot.source == f"synthetic, seed {MARKET.seed}"
        assert snapshot.as_of == DEFAULT
        assert MARKET.live is False

    def test_it_has_the_five_underlyings_with_a_thousand_bars_before_its_day(self) -> None:
        today = np.datetime64(DEFAULT.date())
        for name, held in look(DEFAULT).underlyings.items():
            assert held.chain.underlying == name
            assert len(held.bars) == 1000
            assert held.bars.date[-1] < today
            assert (held.bars.low <= np.minimum(held.bars.open, held.bars.close)).all()
            assert (held.bars.high >= np.maximum(held.bars.open, held.bars.close)).all()
            assert (held.bars.volume > 0).all()
            assert held.volatility_history is not None
            assert len(held.volatility_history.date) == 500
            assert held.volatility_history.date[-1] == held.bars.date[-1]

    def test_chains_have_a_few_hundred_contracts_with_the_gaps_of_a_feed(self) -> None:
        for held in look(DEFAULT).underlyings.values():
            chain = held.chain
            assert 300 <= len(chain) <= 900
            assert len(set(chain.symbol.tolist())) == len(chain)
            assert (chain.bid == 0).any()
            assert (chain.ask > chain.bid).all()
            gaps = np.isnan(chain.delta)
            assert 0.02 < gaps.mean() < 0.12
            assert np.isnan(chain.implied_volatility[chain.bid == 0]).all()
            assert not (chain.delta == 0).any()
            assert (gaps == np.isnan(chain.vega_per_vol_point)).all()

    def test_far_out_of_the_money_quotes_are_wider_for_their_price(self) -> None:
        for held in look(DEFAULT).underlyings.values():
            chain = held.chain
            relative = (chain.ask - chain.bid) / ((chain.ask + chain.bid) / 2)
            delta = np.abs(chain.delta)
            assert np.median(relative[delta < 0.05]) > 2 * np.median(relative[(delta > 0.3) & (delta < 0.6)])

    def test_prices_stand_on_the_tick(self) -> None:
        chain = look(DEFAULT).underlyings["GLD"].chain
        cents = np.round(chain.bid * 100).astype(int)
        assert np.allclose(chain.bid * 100, cents)
        assert (cents[chain.bid > 3.10] % 5 == 0).all()

    def test_headlines_are_dated_newest_first_and_none_is_from_the_future(self) -> None:
        for held in look(DEFAULT).underlyings.values():
            assert held.headlines
            times = [headline.at for headline in held.headlines]
            assert times == sorted(times, reverse=True)
            assert times[0] <= DEFAULT
            assert {"synthetic" in headline.source for headline in held.headlines} == {True}

    def test_coming_dividends_are_of_sessions_until_the_last_expiration(self) -> None:
        held = look(DEFAULT).underlyings
        assert held["GLD"].dividends == ()
        assert len(held["TLT"].dividends or ()) == 6  # monthly
        for name in ("SPY", "QQQ", "IWM", "TLT"):
            dividends = held[name].dividends
            assert dividends
            dates = [dividend.ex_date for dividend in dividends]
            assert all(calendar.is_session(date) for date in dates)
            assert DEFAULT.date() < dates[0] <= dates[-1] <= held[name].chain.expiration.max()
            assert all(0 < (dividend.dollars or 0) < 0.01 * held[name].chain.spot for dividend in dividends)

    @pytest.mark.parametrize("at", [DEFAULT, instant("2026-03-18"), instant("2026-03-18", "16:30")])
    def test_dividends_can_be_asked_for_alone_and_at_any_hour(self, at: dt.datetime) -> None:
        asked = asyncio.run(MARKET.dividends((*UNIVERSE, "AAPL"), at))
        assert asked.keys() == set(UNIVERSE)
        seen = look(min(at, calendar.session_close(at.astimezone(NEW_YORK).date()))).underlyings
        assert asked == {name: held.dividends for name, held in seen.items()}
        spy = [dividend.ex_date for dividend in asked["SPY"]]
        assert (dt.date(2026, 3, 18) in spy) == (at == DEFAULT)  # on its ex-date a dividend is no longer to come

    def test_dividends_outside_the_markets_range_are_refused(self) -> None:
        with pytest.raises(InputError, match="2029-01-02 is outside the sample market"):
            asyncio.run(MARKET.dividends(("SPY",), instant("2029-01-02")))

    def test_a_chain_knows_the_larger_of_todays_and_yesterdays_volume(self) -> None:
        early = look(instant("2026-03-18", "09:30")).underlyings["SPY"].chain
        late = look(instant("2026-03-18", "16:00")).underlyings["SPY"].chain
        next_day = look(instant("2026-03-19", "09:30")).underlyings["SPY"].chain
        assert (late.volume >= early.volume).all()
        assert (late.volume > early.volume).any()
        assert (early.volume > 0).any()
        assert (late.open_interest == early.open_interest).all()
        shared = np.isin(next_day.symbol, late.symbol)
        assert (next_day.volume[shared] > 0).any()

    def test_an_underlying_that_it_does_not_have_is_named(self) -> None:
        snapshot = look(DEFAULT, underlyings=("SPY", "AAPL"))
        assert list(snapshot.underlyings) == ["SPY"]
        assert "underlyings.AAPL" in snapshot.missing
        with pytest.raises(InputError, match="none of AAPL: it has SPY, QQQ, IWM, TLT, GLD"):
            look(DEFAULT, underlyings=("AAPL",))


class TestPureFunctionOfSeedAndInstant:
    @settings(max_examples=15, deadline=None)
    @given(asked=st.lists(instants(), min_size=2, max_size=4, unique=True), order=st.randoms(use_true_random=False))
    def test_the_order_of_asking_changes_nothing(self, asked: list[dt.datetime], order) -> None:
        before = {at: figures(look(at)) for at in asked}
        order.shuffle(asked)
        other = SampleMarket(MARKET.seed)
        for at in asked:
            ask(["SPY260417P00600000"], at, other)
            assert figures(look(at, other)) == before[at]

    def test_nothing_depends_on_what_caches_hold(self) -> None:
        at = instant("2026-05-05", "11:32")
        warm = figures(look(at))
        forget()
        assert figures(look(at)) == warm

    def test_what_a_cache_hands_out_cannot_be_changed(self) -> None:
        held = look(DEFAULT).underlyings["SPY"]
        for column in (held.bars.close, held.chain.strike, held.chain.open_interest, held.chain.symbol):
            with pytest.raises(ValueError, match="read-only"):
                column[0] = column[1]

    def test_another_seed_is_another_market(self) -> None:
        assert figures(look(DEFAULT, SampleMarket(1))) != figures(look(DEFAULT, SampleMarket(2)))

    def test_the_default_is_the_same_on_every_machine(self) -> None:
        snapshot = look(DEFAULT)
        spots = {name: held.chain.spot for name, held in snapshot.underlyings.items()}
        quote = ask(["SPY260417P00570000"], DEFAULT)["SPY260417P00570000"]
        assert (spots, snapshot.vix, quote.bid, quote.ask) == PINNED

    def test_three_minutes_later_quotes_differ_a_little(self) -> None:
        chain = look(DEFAULT).underlyings["SPY"].chain
        later = ask(chain.symbol.tolist(), DEFAULT + dt.timedelta(minutes=3))
        moved = np.array([later[symbol].bid for symbol in chain.symbol]) - chain.bid
        assert (moved != 0).mean() > 0.1
        assert np.abs(moved).max() < 0.01 * chain.spot


class TestQuotes:
    @settings(max_examples=20, deadline=None)
    @given(at=instants())
    def test_quotes_are_those_of_the_snapshot_of_the_same_instant(self, at: dt.datetime) -> None:
        chains = [held.chain for held in look(at).underlyings.values()]
        every = [chain.symbol[row] for chain in chains for row in range(0, len(chain), 7)]
        quotes = ask(every, at)
        for chain in chains:
            for row in range(0, len(chain), 7):
                quote = quotes[chain.symbol[row]]
                assert (quote.bid, quote.ask) == (chain.bid[row], chain.ask[row])
                assert (at - quote.at).total_seconds() == pytest.approx(chain.quote_age_seconds[row], abs=1e-5)

    def test_a_contract_is_quoted_until_the_close_of_its_expiration(self) -> None:
        symbol, expiration = "SPY260417P00600000", dt.date(2026, 4, 17)
        for date in calendar.sessions(DEFAULT.date(), expiration):
            for at in (calendar.session(date).open, calendar.session_close(date)):
                assert symbol in ask([symbol], at)
        assert ask([symbol], instant("2026-04-17", "16:01")) == {}
        assert ask([symbol], instant("2026-04-20")) == {}

    @pytest.mark.parametrize("close", [instant("2026-04-17", "16:00"), instant("2026-11-27", "13:00")])
    def test_at_the_close_of_its_expiration_an_option_is_worth_what_it_settles_at(self, close: dt.datetime) -> None:
        chain = look(close).underlyings["SPY"].chain
        ending = chain.expiration == np.datetime64(close.date())
        settled = price_of("SPY", close)
        assert settled == chain.spot
        sign = np.where(chain.is_put, -1, 1)
        intrinsic = np.maximum(sign * (settled - chain.strike), 0)[ending]
        assert ending.any()
        assert (chain.bid[ending] <= intrinsic + 0.05).all()
        assert (chain.ask[ending] >= intrinsic - 0.05).all()

    @pytest.mark.parametrize(
        "symbol",
        [
            "AAPL260417P00200000",  # no such underlying
            "SPY260415P00600000",  # a Wednesday
            "SPY260417P00601000",  # not on the grid
            "SPY270115P00600000",  # not listed yet
            "SPY260313P00600000",  # expired
        ],
    )
    def test_what_is_not_listed_has_no_quote(self, symbol: str) -> None:
        assert ask([symbol, "SPY260417P00600000"], DEFAULT).keys() == {"SPY260417P00600000"}

    def test_a_malformed_symbol_is_refused(self) -> None:
        with pytest.raises(InputError, match="'SPY' is not an OCC option symbol"):
            ask(["SPY"], DEFAULT)

    @pytest.mark.parametrize("at", [instant("2026-03-17", "16:03"), instant("2026-03-14")])
    def test_a_closed_exchange_quotes_nothing(self, at: dt.datetime) -> None:
        assert ask(["SPY260417P00600000"], at) == {}
        assert asyncio.run(MARKET.prices(["SPY"], at)) == {}


class TestHours:
    @pytest.mark.parametrize(
        ("at", "message"),
        [
            (instant("2026-03-14"), "2026-03-14 is not a session.* 2026-03-13 and 2026-03-16"),
            (instant("2026-03-17", "09:29"), "closed at 2026-03-17 09:29 New York: it is open 09:30 to 16:00"),
            (instant("2026-11-27", "13:05"), "it is open 09:30 to 13:00"),
            (instant("2023-12-29"), "sample market, which has 2024-01-02 to 2028-12-29: the nearest session is 2024-"),
            (instant("2029-01-02"), "the nearest session is 2028-12-29"),
            (dt.datetime(2026, 3, 17, 14), "no time zone"),  # noqa: DTZ001
        ],
    )
    def test_outside_the_hours_it_says_so_and_names_the_nearest_session(self, at: dt.datetime, message: str) -> None:
        with pytest.raises(InputError, match=message):
            look(at)

    @pytest.mark.parametrize("date", ["2024-01-02", "2028-12-29", "2026-11-27"])
    def test_the_first_the_last_and_a_half_day_are_open_from_bell_to_bell(self, date: str) -> None:
        hours = calendar.session(dt.date.fromisoformat(date))
        for at in (hours.open, hours.close):
            assert len(look(at).underlyings) == 5

    def test_bars_are_the_intraday_prices_of_their_day(self) -> None:
        held = look(instant("2026-12-01")).underlyings["QQQ"].bars
        for row in range(-45, 0):
            date = held.date[row].item()
            hours = calendar.session(date)
            assert price_of("QQQ", hours.open) == held.open[row]
            assert price_of("QQQ", hours.close) == held.close[row]
            noon = price_of("QQQ", hours.open + dt.timedelta(hours=2, minutes=32))
            assert held.low[row] <= noon <= held.high[row]

    def test_prices_of_other_underlyings_are_not_known(self) -> None:
        assert set(asyncio.run(MARKET.prices(["SPY", "AAPL", "GLD"], DEFAULT))) == {"SPY", "GLD"}


class TestExpirations:
    @staticmethod
    def expirations(date: str) -> list[str]:
        chain = look(instant(date)).underlyings["SPY"].chain
        return [str(day) for day in np.unique(chain.expiration)]

    def test_weeklies_are_listed_for_eight_weeks_and_monthlies_for_half_a_year(self) -> None:
        assert self.expirations("2026-03-17") == [
            *("2026-03-20", "2026-03-27", "2026-04-02", "2026-04-10"),  # Good Friday's on Thursday
            *("2026-04-17", "2026-04-24", "2026-05-01", "2026-05-08"),
            *("2026-05-15", "2026-06-18", "2026-07-17", "2026-08-21", "2026-09-18"),
        ]

    def test_a_monthly_expiration_on_a_holiday_is_on_the_thursday_and_stays_monthly(self) -> None:
        assert "2026-06-18" in self.expirations("2026-02-02")  # Juneteenth is the third Friday of June 2026
        assert "2026-06-19" not in self.expirations("2026-02-02")

    def test_expiring_contracts_are_listed_on_their_last_day(self) -> None:
        assert self.expirations("2026-03-20")[0] == "2026-03-20"
        assert self.expirations("2026-03-23")[0] == "2026-03-27"


class TestPricesAreThoseOfAMarket:
    @settings(max_examples=10, deadline=None)
    @given(at=instants())
    def test_no_quotes_can_be_traded_against_each_other_for_nothing(self, at: dt.datetime) -> None:
        for held in look(at).underlyings.values():
            for chain in by_expiration(held.chain):
                order = np.argsort(np.where(chain["is_put"], 1, -1) * chain["strike"])
                for is_put in (True, False):
                    rows = order[chain["is_put"][order] == is_put]
                    bid, ask_ = chain["bid"][rows], chain["ask"][rows]
                    assert (bid[:-1] <= ask_[1:]).all()  # dearer with every step into the money
                    steps = np.abs(np.diff(chain["strike"][rows]))
                    even = np.isclose(steps[1:], steps[:-1])
                    assert (2 * bid[1:-1] <= ask_[:-2] + ask_[2:] + 1e-9)[even].all()  # convex

    @pytest.mark.parametrize("at", [DEFAULT, instant("2026-09-16")])
    def test_what_the_screen_computes_from_the_mid_agrees_with_the_feeds_volatility_and_greeks(
        self, at: dt.datetime
    ) -> None:
        snapshot = look(at)
        for name, held in snapshot.underlyings.items():
            given = held.chain
            bare = dataclasses.replace(given, **{fact: np.full(len(given), np.nan) for fact in FACTS})
            facts = {"as_of": at, "params": ScreenParams(), "rate": snapshot.risk_free_rate}
            legs, _ = eligible_legs(ChainContext(chain=bare, dividends=held.dividends, **facts))
            volatility, delta, _, theta, vega = (getattr(given, fact)[legs.row] for fact in FACTS)
            own = np.abs(delta) > 0.03  # and not one of the feed's gaps
            assert own.sum() > 10
            assert legs.computed.all()
            assert np.abs(legs.facts[0] - volatility)[own].max() < 0.0025, name
            assert np.abs(legs.facts[1] - delta)[own].max() < 0.0025, name
            assert np.abs(legs.facts[3] / theta - 1)[own].max() < 0.05, name
            assert np.abs(legs.facts[4] / vega - 1)[own].max() < 0.05, name
            blind, _ = eligible_legs(ChainContext(chain=bare, dividends=None, **facts))
            if any(one.ex_date <= legs.expiration.min().item() for one in held.dividends or ()):
                assert np.abs(blind.facts[0] - volatility)[own].max() > 0.005, name  # so the dividends are what does it

    @settings(max_examples=at_scale(200), deadline=None)
    @given(at=instants())
    def test_calls_less_puts_are_worth_the_spot_less_the_coming_dividends_less_the_strike(
        self, at: dt.datetime
    ) -> None:
        snapshot, held_to_parity = look(at), 0
        for held in snapshot.underlyings.values():
            for month in np.unique(held.chain.expiration):
                call, put, strike = pairs_of(held.chain, month)
                worth = sum(
                    (one.dollars or 0) * np.exp(-snapshot.risk_free_rate * (one.ex_date - at.date()).days / 365)
                    for one in held.dividends or ()
                    if one.ex_date <= month.item()
                )
                cash = strike * np.exp(-snapshot.risk_free_rate * pricing.years_to_expiry(at, month))
                off = (call.mid - put.mid) - (held.chain.spot - worth - cash)
                # An American option worth its exercise today is worth more than parity says: those are left out.
                european = (call.mid > held.chain.spot - strike + call.half) & (
                    put.mid > strike - held.chain.spot + put.half
                )
                assert (np.abs(off) <= call.half + put.half + 1e-9)[european].all()
                held_to_parity += european.sum()
        assert held_to_parity > 100

    def test_puts_of_stocks_have_skew_and_the_term_structure_has_a_slope(self) -> None:
        chain = look(DEFAULT).underlyings["SPY"].chain
        month = chain.expiration == np.datetime64("2026-04-17")
        low_put = chain.implied_volatility[month & chain.is_put & (np.abs(chain.delta + 0.1) < 0.03)]
        high_call = chain.implied_volatility[month & ~chain.is_put & (np.abs(chain.delta - 0.1) < 0.03)]
        assert low_put.mean() > high_call.mean() + 0.03
        snapshot = look(DEFAULT)
        assert snapshot.vix is not None
        assert snapshot.vix_3_month is not None
        assert snapshot.vix_3_month > snapshot.vix  # calm: contango

    @pytest.mark.parametrize("seed", [MARKET.seed, 1, 2])
    def test_stocks_move_together_bonds_a_little_against_them_and_gold_alone(self, seed: int) -> None:
        held = look(instant("2027-12-01"), SampleMarket(seed)).underlyings
        returns = np.array([np.diff(np.log(held[name].bars.close)) for name in UNIVERSE])
        spy_qqq, spy_iwm, spy_tlt, spy_gld = np.corrcoef(returns)[0, 1:]
        assert 0.86 < spy_qqq < 0.93
        assert 0.86 < spy_iwm < 0.92
        assert 0.85 < np.corrcoef(returns)[1, 2] < 0.92
        assert -0.30 < spy_tlt < -0.02
        assert abs(spy_gld) < 0.15

    @pytest.mark.parametrize("seed", [MARKET.seed, 1, 2])
    def test_quarters_are_calm_or_stormy_and_implied_volatility_is_dear_on_average(self, seed: int) -> None:
        held = look(instant("2027-12-01"), SampleMarket(seed)).underlyings["SPY"]
        returns = np.diff(np.log(held.bars.close))
        quarters = np.array([returns[i : i + 63].std() for i in range(0, 930, 63)]) * np.sqrt(252)
        assert quarters.max() > 1.7 * quarters.min()
        implied = held.volatility_history.implied_volatility[:-21]
        later = np.array([returns[i : i + 21].std() for i in range(len(returns) - 499, len(returns) - 20)]) * 252**0.5
        assert implied.mean() > 1.05 * later.mean()

    def test_the_vix_is_in_points_follows_spy_and_rises_when_it_falls(self) -> None:
        days = calendar.sessions(dt.date(2026, 1, 1), dt.date(2026, 12, 31))[::2]
        shown = [look(calendar.session_close(day), underlyings=("SPY",)) for day in days]
        vix = np.array([snapshot.vix for snapshot in shown])
        spot = np.array([snapshot.underlyings["SPY"].chain.spot for snapshot in shown])
        assert 8 < vix.min() < vix.max() < 80
        assert vix.max() > 1.5 * vix.min()
        assert np.corrcoef(np.diff(np.log(vix)), np.diff(np.log(spot)))[0, 1] < -0.5


class TestCandidates:
    @staticmethod
    def reviewed(at: dt.datetime) -> list[str]:
        chosen, _ = select_for_review(screen(look(at))[0])
        return [candidate.spread.underlying for candidate in chosen]

    def test_the_default_scan_reviews_about_four_candidates_of_several_underlyings(self) -> None:
        underlyings = self.reviewed(DEFAULT)
        assert 3 <= len(underlyings) <= 5
        assert len(set(underlyings)) >= 3

    def test_over_a_year_most_days_have_a_few_candidates_and_some_have_none(self) -> None:
        days = calendar.sessions(dt.date(2026, 1, 1), dt.date(2026, 12, 31))[::7]
        counts = [len(self.reviewed(dt.datetime.combine(day, dt.time(10), NEW_YORK))) for day in days]
        assert 2 < np.mean(counts) < 5
        assert 0.7 < np.mean([count > 0 for count in counts]) < 1


@dataclasses.dataclass(frozen=True)
class Mids:
    mid: np.ndarray
    half: np.ndarray
    """Half of bid to ask."""


def pairs_of(chain: Chain, expiration: np.datetime64) -> tuple[Mids, Mids, np.ndarray]:
    """Return calls, puts and strikes of one expiration, where both are quoted."""
    month = chain.expiration == expiration
    calls, puts = np.flatnonzero(month & ~chain.is_put), np.flatnonzero(month & chain.is_put)
    strike, call, put = np.intersect1d(chain.strike[calls], chain.strike[puts], return_indices=True)
    call_mids, put_mids = (
        Mids((chain.bid[rows] + chain.ask[rows]) / 2, (chain.ask[rows] - chain.bid[rows]) / 2)
        for rows in (calls[call], puts[put])
    )
    return call_mids, put_mids, strike


def by_expiration(chain: Chain) -> list[dict[str, np.ndarray]]:
    names = ("is_put", "strike", "bid", "ask")
    return [
        {name: getattr(chain, name)[chain.expiration == day] for name in names} for day in np.unique(chain.expiration)
    ]


PINNED = (
    {"SPY": 601.58, "QQQ": 522.37, "IWM": 226.38, "TLT": 88.55, "GLD": 279.05},
    12.54,
    1.57,
    1.61,
)
