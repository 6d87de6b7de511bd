"""Beside the screen, regime: one underlying's bars and implied volatility in, the market's trend and volatility out.

A Gaussian mixture groups the past days by seven features; the day to judge takes no part in the fit. It was never
validated on trades.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field

from mahler_agents.clock import NEW_YORK
from mahler_agents.indicators import TRADING_DAYS_PER_YEAR
from mahler_agents.market.snapshot import Bars, Floats, MarketData, Snapshot, VolatilityHistory
from mahler_agents.types import Environment, Frozen, MarketRegime
from mahler_agents.volatility import MAX_IMPLIED_VOLATILITY
from mahler_agents.wording import regime_text, regime_unknown_text

REGIME_UNDERLYING = "SPY"
FEATURES = (
    "realised_volatility",
    "momentum",
    "trend",
    "implied_volatility",
    "implied_less_realised",
    "volume_ratio",
    "range",
)
"""20-day annualised volatility; 20-day change; SMA20 / SMA50 - 1; 30-day implied; their difference; volume over its
20-day mean; (high - low) / close. All fractions."""

_SLOW, _FAST = 50, 20
_MAX_AGE = np.timedelta64(7, "D")  # of the last bar: a long weekend, not a forgotten file
_REGULARISATION = 1e-3  # of the standardised features' covariances: a group of alike days must not collapse

Matrix = NDArray[np.float64]


class RegimeParams(Frozen):
    """How the regime is fitted."""

    min_past_rows: Annotated[int, Field(ge=50)] = 250
    """Fewer past days with all features leave the regime unknown."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the mixture's own draws: the same bars give the same regime."""
    multipliers: Mapping[MarketRegime, Annotated[float, Field(ge=0, le=1)]] = {
        MarketRegime.BULL_LOW_VOL: 1.0,
        MarketRegime.BULL_HIGH_VOL: 0.5,
        MarketRegime.BEAR_LOW_VOL: 0.5,
        MarketRegime.BEAR_HIGH_VOL: 0.25,
    }
    """Of a trade's size in each regime; never validated on trades. One that is left out is 1."""

    def multiplier(self, found: "Regime | RegimeUnknown", environment: Environment) -> float:
        """Return the multiplier of a regime; of an unknown one, 1 in paper trading and the strictest in live."""
        if isinstance(found, Regime):
            return self.multipliers.get(found.regime, 1.0)
        return 1.0 if environment is Environment.PAPER else min([1.0, *self.multipliers.values()])


class Regime(Frozen):
    """The regime of the last day, as the mixture sees it."""

    known: Literal[True] = True
    regime: MarketRegime
    """The most probable one."""
    probabilities: Mapping[MarketRegime, Annotated[float, Field(ge=0, le=1)]]
    """Of all four; they add up to 1."""
    past_rows: int
    """Days that the mixture was fitted on."""

    @property
    def probability(self) -> float:
        """The probability of `regime`."""
        return self.probabilities[self.regime]

    @property
    def text(self) -> str:
        """The regime in words for the user and the record."""
        return regime_text(regime=self.regime.value, probability=self.probability, past_rows=self.past_rows)


class RegimeUnknown(Frozen):
    """No regime can be told."""

    known: Literal[False] = False
    reason: str
    """What is missing."""

    @property
    def text(self) -> str:
        """The absence in words for the user and the record."""
        return regime_unknown_text(self.reason)


def market_regime(snapshot: Snapshot, params: RegimeParams) -> Regime | RegimeUnknown:
    """Return the regime of `REGIME_UNDERLYING` on its last complete day before the snapshot, or why it is unknown."""
    market = snapshot.underlyings.get(REGIME_UNDERLYING)
    if market is None:
        return RegimeUnknown(reason=f"the snapshot has no {REGIME_UNDERLYING}")
    today = np.datetime64(snapshot.as_of.astimezone(NEW_YORK).date(), "D")
    if (missing := _missing(market)) is not None:
        return RegimeUnknown(reason=f"{REGIME_UNDERLYING} has no {missing}")
    if today - market.bars.date[-1] > _MAX_AGE:
        return RegimeUnknown(reason=f"the last bar of {REGIME_UNDERLYING} is of {market.bars.date[-1]}")
    rows = feature_rows(market.bars, market.volatility_history)
    past = rows[:-1][np.isfinite(rows[:-1]).all(axis=1)]
    if len(past) < params.min_past_rows:
        return RegimeUnknown(reason=f"{len(past)} past days with all features, needs {params.min_past_rows}")
    if not np.isfinite(rows[-1]).all():
        absent = [name for name, value in zip(FEATURES, rows[-1], strict=True) if not np.isfinite(value)]
        return RegimeUnknown(reason=f"the last bar, of {market.bars.date[-1]}, has no {', '.join(absent)}")
    return _classified(past.tobytes(), rows[-1].tobytes(), params.seed)


