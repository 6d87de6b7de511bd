"""`mahler init`, `mahler config show`, and every verb of a desk on what `mahler.toml` says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from desks import passes_every

from mahler_agents.cli import main

CANARY = "canary-4711-do-not-print"
NO_RECORD = "mahler: kept.db does not exist: run `mahler scan` first, or name the file with --db"
PAGE = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text()
HEAT = "max_portfolio_heat"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, and no setting of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("MAHLER_", "OPENAI_", "APCA_"))] + ["ENVIRONMENT"]:
        monkeypatch.delenv(name, raising=False)


def told(text: str) -> None:
    Path("mahler.toml").write_text(text)


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert main(["config", "show", "--json"]) == 0
    return {one["key"]: one for one in json.loads(capsys.readouterr().out)}


def scanned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["scan", "--model", "none", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


# --- init -------------------------------------------------------------------------------------------------------------


def test_init_then_scan_works_from_an_empty_folder_on_the_copied_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    said = capsys.readouterr().out.splitlines()
    prompts = sorted(Path("prompts").glob("*.md"))
    assert said == ["written: mahler.toml", *(f"written: {one}" for one in prompts)]
    assert len(prompts) == 7
    assert shown(capsys)["prompts"]["value"] == "prompts"
    assert scanned(capsys)["reviews"]
    Path("prompts/greeks.md").write_text("broken")
    assert main(["scan", "--model", "none"]) == 2
    assert capsys.readouterr().err.startswith("mahler: prompts/greeks.md: ")


def test_init_overwrites_nothing_and_says_what_exists(capsys: pytest.CaptureFixture[str]) -> None:
    Path("desk/prompts").mkdir(parents=True)
    Path("desk/mahler.toml").write_text("seed = 3")
    Path("desk/prompts/bear.md").write_text("mine")
    assert main(["init", "desk"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "left as it is: desk/mahler.toml",
        "left as it is: desk/prompts/bear.md",
        "written: desk/prompts/bull.md",
    ]
    assert said[-1] == 'the prompts are used once mahler.toml says: prompts = "prompts"'
    assert (Path("desk/mahler.toml").read_text(), Path("desk/prompts/bear.md").read_text()) == ("seed = 3", "mine")


def test_init_where_nothing_can_be_written_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert main(["init", "file"]) == 2
    assert re.fullmatch(r"mahler: file/mahler\.toml: it cannot be written: .+\n", capsys.readouterr().err)


# --- Verbs on the file ------------------------------------------------------------------------------------------------


def test_a_limit_of_the_file_binds_and_a_variable_and_an_option_go_before_the_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = scanned(capsys, "--db", "free.db")
    assert any(review["decision"]["reason"] == "filled" for review in free["reviews"])
    told('exits = "neutral"\n[limits]\nmax_portfolio_heat_pct = 0.0001\n')
    bound = scanned(capsys, "--db", "bound.db")
    assert {review["decision"]["reason"] for review in bound["reviews"]} == {HEAT}
    monkeypatch.setenv("MAHLER_LIMITS__MAX_PORTFOLIO_HEAT_PCT", "0.20")
    assert main(["scan", "--model", "none", "--db", "again.db"]) == 0
    said = capsys.readouterr().out
    assert f" {HEAT}" not in said
    assert "\nexits         dynamic, neutral: " in said
    assert main(["scan", "--model", "none", "--exits", "fixed", "--db", "fixed.db"]) == 0
    assert "\nexits         fixed: " in capsys.readouterr().out


def test_every_verb_finds_the_record_that_the_file_names(capsys: pytest.CaptureFixture[str]) -> None:
    told('db = "kept.db"\nmodel = "none"\nseed = 5\n')
    assert main(["scan"]) == 0
    assert sorted(path.name for path in Path().glob("*.db")) == ["kept.db"]
    capsys.readouterr()
    for verb in (["trace", "list"], ["positions"], ["exits"], ["report"], ["db", "check"], ["prompt", "list"]):
        assert main(verb) == 0, verb
        assert "kept.db" in capsys.readouterr().out, verb
    assert main(["monitor", "--as-of", "2026-03-17T10:05"]) == 0
    assert "recorded in kept.db" in capsys.readouterr().out
    assert main(["reconcile"]) == 0
    assert "recorded in kept.db" in capsys.readouterr().out
    assert scanned(capsys, "--market", "recorded:latest")["reviews"]
    assert Path("kept.db").exists()
    assert len(list(Path().glob("mahler-recorded-*.db"))) == 1  # never into the record that was looked at


def test_a_simulation_is_of_the_file_s_market_and_seed(capsys: pytest.CaptureFixture[str]) -> None:
    told('seed = 5\n[desk]\nmax_trades_per_scan = 0\nuniverse = ["TLT"]\n')
    with passes_every(30):
        assert main(["simulate", "--from", "2026-03-16", "--to", "2026-03-16"]) == 0
    said = capsys.readouterr().out
    assert "1 session of sample-5" in said
    assert "0 opened" in said


DESKS = [
    ["scan"],
    ["monitor"],
    ["reconcile"],
    ["simulate", "--from", "2026-03-16", "--to", "2026-03-16"],
    ["data", "backfill"],
    ["replay"],
    ["config", "show"],
]


@pytest.mark.parametrize("verb", DESKS, ids=lambda verb: verb[0])
def test_a_slip_in_the_file_stops_every_verb_of_a_desk_before_anything_is_opened(
    verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    told("[limits]\nmax_portfolio_heat_pct = 20\n")
    assert main(verb) == 2
    line = "mahler: mahler.toml:2: limits.max_portfolio_heat_pct = 20: use a number above 0, at most 1\n"
    assert capsys.readouterr().err == line
    assert list(Path().iterdir()) == [Path("mahler.toml")]


def test_a_broken_file_leaves_a_way_to_halt(capsys: pytest.CaptureFixture[str]) -> None:
    scanned(capsys)
    told("db = ")
    assert main(["halt"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mahler: mahler.toml: not TOML: ")
    assert said.endswith("; until it is mended, name the record with --db\n")
    assert main(["halt", "--db", "mahler-sample-paper.db"]) == 0


def test_the_light_verbs_read_the_file_and_import_nothing_heavy() -> None:
    told('db = "kept.db"')
    code = (
        "import sys; from mahler_agents.cli import main; main(sys.argv[1:]);"
        "heavy = {'pydantic', 'pydantic_settings', 'numpy', 'langgraph', 'rich'};"
        "print('heavy:', sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "trace", "list"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines() == [NO_RECORD, "heavy: []"]


# --- config show ------------------------------------------------------------------------------------------------------


def test_every_value_is_shown_with_its_source(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told("[limits]\nmax_risk_per_trade_pct = 0.01\nmax_beta_weighted_delta_pct = 0.02\n")
    monkeypatch.setenv("MAHLER_EXITS", "neutral")
    monkeypatch.setenv("MAHLER_LIVE_CONFIRMATION", "trade real money in account 1")
    assert main(["config", "show"]) == 0
    rows = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["setting", "value", "from"]
    for row in (
        ["environment", "paper", "default"],
        ["live_confirmation", "trade real money in account 1", "MAHLER_LIVE_CONFIRMATION"],
        ["db", "-", "default"],
        ["exits", "neutral", "MAHLER_EXITS"],
        ["limits.max_risk_per_trade_pct", "0.01", "mahler.toml:2"],
        ["OPENAI_API_KEY", "not set"],
    ):
        assert row in rows
    assert shown(capsys)["limits.max_beta_weighted_delta_pct"] == {
        "key": "limits.max_beta_weighted_delta_pct",
        "value": 0.02,
        "source": "mahler.toml:3",
        "secret": False,
    }


@pytest.mark.parametrize("place", ["variable", "the file .env"])
def test_keys_are_shown_as_set_and_where_and_never_themselves(
    place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"APCA_API_KEY_ID": f"PK{CANARY}", "APCA_API_SECRET_KEY": f"s{CANARY}"}
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://me:{CANARY}@models.example/v1?key={CANARY}")
    if place == "variable":
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
    else:
        Path(".env").write_text("".join(f"{name}={value}\n" for name, value in keys.items()))
    for form in ([], ["--json"]):
        assert main(["config", "show", *form]) == 0
        printed = capsys.readouterr()
        assert CANARY not in printed.out + printed.err
    found = shown(capsys)
    assert (found["OPENAI_API_KEY"]["value"], found["OPENAI_API_KEY"]["source"]) == ("set, not shown", "variable")
    assert found["OPENAI_BASE_URL"]["value"] == "https://models.example/v1"
    assert {found[name]["source"] for name in keys} == {place}


@pytest.mark.parametrize(
    "text", [f'api_key = "{CANARY}"', f'[alpaca]\nsecret_key = "{CANARY}"', f'token = ["{CANARY}"]']
)
def test_a_key_in_the_file_is_refused_and_not_repeated(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    told(text)
    assert main(["config", "show"]) == 2
    said = capsys.readouterr()
    assert "keys do not belong in this file: set OPENAI_API_KEY" in said.err
    assert CANARY not in said.out + said.err


def test_half_a_pair_of_keys_is_told_and_the_rest_still_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APCA_API_KEY_ID", f"PK{CANARY}")
    found = shown(capsys)["APCA_API_SECRET_KEY"]
    said = "the environment has APCA_API_KEY_ID and not APCA_API_SECRET_KEY: both are needed"
    assert (found["value"], found["source"]) == ("unusable", said)


# --- docs/configuration.md --------------------------------------------------------------------------------------------


def test_the_page_begins_with_commands_that_work(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^    mahler ([a-z ]+?)  +#", PAGE, re.MULTILINE)
    assert commands == ["init", "config show"]
    for command in commands:
        assert main(command.split()) == 0
    assert "mahler.toml" in capsys.readouterr().out


def test_the_page_s_file_is_one_and_its_python_works(capsys: pytest.CaptureFixture[str]) -> None:
    [file] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    told(file)
    assert shown(capsys)["budget.max_dollars"]["value"] == 0.5
    told("[limits]\nmax_portfolio_heat_pct = 0.1")
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})  # noqa: S102
    assert capsys.readouterr().out == "mahler.toml:2\n"


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("[limits]" + "\n" * 11 + "max_portfolio_heat_pct = 20", {}),
        ("[limits]" + "\n" * 8 + "max_portfolio_heat = 0.2", {}),
        ("", {"MAHLER_LIMITS__MAX_PORTFOLIO_HEAT_PCT": "20"}),
        ("", {"MAHLER_ENVIROMENT": "live"}),
    ],
)
def test_the_page_s_errors_are_those_that_are_said(
    text: str, variables: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told(text)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["scan"]) == 2
    assert f"    {capsys.readouterr().err}" in PAGE
