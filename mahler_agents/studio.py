"""Studio: the graphs as a LangGraph server serves them; plain JSON in and out, on parts that cannot touch an account.

The desk's own graphs are given a market, a broker and a record by whoever runs them, which no server could send over
HTTP. These wrap them: `review` makes one scan and `monitor` one pass, with the desk's graphs running inside, node by
node. Always the sample market, the embedded paper broker and a record of its own: nothing here can trade.
"""

import asyncio
import datetime as dt
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from mahler_agents.clock import Ids
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.errors import InputError, UnknownIdError
from mahler_agents.graphs import monitor as look
from mahler_agents.graphs import review as panel
from mahler_agents.market.open import open_market
from mahler_agents.record.location import studio_folder
from mahler_agents.types import UNIVERSE, Environment

_RECORD_NAME = re.compile(r"[0-9]{8}-[a-z0-9]{6}")


class ReviewRequest(TypedDict, total=False):
    """What a served review starts from; `{}` reviews the best candidate of the sample market's default morning."""

    underlying: str
    """Such as `QQQ`; all of the universe unless given."""
    as_of: str
    """ISO 8601 with a zone, such as `2026-03-16T14:00:00Z`; the sample market's default unless given."""
    candidates: int
    """How many of the screen's candidates are reviewed, best first; 1 unless given."""


class ReviewReport(ReviewRequest, total=False):
    """What a served review leaves behind."""

    run_id: str
    record: str
    """Name of the record, which the monitor takes."""
    database: str
    """Path of the record, which `mahler trace show --db` takes."""
    synthetic: Literal[True]
    """The sample market's figures are made up."""
    reviews: list[dict[str, Any]]
    """One `Review` a candidate, in rank order."""


class MonitorRequest(TypedDict, total=False):
    """What a served pass starts from."""

    record: str
    """Name of a review's record: its positions are looked after."""
    at: str
    """ISO 8601 with a zone; the present instant unless given."""


class MonitorReport(MonitorRequest, total=False):
    """What a served pass leaves behind."""

    synthetic: Literal[True]
    """The sample market's figures are made up."""
    result: dict[str, Any]
    """A `MonitorResult`."""


class Choices(TypedDict, total=False):
    """The run-time context that a client may send."""

    model: str
    """As `--model` spells it; `auto` unless given."""
    prompts: str
    """Folder to read prompts from instead of the package's."""


ServedReview = CompiledStateGraph[ReviewReport, Choices, ReviewRequest, ReviewReport]
ServedMonitor = CompiledStateGraph[MonitorReport, Choices, MonitorRequest, MonitorReport]


def review() -> ServedReview:
    """Return the graph that makes one scan in a new record: `ReviewRequest` in, `ReviewReport` out."""
    graph = StateGraph(ReviewReport, context_schema=Choices, input_schema=ReviewRequest)
    graph.add_node("scan", _around(panel.build(), _scan))
    graph.add_edge(START, "scan")
    graph.add_edge("scan", END)
    return graph.compile()


def monitor() -> ServedMonitor:
    """Return the graph that makes one pass over a record's positions: `MonitorRequest` in, `MonitorReport` out."""
    graph = StateGraph(MonitorReport, context_schema=Choices, input_schema=MonitorRequest)
    graph.add_node("pass", _around(look.build(), _pass))
    graph.add_edge(START, "pass")
    graph.add_edge("pass", END)
    return graph.compile()


def _around(inner: object, job: Callable[[Any, Runtime[Choices]], Awaitable[dict[str, Any]]]) -> Any:
    """Return a node that does the job, in which the desk runs a graph like `inner`: so it is drawn with its nodes.

    LangGraph looks for the graphs within a node among what its function holds.
    """

    async def node(state: dict[str, Any], runtime: Runtime[Choices]) -> dict[str, Any]:
        _ = inner
        return await job(state, runtime)

    return node


async def _scan(state: ReviewReport, runtime: Runtime[Choices]) -> dict[str, Any]:
    """Make one scan; the review graph runs inside, once a candidate."""
    wanted = state.get("underlying")
    if wanted is not None and wanted not in UNIVERSE:
        raise InputError(f"underlying {wanted!r}: use one of {', '.join(UNIVERSE)}")
    config = DeskConfig(environment=Environment.PAPER, max_candidates=state.get("candidates", 1))
    as_of = _instant("as_of", state.get("as_of"))
    path = await asyncio.to_thread(_new_record, as_of)
    async with await asyncio.to_thread(_desk, path, runtime.context, config) as desk:
        result = await desk.scan(as_of=as_of, only=wanted)
    return {
        "run_id": result.run_id,
        "record": path.stem,
        "database": str(path),
        "synthetic": result.synthetic,
        "reviews": [one.model_dump(mode="json") for one in result.reviews],
    }


async def _pass(state: MonitorReport, runtime: Runtime[Choices]) -> dict[str, Any]:
    """Make one pass; the monitor graph runs inside."""
    del runtime
    path = await asyncio.to_thread(_existing_record, state.get("record", ""))
    async with await asyncio.to_thread(_desk, path, {"model": "none"}, DeskConfig()) as desk:
        result = await desk.monitor(at=_instant("at", state.get("at")))
    return {"synthetic": True, "result": result.model_dump(mode="json")}


def _desk(path: Path, chosen: Choices | None, config: DeskConfig) -> Desk:
    choices = chosen or Choices()
    prompts = choices.get("prompts")
    return Desk(
        market="sample",
        broker="paper",
        model=choices.get("model", "auto"),
        database=path,
        prompts=Path(prompts) if prompts else None,
        config=config,
    )


def _new_record(as_of: dt.datetime | None) -> Path:
    """Return the path of a record that does not exist: a review's account is new, whatever was reviewed before it."""
    folder = studio_folder(os.environ)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{Ids().run_id(as_of or open_market('sample').default_as_of())}.db"


def _existing_record(name: str) -> Path:
    folder = studio_folder(os.environ)
    path = folder / f"{name}.db"
    if not _RECORD_NAME.fullmatch(name) or not path.is_file():
        raise UnknownIdError(f"record {name!r}: not in {folder}; use the `record` that a review returned")
    return path


def _instant(name: str, text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise InputError(f"{name} {text!r}: use ISO 8601 with a zone, such as 2026-03-16T14:00:00Z")
    return instant
