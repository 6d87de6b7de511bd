"""Settings: options, variables and `mahler.toml` become one value; what is wrong is one line with its place."""

import tomllib
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BeforeValidator, SecretStr

from mahler_agents.allowed import choices
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.errors import ConfigError, InputError, MahlerError
from mahler_agents.exits import ExitPolicy
from mahler_agents.exits.policy import TradingGroup
from mahler_agents.risk import RiskLimits
from mahler_agents.settings import Settings
from mahler_agents.settings.documentation import renewed
from mahler_agents.settings.file import read_file
from mahler_agents.settings.keys import Key, keys_of
from mahler_agents.settings.shown import shown
from mahler_agents.settings.sources import of_file, of_variables
from mahler_agents.settings.writing import template, toml_value
from mahler_agents.types import Environment, Frozen

KEYS = keys_of(Settings)
CANARY = "canary-4711-do-not-print"


def loaded(folder: Path, text: str = "", options: Mapping[str, Any] | None = None, **environ: str) -> Settings:
    (folder / "mahler.toml").write_text(text)
    return Settings.load(options, environ={"MAHLER_CONFIG": str(folder / "mahler.toml"), **environ})


def value_of(settings: Settings, name: str) -> Any:
    value: Any = settings.model_dump(mode="json")
    for part in name.split("."):
        value = value[part]
    return value


# --- What is wrong ----------------------------------------------------------------------------------------------------

