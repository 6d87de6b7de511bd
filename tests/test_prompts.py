"""Prompt files: what they may hold, which messages they make, and errors that name the file and the slip."""

from pathlib import Path

import pytest
from asking import PROMPT_TEXT, MacroReply
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.analysts import ANALYSTS
from mahler_agents.errors import ConfigError
from mahler_agents.llm.prompts import Prompt, check_prompt, load_prompt, parse_prompt

FIELDS = ("rate", "spread", "dte")


def parse(text: str) -> Prompt:
    """Return the prompt in `text`."""
    return parse_prompt(text, path="prompts/macro.md")


def edited(old: str, new: str) -> str:
    """Return the prompt's text with one passage changed."""
    assert old in PROMPT_TEXT
    return PROMPT_TEXT.replace(old, new)


def test_messages_are_the_system_text_each_worked_example_and_the_brief() -> None:
    assert parse(PROMPT_TEXT).messages({"rate": 3.75, "spread": "TLT 90/88 put spread"}) == [
        {"role": "system", "content": "You judge rates."},
        {"role": "user", "content": "SPY 540/535 put spread: the rate is 4.5."},
        {
            "role": "assistant",
            "content": '{"summary":"Rates of 4.5 are calm.","confidence":0.6,"p_profit":0.7,"stance":"neutral"}',
        },
        {"role": "user", "content": "TLT 90/88 put spread: the rate is 3.75."},
    ]


def test_an_absent_fact_is_shown_as_absent() -> None:
    assert parse(PROMPT_TEXT).messages({"rate": None, "spread": "SPY"})[-1]["content"].endswith("is not available.")


def test_markup_in_a_fact_is_neither_escaped_nor_run() -> None:
    shown = parse(PROMPT_TEXT).messages({"rate": 1, "spread": "<b>{{ rate }}</b> & {% raw %}"})[-1]["content"]
    assert shown == "<b>{{ rate }}</b> & {% raw %}: the rate is 1."


def test_a_date_in_an_example_stays_text_as_in_a_brief() -> None:
    prompt = parse(edited("SPY 540/535 put spread", "2026-04-17"))
    assert prompt.front.examples[0].brief["spread"] == "2026-04-17"


def test_the_version_ignores_line_endings_and_white_space_at_the_end_of_lines() -> None:
    version = parse(PROMPT_TEXT).content_hash
    assert len(version) == 64
    assert parse(PROMPT_TEXT.replace("\n", "\r\n")).content_hash == version
    assert parse(PROMPT_TEXT.replace("\n", "  \n") + "\n\n").content_hash == version
    assert parse(edited("You judge", "You  judge")).content_hash != version


