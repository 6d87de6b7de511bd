"""Markets by name, as the command line takes them, and what each says of its feed."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from desks import START, scan

from mahler_agents.desk import Desk
from mahler_agents.errors import InputError
from mahler_agents.market.open import open_market
from mahler_agents.market.sample import DEFAULT_SEED, SampleMarket
from mahler_agents.screen import ScreenParams
from mahler_agents.types import UNIVERSE


def source(seed: int | None) -> str:
    market = open_market("sample", seed=seed)
    return asyncio.run(market.snapshot(market.default_as_of(), UNIVERSE)).source


def test_the_sample_market_opens_with_a_seed_or_its_default() -> None:
    assert isinstance(open_market("sample"), SampleMarket)
    assert source(None) == f"synthetic, seed {DEFAULT_SEED}"
    assert source(5) == "synthetic, seed 5"


@pytest.mark.parametrize("spec", ["", "simple", "Sample", "sample:7", "csv2:x"])
def test_an_unknown_market_is_refused_with_those_that_exist(spec: str) -> None:
    with pytest.raises(InputError, match=r"unknown market '.*': use one of sample, csv:PATH"):
        open_market(spec)


def test_alpaca_needs_a_desk_with_keys_and_takes_no_seed() -> None:
    with pytest.raises(InputError, match="the market alpaca has only now"):
        open_market("alpaca")
    with pytest.raises(InputError, match="a seed is for the sample market only"):
        open_market("alpaca", seed=1, alpaca=SampleMarket)


@pytest.mark.parametrize("spec", ["csv", "csv:"])
def test_the_csv_market_needs_a_file(spec: str) -> None:
    with pytest.raises(InputError, match="needs a file: csv:PATH"):
        open_market(spec)


def test_a_path_may_hold_a_colon(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a:b\.csv cannot be read"):
        open_market(f"csv:{tmp_path / 'a:b.csv'}")


def test_a_seed_belongs_to_the_sample_market_only() -> None:
    with pytest.raises(InputError, match="a seed is for the sample market only"):
        open_market("csv:quotes.csv", seed=1)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="seed -1 is below zero"):
        open_market("sample", seed=-1)


class SlowFeed(SampleMarket):
    """A feed that has stopped: only what is younger than a second counts."""

    max_quote_age_seconds = 1.0


@pytest.mark.parametrize(
    ("market", "params", "limit"),
    [
        (SampleMarket(), None, 300.0),
        (SampleMarket(), ScreenParams(min_dte=20), 300.0),
        (SampleMarket(), ScreenParams(max_quote_age_seconds=5), 5.0),
        (SlowFeed(), ScreenParams(), 1.0),
    ],
)
def test_each_market_says_how_old_its_quotes_may_be_unless_the_user_does(
    market: SampleMarket, params: ScreenParams | None, limit: float
) -> None:
    desk = Desk(market=market, model="none", screen_params=params, environ={})
    assert desk.screen_params.max_quote_age_seconds == limit


def test_quotes_older_than_their_feed_allows_are_rejected_and_the_limit_recorded(tmp_path: Path) -> None:
    result = scan(tmp_path / "desk.db", "none", as_of=START, market=SlowFeed())
    assert result.report.rejected_contracts["stale_quote"] > 0
    with sqlite3.connect(tmp_path / "desk.db") as connection:
        [(config,)] = connection.execute("SELECT config FROM runs")
    connection.close()
    assert json.loads(config)["screen"]["max_quote_age_seconds"] == 1