A_SHARE = "use a number above 0, at most 1"
NO_KEYS = (
    "keys do not belong in this file: set OPENAI_API_KEY, and for Alpaca APCA_API_KEY_ID and APCA_API_SECRET_KEY, as"
    " environment variables (for Alpaca a .env file or the keyring will do)"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits]\nmax_portfolio_heat_pct = 20", f":2: limits.max_portfolio_heat_pct = 20: {A_SHARE}"),
        ("\n\nlimits.max_portfolio_heat_pct = 0", f":3: limits.max_portfolio_heat_pct = 0: {A_SHARE}"),
        ("limits = { max_portfolio_heat_pct = 2 }", f":1: limits.max_portfolio_heat_pct = 2: {A_SHARE}"),
        ('[limits]\nmax_risk_per_trade_pct = "0.02"', f':2: limits.max_risk_per_trade_pct = "0.02": {A_SHARE}'),
        ("[limits]\nmax_risk_per_trade_pct = true", f":2: limits.max_risk_per_trade_pct = true: {A_SHARE}"),
        ("[screen]\nmin_width = nan", ":2: screen.min_width = NaN: use a number above 0"),
        ("[desk]\ndebate_rounds = 2.0", ":2: desk.debate_rounds = 2.0: use a whole number from 0 to 5"),
        ("[desk]\nuniverse = []", ":2: desk.universe = []: name at least one underlying, and each once"),
        ("[exit_params]\nstop_loss = 0.2", ":2: exit_params.stop_loss = 0.2: use a number from 0.5 to 5"),
        ('environment = "Live"', ':1: environment = "Live": use one of paper, live'),
        ('exits = "wild"', ':1: exits = "wild": use one of fixed, conservative, neutral, aggressive'),
        ("keep_raw = 1", ":1: keep_raw = 1: use true or false"),
        ("db = 3", ":1: db = 3: use a path"),
        ('prompts = ""', ':1: prompts = "": use a path, or leave it out'),
        (
            'market = "nasdaq"',
            ":1: market = \"nasdaq\": unknown market 'nasdaq': use one of sample, csv:PATH, alpaca, recorded:RUN",
        ),
        (
            'model_for = { greeks = "gpt" }',
            (
                ':1: model_for = {"greeks": "gpt"}: unknown model `gpt`; use one of: auto, local, local:PATH.gguf,'
                " openai:NAME, none"
            ),
        ),
        (
            '[alpaca]\nurl = "http://example.com"',
            ':2: alpaca.url = "http://example.com": only a server on this machine, such as http://127.0.0.1:8765',
        ),
        (
            '[schedule]\nscan_at = ["25:00"]',
            ':2: schedule.scan_at = ["25:00"]: use a list, each a time such as 09:45',
        ),
        ("[screen]\nmin_dte = 50", ":2: screen: min_dte 50 is above max_dte 45"),
        (
            "[screen.weights]\niv = 0.5",
            ":2: screen.weights: score weights must add up to 1, and not all of it on iv, which may be absent",
        ),
        ('markt = "sample"', ":1: unknown key markt: did you mean market?"),
        ("[limit]\nmax_portfolio_heat_pct = 0.1", ":1: unknown key limit: did you mean [limits]?"),
        (
            "[limits]\nmax_portfolio_heat = 0.1",
            ":2: unknown key limits.max_portfolio_heat: did you mean limits.max_portfolio_heat_pct?",
        ),
        ("debate_rounds = 1", ":1: unknown key debate_rounds: did you mean desk.debate_rounds?"),
        ('[desk]\nmarket = "sample"', ":2: unknown key desk.market: market stands above the first [section]"),
        (
            "[regime.multipliers]\ncrash = 0",
            (
                ":2: unknown key regime.multipliers.crash: use one of regime.multipliers.bull_low_vol,"
                " regime.multipliers.bull_high_vol, regime.multipliers.bear_low_vol, regime.multipliers.bear_high_vol"
            ),
        ),
        ("limits = 3", ":1: limits is a section: write [limits], and its keys below"),
        ("market = ", ": not TOML: Invalid value (at end of document)"),
        ('a = 1\nmarket = "x" y', ":2: not TOML: Expected newline or end of document after a statement"),
        (f'openai_api_key = "{CANARY}"', f":1: openai_api_key: {NO_KEYS}"),
        (f'[alpaca]\nsecret_key = "{CANARY}"', f":2: alpaca.secret_key: {NO_KEYS}"),
        (f'APCA_API_KEY_ID = "{CANARY}"', f":1: APCA_API_KEY_ID: {NO_KEYS}"),
    ],
)
def test_what_is_wrong_in_the_file_is_one_line_with_its_place_and_what_is_allowed(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, text)
    assert str(raised.value) == f"{tmp_path / 'mahler.toml'}{said}"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"MAHLER_LIMITS__MAX_PORTFOLIO_HEAT_PCT": "20"},
            f"MAHLER_LIMITS__MAX_PORTFOLIO_HEAT_PCT='20': {A_SHARE}",
        ),
        ({"MAHLER_DEBATE_ROUNDS": "6"}, "MAHLER_DEBATE_ROUNDS='6': use a whole number from 0 to 5"),
        ({"MAHLER_REQUESTS_PER_MINUTE": "0"}, "MAHLER_REQUESTS_PER_MINUTE='0': use a whole number from 1"),
        (
            {"MAHLER_ALPACA_REQUESTS_PER_MINUTE": "2e2"},
            "MAHLER_ALPACA_REQUESTS_PER_MINUTE='2e2': use a whole number from 10 to 10,000",
        ),
        ({"MAHLER_ENVIRONMENT": "prod"}, "MAHLER_ENVIRONMENT='prod': use one of paper, live"),
        ({"ENVIRONMENT": "prod"}, "ENVIRONMENT='prod': use one of paper, live"),
        ({"MAHLER_MODEL_FOR": "greeks"}, "MAHLER_MODEL_FOR greeks: use ROLE=MODEL, such as fund_manager=openai:NAME"),
        ({"MAHLER_SCREEN__MIN_DTE": "50"}, "MAHLER_SCREEN__MIN_DTE: screen: min_dte 50 is above max_dte 45"),
        ({"MAHLER_ENVIROMENT": "live"}, "MAHLER_ENVIROMENT: unknown variable: did you mean MAHLER_ENVIRONMENT?"),
        ({"MAHLER_DBS": ""}, "MAHLER_DBS: unknown variable: did you mean MAHLER_DB?"),
        (
            {"MAHLER_LIMITS__MAX_HEAT_PCT": "0.1"},
            "MAHLER_LIMITS__MAX_HEAT_PCT: unknown variable: did you mean MAHLER_LIMITS__MAX_PORTFOLIO_HEAT_PCT?",
        ),
        (
            {"MAHLER_BUDGET__TYPO": "1"},
            (
                "MAHLER_BUDGET__TYPO: unknown variable: use one of MAHLER_BUDGET__MAX_CALLS, MAHLER_BUDGET__MAX_TOKENS,"
                " MAHLER_BUDGET__MAX_DOLLARS"
            ),
        ),
        (
            {"MAHLER_DESK__DEBATE_ROUNDS": "1"},
            "MAHLER_DESK__DEBATE_ROUNDS: the variable of desk.debate_rounds is MAHLER_DEBATE_ROUNDS",
        ),
        ({"MAHLER_CONFIG": "none.toml"}, "MAHLER_CONFIG='none.toml': no such file; `mahler init` writes one"),
    ],
)
def test_what_is_wrong_in_a_variable_is_named_with_what_is_allowed(variables: dict[str, str], said: str) -> None:
    with pytest.raises(MahlerError) as raised:
        Settings.load(environ=variables, folder=Path("/nowhere"))
    assert str(raised.value) == said
    assert raised.value.exit_code == 2


