"""The words of the command line: text that others wrote is made safe, numbers are written as traders read them."""

import unicodedata

import pytest
from cli_scans import HARMLESS, HOSTILE
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.cli.table import Column, table_lines
from mahler_agents.text import cents, count, counts, dollars, instant, listed, per_share, plain, shortened


@given(st.text())
def test_no_text_keeps_a_character_that_could_move_the_cursor(text: str) -> None:
    shown = plain(text)
    assert not [char for char in shown if unicodedata.category(char).startswith("C")]
    assert shown.splitlines() in ([], [shown])


@given(st.text())
def test_making_text_plain_twice_changes_nothing(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_letters_numbers_and_signs_pass_unchanged(text: str) -> None:
    assert plain(text) == text


def test_escape_sequences_lose_their_escape_and_stay_visible() -> None:
    assert plain(HOSTILE) == HARMLESS


@given(st.text(), st.integers(min_value=2, max_value=40))
def test_shortened_text_is_never_longer_than_its_limit(text: str, limit: int) -> None:
    assert len(shortened(text, limit)) <= limit


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (dollars(2000), "$2,000"),
        (dollars(-45.2), "-$45"),
        (dollars(-0.2), "$0"),
        (cents(99956), "$99,956.00"),
        (cents(-44.5), "-$44.50"),
        (per_share(0.29000000000000004), "0.29"),
        (per_share(0.295), "0.295"),
        (per_share(1.2), "1.20"),
        (count(1, "pair"), "1 pair"),
        (count(1540, "contract"), "1,540 contracts"),
        (count(2, "reply", "replies"), "2 replies"),
        (counts({"dte": 3, "bid_ask": 1200}), "1,200 bid ask, 3 dte"),
        (listed([]), ""),
        (listed(["vix"]), "vix"),
        (listed(["a", "b", "c"]), "a, b and c"),
        (instant("2021-02-09T21:00:00.000Z"), "2021-02-09 16:00"),
        (instant("2021-07-09T20:00:00.000Z"), "2021-07-09 16:00"),
    ],
)
def test_a_value_is_written_as_people_read_it(shown: str, expected: str) -> None:
    assert shown == expected


def test_a_table_aligns_numbers_to_the_right() -> None:
    columns = [Column(heading="run", cells=["a", "bbbb"]), Column(heading="calls", cells=["7", "1,000"], right=True)]
    assert table_lines(columns, None) == ["run   calls", "a         7", "bbbb  1,000"]


@given(st.integers(min_value=1, max_value=60))
def test_a_table_drops_columns_until_it_fits_and_never_one_that_must_stay(width: int) -> None:
    columns = [
        Column(heading="run", cells=["20260316-abcdef"]),
        Column(heading="market", cells=["sample"], droppable=1),
        Column(heading="tokens", cells=["12,345"], droppable=2),
    ]
    heading, row = table_lines(columns, width)
    assert row.startswith("20260316-abcdef")
    assert len(row) <= max(width, len("20260316-abcdef"))
    assert "tokens" not in heading or "market" in heading
