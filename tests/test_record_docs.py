"""docs/record.md: its tables are the schema's, its queries and its Python run, and it says what the verbs do."""

import re
import shlex
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from recorded import made_once

from mahler_agents.record import connect
from mahler_agents.record.documentation import differences, renewed

PAGE = Path(__file__).parents[1] / "docs" / "record.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory)


@pytest.fixture
def here(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the record that the page speaks of, to work in."""
    shutil.copy(database, tmp_path / "mahler-sample-paper.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_dictionary_has_every_column_of_the_schema_and_no_other() -> None:
    assert list(differences()) == []


def test_the_page_is_what_make_docs_makes_of_it() -> None:
    assert renewed(TEXT) == TEXT, "run `make docs`"


QUERIES = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.split("FROM ")[1].split()[0])
def test_every_query_runs(query: str, here: Path) -> None:
    with closing(connect(here / "mahler-sample-paper.db", read_only=True)) as connection:
        found = connection.execute(query).fetchall()
    assert found or "shadow_pnl_dollars" in query or "outcomes" in query  # one scan has closed nothing yet


@pytest.mark.usefixtures("here")
def test_the_command_line_runs() -> None:
    [command] = re.findall(r"^    (sqlite-utils .*)$", TEXT, re.MULTILINE)
    program, *arguments = shlex.split(command)
    ended = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments], capture_output=True, text=True, check=True
    )
    assert "traded" in ended.stdout


@pytest.mark.usefixtures("here")
def test_the_library_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    [example] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(example, "docs/record.md", "exec"), {})  # noqa: S102 - our own example
    printed = capsys.readouterr().out
    assert "put spread" in printed
    assert "calls" in printed.splitlines()[-1]