def test_a_variable_of_somebody_else_is_left_alone() -> None:
    others = {"MAHLER_FOO": "x", "MAHLER_FOO__BAR": "y", "MAHLER_SOAK": "1", "MAHLER_CLOCK_URL": "z", "HOME": "/"}
    assert of_variables(others, KEYS) == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"desk.debate_rounds": 6}, "--debate-rounds 6: use a whole number from 0 to 5"),
        ({"exits": "wild"}, "--exits wild: use one of fixed, conservative, neutral, aggressive"),
        ({"broker": "nyse"}, "--broker nyse: use one of paper, alpaca"),
    ],
)
def test_what_is_wrong_in_an_option_is_named_by_the_option(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as raised:
        Settings.load(options, environ={}, folder=Path("/nowhere"))
    assert str(raised.value) == said


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mahler.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"mahler\.toml: it cannot be read: not UTF-8$"):
        Settings.load(environ={}, folder=tmp_path)


# --- Where values are from --------------------------------------------------------------------------------------------

LAYERED = {
    "exits": ("fixed", "conservative", "neutral", "aggressive"),
    "desk.debate_rounds": (0, 1, 2, 3),
    "budget.max_calls": (4, 5, 6, 7),
    "limits.max_portfolio_heat_pct": (0.1, 0.2, 0.3, 0.4),
    "calls.requests_per_minute": (10, 20, 30, 40),
}
KINDS = ("option", "variable", "file")


