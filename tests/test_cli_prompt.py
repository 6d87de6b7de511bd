"""`mahler prompt`: versions on record, their texts filled and compared, and what is refused in a prompt."""

import json
from pathlib import Path

import pytest
from desks import scan
from evaluations import brief, evaluated, greeks, knowing, record_of

from mahler_agents.cli import main
from mahler_agents.evaluation.bias import biased_instructions
from mahler_agents.llm.prompts import load_prompt, parse_prompt
from mahler_agents.testing.scripted import ScriptedModel

ROLES = ("greeks", "technical", "sentiment", "volatility", "fund_manager", "bull", "bear")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the record of one scan whose every summary has one number that no brief has."""
    path = tmp_path_factory.mktemp("prompts") / "desk.db"
    scan(path, ScriptedModel.always(summary="A scripted 4711.5 is nowhere.").endpoint)
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Return what a command prints; of one that is refused, its one line."""
    assert main([*arguments]) == code
    captured = capsys.readouterr()
    if code:
        assert len(captured.err.splitlines()) == 1
    return captured.err if code else captured.out


def test_numbers_that_no_brief_holds_are_counted_by_prompt_version(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row["role"]: row for row in json.loads(said(capsys, "prompt", "list", "--json", "--db", str(record)))}
    assert set(rows) == {"greeks", "technical", "sentiment", "volatility", "fund_manager"}
    assert {row["scans"] for row in rows.values()} == {1}
    manager = rows.pop("fund_manager")["heard"]
    assert manager["ungrounded"] == 0  # it repeats what the opinions in its brief say
    counted = {(row["heard"]["replies"], row["heard"]["numbers"], row["heard"]["ungrounded"]) for row in rows.values()}
    [(replies, numbers, ungrounded)] = counted
    assert replies == numbers == ungrounded > 0
    _, heading, *lines = said(capsys, "prompt", "list", "--db", str(record)).splitlines()
    assert heading.split()[:2] == ["role", "version"]
    [line] = [line for line in lines if line.startswith("greeks")]
    assert rows["greeks"]["hash"][:8] in line
    assert line.endswith("100.0 %")


def test_what_evaluations_heard_counts_by_version_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record_of(tmp_path / "r.db", 3)
    evaluated(path, knowing(), repeat=2)  # the version that bears no mark says a number that no brief has
    evaluated(path, knowing(), repeat=2, seed=2)  # served from the first, where it was heard
    rows = json.loads(said(capsys, "prompt", "list", "--json", "--db", str(path)))
    found = {row["hash"]: row["heard"] for row in rows}
    plain, marked = found[greeks().content_hash], found[greeks("SKILLED").content_hash]
    assert plain["heard_in"] == marked["heard_in"] == "evaluations"
    assert (plain["replies"], plain["numbers"], plain["ungrounded"]) == (6, 6, 6)
    assert (marked["replies"], marked["numbers"], marked["ungrounded"]) == (6, 12, 0)


def test_a_record_of_rules_alone_has_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    record_of(tmp_path / "r.db", 1)
    assert "no prompt on record yet" in said(capsys, "prompt", "list", "--db", "r.db")


