"""Telemetry: a run that has ended in, its spans out: run > candidate > node > LLM call.

They are made from the record and not while the scan runs: a scan neither waits for a collector nor pays for one, what
is sent is what was recorded, keys redacted, and a run that could not be sent is still in the record.
"""

import datetime as dt
import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mahler_agents.errors import UnknownIdError
from mahler_agents.record.queries import Reader
from mahler_agents.record.trace_rows import CallRow, CandidateTrace, RunTrace, SpanRow
from mahler_agents.telemetry import attributes
from mahler_agents.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

_LOG = logging.getLogger(__name__)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

CLOSING_SECONDS = 3.0
"""The longest that a desk waits, when it closes, for a collector to take what is left."""

_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


class Telemetry:
    """Sends runs to a tracer provider; nothing that goes wrong here is raised: it is logged.

    `content` is whether what models read and wrote is sent too; `owned` whether closing this closes the provider.
    """

    def __init__(self, provider: "TracerProvider", *, content: bool = False, owned: bool = False) -> None:
        self._provider = provider
        self._content = content
        self._owned = owned

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is on its way, at most `CLOSING_SECONDS`."""
        if self._owned:
            closing = threading.Thread(target=self._provider.shutdown, name="telemetry", daemon=True)
            closing.start()
            closing.join(CLOSING_SECONDS)

    def send(self, database: Path, run_id: str) -> None:
        """Send a run of the record, if it is there. Reads the record: call it in a thread."""
        try:
            with suppress(UnknownIdError), Reader(database) as reader:
                self._run(reader.trace(run_id))
        except Exception:  # noqa: BLE001 - the edge to a service that looks on: told in the log, and nothing fails by it
            _LOG.exception("run %s was not sent to OpenTelemetry; it is whole in %s", run_id, database)

    def _run(self, trace: RunTrace) -> None:
        run, sender = trace.run, _Sender(self._provider.get_tracer("mahler_agents", __version__), content=self._content)
        started, ended = _nanoseconds(run.started_at), _nanoseconds(run.ended_at or run.started_at)
        known = attributes.run_attributes(run)
        span = sender.start(f"invoke_workflow {run.kind}", None, started, known, failed=run.status == "failed")
        servers = {role: one.get("base_url") for role, one in run.config.get("models", {}).items()}
        for candidate in trace.candidates:
            if candidate.spans:
                sender.candidate(candidate, span, servers)
        span.end(ended)


class _Sender:
    def __init__(self, tracer: "Tracer", *, content: bool) -> None:
        self._tracer = tracer
        self._content = content

    def candidate(self, candidate: CandidateTrace, parent: "Span", servers: Mapping[str, str | None]) -> None:
        started = min(_nanoseconds(one.started_at) for one in candidate.spans)
        known = attributes.candidate_attributes(candidate)
        span = self.start(f"review {candidate.underlying}", parent, started, known, failed=candidate.reason == "error")
        for node in candidate.spans:
            self._node(node, span, servers)
        span.end(max(_ended(one) for one in candidate.spans))

    def _node(self, node: SpanRow, parent: "Span", servers: Mapping[str, str | None]) -> None:
        name = f"invoke_agent {node.name}" if node.calls else node.name
        known = attributes.node_attributes(node)
        span = self.start(name, parent, _nanoseconds(node.started_at), known, failed=node.status != "ok")
        for call in node.calls:
            self._call(call, span, servers.get(call.role))
        span.end(_ended(node))

    def _call(self, call: CallRow, parent: "Span", base_url: str | None) -> None:
        from opentelemetry.trace import SpanKind

        known = attributes.call_attributes(call, base_url)
        if self._content:
            known |= attributes.content_attributes(call)
        failed, started = attributes.error_type(call) is not None, _nanoseconds(call.started_at)
        span = self.start(f"chat {call.model}", parent, started, known, failed=failed, kind=SpanKind.CLIENT)
        span.end(_nanoseconds(call.ended_at or call.started_at))

    def start(
        self, name: str, parent: "Span | None", started: int, known: attributes.Attributes, *, failed: bool, **more: Any
    ) -> "Span":
        from opentelemetry.context import Context
        from opentelemetry.trace import StatusCode, set_span_in_context

        # An empty context and not the current one: a run is a trace of its own, whatever its caller traces.
        within = Context() if parent is None else set_span_in_context(parent, Context())
        span = self._tracer.start_span(name, within, start_time=started, attributes=known, **more)
        if failed:
            span.set_status(StatusCode.ERROR)
        return span


def telemetry_from(environ: Mapping[str, str]) -> Telemetry | None:
    """Return what OpenTelemetry's own variables ask for; None without an OTLP endpoint, or if they switch it off.

    If the extra `otel` is not installed this says so in the log: the variables may be meant for another program.
    """
    endpoint = environ.get(_TRACES_ENDPOINT) or _of_base(environ.get(_ENDPOINT))
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    if not endpoint or off:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _LOG.warning("%s is set, and nothing is sent: pip install 'mahler-agents[otel]'", _ENDPOINT)
        return None
    service = environ.get("OTEL_SERVICE_NAME") or "mahler-agents"
    # Its own exit hook would wait half a minute for a collector that is gone.
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    content = environ.get(_CONTENT, "").upper() in {"SPAN_ONLY", "SPAN_AND_EVENT", "TRUE"}
    return Telemetry(provider, content=content, owned=True)


def _of_base(url: str | None) -> str | None:
    return f"{url.rstrip('/')}/v1/traces" if url else None


def _nanoseconds(text: str) -> int:
    return (dt.datetime.fromisoformat(text) - _EPOCH) // dt.timedelta(microseconds=1) * 1000


def _ended(node: SpanRow) -> int:
    ends = [_nanoseconds(call.ended_at) for call in node.calls if call.ended_at]
    return max([_nanoseconds(node.started_at) + int(1e6 * (node.milliseconds or 0)), *ends])