@given(chosen=st.fixed_dictionaries({name: st.tuples(*[st.integers(0, 3) | st.none()] * 3) for name in LAYERED}))
def test_an_option_goes_before_a_variable_that_before_the_file_and_that_before_the_default(
    chosen: dict[str, tuple[int | None, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    told: list[dict[str, Any]] = [
        {name: LAYERED[name][pick] for name, picks in chosen.items() if (pick := picks[layer]) is not None}
        for layer in range(3)
    ]
    text = "\n".join(f"{name} = {toml_value(value)}" for name, value in told[2].items())
    variables = {KEYS[name].variable: str(value) for name, value in told[1].items()}
    settings = loaded(tmp_path_factory.getbasetemp(), text, told[0], **variables)
    for name in LAYERED:
        layer = next((index for index in range(3) if name in told[index]), None)
        assert value_of(settings, name) == (KEYS[name].default if layer is None else told[layer][name])
        assert settings.origin(name).kind == ("default" if layer is None else KINDS[layer])


def test_the_source_is_the_line_the_variable_or_the_option(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "\n[budget]\nmax_calls = 3\n", {"seed": 1}, MAHLER_EXITS="neutral", ENVIRONMENT="live")
    sources = {one.key: one.source for one in shown(settings)}
    assert list(sources) == list(KEYS)
    assert sources["budget.max_calls"] == f"{tmp_path / 'mahler.toml'}:3"
    assert (sources["exits"], sources["environment"], sources["seed"]) == ("MAHLER_EXITS", "ENVIRONMENT", "--seed")
    assert (sources["db"], sources["limits.max_per_underlying_pct"]) == ("default", "default (live)")


def test_an_empty_variable_tells_nothing(tmp_path: Path) -> None:
    settings = loaded(tmp_path, 'exits = "neutral"', **{key.variable: "" for key in KEYS.values()})
    assert settings.exits == "neutral"


def test_models_of_roles_are_put_together_role_by_role(tmp_path: Path) -> None:
    text = '[model_for]\ngreeks = "openai:file"\nvolatility = "openai:file"\nsentiment = "openai:file"'
    settings = loaded(
        tmp_path,
        text,
        {"model_for": {"greeks": "openai:option"}},
        MAHLER_MODEL_FOR="volatility=openai:variable, greeks=openai:variable",
    )
    expected = {"greeks": "openai:option", "volatility": "openai:variable", "sentiment": "openai:file"}
    assert settings.model_for == expected
    desk = Desk(**settings.desk_arguments(environ={**settings.environ, "OPENAI_API_KEY": "none"}))
    assert {role: str(model) for role, model in desk._models.by_role.items()} == expected


def test_a_table_of_regimes_told_in_part_keeps_the_rest(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path, "[regime.multipliers]\nbear_low_vol = 0.1", MAHLER_REGIME__MULTIPLIERS__BULL_LOW_VOL="0.9"
    )
    assert value_of(settings, "regime.multipliers") == {
        "bull_low_vol": 0.9,
        "bull_high_vol": 0.5,
        "bear_low_vol": 0.1,
        "bear_high_vol": 0.25,
    }


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    settings = loaded(tmp_path, 'db = "desk.db"\nprompts = "/srv/prompts"', MAHLER_MODELS="models")
    assert settings.db == tmp_path / "desk.db"
    assert settings.prompts == Path("/srv/prompts")
    assert settings.models == Path("models")


# --- What becomes of them ---------------------------------------------------------------------------------------------


def another(key: Key) -> Any:
    """Return an allowed value that is not the default."""
    special = {
        "desk.universe": ["TLT", "GLD"],
        "schedule.scan_at": ["11:00:00"],
        "market": "alpaca",
        "model": "none",
        "model_for": {"greeks": "openai:a"},
        "alpaca.url": "http://127.0.0.1:8765",
    }
    if key.name in special:
        return special[key.name]
    if (named := choices(key.annotation)) is not None:
        return next(name for name in named if name != key.default)
    if isinstance(key.default, list):
        return key.default[:1]
    near = [] if isinstance(key.default, str) else [(key.default or 0) + 1, (key.default or 0) - 1]
    for value in (not key.default, *near, 0.07, 60, "some"):
        try:
            key.of_toml(value)
        except ValueError:
            continue
        return value
    raise AssertionError(f"{key.name}: no other value is known")


WEIGHTS = {"iv": 0.41, "delta": 0.29, "credit": 0.19, "ev": 0.11}


def test_every_key_of_the_file_reaches_the_settings_and_the_desk(tmp_path: Path) -> None:
    told = {
        name: WEIGHTS[name.rpartition(".")[2]] if "weights" in name else another(key)
        for name, key in KEYS.items()
        if name not in {"environment", "prompts", "market"} and not key.secret  # each has a test of its own
    }
    text = "\n".join(f"{name} = {toml_value(value)}" for name, value in told.items())
    settings = loaded(tmp_path, text)
    for name, value in told.items():
        expected = str(tmp_path / value) if KEYS[name].is_path else value
        assert value_of(settings, name) == expected != KEYS[name].default, name
    # `desk_arguments` is all that a verb gives a desk; what a desk reads as a variable, it is told as one.
    (tmp_path / "some").write_text("")
    overrides = {"broker": "paper", "model_for": None, "seed": None}
    desk = Desk(**settings.desk_arguments(**overrides))
    assert desk.config == DeskConfig(**dict(settings.desk), live_confirmation=told["live_confirmation"])
    assert (desk.limits, desk.screen_params, desk.regime_params) == (settings.limits, settings.screen, settings.regime)
    assert (desk.budget, desk.call_limits) == (settings.budget, settings.calls)
    assert desk.exit_policy == ExitPolicy(fixed=settings.exit_params, dynamic=TradingGroup.CONSERVATIVE)
    assert desk.database == tmp_path / "some"
    assert desk.model.kind == "none"
    assert settings.environ == {
        "MAHLER_CONFIG": str(tmp_path / "mahler.toml"),
        "MAHLER_DB": str(tmp_path / "some"),
        "MAHLER_MODEL": "none",
        "MAHLER_MODEL_FOR": "greeks=openai:a",
        "MAHLER_MODELS": str(tmp_path / "some"),
        "MAHLER_PRICES": str(tmp_path / "some"),
        "MAHLER_ALPACA_URL": "http://127.0.0.1:8765",
        "MAHLER_ALPACA_OPTION_FEED": "opra",
        "MAHLER_ALPACA_STOCK_FEED": "sip",
        "MAHLER_ALPACA_VIX": "none",
        "MAHLER_ALPACA_REQUESTS_PER_MINUTE": "201",
    }


def test_settings_that_nobody_touched_are_a_desk_s_own_defaults(tmp_path: Path) -> None:
    ours, plain = Desk(**loaded(tmp_path).desk_arguments(model="none")), Desk(model="none", environ={})
    for part in ("config", "limits", "screen_params", "regime_params", "exit_policy", "budget", "database"):
        assert getattr(ours, part) == getattr(plain, part)


def test_the_live_environment_has_its_own_limits_unless_they_are_told(tmp_path: Path) -> None:
    assert loaded(tmp_path).limits == RiskLimits()
    live = loaded(tmp_path, 'environment = "live"')
    assert live.limits == RiskLimits.live()
    assert live.config.environment is Environment.LIVE
    told = loaded(tmp_path, "[limits]\nmax_per_underlying_pct = 0.15", ENVIRONMENT="live")
    assert told.limits == RiskLimits.live().model_copy(update={"max_per_underlying_pct": 0.15})


def test_a_seed_is_left_out_of_a_market_that_has_none_unless_it_is_an_option(tmp_path: Path) -> None:
    text = 'market = "csv:x.csv"\nseed = 3\nkeep_raw = true'
    left_out = loaded(tmp_path, text).desk_arguments()
    assert (left_out["seed"], left_out["keep_raw"]) == (None, False)
    assert loaded(tmp_path, text, {"seed": 4, "keep_raw": True}).desk_arguments()["seed"] == 4
    assert loaded(tmp_path, text, {"market": "sample"}).desk_arguments()["seed"] == 3


def test_a_desk_of_rules_only_asks_no_model_and_reads_no_prompt(tmp_path: Path) -> None:
    text = 'model = "openai:a"\nprompts = "nowhere"\nmodel_for = { greeks = "openai:b" }'
    arguments = loaded(tmp_path, text).desk_arguments(rules_only=True)
    assert Desk(**arguments).model.kind == "none"


def test_auto_is_what_is_configured(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'model = "none"', {"model": "auto"}).model == "none"
    assert loaded(tmp_path, "", {"model": "auto"}).model == "auto"


# --- A secret of a section --------------------------------------------------------------------------------------------


class Hidden(Frozen):
    """A section with a secret, such as addresses to notify."""

    urls: tuple[SecretStr, ...] = ()
    """Where to."""


def test_a_secret_is_never_in_what_is_shown_or_said(tmp_path: Path) -> None:
    keys = keys_of(Hidden)
    told = of_variables({"MAHLER_URLS": f"discord://{CANARY}, slack://x"}, keys)
    assert [one.get_secret_value() for one in told["urls"].value] == [f"discord://{CANARY}", "slack://x"]
    assert keys["urls"].secret
    assert {name for name, key in KEYS.items() if key.secret} == {"notify.urls", "schedule.ping_url"}
    assert CANARY not in repr(told)

    class Split(Frozen):
        """Reads a text itself: what stands between commas is not its urls."""

        urls: Annotated[tuple[SecretStr, ...], BeforeValidator(lambda text: (text,))] = ()

    whole = of_variables({"MAHLER_URLS": "mailto://x?to=a,b"}, keys_of(Split))["urls"].value
    assert [one.get_secret_value() for one in whole] == ["mailto://x?to=a,b"]

    class Strict(Frozen):
        urls: SecretStr | None = None

    (tmp_path / "mahler.toml").write_text(f'urls = ["{CANARY}"]')
    file = read_file({}, tmp_path)
    assert file is not None
    with pytest.raises(ConfigError) as raised:
        of_file(file, keys_of(Strict))
    assert str(raised.value) == f"{tmp_path / 'mahler.toml'}:1: urls: use a text"


# --- The written file and the page ------------------------------------------------------------------------------------


def uncommented(text: str) -> str:
    return "\n".join(line[1:] if line.startswith("#") and line[1:2].isalpha() else line for line in text.splitlines())


def test_the_written_file_has_every_key_and_uncommented_it_is_the_defaults(tmp_path: Path) -> None:
    text = template()
    assert tomllib.loads(text) == {key.section: {} for key in KEYS.values() if key.section}
    settings = loaded(tmp_path, uncommented(text))
    assert settings.model_dump() == Settings().model_dump()
    in_file = {name for name in KEYS if settings.origin(name).kind == "file"}
    assert in_file == {name for name, key in KEYS.items() if key.default is not None}
    for name in KEYS.keys() - in_file:
        assert f"# {name.rpartition('.')[2]} is not set." in text


def test_every_key_says_what_it_means() -> None:
    unexplained = [key.name for key in KEYS.values() if not key.doc and key.table is None]
    assert unexplained == []
    assert all(field.description for field in Settings.model_fields.values())


def test_the_page_has_every_key_as_its_field_says() -> None:
    page = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text()
    assert renewed(page) == page, "make docs"


def test_lists_come_from_file_and_variable(tmp_path: Path) -> None:
    assert loaded(tmp_path, MAHLER_DESK__UNIVERSE="TLT, GLD").desk.universe == ("TLT", "GLD")
    assert loaded(tmp_path, '[schedule]\nscan_at = ["09:45", "15:30"]').schedule.scan_at == (time(9, 45), time(15, 30))
    assert loaded(tmp_path, MAHLER_SCHEDULE__SCAN_AT="15:30,09:45").schedule.scan_at == (time(9, 45), time(15, 30))