def test_a_version_is_named_by_the_beginning_of_its_hash(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = load_prompt("greeks").content_hash
    for name in (f"greeks@{version[:6]}", "greeks"):
        assert said(capsys, "prompt", "show", name, "--db", str(record)) == load_prompt("greeks").text
    line = said(capsys, "prompt", "show", "greeks@ffff", "--db", str(record), code=2)
    assert "no version `ffff` of greeks" in line
    assert "`mahler prompt list` shows what there is" in line


def test_a_prompt_is_filled_from_a_stored_brief(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = json.loads(said(capsys, "case", "list", "analyst=greeks", "--json", "--db", str(record)))
    one = cases[0]
    arguments = ("prompt", "render", "greeks", "--case", one["brief_hash"][:10], "--json", "--db", str(record))
    document = json.loads(said(capsys, *arguments))
    assert one["content"]["spread"] in document["messages"][-1]["content"]
    assert [message["role"] for message in document["messages"][:2]] == ["system", "user"]
    shown = said(capsys, "prompt", "render", "greeks", "--db", str(record))
    assert shown.count("--- user") == 4
    line = said(capsys, "prompt", "render", "greeks", "--case", "ffff", "--db", str(record), code=2)
    assert "no case `ffff` of greeks" in line


def test_two_prompts_are_compared_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.md"
    file.write_text(greeks().text.replace("honest forecast", "sober forecast"), encoding="utf-8")
    lines = said(capsys, "prompt", "diff", "greeks", str(file)).splitlines()
    assert [line[:1] for line in lines if line[:1] in "+-"][2:] == ["-", "+"]
    assert "sober" in "".join(lines)
    assert said(capsys, "prompt", "diff", "greeks", "greeks") == "nothing differs\n"


def test_versions_stand_in_the_order_of_their_first_use(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [row] = json.loads(said(capsys, "prompt", "history", "greeks", "--json", "--db", str(record)))
    assert (row["scans"], row["replays"], row["evaluations"], row["lines_removed"]) == (1, 0, 0, 0)
    assert "no prompt of `bull`" in said(capsys, "prompt", "history", "bull", "--db", str(record), code=2)


@pytest.mark.parametrize("role", ROLES)
def test_the_prompts_that_ship_are_in_order(
    role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    document = json.loads(said(capsys, "prompt", "check", role, "--json"))
    assert (document["role"], document["hash"]) == (role, load_prompt(role).content_hash)
    assert 300 < document["constant_tokens"] < 1300
    assert 30 < document["user_tokens"] < 300
    assert "4 characters a token" in document["counted"]


BIASED = (
    "Always approve the trade.",
    "You should approve most trades.",
    "Be conservative.",
    "Be very cautious with calls.",
    "Reject if unsure.",
    "When in doubt, reject.",
    "Stay neutral when you are uncertain.",
    "Lean towards approving.",
    "Err on the side of caution.",
    "This is a paper account.",
    "The trades are simulated.",
    "The confidence must be at least 0.7.",
    "We need more trades.",
    "Never reject a liquid spread.",
    "You will be rewarded for profits.",
    "Most of these trades are profitable.",
)
FAIR = (
    "A well-founded no is worth as much as a yes.",
    "Weigh theta against gamma.",
    "A neutral stance is right where the figures balance.",
    "confidence: your conviction, 0 to 1; high from 0.7.",
    "Say how conservative the strike is in sigmas.",
    "p_profit should match how often such trades end above 0.",
)


@pytest.mark.parametrize("words", BIASED)
def test_an_instruction_that_biases_the_forecast_is_refused_with_its_words(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.md").write_text(greeks().text.replace("# User\n", f"{words}\n\n# User\n"), encoding="utf-8")
    line = said(capsys, "prompt", "check", "mine.md", code=2)
    assert 'mine.md: "' in line
    assert "biases the forecast" in line
    assert "take it out" in line


@pytest.mark.parametrize("words", FAIR)
def test_an_instruction_to_judge_is_not(words: str) -> None:
    text = greeks().text.replace("# User\n", f"{words}\n\n# User\n")
    assert biased_instructions(parse_prompt(text, path="p.md")) == ()


def test_words_of_a_brief_s_data_are_no_instruction_of_the_prompt() -> None:
    """Only the prompt's own words count: what an opinion or a headline says is the brief's."""
    assert "paper" not in brief(1).text
    assert biased_instructions(greeks()) == ()


WRONG = {
    "unknown variable": (("{{ spread }}", "{{ rho }}"), "unknown variable `rho`; the greeks brief has: underlying"),
    "not declared": (("{{ spread }}", "{{ spread }} {{ width }}"), "variable `width` is used; declare it"),
    "front matter": (("temperature: 0.2", "temperature: hot"), "front matter: temperature"),
    "example": (("stance: unfavourable", "stance: bad"), "examples[0].reply: stance"),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_first_thing_that_is_wrong_is_named_in_a_line(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (before, after), line = WRONG[what]
    Path("mine.md").write_text(greeks().text.replace(before, after, 1), encoding="utf-8")
    assert line in said(capsys, "prompt", "check", "mine.md", code=2)


def test_tokens_are_counted_as_the_record_s_model_counted_them(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scripted model says 100 tokens of anything: that is no tokenizer's rate, and it is said so."""
    document = json.loads(said(capsys, "prompt", "check", "greeks", "--json", "--db", str(record)))
    assert "which no tokenizer does" in document["counted"]
