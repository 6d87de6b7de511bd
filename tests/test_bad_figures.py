"""Impossible figures of bars, index levels and accounts: refused by name, or taken as absent and named, never used."""

import dataclasses
import datetime as dt
import math
from typing import Any

import numpy as np
import pytest
from builders import AS_OF, make_account, make_bars, make_snapshot, make_volatility_history
from desks import START, scan
from pydantic import ValidationError

from mahler_agents import indicators
from mahler_agents.market.possible import without_impossible
from mahler_agents.market.sample import SampleMarket
from mahler_agents.market.snapshot import Account, Bars, Exposure, Snapshot
from mahler_agents.regime import feature_rows
from mahler_agents.types import SpreadType

BARS = make_bars()
ROW = -30  # in none of the 20-day windows that end today, in all of the longer ones


def with_bar(**figures: float) -> Bars:
    """Return bars one of which has these figures."""
    columns = {one.name: getattr(BARS, one.name).copy() for one in dataclasses.fields(BARS)}
    for name, figure in figures.items():
        columns[name][ROW] = figure
    return Bars(**columns)


def looked_at(bars: Bars, **fields: Any) -> Snapshot:
    snapshot = make_snapshot(**fields)
    market = dataclasses.replace(snapshot.underlyings["SPY"], bars=bars)
    return without_impossible(dataclasses.replace(snapshot, underlyings={"SPY": market}))


