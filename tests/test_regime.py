"""The regime: what it sees in bars that have one, that it never looks ahead, and what leaves it unknown."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from builders import AS_OF, make_bars, make_snapshot, make_volatility_history

from mahler_agents.market.snapshot import Bars, MarketData, Snapshot, VolatilityHistory
from mahler_agents.regime import FEATURES, Regime, RegimeParams, RegimeUnknown, feature_rows, market_regime
from mahler_agents.types import MarketRegime

# (drift a day, volatility a day) of each regime's made-up days
DAYS = {
    MarketRegime.BULL_LOW_VOL: (0.0015, 0.004),
    MarketRegime.BULL_HIGH_VOL: (0.0060, 0.018),
    MarketRegime.BEAR_LOW_VOL: (-0.0015, 0.004),
    MarketRegime.BEAR_HIGH_VOL: (-0.0060, 0.018),
}


def a_market(last: MarketRegime, *, blocks: int = 3, seed: int = 3) -> MarketData:
    """Bars and volatilities that pass through all regimes, 80 days each, `blocks` times, and end in `last`."""
    rng = np.random.default_rng(seed)
    order = [one for _ in range(blocks) for one in MarketRegime] + [last]
    drift = np.concatenate([np.full(80, DAYS[one][0]) for one in order])
    volatility = np.concatenate([np.full(80, DAYS[one][1]) for one in order])
    days = len(drift)
    close = 500 * np.exp(np.cumsum(drift + volatility * rng.standard_normal(days)))
    half_range = close * volatility * rng.uniform(0.5, 1.0, days)
    end = np.datetime64(AS_OF.date(), "D")
    date = np.busday_offset(end, np.arange(-days, 0), roll="forward")
    bars = Bars(
        date=date,
        open=close,
        high=close + half_range,
        low=close - half_range,
        close=close,
        volume=1e7 * (1 + 20 * volatility) * rng.uniform(0.9, 1.1, days),
    )
    implied = volatility * np.sqrt(252) * rng.uniform(1.0, 1.15, days)
    history = VolatilityHistory(date=date, implied_volatility=implied)
    return MarketData(chain=make_snapshot().underlyings["SPY"].chain, bars=bars, volatility_history=history)


def seen(market: MarketData, params: RegimeParams | None = None) -> Regime | RegimeUnknown:
    return market_regime(replace(make_snapshot(), underlyings={"SPY": market}), params or RegimeParams())


def a_snapshot(**changes: object) -> Snapshot:
    market = replace(make_snapshot().underlyings["SPY"], bars=make_bars(600), volatility_history=None)
    market = replace(market, volatility_history=make_volatility_history(600))
    return replace(make_snapshot(), underlyings={"SPY": replace(market, **changes)})


@pytest.mark.parametrize("last", list(MarketRegime))
def test_the_regime_of_made_up_days_is_found(last: MarketRegime) -> None:
    found = seen(a_market(last))
    assert isinstance(found, Regime)
    assert found.regime is last
    assert found.probability > 0.5


def test_probabilities_of_the_four_regimes_add_up_to_1() -> None:
    found = seen(a_market(MarketRegime.BULL_LOW_VOL))
    assert isinstance(found, Regime)
    assert set(found.probabilities) == set(MarketRegime)
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_the_same_bars_give_the_same_regime_to_the_bit() -> None:
    market = a_market(MarketRegime.BEAR_HIGH_VOL)
    assert seen(market) == seen(market)


def test_a_day_to_come_changes_no_row_of_the_days_before() -> None:
    market = a_market(MarketRegime.BULL_LOW_VOL)
    whole = feature_rows(market.bars, market.volatility_history)
    shorter = Bars(**{name: getattr(market.bars, name)[:-100] for name in Bars.__dataclass_fields__})
    np.testing.assert_array_equal(feature_rows(shorter, market.volatility_history), whole[:-100])


def test_a_wild_last_day_takes_no_part_in_the_fit() -> None:
    market = a_market(MarketRegime.BULL_LOW_VOL)
    wild = market.bars.volume.copy()
    wild[-1] *= 1e6
    calm, judged = seen(market), seen(replace(market, bars=replace(market.bars, volume=wild)))
    assert isinstance(calm, Regime)
    assert isinstance(judged, Regime)
    assert judged.past_rows == calm.past_rows


def test_the_features_are_what_their_names_say() -> None:
    bars, history = make_bars(80), make_volatility_history(80)
    row = dict(zip(FEATURES, feature_rows(bars, history)[-1], strict=True))
    close = bars.close
    realised = np.diff(np.log(close))[-20:].std(ddof=1) * np.sqrt(252)
    implied = history.implied_volatility[history.date == bars.date[-1]][0]
    assert row == pytest.approx(
        {
            "realised_volatility": realised,
            "momentum": close[-1] / close[-21] - 1,
            "trend": close[-20:].mean() / close[-50:].mean() - 1,
            "implied_volatility": implied,
            "implied_less_realised": implied - realised,
            "volume_ratio": bars.volume[-1] / bars.volume[-20:].mean(),
            "range": (bars.high[-1] - bars.low[-1]) / close[-1],
        }
    )


def test_250_past_days_are_enough_and_249_are_not() -> None:
    def of(days: int) -> Regime | RegimeUnknown:
        return market_regime(a_snapshot(bars=make_bars(days)), RegimeParams())

    enough = of(50 + 250)
    assert isinstance(enough, Regime)
    assert enough.past_rows == 250
    assert of(50 + 249) == RegimeUnknown(reason="249 past days with all features, needs 250")


NOTHING = np.full(600, np.nan)
UNKNOWN = {
    "no highs": ({"bars": replace(make_bars(600), high=NOTHING)}, "SPY has no highs in its bars"),
    "no volumes": ({"bars": replace(make_bars(600), volume=NOTHING)}, "SPY has no volumes in its bars"),
    "no history": ({"volatility_history": None}, "SPY has no history of implied volatility"),
    "no bars": ({"bars": make_bars(0)}, "SPY has no bars"),
    "few bars": ({"bars": make_bars(30)}, "0 past days with all features, needs 250"),
    "old bars": (
        {"bars": make_bars(600, as_of=AS_OF - dt.timedelta(days=30))},
        "the last bar of SPY is of 2026-02-13",
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_absent_leaves_the_regime_unknown_and_is_named(case: str) -> None:
    changes, reason = UNKNOWN[case]
    assert market_regime(a_snapshot(**changes), RegimeParams()) == RegimeUnknown(reason=reason)


def test_a_last_bar_without_a_volume_leaves_the_regime_unknown() -> None:
    bars = make_bars(600)
    bars.volume[-1] = np.nan
    unknown = market_regime(a_snapshot(bars=bars), RegimeParams())
    assert unknown == RegimeUnknown(reason=f"the last bar, of {bars.date[-1]}, has no volume_ratio")


def test_a_snapshot_without_spy_has_no_regime() -> None:
    assert market_regime(make_snapshot(("QQQ",)), RegimeParams()) == RegimeUnknown(reason="the snapshot has no SPY")