def feature_rows(bars: Bars, history: VolatilityHistory | None) -> Matrix:
    """Return a row of `FEATURES` for every bar, from that bar and those before it; NaN where one cannot be had."""
    rows = np.full((len(bars), len(FEATURES)), np.nan)
    if len(bars) < _SLOW:
        return rows
    with np.errstate(divide="ignore", invalid="ignore"):
        log_close = np.log(np.where(bars.close > 0, bars.close, np.nan))
        fast, slow = _mean(bars.close, _FAST), _mean(bars.close, _SLOW)
        realised = _last(
            sliding_window_view(np.diff(log_close), _FAST).std(axis=1, ddof=1) * np.sqrt(TRADING_DAYS_PER_YEAR),
            len(bars),
        )
        implied = _on_dates(bars, history)
        rows[:, 0] = realised
        rows[_FAST:, 1] = bars.close[_FAST:] / bars.close[:-_FAST] - 1
        rows[:, 2] = fast / slow - 1
        rows[:, 3] = implied
        rows[:, 4] = implied - realised
        rows[:, 5] = bars.volume / _mean(bars.volume, _FAST)
        rows[:, 6] = (bars.high - bars.low) / bars.close
    return rows


def _missing(market: MarketData) -> str | None:
    """Return the first part of the features that the source does not have at all."""
    bars, history = market.bars, market.volatility_history
    if not len(bars):
        return "bars"
    if history is None or not len(history.date):
        return "history of implied volatility"
    columns = {"highs": bars.high, "lows": bars.low, "volumes": bars.volume}
    return next((f"{name} in its bars" for name, column in columns.items() if not np.isfinite(column).any()), None)


@lru_cache(maxsize=16)
def _classified(past_rows: bytes, today_row: bytes, seed: int) -> Regime:
    """Fit the mixture on the past days (standardised by them), and return the regime of the last.

    Both are rows of `FEATURES` as bytes, so that the scans of one date, whose complete days are the same, fit once.

    A component is bull if its mean momentum and trend add up to 0 or more, and high in volatility if its mean realised
    and implied volatility add up to more than the median of all past days. Components of the same name are one regime:
    its probability is theirs together, 0 where there is none.
    """
    # A second of imports: only once there is something to fit.
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    past, today = np.frombuffer(past_rows).reshape(-1, len(FEATURES)), np.frombuffer(today_row)
    centre, scale = past.mean(axis=0), past.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    weights, means = _starting_points(past)
    scaled = (past - centre) / scale
    precision = np.linalg.inv(np.cov(scaled, rowvar=False) + _REGULARISATION * np.eye(len(FEATURES)))
    mixture = GaussianMixture(
        n_components=len(weights),
        reg_covar=_REGULARISATION,
        max_iter=500,
        # Its own start is k-means, whose threads add in no fixed order.
        init_params="random_from_data",
        weights_init=weights,
        means_init=(means - centre) / scale,
        precisions_init=np.stack([precision] * len(weights)),
        random_state=seed,
    )
    with threadpool_limits(limits=1):  # matrices of 7 x 7: threads would cost more than they save, and the sums' order
        shares = mixture.fit(scaled).predict_proba(((today - centre) / scale)[None, :])[0]
    names = _names(mixture.means_ * scale + centre, _median_volatility(past))
    found = dict.fromkeys(MarketRegime, 0.0)
    for name, share in zip(names, shares.tolist(), strict=True):
        found[name] += share
    probabilities = {name: min(max(share, 0.0), 1.0) for name, share in found.items()}
    regime = max(probabilities, key=lambda name: probabilities[name])
    return Regime(regime=regime, probabilities=probabilities, past_rows=len(past))


def _starting_points(past: Matrix) -> tuple[Floats, Matrix]:
    """Return the share and the mean of the past days that fit each regime's name; regimes without days are left out."""
    names = np.array(_names(past, _median_volatility(past)))
    groups = [past[names == name] for name in MarketRegime if (names == name).any()]
    return np.array([len(group) / len(past) for group in groups]), np.stack([group.mean(axis=0) for group in groups])


def _names(rows: Matrix, median_volatility: float) -> list[MarketRegime]:
    """Return the regime that each row of features is named after, by its trend and its volatility."""
    bull = rows[:, 1] + rows[:, 2] >= 0
    high = rows[:, 0] + rows[:, 3] > median_volatility
    names = {
        (True, False): MarketRegime.BULL_LOW_VOL,
        (True, True): MarketRegime.BULL_HIGH_VOL,
        (False, False): MarketRegime.BEAR_LOW_VOL,
        (False, True): MarketRegime.BEAR_HIGH_VOL,
    }
    return [names[key] for key in zip(bull.tolist(), high.tolist(), strict=True)]


def _median_volatility(past: Matrix) -> float:
    return float(np.median(past[:, 0] + past[:, 3]))


def _mean(column: Floats, days: int) -> Floats:
    return _last(sliding_window_view(column, days).mean(axis=1), len(column))


def _last(values: Floats, length: int) -> Floats:
    """Return `values`, which belong to the last days, with NaN for the days before."""
    return np.concatenate([np.full(length - len(values), np.nan), values])


def _on_dates(bars: Bars, history: VolatilityHistory | None) -> Floats:
    """Return the implied volatility of each bar's date, NaN where the history has none that can be one."""
    if history is None:
        return np.full(len(bars), np.nan)
    known = {
        date: value
        for date, value in zip(history.date.tolist(), history.implied_volatility.tolist(), strict=True)
        if 0 < value <= MAX_IMPLIED_VOLATILITY
    }
    return np.array([known.get(date, np.nan) for date in bars.date.tolist()])
