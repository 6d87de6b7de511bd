"""End to end: keys that servers repeat, models write and exceptions quote are in no byte of record, log or output."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_scans import run_scan
from desks import rows

from mahler_agents.cli import main
from mahler_agents.errors import RecordError
from mahler_agents.record import Writer, open_database
from mahler_agents.redaction import REDACTED
from mahler_agents.testing.protocol import example_of
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, http_body, http_error, reply

CANARIES = {
    "OPENAI_API_KEY": "canary-openai/4711+key",
    "APCA_API_KEY_ID": "PKCANARY4711ALPACAID",
    "APCA_API_SECRET_KEY": "canary/secret+4711/of-alpaca",
}
"""Variable to a key that has no shape to know it by."""
SHAPED = "sk-proj-canary0123456789abcdef"
ALL = f"{' '.join(CANARIES.values())} {SHAPED} Bearer canary.4711.abcdefghijk"


def _in_a_reply(request: ScriptedRequest) -> ScriptedReply:
    said = {**example_of(request.schema), "summary": f"The keys are {ALL}"}
    return reply(json.dumps(said))


def _raises(_: ScriptedRequest) -> ScriptedReply:
    raise RuntimeError(f"a defect that quotes {ALL}")


SERVERS: dict[str, Callable[[ScriptedRequest], ScriptedReply]] = {
    "in its error": lambda _: http_error(401, f"Incorrect API key provided: {ALL}"),
    "in a page": lambda _: http_body(f"<html>{ALL}</html>", status=502),
    "in text that is no JSON": lambda _: reply(f"I know {ALL}"),
    "in an opinion": _in_a_reply,
    "in an exception": _raises,
}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)


def canaries_in(text: str | bytes) -> list[str]:
    """Return the keys that stand in a text, whole or beyond their first characters."""
    searched = text.decode("latin-1") if isinstance(text, bytes) else text
    marks = [*CANARIES.values(), SHAPED, "canary.4711"]
    return [mark for mark in marks if mark in searched]


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS.keys())
def test_a_key_that_comes_back_is_nowhere(
    server: Callable[[ScriptedRequest], ScriptedReply],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    database = tmp_path / "desk.db"
    keep_open = Writer(open_database(database, create=True))  # so that what is written stays in the -wal file, too
    with keep_open:
        result = run_scan(database, ScriptedModel(server))
        for path in tmp_path.iterdir():
            assert canaries_in(path.read_bytes()) == [], path.name
    for path in tmp_path.iterdir():
        assert canaries_in(path.read_bytes()) == [], path.name
    assert canaries_in(result.model_dump_json()) == []
    assert canaries_in(caplog.text) == []
    for arguments in (["trace", "show", "latest"], ["trace", "show", "latest", "--json"], ["trace", "list", "--json"]):
        assert main([*arguments, "--db", str(database)]) == 0
        printed = capsys.readouterr()
        assert canaries_in(printed.out + printed.err) == []
    assert REDACTED in repr(rows(database, "failures")) + repr(rows(database, "opinions"))


def test_a_key_in_a_row_that_cannot_be_written_is_not_in_the_exception(tmp_path: Path) -> None:
    database = open_database(tmp_path / "desk.db", create=True)

    def write() -> None:
        with Writer(database) as writer:
            writer.update("runs", {"id": ALL}, {"error": ALL})

    with pytest.raises(RecordError, match="no row to change") as raised:
        write()
    assert canaries_in(f"{raised.value} {raised.value.__cause__!r}") == []


def test_a_key_in_bad_input_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--model", SHAPED]) == 2
    assert main(["trace", "show", CANARIES["APCA_API_SECRET_KEY"], "--db", CANARIES["OPENAI_API_KEY"]]) == 2
    assert canaries_in(capsys.readouterr().err) == []
