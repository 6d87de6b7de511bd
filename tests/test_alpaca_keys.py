"""Where Alpaca's keys and settings come from, and which are refused before any host has seen a key."""

import datetime as dt
from pathlib import Path

import keyring.backends.fail
import pytest
from stored_keys import StoredKeys, keyring_of

from mahler_agents.alpaca import AlpacaSettings, Credentials, alpaca_settings, find_credentials
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.clock import SimulatedClock
from mahler_agents.errors import ConfigError
from mahler_agents.types import Environment

PAPER = {"APCA_API_KEY_ID": "PKCANARY0123456789", "APCA_API_SECRET_KEY": "canarySecretCanarySecretCanary"}


@pytest.fixture
def no_keyring():
    with keyring_of(keyring.backends.fail.Keyring()):
        yield


@pytest.fixture
def keys_in_keyring():
    with keyring_of(StoredKeys(PAPER)):
        yield


def _in_file(folder: Path, text: str) -> Path:
    (folder / ".env").write_text(text)
    return folder


@pytest.mark.usefixtures("keys_in_keyring")
def test_the_environment_goes_before_the_file_and_the_file_before_the_keyring(tmp_path: Path):
    assert find_credentials({}, folder=tmp_path).key_id == PAPER["APCA_API_KEY_ID"]
    folder = _in_file(tmp_path, "APCA_API_KEY_ID='PKFILE'\nexport APCA_API_SECRET_KEY=se$cret#1 # of the file\n")
    assert find_credentials({}, folder=folder).keys == ("PKFILE", "se$cret#1")
    both = {"APCA_API_KEY_ID": "PKVARIABLE", "APCA_API_SECRET_KEY": "of-a-variable"}
    assert find_credentials(both, folder=folder).keys == ("PKVARIABLE", "of-a-variable")


@pytest.mark.usefixtures("no_keyring")
def test_without_keys_the_error_names_all_three_places(tmp_path: Path):
    with pytest.raises(ConfigError) as error:
        find_credentials({}, folder=tmp_path)
    for place in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", ".env", "keyring set mahler-agents", "has no keyring"):
        assert place in str(error.value)
    assert "\n" not in str(error.value)


def test_half_a_pair_is_an_error_and_nothing_is_pieced_together(tmp_path: Path):
    folder = _in_file(tmp_path, "APCA_API_SECRET_KEY=file-secret\n")
    with pytest.raises(ConfigError, match="the environment has APCA_API_KEY_ID and not APCA_API_SECRET_KEY"):
        find_credentials({"APCA_API_KEY_ID": "PKVARIABLE"}, folder=folder)
    with pytest.raises(ConfigError, match=r"the file \.env has APCA_API_SECRET_KEY and not APCA_API_KEY_ID"):
        find_credentials({}, folder=folder)


def test_a_file_that_is_no_text_and_a_key_that_is_none_are_refused_without_showing_either(tmp_path: Path):
    (tmp_path / ".env").write_bytes(b"APCA_API_KEY_ID=\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot read the file \.env"):
        find_credentials({}, folder=tmp_path)
    with pytest.raises(ConfigError) as error:
        find_credentials(PAPER | {"APCA_API_SECRET_KEY": "canary secret"})
    assert "canary" not in str(error.value)


def test_a_pair_of_keys_shows_neither():
    shown = repr(find_credentials(PAPER)) + str(find_credentials(PAPER))
    assert not any(key in shown for key in PAPER.values())


@pytest.mark.parametrize(
    ("key_id", "environment", "said"),
    [
        ("AKLIVE", "paper", "begins with PK, or set MAHLER_ENVIRONMENT=live"),
        ("PKPAPER", "live", "begins with AK, or set MAHLER_ENVIRONMENT=paper"),
        ("CKOTHER", "live", "no key for live trading"),
    ],
)
def test_keys_of_the_other_environment_are_refused_before_any_request(key_id: str, environment: str, said: str):
    settings = alpaca_settings({}, Environment(environment))
    clock = SimulatedClock(dt.datetime(2026, 3, 16, 14, tzinfo=dt.UTC))
    with pytest.raises(ConfigError, match=said):
        AlpacaApi(settings, Credentials(key_id=key_id, secret_key="s"), clock)  # noqa: S106


def test_the_hosts_are_alpacas_own_and_the_live_one_only_in_the_live_environment():
    paper, live = (alpaca_settings({}, environment) for environment in Environment)
    assert (paper.trading_url, live.trading_url) == ("https://paper-api.alpaca.markets", "https://api.alpaca.markets")
    assert paper.data_url == live.data_url == "https://data.alpaca.markets"
    assert (paper.option_feed, paper.stock_feed, paper.requests_per_minute) == ("indicative", "iex", 200)
    assert not paper.loopback


def test_one_variable_points_everything_at_a_server_on_this_machine():
    settings = alpaca_settings({"MAHLER_ALPACA_URL": "http://127.0.0.1:8765/"}, Environment.PAPER)
    assert settings.trading_url == settings.data_url == "http://127.0.0.1:8765"
    assert settings.vix_url == "http://127.0.0.1:8765/api/global/delayed_quotes/quotes/_VIX.json"
    assert settings.loopback


def test_feeds_pace_and_vix_are_the_users_choice():
    settings = alpaca_settings(
        {
            "MAHLER_ALPACA_OPTION_FEED": "opra",
            "MAHLER_ALPACA_STOCK_FEED": "sip",
            "MAHLER_ALPACA_REQUESTS_PER_MINUTE": "1000",
            "MAHLER_ALPACA_VIX": "none",
        },
        Environment.PAPER,
    )
    assert settings == AlpacaSettings(
        environment=Environment.PAPER,
        trading_url="https://paper-api.alpaca.markets",
        data_url="https://data.alpaca.markets",
        vix_url=None,
        option_feed="opra",
        stock_feed="sip",
        requests_per_minute=1000,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAHLER_ALPACA_URL", "http://192.168.1.5:80"),
        ("MAHLER_ALPACA_URL", "https://paper-api.alpaca.markets"),
        ("MAHLER_ALPACA_URL", "http://127.0.0.1.evil.example:80"),
        ("MAHLER_ALPACA_URL", "127.0.0.1:80"),
        ("MAHLER_ALPACA_OPTION_FEED", "sip"),
        ("MAHLER_ALPACA_STOCK_FEED", "opra"),
        ("MAHLER_ALPACA_VIX", "VIXY"),
        ("MAHLER_ALPACA_REQUESTS_PER_MINUTE", "0"),
        ("MAHLER_ALPACA_REQUESTS_PER_MINUTE", "2e2"),
    ],
)
def test_a_setting_that_cannot_be_is_named(name: str, value: str):
    with pytest.raises(ConfigError, match=name):
        alpaca_settings({name: value}, Environment.PAPER)


def test_the_live_environment_takes_no_server_on_this_machine():
    with pytest.raises(ConfigError, match="MAHLER_ALPACA_URL"):
        alpaca_settings({"MAHLER_ALPACA_URL": "http://127.0.0.1:8765"}, Environment.LIVE)
