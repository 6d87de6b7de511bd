"""`mahler eval compare --html`: a page whose numbers are the document's, and which obeys nothing written in it."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from chromium import Page, open_page
from evaluations import evaluated, knowing, record_of

from mahler_agents.cli import main

BREAKOUT = "</title></svg><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a page, and the JSON that the same command prints."""
    folder = tmp_path_factory.mktemp("page")
    record = record_of(folder / "r.db", 12)
    evaluated(record, knowing())
    return record, folder / "page.html"


@pytest.fixture(scope="module")
def page(written: tuple[Path, Path]) -> Page:
    record, path = written
    assert main(["eval", "compare", "latest", "--html", str(path), "--db", str(record)]) == 0
    return open_page(path)


def document_of(written: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["eval", "compare", "latest", "--json", "--db", str(written[0])]) == 0
    return json.loads(capsys.readouterr().out)


def at(document: Any, place: str) -> Any:
    for step in place.split("."):
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def test_it_opens_without_a_word_on_the_console(page: Page) -> None:
    assert page.console == []
    assert page.all("script") == page.all("img") == []


def test_every_number_on_it_is_the_document_s(
    page: Page, written: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    document = document_of(written, capsys)
    numbers = {one.attributes["id"]: one for one in page.all("data")}
    for place, element in numbers.items():
        assert json.loads(element.attributes["value"]) == at(document, place), place
    for place, one in enumerate(document["scorers"]):
        for name in (
            "n",
            "mean_first",
            "mean_second",
            "difference",
            "low",
            "high",
            "wins",
            "losses",
            "p_value",
            "p_holm",
        ):
            assert (f"scorers.{place}.{name}" in numbers) is (one[name] is not None), (one["scorer"], name)
        assert any(one["text"] == cell.text for cell in page.all("span", "verdict"))


def test_each_plot_has_what_the_document_has(
    page: Page, written: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    document = document_of(written, capsys)
    assert len(page.all("circle", "profit")) == sum(pair["profit"] is True for pair in document["forecasts"]) == 8
    assert len(page.all("circle", "loss")) == 4
    assert len(page.all("circle", "one")) == 1  # 0.66 of all: one bin
    assert len(page.all("circle", "other")) == 2
    assert len(page.all("line", "ends")) == sum(one["low"] is not None for one in document["scorers"])


def test_its_policy_allows_its_own_style_and_nothing_else(page: Page) -> None:
    [policy] = [one.attributes["content"] for one in page.all("meta") if "http-equiv" in one.attributes]
    digest = base64.b64encode(hashlib.sha256(page.all("style")[0].text.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert [one for one in page.elements if {"src", "href", "style", "onclick"} & one.attributes.keys()] == []


def test_what_a_record_s_names_say_is_text(written: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil
    import sqlite3
    from contextlib import closing

    hostile = shutil.copy(written[0], tmp_path / "hostile.db")
    with closing(sqlite3.connect(hostile)) as connection, connection:
        connection.execute("UPDATE evaluation_variants SET model = ?", (BREAKOUT,))
    out = tmp_path / "hostile.html"
    assert main(["eval", "compare", "--html", str(out), "--db", str(hostile)]) == 0
    text = out.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_place_that_cannot_be_written_is_refused(
    written: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "compare", "--html", "no/such/page.html", "--db", str(written[0])]) == 2
    assert "--html no/such/page.html: cannot be written" in capsys.readouterr().err
