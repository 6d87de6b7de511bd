"""Settings: which environment is traded, where the record lies, and the dated risk-free rate."""

import datetime as dt
import itertools
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from mahler_agents.config import (
    _FEDERAL_FUNDS_MIDPOINTS,
    RATE_TRUSTED_FOR,
    DeskConfig,
    environment_from,
    risk_free_rate,
    stale_rate,
)
from mahler_agents.errors import ConfigError
from mahler_agents.record.location import database_path, newest_database
from mahler_agents.types import UNIVERSE, Environment

# --- Environment ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Environment.PAPER),
        ({"HOME": "/"}, Environment.PAPER),
        ({"MAHLER_ENVIRONMENT": ""}, Environment.PAPER),
        ({"MAHLER_ENVIRONMENT": "", "ENVIRONMENT": "live"}, Environment.LIVE),
        ({"ENVIRONMENT": "paper"}, Environment.PAPER),
        ({"ENVIRONMENT": "live"}, Environment.LIVE),
        ({"MAHLER_ENVIRONMENT": "live"}, Environment.LIVE),
        ({"MAHLER_ENVIRONMENT": "paper", "ENVIRONMENT": "live"}, Environment.PAPER),
        ({"MAHLER_ENVIRONMENT": "live", "ENVIRONMENT": "paper"}, Environment.LIVE),
        ({"MAHLER_ENVIRONMENT": "paper", "ENVIRONMENT": "staging"}, Environment.PAPER),
    ],
)
def test_the_environment_is_paper_unless_live_is_named(variables: dict[str, str], expected: Environment) -> None:
    assert environment_from(variables) is expected


@pytest.mark.parametrize("name", ["MAHLER_ENVIRONMENT", "ENVIRONMENT"])
@pytest.mark.parametrize("value", [" ", "Live", "LIVE", "live ", "prod", "production", "staging", "1", "paper,live"])
def test_anything_but_paper_and_live_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as raised:
        environment_from({name: value})
    assert str(raised.value) == f"{name}={value!r} is not an environment: use `paper` or `live`"
    assert raised.value.exit_code == 2


def test_a_desk_trades_paper_unless_told_otherwise() -> None:
    assert DeskConfig().environment is Environment.PAPER


# --- Settings ---------------------------------------------------------------------------------------------------------


def test_the_defaults_are_the_rules_of_the_house() -> None:
    assert DeskConfig().model_dump() == {
        "environment": Environment.PAPER,
        "universe": UNIVERSE,
        "max_candidates": 10,
        "max_trades_per_scan": 3,
        "decision_delay_seconds": 180.0,
        "entry_concession": 0.66,
        "min_fill_to_screened_credit": 0.75,
        "max_mark_age_seconds": None,
        "debate_rounds": 0,
        "live_confirmation": None,
        "lost_answer_grace_seconds": 10.0,
        "live_requires_verdict": True,
        "commission_per_contract_and_leg": 1.0,
    }


@pytest.mark.parametrize(
    "setting",
    [
        {"max_candidates": 0},
        {"max_candidates": 11},
        {"max_trades_per_scan": -1},
        {"decision_delay_seconds": -1},
        {"decision_delay_seconds": float("nan")},
        {"entry_concession": 1.01},
        {"min_fill_to_screened_credit": 0},
        {"commission_per_contract_and_leg": -0.65},
        {"commission_per_contract_and_leg": 0.655},
        {"universe": ()},
        {"universe": ("SPY", "SPY")},
        {"enviroment": "live"},
    ],
    ids=str,
)
def test_a_setting_out_of_range_or_unknown_is_refused_by_name(setting: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(setting))):
        DeskConfig.model_validate(setting)


# --- Where the record is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "variables", "expected"),
    [
        (None, {}, "mahler-sample-paper.db"),
        (None, {"MAHLER_DB": ""}, "mahler-sample-paper.db"),
        (None, {"MAHLER_DB": "desk.db"}, "desk.db"),
        (Path("mine.db"), {}, "mine.db"),
        (Path("mine.db"), {"MAHLER_DB": "desk.db"}, "mine.db"),
    ],
)
def test_a_record_is_where_the_option_or_the_variable_says_or_named_after_market_and_broker(
    given: Path | None, variables: dict[str, str], expected: str
) -> None:
    assert database_path(given, "sample", "paper", variables) == Path(expected)


def test_each_market_and_broker_has_a_record_of_its_own() -> None:
    pairs = [("sample", "paper"), ("csv", "paper"), ("alpaca", "paper"), ("alpaca", "alpaca")]
    paths = {database_path(None, market, broker, {}, live=live) for market, broker in pairs for live in (False, True)}
    assert len(paths) == 2 * len(pairs)


def touched(name: str, at: float) -> None:
    Path(name).touch()
    os.utime(name, (at, at))


def test_without_a_name_the_record_written_last_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touched("mahler-sample-paper.db", 1_000)
    touched("mahler-csv-paper.db", 2_000)
    touched("other.db", 3_000)
    assert newest_database(None, {}) == Path("mahler-csv-paper.db")
    assert newest_database(None, {"MAHLER_DB": "desk.db"}) == Path("desk.db")
    assert newest_database(Path("mine.db"), {"MAHLER_DB": "desk.db"}) == Path("mine.db")


def test_a_record_in_use_counts_as_written_when_its_wal_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touched("mahler-sample-paper.db", 1_000)
    touched("mahler-sample-paper.db-wal", 3_000)
    touched("mahler-csv-paper.db", 2_000)
    assert newest_database(None, {}) == Path("mahler-sample-paper.db")


def test_a_folder_without_a_record_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="run `mahler scan` first, or name the file with --db"):
        newest_database(None, {})


# --- Risk-free rate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "rate"),
    [
        (dt.date(2020, 3, 16), 0.00125),
        (dt.date(2021, 6, 30), 0.00125),
        (dt.date(2022, 3, 16), 0.00125),
        (dt.date(2022, 3, 17), 0.00375),
        (dt.date(2023, 12, 29), 0.05375),
        (dt.date(2024, 9, 18), 0.05375),
        (dt.date(2024, 9, 19), 0.04875),
        (dt.date(2026, 3, 16), 0.03625),
    ],
)
def test_the_risk_free_rate_is_the_midpoint_in_force_on_the_date(on: dt.date, rate: float) -> None:
    assert risk_free_rate(on) == rate


def test_the_last_entry_is_trusted_for_less_than_any_two_entries_lie_apart() -> None:
    since = [date for date, _ in _FEDERAL_FUNDS_MIDPOINTS]
    assert min(later - earlier for earlier, later in itertools.pairwise(since)) > RATE_TRUSTED_FOR
    assert stale_rate(since[0] + dt.timedelta(days=500)) is None  # long after its entry, long before the last
    assert stale_rate(since[-1] + RATE_TRUSTED_FOR) is None
    assert "41 days before: it may have changed since" in str(stale_rate(since[-1] + dt.timedelta(days=41)))


def test_a_date_before_the_table_has_no_rate() -> None:
    with pytest.raises(ConfigError, match="no risk-free rate is known for 2020-03-15: the table begins on 2020-03-16"):
        risk_free_rate(dt.date(2020, 3, 15))