IMPOSSIBLE = {
    f"{name} of {figure:g}": ({name: figure}, f"impossible {name}")
    for name in ("open", "high", "low", "close")
    for figure in (0.0, -1.0, math.inf, -math.inf)
} | {
    "a negative volume": ({"volume": -1.0}, "impossible volume"),
    "an infinite volume": ({"volume": math.inf}, "impossible volume"),
    "a high below its low": ({"high": 500.0, "low": 600.0}, "high below low"),
    "an open above the high": ({"open": 9_000.0}, "open outside low and high"),
    "an open below the low": ({"open": 0.01}, "open outside low and high"),
    "a close above the high": ({"close": 9_000.0}, "close outside low and high"),
    "a close below the low": ({"close": 0.01}, "close outside low and high"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_bar_is_absent_and_named_by_its_date(case: str) -> None:
    figures, why = IMPOSSIBLE[case]
    snapshot = looked_at(with_bar(**figures))
    bars = snapshot.underlyings["SPY"].bars
    for name in ("open", "high", "low", "close", "volume"):
        column = getattr(bars, name)
        assert np.flatnonzero(np.isnan(column)).tolist() == [len(BARS) + ROW]
        assert np.array_equal(np.delete(column, ROW), np.delete(getattr(BARS, name), ROW))
    assert snapshot.missing["bars.SPY"] == f"taken as absent, being impossible: {BARS.date[ROW]} ({why})"


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_no_figure_is_computed_from_an_impossible_bar(case: str) -> None:
    bars = looked_at(with_bar(**IMPOSSIBLE[case][0])).underlyings["SPY"].bars
    assert math.isnan(indicators.simple_moving_average(bars.close, 50))
    assert math.isnan(indicators.average_true_range(bars.high, bars.low, bars.close))
    assert indicators.simple_moving_average(bars.close, 20) == indicators.simple_moving_average(BARS.close, 20)
    rows = feature_rows(bars, make_volatility_history())
    assert np.isnan(rows[ROW:, 2]).all()  # SMA20 / SMA50: each of these days has it among its 50


def test_a_bar_may_lack_all_but_its_close() -> None:
    absent = dict.fromkeys(("open", "high", "low", "volume"), math.nan)
    assert "bars.SPY" not in looked_at(with_bar(**absent)).missing


def test_a_bar_of_a_day_to_come_is_absent_and_one_of_the_day_itself_is_not() -> None:
    last = np.datetime64(AS_OF.date(), "D")
    for days, told in ((0, False), (1, True)):
        shifted = dataclasses.replace(BARS, date=BARS.date + (last + days - BARS.date[-1]))
        snapshot = looked_at(shifted)
        assert math.isnan(snapshot.underlyings["SPY"].bars.close[-1]) is told
        assert ("(after the snapshot)" in snapshot.missing.get("bars.SPY", "")) is told


def test_of_many_impossible_bars_the_last_are_named_and_the_others_counted() -> None:
    low = np.where(np.arange(len(BARS)) < 10, 0.0, BARS.low)
    told = looked_at(dataclasses.replace(BARS, low=low)).missing["bars.SPY"]
    assert told.count("impossible low") == 3
    assert told.endswith(" and 7 earlier")


@pytest.mark.parametrize("dates", ["swapped", "twice", "none"])
def test_bars_out_of_order_are_refused(dates: str) -> None:
    date = BARS.date.copy()
    date[3] = {"swapped": date[5], "twice": date[2], "none": np.datetime64("NaT")}[dates]
    with pytest.raises(ValueError, match="bars are not one a date, oldest first"):
        dataclasses.replace(BARS, date=date)


def test_bars_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        dataclasses.replace(BARS, close=BARS.close[1:])


@pytest.mark.parametrize("level", [0.0, -5.0, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("index", ["vix", "vix_3_month"])
def test_an_impossible_index_level_is_absent_and_named(index: str, level: float) -> None:
    snapshot = looked_at(BARS, **{index: level})
    assert getattr(snapshot, index) is None
    assert snapshot.missing[index] == f"the market says {level:g}: an index is above 0"


def test_possible_figures_are_left_as_they_are() -> None:
    snapshot = make_snapshot(vix=14.0, vix_3_month=16.0)
    seen = without_impossible(snapshot)
    assert (seen.vix, seen.vix_3_month, seen.missing) == (14.0, 16.0, snapshot.missing)
    assert seen.underlyings["SPY"] is snapshot.underlyings["SPY"]


def test_a_scan_takes_no_vix_below_zero_for_a_calm_market(tmp_path: Any) -> None:
    class Broken(SampleMarket):
        """Gives a VIX below zero."""

        async def snapshot(self, as_of: dt.datetime, underlyings: Any) -> Snapshot:
            return dataclasses.replace(await super().snapshot(as_of, underlyings), vix=-1.0)

    result = scan(tmp_path / "desk.db", "none", as_of=START, market=Broken())
    assert not result.breaker.vix_evaluated
    assert "-1" in result.missing["vix"]


# --- The account ------------------------------------------------------------------------------------------------------

HELD = {
    "underlying": "SPY",
    "spread_type": SpreadType.BULL_PUT,
    "expiration": dt.date(2026, 4, 17),
    "contracts": 1,
    "max_loss_dollars": 420.0,
    "pending": False,
}


@pytest.mark.parametrize("field", ["equity", "cash", "buying_power"])
@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf, None, "much"])
def test_an_account_with_a_figure_that_is_none_is_refused_by_name(field: str, figure: object) -> None:
    good = make_account().model_dump()
    with pytest.raises(ValidationError, match=rf"1 validation error for Account\n{field}\n"):
        Account.model_validate(good | {field: figure})


def test_an_account_without_an_id_is_refused() -> None:
    with pytest.raises(ValidationError, match="account_id"):
        Account.model_validate(make_account().model_dump() | {"account_id": ""})


@pytest.mark.parametrize(
    ("field", "figure"),
    [
        ("contracts", 0),
        ("contracts", -3),
        ("contracts", 1.5),
        ("contracts", math.nan),
        ("max_loss_dollars", -0.01),
        ("max_loss_dollars", math.nan),
        ("max_loss_dollars", math.inf),
        ("spread_type", "iron_condor"),
        ("expiration", "soon"),
    ],
)
def test_a_holding_that_would_take_heat_away_is_refused_by_name(field: str, figure: object) -> None:
    with pytest.raises(ValidationError, match=rf"1 validation error for Exposure\n{field}\n"):
        Exposure.model_validate(HELD | {field: figure})
