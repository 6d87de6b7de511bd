"""End to end: keys that servers repeat, models write and exceptions quote are in no byte of record, log or output."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_scans import run_scan
from desks import rows, scan
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from trading_builders import DECIDED_AT, a_spread_quote, a_ticket, record_candidates

from mahler_agents.cli import main
from mahler_agents.errors import RecordError
from mahler_agents.execution import Ledger, OrderState, OrderUpdate, Traded
from mahler_agents.record import Writer, open_database
from mahler_agents.redaction import REDACTED
from mahler_agents.telemetry import Telemetry
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


SERVER_OF = {"greeks": "in its error", "technical": "in a page", "sentiment": "in an exception"}
READING = (
    ["trace", "show", "latest"],
    ["trace", "show", "latest", "--raw"],
    ["trace", "show", "latest", "--json"],
    ["trace", "list", "--json"],
    ["trace", "tail", "--once", "--json"],
    ["trace", "diff", "latest", "latest", "--json"],
    ["replay", "--exact", "--json"],
)


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
    for arguments in READING:
        assert main([*arguments, "--db", str(database)]) == 0, arguments
        printed = capsys.readouterr()
        assert canaries_in(printed.out + printed.err) == [], arguments
    assert REDACTED in repr(rows(database, "failures")) + repr(rows(database, "opinions"))


def test_a_key_is_in_nothing_that_is_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages, backups and OpenTelemetry spans, what models wrote included."""
    monkeypatch.chdir(tmp_path)
    kept, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    model = ScriptedModel(lambda request: SERVERS[SERVER_OF.get(request.role, "in an opinion")](request)).endpoint
    scan(tmp_path / "desk.db", model, telemetry=Telemetry(provider, content=True))
    assert main(["trace", "export", "latest", "--html", "--out", "run.html", "--db", "desk.db"]) == 0
    assert main(["db", "backup", "copy.db", "--db", "desk.db"]) == 0
    for name in ("run.html", "copy.db"):
        content = (tmp_path / name).read_bytes()
        assert REDACTED.encode() in content, name
        assert canaries_in(content) == [], name
    spans = "".join(span.to_json() for span in kept.get_finished_spans())
    assert REDACTED in spans
    assert canaries_in(spans) == []


def test_a_key_that_a_broker_repeats_is_not_in_the_books_and_they_can_be_read(tmp_path: Path) -> None:
    database, account = open_database(tmp_path / "desk.db", create=True), f"account of {ALL}"
    record_candidates(database, "run.1")
    ticket = a_ticket(account_id=account, slot=ALL)
    traded = Traded(contracts=4, credit=0.9, fees=1.0, at=DECIDED_AT)
    said = OrderUpdate(state=OrderState.FILLED, broker_order_id=ALL, traded=traded, detail=ALL)
    with Ledger(database, account) as ledger:
        ledger.reserve(lambda _, __: (None, ticket), slot=ALL)
        quote = a_spread_quote((1.00, 1.10), (0.10, 0.14))
        attempt = ledger.attempt(ticket, limit_credit=0.9, at=DECIDED_AT, quote=quote)
        [pending] = ledger.pending()
        ledger.book(attempt, said, over=True)
        [position] = ledger.open_positions(DECIDED_AT)
        for path in tmp_path.iterdir():
            assert canaries_in(path.read_bytes()) == [], path.name
    assert pending.ticket.client_order_id == position.entry_order_id == ticket.client_order_id
    assert REDACTED in repr(rows(database, "orders"))


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
