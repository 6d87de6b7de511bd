"""Studio: LangGraph's own server loads `langgraph.json`, runs the panel node by node, and can touch no account."""

import asyncio
import datetime as dt
import os
import re
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from desks import rows
from langgraph_sdk import get_client

from mahler_agents.cli import main
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.errors import InputError, MahlerError, UnknownIdError
from mahler_agents.studio import monitor, review
from mahler_agents.testing.fault_server import FaultServer
from mahler_agents.testing.scripted import ScriptedModel, favourable

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")
NODES = {"brief", "greeks", "sentiment", "technical", "volatility", "fund_manager", "advisory", "size", "execute"}
PATIENCE = 90.0


@asynccontextmanager
async def served(folder: Path, environ: dict[str, str]) -> AsyncGenerator[str]:
    """Start the development server on our `langgraph.json` and give its URL; it is killed at the end."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    options = ["--no-browser", "--no-reload", "--port", str(port), "--config", str(ROOT / "langgraph.json")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "langgraph_cli", "dev", *options),
        cwd=folder,
        env={**os.environ, "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGGRAPH_STRICT_MSGPACK": "true", **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1_000_000,
    )
    started = asyncio.Event()
    logging = asyncio.create_task(write_log(process, folder / "server.log", started))
    try:
        await started.wait()  # its imports take longer on a busy machine than the client tries to connect
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()
        await logging


async def write_log(process: asyncio.subprocess.Process, path: Path, started: asyncio.Event) -> None:
    """Keep what the server prints, and tell once it has started or ended."""
    assert process.stdout is not None
    with path.open("wb") as log:
        async for line in process.stdout:
            log.write(line)
            if b"Application started up" in line:
                started.set()
    started.set()


def test_the_development_server_runs_both_graphs_and_the_page_s_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    seen: dict[str, Any] = {}

    async def run() -> None:
        environ = {"MAHLER_ENVIRONMENT": "live", "MAHLER_DB": str(tmp_path / "mine.db"), "MAHLER_MODEL": "openai:a"}
        async with FaultServer() as provider, asyncio.timeout(PATIENCE):
            server = served(tmp_path, {**environ, **provider.environ})
            async with server as url, get_client(url=url) as client:
                seen["graphs"] = {one["graph_id"] for one in await client.assistants.search()}
                for name in ("review", "monitor"):
                    drawn = await client.assistants.get_graph(name, xray=True)
                    seen[name] = {one["id"].rpartition(":")[2] for one in drawn["nodes"]}
                thread = await client.threads.create()
                seen["nodes"] = set()
                async for part in client.runs.stream(
                    thread["thread_id"],
                    "review",
                    input={"underlying": "IWM"},
                    stream_mode="updates",
                    stream_subgraphs=True,
                ):
                    seen["nodes"] |= set(part.data) if part.event.startswith("updates|") else set()
                seen["state"] = (await client.threads.get_state(thread["thread_id"]))["values"]
                page = example.replace("http://127.0.0.1:2024", url)
                await asyncio.to_thread(exec, compile(page, "docs/studio.md", "exec"), {})
        seen["requests"] = len(provider.requests)

    asyncio.run(run())
    log = (tmp_path / "server.log").read_text(encoding="utf-8")
    assert "Blocking" not in log, log[-3000:]
    assert seen["graphs"] == {"review", "monitor"}
    assert seen["review"] >= NODES
    assert seen["monitor"] >= {"mark", "settle", "breaker", "exits", "close"}
    assert seen["nodes"] >= NODES
    [reviewed] = seen["state"]["reviews"]
    assert reviewed["candidate"]["spread"]["underlying"] == "IWM"
    assert len(reviewed["opinions"]) == 4
    assert reviewed["verdict"]["confidence"] is not None
    assert seen["requests"] == 5  # the page's review asks no model
    assert not (tmp_path / "mine.db").exists()
    [run_row] = rows(Path(seen["state"]["database"]), "runs")
    assert {"paper", "sample", seen["state"]["run_id"]} <= set(run_row)
    printed = capsys.readouterr().out
    assert "node: fund_manager" in printed
    assert "1 position looked after" in printed
    assert main(["trace", "show", "latest", "--db", seen["state"]["database"]]) == 0


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the studio's records, in an environment that says `live` and names a record."""
    monkeypatch.setenv("MAHLER_STUDIO", str(tmp_path / "studio"))
    monkeypatch.setenv("MAHLER_ENVIRONMENT", "live")
    monkeypatch.setenv("MAHLER_DB", str(tmp_path / "mine.db"))
    return tmp_path / "studio"


def test_an_empty_input_reviews_one_candidate_in_a_paper_account_of_its_own(studio: Path) -> None:
    first, second = (
        asyncio.run(review().ainvoke({}, context={"model": "none"}))  # pyright: ignore[reportArgumentType]
        for _ in range(2)
    )
    assert len(first["reviews"]) == 1
    assert first["reviews"] == [{**second["reviews"][0], "execution": first["reviews"][0]["execution"]}]
    assert {path.stem for path in studio.glob("*.db")} == {first["record"], second["record"]}
    assert not studio.with_name("mine.db").exists()


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"underlying": "AAPL"}, InputError, "underlying 'AAPL': use one of SPY, QQQ, IWM, TLT, GLD"),
        ({"as_of": "2026-03-16T14:00:00"}, InputError, "with a zone"),
        ({"as_of": "yesterday"}, InputError, "ISO 8601"),
        ({"candidates": 0}, ValueError, "max_candidates"),
    ],
)
def test_a_review_of_what_does_not_exist_is_refused_and_leaves_no_record(
    studio: Path, asked: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        asyncio.run(review().ainvoke(asked, context={"model": "none"}))  # pyright: ignore[reportArgumentType]
    assert not studio.exists()


@pytest.mark.parametrize("name", ["", "20260316-aaaaaa", "../mine", "/etc/passwd"])
def test_the_monitor_takes_no_record_but_the_studio_s_own(studio: Path, name: str) -> None:
    studio.with_name("mine.db").touch()
    with pytest.raises(UnknownIdError, match="use the `record` that a review returned"):
        asyncio.run(monitor().ainvoke({"record": name}))


def test_no_job_of_a_desk_blocks_its_event_loop(tmp_path: Path) -> None:
    async def run() -> None:
        with blockbuster_ctx():
            async with desk:
                scanned = await desk.scan()
                passed = await desk.monitor(at=scanned.decision_at + dt.timedelta(minutes=30))
        assert all(one.error is None for one in scanned.reviews)
        assert (bool(passed.positions), passed.failed) == (True, ())

    model = ScriptedModel(favourable)
    desk = Desk(
        model=model.endpoint,
        database=tmp_path / "a.db",
        config=DeskConfig(debate_rounds=1, max_candidates=2),
        environ={},
    )
    asyncio.run(run())


def test_a_desk_that_cannot_be_opened_says_so_as_before(tmp_path: Path) -> None:
    async def run() -> None:
        async with Desk(model="none", database=tmp_path / "no" / "folder.db", environ={}):
            pass

    with pytest.raises(MahlerError, match="folder"):
        asyncio.run(run())
