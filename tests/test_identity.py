"""Paper and live apart: whose money a desk trades, the user's word for it, and whose record it is."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from desks import START, rows, scan
from trading_builders import record_candidates

from mahler_agents.config import DeskConfig, config_from
from mahler_agents.errors import ConfigError
from mahler_agents.execution import Identity, refuse_unconfirmed
from mahler_agents.record import open_database
from mahler_agents.record.ownership import Ownership
from mahler_agents.types import Environment

PAPER, LIVE = Environment
PHRASE = "trade real money in account 123456789"


def identity(environment: Environment, host: str = "api.broker.example") -> Identity:
    return Identity(environment=environment, broker="somebody", account_id="123456789", host=host)


@pytest.mark.parametrize(
    ("environment", "host", "said", "allowed"),
    [
        (LIVE, "api.broker.example", None, False),
        (LIVE, "api.broker.example", "", False),
        (LIVE, "api.broker.example", "yes", False),
        (LIVE, "api.broker.example", "trade real money in account 12345678", False),
        (LIVE, "api.broker.example", PHRASE.upper(), False),
        (LIVE, "api.broker.example", f"{PHRASE} ", False),
        (LIVE, "api.broker.example", PHRASE, True),
        (PAPER, "paper-api.broker.example", None, True),
        (PAPER, "embedded", None, True),
        (LIVE, "embedded", None, True),
    ],
)
def test_real_money_is_traded_only_on_the_word_for_this_very_account(
    environment: Environment, host: str, said: str | None, *, allowed: bool
) -> None:
    config = DeskConfig(environment=environment, live_confirmation=said)
    if allowed:
        refuse_unconfirmed(identity(environment, host), config)
    else:
        with pytest.raises(ConfigError, match=f"MAHLER_LIVE_CONFIRMATION='{PHRASE}'"):
            refuse_unconfirmed(identity(environment, host), config)


def test_the_word_comes_from_the_environment_s_variable() -> None:
    assert config_from({"MAHLER_ENVIRONMENT": "live", "MAHLER_LIVE_CONFIRMATION": PHRASE}).live_confirmation == PHRASE
    assert config_from({"MAHLER_LIVE_CONFIRMATION": ""}).live_confirmation is None


def test_live_rules_on_the_embedded_broker_say_that_no_real_money_is_meant() -> None:
    assert not identity(LIVE, "embedded").real_money
    assert identity(LIVE, "embedded").text.startswith("live trading (live rules, no real money), account 123456789")
    assert identity(LIVE).real_money
    assert "no real money" not in identity(LIVE).text


@dataclass
class Named:
    """As much of a broker as has a name."""

    name: str = "somebody"
    account_id: str = "1"
    host: str = "h"


def test_an_identity_is_the_broker_s_own_words() -> None:
    found = Identity.of(cast("Any", Named()), PAPER)
    assert (found.broker, found.account_id, found.host, found.environment) == ("somebody", "1", "h", PAPER)


# --- Whose record -----------------------------------------------------------------------------------------------------


def claim(path: Path, account: str, environment: str) -> None:
    with Ownership(path, account) as ownership:
        ownership.claim(environment, at="2026-03-16T14:00:00.000Z")


def test_the_first_that_opens_a_record_owns_it(tmp_path: Path) -> None:
    path = open_database(tmp_path / "mahler.db", create=True)
    claim(path, "one", "paper")
    claim(path, "one", "paper")
    for account, environment in (("two", "paper"), ("one", "live"), ("two", "live")):
        with pytest.raises(ConfigError, match="is the record of account one, paper trading; this desk is account"):
            claim(path, account, environment)


def test_a_record_of_an_older_version_keeps_all_its_accounts(tmp_path: Path) -> None:
    path = open_database(tmp_path / "mahler.db", create=True)
    record_candidates(path, "run.1")  # of account paper-quoted-test, in paper
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE runs SET account_id = 'old-one'")
        for statement in _of_the_migration():
            connection.execute(statement)
    claim(path, "old-one", "paper")
    with pytest.raises(ConfigError, match="old-one"):
        claim(path, "new-one", "paper")


def _of_the_migration() -> list[str]:
    from mahler_agents.record.migrations import m015_safety

    return [statement for statement in m015_safety.STATEMENTS if "INSERT INTO record_owners" in statement]


def test_a_desk_in_another_mode_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    scan(tmp_path / "desk.db", "none", as_of=START)
    before = rows(tmp_path / "desk.db", "runs")
    with pytest.raises(ConfigError, match="this desk is account paper-sample-22, live trading"):
        scan(tmp_path / "desk.db", "none", as_of=START, config=DeskConfig(environment=LIVE))
    with pytest.raises(ConfigError, match="this desk is account paper-sample-7, paper trading"):
        scan(tmp_path / "desk.db", "none", as_of=START, seed=7)
    assert rows(tmp_path / "desk.db", "runs") == before


def test_a_run_keeps_where_its_account_is(tmp_path: Path) -> None:
    result = scan(tmp_path / "desk.db", "none", as_of=START)
    with closing(sqlite3.connect(tmp_path / "desk.db")) as connection:
        found = connection.execute("SELECT environment, account_id, broker, host FROM runs").fetchall()
    assert found == [("paper", "paper-sample-22", "paper", "embedded")]
    assert (result.identity.account_id, result.identity.host) == ("paper-sample-22", "embedded")
