"""Markets by name, as the command line takes them."""

import asyncio
from pathlib import Path

import pytest

from mahler_agents.errors import InputError
from mahler_agents.market.open import open_market
from mahler_agents.market.sample import DEFAULT_SEED, SampleMarket
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


def test_alpaca_is_named_as_not_available_yet() -> None:
    with pytest.raises(InputError, match=r"alpaca is not available yet: use one of sample, csv:PATH"):
        open_market("alpaca")


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