@given(st.text(alphabet=" \t\r\nab{}%#-"))
def test_equal_versions_make_equal_messages(tail: str) -> None:
    try:
        one, other = parse(PROMPT_TEXT + tail), parse(PROMPT_TEXT + tail + " \r\n")
    except ConfigError:
        return
    assert one.content_hash == other.content_hash
    assert (one.system, one.user, one.front) == (other.system, other.user, other.front)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Hello", "begin the file with front matter between two `---` lines"),
        ("---\nname: macro\n", "begin the file with front matter between two `---` lines"),
        (edited("name: macro", "name: [macro"), "front matter is not YAML"),
        (edited("name: macro\n", ""), "name: Field required"),
        (edited("name: macro", "name: macro\nmodel: gpt"), "model: Extra inputs are not permitted"),
        (edited("model_role: analyst", "model_role: boss"), "model_role: Input should be 'analyst' or 'fund_manager'"),
        (edited("temperature: 0.2", "temperature: warm"), "temperature: Input should be a valid number"),
        (edited("temperature: 0.2", "temperature: .nan"), "temperature: Input should be a finite number"),
        (edited("max_tokens: 300", "max_tokens: 1.5"), "max_tokens: Input should be a valid integer"),
        (edited("max_tokens: 300", "max_tokens: 0"), "max_tokens: Input should be greater than or equal to 64"),
        (edited("confidence: 0.6", "confidence: .nan"), "examples.0.reply: Value error, cannot be written as JSON"),
        (
            edited("confidence: 0.6", "confidence: !!set {a}"),
            "examples.0.reply: Value error, cannot be written as JSON",
        ),
        (edited("# System", "# system"), "needs one line `# System` and one line `# User`"),
        (edited("# User", "# User\n# User"), "needs one line `# System` and one line `# User`"),
        (edited("# System", "Preface\n# System"), "the body begins with `# System`"),
        (edited("You judge rates.", ""), "`# System` is empty"),
        (edited("{{ spread }}: the rate is {{ rate }}.", ""), "`# User` is empty"),
        (edited("You judge", "You judge {{ spread }}"), "`# System` uses the variable `spread`"),
        (edited("{{ rate }}.", "{{ rate }"), "`# User`: unexpected '}'"),
        (edited("{{ rate }}.", "{{ rate | shout }}."), "`# User`: No filter named 'shout'"),
    ],
)
def test_a_file_that_is_no_prompt_is_refused_with_its_path_and_the_key(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value).startswith("prompts/macro.md: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            edited("{{ rate }}.", "{{ rate }} {{ foo }}."),
            "unknown variable `foo`; the macro brief has: rate, spread, dte",
        ),
        (edited("[rate, spread]", "[rate, spread, foo]"), "unknown variable `foo`; the macro brief has:"),
        (edited("[rate, spread]", "[rate]"), "variable `spread` is used; declare it under `variables`"),
        (edited("[rate, spread]", "[rate, spread, dte]"), "variable `dte` is declared and not used"),
        (edited("{rate: 4.5,", "{rate: 4.5, foo: 1,"), "examples[0].brief: unknown field `foo`; the macro brief has:"),
        (edited("{rate: 4.5, ", "{"), "cannot render the prompt: 'rate' is undefined"),
        (edited("confidence: 0.6", "confidence: 60"), "examples[0].reply: confidence: Input should be less than"),
        (edited("stance: neutral", "stance: neutral, contracts: 3"), "examples[0].reply: contracts: Extra inputs"),
        (
            edited("confidence: 0.6, p_profit: 0.7", "p_profit: 0.7, confidence: 0.6"),
            "write the keys in the schema's order: summary, confidence, p_profit, stance",
        ),
        (edited("{{ rate }}.", "{{ rate + spread }}."), "cannot render the prompt: unsupported operand"),
        (edited("{{ rate }}.", "{{ rate.__class__.mro() }}."), "cannot render the prompt: access to attribute"),
    ],
)
def test_a_prompt_that_does_not_fit_its_role_is_refused_with_its_path_and_the_variable(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_prompt(parse(text), FIELDS, MacroReply)
    assert str(caught.value).startswith("prompts/macro.md: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_example_must_render() -> None:
    second = "    reply: {summary: S., confidence: 0.6, p_profit: 0.7, stance: neutral}\n---\n"
    text = edited("---\n# System", f"  - brief: {{rate: 1}}\n{second}# System")
    with pytest.raises(ConfigError, match="'spread' is undefined"):
        check_prompt(parse(text), FIELDS, MacroReply)


def test_a_prompt_without_examples_fits_its_role() -> None:
    text = (
        PROMPT_TEXT[: PROMPT_TEXT.index("examples:")] + "examples: []\n" + PROMPT_TEXT[PROMPT_TEXT.index("---\n# S") :]
    )
    check_prompt(parse(text), FIELDS, MacroReply)


def test_a_prompt_is_read_from_a_folder_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "macro.md").write_text("\ufeff" + PROMPT_TEXT, encoding="utf-8")
    prompt = load_prompt("macro", tmp_path)
    assert prompt.path == str(tmp_path / "macro.md")
    assert prompt.content_hash == parse(PROMPT_TEXT).content_hash


def test_a_missing_unreadable_or_misnamed_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.md").write_bytes(b"\xff\xfe")
    (tmp_path / "rates.md").write_text(PROMPT_TEXT)
    for name, message in (
        ("missing", "no such prompt file"),
        ("latin", "cannot read the prompt file"),
        ("rates", "`name` is `macro`; it must be the file's name, `rates`"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_prompt(name, tmp_path)
        assert str(caught.value).startswith(f"{tmp_path / name}.md: {message}")


@pytest.mark.parametrize("name", ["../secrets", "a/b", "", "a.b"])
def test_a_prompts_name_is_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no prompt's name"):
        load_prompt(name, tmp_path)


def test_every_analyst_has_a_prompt_in_the_package() -> None:
    for analyst in ANALYSTS:
        assert load_prompt(analyst.name).front.model_role == "analyst"
    assert load_prompt("fund_manager").front.model_role == "fund_manager"
