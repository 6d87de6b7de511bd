"""Telemetry: a run's spans say what the record says, under the conventions' names, and never touch the scan."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from desks import TRADE_TABLES, rows, scan
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.telemetry import Telemetry, telemetry_from
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, favourable, http_error

ONE = DeskConfig(max_candidates=1)
KEY = "sk-canary-1234567890abcdef"
SAID = "words that only a model wrote"


def one_fails(request: ScriptedRequest) -> ScriptedReply:
    if request.role == "greeks":
        return http_error(400)
    return favourable(request, summary=SAID)


def spans_of(database: Path, *, content: bool = False) -> tuple[list[ReadableSpan], Any]:
    """Scan with an in-process collector."""
    kept, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    model = ScriptedModel(one_fails).endpoint
    result = scan(database, model, config=ONE, telemetry=Telemetry(provider, content=content))
    return list(kept.get_finished_spans()), result


def path_of(span: ReadableSpan, spans: list[ReadableSpan]) -> list[str]:
    by_id = {one.context.span_id: one for one in spans}
    path, at = [span.name], span
    while at.parent is not None:
        at = by_id[at.parent.span_id]
        path.insert(0, at.name)
    return path


def test_the_spans_are_run_candidate_node_and_call(tmp_path: Path) -> None:
    spans, result = spans_of(tmp_path / "a.db")
    [candidate] = result.reviews
    top = ["invoke_workflow scan", f"review {candidate.candidate.spread.underlying}"]
    calls = [path_of(span, spans) for span in spans if span.name.startswith("chat ")]
    roles = ("greeks", "technical", "volatility", "sentiment", "fund_manager")
    assert sorted(calls) == sorted([*top, f"invoke_agent {role}", calls[0][-1]] for role in roles)
    nodes = {span.name for span in spans if span.attributes and "mahler.node" in span.attributes}
    assert nodes >= {"brief", "advisory", "size", "execute", "record", *(f"invoke_agent {role}" for role in roles)}
    assert len({span.context.trace_id for span in spans}) == 1
    for span in spans:
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time <= span.end_time


def test_a_call_has_the_conventions_names_and_the_record_s_values(tmp_path: Path) -> None:
    spans, result = spans_of(tmp_path / "a.db")
    [asked] = [dict(one.attributes or {}) for one in spans if (one.attributes or {}).get("mahler.role") == "technical"]
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": result.model,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 40,
        "gen_ai.response.finish_reasons": ("stop",),
        "http.response.status_code": 200,
    }
    assert {name: asked.get(name) for name in expected} == expected
    assert asked["gen_ai.response.model"]
    assert "error.type" not in asked
    [failed] = [one for one in spans if (one.attributes or {}).get("mahler.role") == "greeks"]
    assert dict(failed.attributes or {})["error.type"] == "400"
    assert not failed.status.is_ok


def test_what_models_read_and_wrote_is_sent_only_if_asked_for(tmp_path: Path) -> None:
    without, _ = spans_of(tmp_path / "a.db")
    sent = "".join(span.to_json() for span in without)
    assert SAID not in sent
    assert "messages" not in sent
    with_content, _ = spans_of(tmp_path / "b.db", content=True)
    [call] = [
        dict(one.attributes or {}) for one in with_content if (one.attributes or {}).get("mahler.role") == "technical"
    ]
    [said] = json.loads(str(call["gen_ai.output.messages"]))
    assert SAID in said["parts"][0]["content"]
    assert {one["role"] for one in json.loads(str(call["gen_ai.input.messages"]))} >= {"user"}


@contextmanager
def collector() -> Generator[tuple[str, list[tuple[str, bytes]]]]:
    """Receive OTLP over HTTP on this machine; gives its base URL and what came, as path and body."""
    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


def desk_scan(database: Path, environ: dict[str, str]) -> None:
    async def run() -> None:
        model = ScriptedModel(one_fails).endpoint
        async with Desk(model=model, database=database, config=ONE, environ=environ) as desk:
            await desk.scan(slot="test")

    asyncio.run(run())


def test_the_standard_variable_sends_a_run_to_a_collector_and_no_key_with_it(tmp_path: Path) -> None:
    with collector() as (url, got):
        desk_scan(tmp_path / "a.db", {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OPENAI_API_KEY": KEY})
    assert {path for path, _ in got} == {"/v1/traces"}
    assert not any(KEY.encode() in body for _, body in got)
    requests = [ExportTraceServiceRequest.FromString(body) for _, body in got]
    names = [
        span.name
        for request in requests
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]
    assert names.count("invoke_workflow scan") == 1
    assert sum(name.startswith("chat ") for name in names) == 5


def test_a_dead_collector_changes_nothing(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    desk_scan(tmp_path / "a.db", {})
    desk_scan(tmp_path / "b.db", {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
    for table in TRADE_TABLES:
        assert len(rows(tmp_path / "a.db", table)) == len(rows(tmp_path / "b.db", table)), table
    assert [row[3] for row in rows(tmp_path / "b.db", "runs")] == ["done"]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_it_is_off_unless_the_variables_ask_for_it(environ: dict[str, str]) -> None:
    assert telemetry_from(environ) is None


def test_off_it_is_not_even_imported() -> None:
    code = (
        "import sys, mahler_agents.telemetry as t\n"
        "assert t.telemetry_from({}) is None\n"
        "print('opentelemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_langsmith_s_variables_nothing_is_sent_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as (url, got):
        monkeypatch.setenv("LANGSMITH_ENDPOINT", url)
        monkeypatch.setenv("LANGSMITH_API_KEY", KEY)
        desk_scan(tmp_path / "a.db", {})
    assert got == []
