"""Keys never pass: known ones in every spelling, and what has the shape of one; ordinary words always do."""

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mahler_agents.redaction import REDACTED, SHORTEST, Redactor

KEY = "c4nary+K/ey-of_the\"mine'<1>"
IN_JSON = json.dumps(KEY)[1:-1]
SHAPED = "sk-proj-abcDEF0123456789xyz_-w"


@pytest.mark.parametrize(
    "spelled",
    [KEY, IN_JSON, IN_JSON.replace("/", "\\/"), quote(KEY), quote(KEY, safe=""), html.escape(KEY)],
    ids=["plain", "json", "json with escaped slashes", "url", "url, all of it", "html"],
)
def test_a_known_key_is_found_in_every_spelling(spelled: str) -> None:
    assert Redactor([KEY])(f"before {spelled}after") == f"before {REDACTED}after"


@given(
    key=st.text(st.characters(codec="utf-8"), min_size=SHORTEST, max_size=40),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
)
def test_no_known_key_is_left_and_a_second_look_finds_nothing_more(key: str, before: str, after: str) -> None:
    assume(key not in REDACTED)
    redact = Redactor([key])
    once = redact(f"{before}{key}{after}")
    assert key not in once
    assert redact(once) == once


@pytest.mark.parametrize(
    "name",
    ["OPENAI_API_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "LANGSMITH_API_KEY", "GITHUB_TOKEN", "DB_PASSWORD"],
)
def test_the_keys_of_the_environment_are_known(name: str) -> None:
    assert Redactor.of({name: "canary-1234"})("canary-1234 sings") == f"{REDACTED} sings"


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {}\t"])
def test_a_key_is_found_without_the_white_space_that_its_variable_has_around_it(around: str) -> None:
    redact = Redactor.of({"APCA_API_SECRET_KEY": around.format("canary-1234")})
    assert redact("canary-1234 sings") == f"{REDACTED} sings"


def test_other_variables_and_short_values_are_no_keys() -> None:
    redact = Redactor.of({"HOME": "/home/trader", "MAHLER_MODEL": "openai:small", "OPENAI_API_KEY": "none"})
    assert redact("none of /home/trader asks openai:small") == "none of /home/trader asks openai:small"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Incorrect API key provided: {SHAPED}.", f"Incorrect API key provided: {REDACTED}."),
        (f'{{"key":"{SHAPED}"}}', f'{{"key":"{REDACTED}"}}'),
        ("authorization: Bearer abc.DEF-0123456789/+=~x", f"authorization: Bearer {REDACTED}"),
        ("AUTHORIZATION: BEARER ABCDEF0123456789XYZ", f"AUTHORIZATION: BEARER {REDACTED}"),
        ("authorization: bearer abcdef0123456789xyz\r\n", f"authorization: bearer {REDACTED}\r\n"),
    ],
)
def test_what_has_the_shape_of_a_key_is_replaced(text: str, expected: str) -> None:
    assert Redactor()(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "risk-adjusted-return-2026-is-high",
        "a task-of-the-desk-for-2026-03-16",
        "sk-short1",
        "sk-no-digit-in-all-of-these-words",
        "the bearer of bad news, and Bearer certificates-of-deposit",
        "a forbearer 20260316-x7k2qf-and-more",
        "20260316-x7k2qf.1.fund_manager.2",
        "SPY260417P00540000",
    ],
)
def test_ordinary_words_pass(text: str) -> None:
    assert Redactor()(text) == text
