"""End to end: a recorded scan is served again to the byte, repaired at a healthy provider, and never trades again."""

import ast
import asyncio
import datetime as dt
import hashlib
import inspect
import json
import lzma
import re
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from desks import scan
from replays import LIMITS, OUTAGES, REPLAY_TABLES, content, differing, each_its_own, scan_over_http, with_server

from mahler_agents.analysts import ANALYSTS
from mahler_agents.analysts.base import Opinion
from mahler_agents.cli import main
from mahler_agents.config import DeskConfig
from mahler_agents.errors import ConfigError, InputError, UnknownIdError
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.failures import Failure, FailureKind
from mahler_agents.llm.models import ModelSpec
from mahler_agents.market.sample import SampleMarket
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.record.replays import read_original
from mahler_agents.replay import ReplayChoice, ReplayResult, replay, replay_exactly
from mahler_agents.replay.models import models_of_replay
from mahler_agents.replay.original import original_of
from mahler_agents.risk import RiskLimits
from mahler_agents.testing.fault_server import FaultServer
from mahler_agents.testing.faults import FAULTS, in_turn, parse_script
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, favourable, http_error

ROOT = Path(__file__).parents[2]
PANEL = ("greeks", "technical", "sentiment", "volatility")


class NoNews(SampleMarket):
    """The sample market without a news source."""

    async def snapshot(self, as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
        whole = await super().snapshot(as_of, underlyings)
        parts = {name: replace(part, headlines=None) for name, part in whole.underlyings.items()}
        return replace(whole, underlyings=parts)


def exactly(database: Path, **choices: object) -> ReplayResult:
    """Return the exact replay of the newest scan."""
    return asyncio.run(replay_exactly(database=database, **choices))  # type: ignore[arg-type]


def sql(database: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Run a statement on a record and return its rows."""
    with sqlite3.connect(database) as connection:
        found = connection.execute(statement, values).fetchall()
    connection.close()
    return found


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the record of scans in which every named fault was met: one scan for each dozen."""
    database = tmp_path_factory.mktemp("faulty") / "desk.db"
    names = [name for name in FAULTS if name not in OUTAGES]

    async def scans() -> None:
        async with FaultServer() as server:
            for seed, start in enumerate(range(0, len(names), 12), start=1):
                server.script = each_its_own(names[start : start + 12])
                await scan_over_http(database, server, seed=seed)
            for seed, name in enumerate(OUTAGES, start=100):
                server.script = parse_script([f"greeks={name}"])
                await scan_over_http(database, server, seed=seed)
            server.script = parse_script([])
            await scan_over_http(database, server, seed=200, budget=ScanBudget(max_calls=7))
            server.script = parse_script(["greeks=prose", "technical=timeout"])
            await scan_over_http(database, server, seed=201, market=NoNews())

    asyncio.run(scans())
    prompts = shutil.copytree(ROOT / "prompts", database.parent / "prompts")
    with (prompts / "technical.md").open("a") as technical:  # renders its worked example, and no brief of this year
        technical.write('\n{{ 1 // ("2025" in spread) }}\n')
    model = ScriptedModel(a_defect_and_a_bad_request).endpoint
    nothing = RiskLimits(max_risk_per_trade_pct=0.0001)
    scan(database, model, prompts=prompts, limits=nothing, seed_of_ids=300, slot="test-300")
    return database


def a_defect_and_a_bad_request(request: ScriptedRequest) -> ScriptedReply:
    if request.role == "volatility":
        raise RuntimeError("a defect of ours")
    return http_error(400) if request.role == "greeks" else favourable(request)


@pytest.fixture
def served_once(tmp_path: Path) -> Path:
    """Return the record of one scan in which the greeks analyst never replied in the form asked for."""
    database = tmp_path / "desk.db"

    def script(request: ScriptedRequest) -> ScriptedReply | Exception:
        return http_error(400) if request.role == "greeks" else favourable(request, confidence=0.6)

    scan(database, ScriptedModel(script).endpoint, config=DeskConfig(max_candidates=2))
    return database


def test_every_failure_is_reproduced_to_the_byte_without_a_request(faulty: Path) -> None:
    before = content(faulty)
    kinds = {kind for (kind,) in sql(faulty, "SELECT DISTINCT kind FROM failures")}
    assert kinds == set(FailureKind)

    async def serve(server: FaultServer) -> list[ReplayResult]:
        runs = [run for (run,) in sql(faulty, "SELECT id FROM runs")]
        results = [await replay_exactly(str(run), database=faulty, environ=server.environ) for run in runs]
        assert server.received == 0
        return results

    results = with_server(in_turn("ok"), serve)
    for result in results:
        assert differing(result) == []
        assert result.not_replayed == ()
        assert result.succeeded
    answers = [answer for result in results for answer in result.answers]
    of_table = "SELECT COUNT(*) FROM {}"
    recorded = sum(
        int(str(sql(faulty, of_table.format(table))[0][0])) for table in ("opinions", "failures", "verdicts")
    )
    assert len(answers) == recorded
    assert content(faulty) == before


def test_a_deadline_and_a_debate_are_reproduced_too(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    config = DeskConfig(max_candidates=1, debate_rounds=2, decision_delay_seconds=200)
    slow = in_turn("server_error", "timeout")

    def script(request: ScriptedRequest) -> ScriptedReply | Exception:
        if request.role in {"greeks", "bear"}:
            return slow(request)
        return favourable(request)

    scan(database, ScriptedModel(script).endpoint, config=config)
    details = {detail for (detail,) in sql(database, "SELECT detail FROM failures")}
    assert "the deadline for all calls passed" in details
    result = exactly(database)
    assert differing(result) == []
    assert {answer.node for answer in result.answers} == {
        *PANEL,
        "bull_1",
        "bear_1",
        "bull_2",
        "bear_2",
        "fund_manager",
    }


def test_another_prompt_is_a_miss_that_says_whose_and_what_differs(served_once: Path, tmp_path: Path) -> None:
    own = tmp_path / "shorter.md"
    own.write_text((ROOT / "prompts" / "technical.md").read_text().replace("# System\n", "# System\nBe brief. ", 1))
    result = exactly(served_once, prompt=own)
    assert not result.succeeded
    assert {answer.node for answer in result.answers} == {"technical"}
    for answer in result.answers:
        assert answer.now is None
        assert answer.miss is not None
        assert answer.miss.startswith(f"technical of {answer.label}: ")
        assert "the prompt differs" in answer.miss


def test_a_reply_that_was_changed_in_the_record_is_told(served_once: Path) -> None:
    sql(served_once, "UPDATE llm_calls SET response = replace(response, '0.6', '0.9') WHERE role = 'technical'")
    result = exactly(served_once)
    differing_nodes = {answer.node for answer in result.answers if not answer.same}
    assert differing_nodes == {"technical"}
    assert not result.succeeded


def test_numbers_that_are_counted_otherwise_are_told_under_the_same_version_only(served_once: Path) -> None:
    sql(served_once, "UPDATE opinions SET numbers = numbers + 1 WHERE analyst = 'technical'")
    assert {answer.node for answer in exactly(served_once).answers if not answer.same} == {"technical"}
    sql(served_once, "UPDATE runs SET version = '0.0.1'")
    assert exactly(served_once).succeeded


def test_what_failed_is_asked_again_and_then_the_fund_manager_hears_all(served_once: Path) -> None:
    before = content(served_once, without=REPLAY_TABLES)
    original = content(served_once)
    model = ScriptedModel.always(confidence=0.9)
    result = asyncio.run(
        replay(database=served_once, choice=ReplayChoice(failed=True), model=model.endpoint, environ={})
    )
    assert result.succeeded
    assert [answer.node for answer in result.answers] == ["greeks", "fund_manager"] * 2
    assert all(isinstance(answer.was, Failure) for answer in result.answers if answer.node == "greeks")
    shown = [request.messages[-1]["content"] for request in model.requests if request.role == "fund_manager"]
    assert len(shown) == 2
    assert all("greeks" in text and "unavailable" not in text for text in shown)
    assert content(served_once, without=REPLAY_TABLES) == before
    for table in REPLAY_TABLES:
        assert set(original[table]) <= set(content(served_once)[table]), table


def test_a_replay_is_a_retrospective_run_of_its_own(served_once: Path) -> None:
    model = ScriptedModel.always()
    result = asyncio.run(replay(database=served_once, model=model.endpoint, repeat=3, environ={}))
    runs = sql(served_once, "SELECT id, kind, replay_of, retrospective, status FROM runs WHERE retrospective")
    assert runs == [(run_id, "replay", result.replay_of, 1, "done") for run_id in result.run_ids]
    undecided = sql(served_once, "SELECT DISTINCT decision FROM candidates WHERE replay_of IS NOT NULL")
    assert undecided == [(None,)]
    assert (
        sql(served_once, "SELECT * FROM advice JOIN candidates ON candidate_id = id WHERE replay_of IS NOT NULL") == []
    )
    assert len(result.answers) == 3 * 2 * 5
    assert {(spread.asked, spread.valid) for spread in result.spreads} == {(3, 3)}
    assert len(model.requests) == 30
    # The newest run is a replay by now; the newest scan is what `latest` means here.
    assert exactly(served_once).replay_of == result.replay_of
    with pytest.raises(InputError, match=f"itself a replay.*{result.replay_of}"):
        exactly(served_once, run=result.run_ids[0])


def test_each_answer_lands_in_its_own_repetition(served_once: Path) -> None:
    """Repetitions share one client, so their calls must not be mixed up."""
    spoken = iter(range(1, 100))

    def script(request: ScriptedRequest) -> ScriptedReply:
        return favourable(request, confidence=next(spoken) / 100)

    choice = ReplayChoice(roles=("technical",), ranks=(1,))
    result = asyncio.run(
        replay(database=served_once, choice=choice, model=ScriptedModel(script).endpoint, repeat=4, environ={})
    )
    heard = [answer.now.confidence for answer in result.answers if isinstance(answer.now, Opinion)]
    assert len(set(heard)) == 4
    stored = sql(
        served_once,
        "SELECT run_id, json_extract(json_extract(response, '$.choices[0].message.content'), '$.confidence')"
        " FROM llm_calls WHERE run_id IN (SELECT id FROM runs WHERE retrospective) ORDER BY rowid",
    )
    assert sorted(map(str, stored)) == sorted(str((a.run_id, c)) for a, c in zip(result.answers, heard, strict=True))
    (spread,) = result.spreads
    assert spread.confidence is not None
    assert spread.confidence[0] == min(heard)
    assert spread.confidence[2] == max(heard)


def test_a_provider_over_http_repairs_what_failed(faulty: Path, tmp_path: Path) -> None:
    database = tmp_path / "copy.db"
    shutil.copy(faulty, database)
    before = content(database, without=REPLAY_TABLES)
    (run,) = sql(database, "SELECT id FROM runs ORDER BY rowid LIMIT 1")[0]

    async def repair(server: FaultServer) -> ReplayResult:
        choice = ReplayChoice(failed=True)
        return await replay(str(run), database=database, choice=choice, model="openai:better", environ=server.environ)

    result = with_server(in_turn("ok"), repair)
    assert result.succeeded
    assert {answer.now.model for answer in result.answers if isinstance(answer.now, Opinion)} == {"scripted-1"}
    assert set(sql(database, "SELECT model FROM runs WHERE retrospective")) == {("better",)}
    assert content(database, without=REPLAY_TABLES) == before


def test_what_fails_again_is_in_the_result(served_once: Path) -> None:
    model = ScriptedModel(lambda request: http_error(500) if request.role == "greeks" else favourable(request))
    limits = LIMITS.model_copy(update={"max_attempts": 1})
    choice = ReplayChoice(failed=True)
    result = asyncio.run(
        replay(database=served_once, choice=choice, model=model.endpoint, call_limits=limits, environ={})
    )
    assert not result.succeeded
    again = [answer.now for answer in result.answers if answer.node == "greeks"]
    assert all(isinstance(one, Failure) and one.kind is FailureKind.SERVER_ERROR for one in again)


def test_what_lacks_facts_is_not_asked_again(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    scan(database, ScriptedModel.always().endpoint, market=NoNews(), config=DeskConfig(max_candidates=1))
    with pytest.raises(InputError, match="no headlines: no replay can cure that"):
        asyncio.run(replay(database=database, choice=ReplayChoice(failed=True), model=ScriptedModel.always().endpoint))


def test_a_panel_without_a_quorum_gets_its_verdict_with_the_portfolio_of_that_day(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    scan(database, ScriptedModel(lambda _: http_error(400)).endpoint, config=DeskConfig(max_candidates=1))
    model = ScriptedModel.always()
    choice = ReplayChoice(failed=True)
    result = asyncio.run(replay(database=database, choice=choice, model=model.endpoint, environ={}))
    assert result.succeeded
    (asked,) = [request for request in model.requests if request.role == "fund_manager"]
    assert "100000" in asked.messages[-1]["content"]
    brief = json.loads(
        str(sql(database, "SELECT content FROM briefs WHERE role = 'fund_manager' ORDER BY rowid")[-1][0])
    )
    assert brief["equity_dollars"] == 100_000
    assert len(brief["opinions"]) == 4


def test_a_record_of_an_older_version_is_reproduced(served_once: Path) -> None:
    """Before costs, groundedness, the debate and the models of each role were recorded."""
    sql(served_once, "UPDATE llm_calls SET cost_dollars = NULL")
    sql(served_once, "UPDATE opinions SET numbers = NULL, ungrounded = NULL")
    sql(served_once, "UPDATE verdicts SET numbers = NULL, ungrounded = NULL")
    sql(served_once, "UPDATE runs SET config = json_remove(config, '$.models', '$.budget', '$.desk.debate_rounds')")
    for version, text in sql(served_once, "SELECT hash, content FROM briefs WHERE role = 'fund_manager'"):
        older = json.loads(str(text))
        del older["arguments"]
        content_then = json.dumps(older, separators=(",", ":"), ensure_ascii=False)
        hash_then = _sha256(f"FundManagerBrief{content_then}")
        sql(served_once, "INSERT INTO briefs VALUES (?, 'fund_manager', ?)", hash_then, content_then)
        for table in ("verdicts", "llm_calls"):
            sql(served_once, f"UPDATE {table} SET brief_hash = ? WHERE brief_hash = ?", hash_then, version)
        sql(served_once, "DELETE FROM briefs WHERE hash = ?", version)
    result = exactly(served_once)
    assert differing(result) == []
    assert len(result.answers) == 10


@pytest.mark.parametrize("fixture", sorted((ROOT / "tests" / "fixtures").glob("*.db.xz")), ids=lambda path: path.name)
def test_a_run_of_a_released_schema_is_reproduced(fixture: Path, tmp_path: Path) -> None:
    database = tmp_path / "older.db"
    database.write_bytes(lzma.decompress(fixture.read_bytes()))
    result = exactly(database, run="20260313-6mwut4")
    assert differing(result) == []
    assert len(result.answers) == 5


def test_a_key_goes_to_no_address_that_only_the_record_names(served_once: Path) -> None:
    with pytest.raises(
        InputError, match=r"asked scripted at http://scripted.invalid/v1 .* choose a model with --model"
    ):
        asyncio.run(replay(database=served_once, environ={"OPENAI_API_KEY": "sk-1"}))


def test_a_model_file_of_the_user_s_own_is_asked_again_where_it_is_found(served_once: Path, tmp_path: Path) -> None:
    """The record names such a file, and not its folder."""
    asked = json.dumps(
        {role: {"model": "mine", "base_url": "http://127.0.0.1:4711/v1"} for role in (*PANEL, "fund_manager")}
    )
    sql(served_once, "UPDATE runs SET config = json_set(config, '$.models', json(?))", asked)
    sql(served_once, "UPDATE llm_calls SET request = json_set(request, '$.cache_prompt', json('true'))")
    folder = tmp_path / "models"
    folder.mkdir()
    with pytest.raises(InputError, match=r"asked the model file mine\.gguf as \w+; .* --model local:PATH/mine\.gguf"):
        asyncio.run(replay(database=served_once, environ={"MAHLER_MODELS": str(folder)}))
    mine = folder / "mine.gguf"
    mine.write_bytes(b"weights")
    original = original_of(read_original(served_once, "latest"), ANALYSTS)
    for environ in ({"MAHLER_MODELS": str(folder)}, {"MAHLER_MODEL": f"local:{mine}"}):
        chosen = models_of_replay(original, None, {}, {"MAHLER_MODELS": str(tmp_path), **environ})
        assert set(chosen.by_role) == set(original.roles)
        assert {one.path for one in chosen.by_role.values() if isinstance(one, ModelSpec)} == {mine}


def test_a_replay_runs_in_a_notebook_s_own_loop(served_once: Path) -> None:
    """Cells with `await` at their top, one after another in a loop that runs, as IPython does it."""
    cells = """
from mahler_agents import record
from mahler_agents.replay import ReplayChoice, replay, replay_exactly
from mahler_agents.testing.scripted import ScriptedModel
desk = record.open(path)
[run] = desk
---
exact = await replay_exactly(run.id, database=path)
---
healthy = ScriptedModel.always(confidence=0.9).endpoint
repaired = await replay(run.id, database=path, choice=ReplayChoice(failed=True), model=healthy, environ={})
---
again = await replay(run.id, database=path, model=healthy, repeat=2, environ={})
frame = desk.runs_frame()
traces = [desk.trace(one.id) for one in desk]
"""
    names: dict[str, Any] = {"path": served_once}

    async def kernel() -> None:
        for cell in cells.split("---"):
            code = compile(cell, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if inspect.iscoroutine(ran := eval(code, names)):  # noqa: S307 - our own cells
                await ran

    asyncio.run(kernel())
    assert names["exact"].succeeded
    assert names["repaired"].succeeded
    assert list(names["frame"]["kind"]) == ["replay"] * 3 + ["scan"]
    assert len(names["traces"]) == 4


def test_a_brief_that_was_changed_is_not_replayed(served_once: Path) -> None:
    sql(served_once, "UPDATE briefs SET content = replace(content, 'put', 'call') WHERE role = 'technical'")
    result = exactly(served_once)
    assert all("technical" in line and "changed since it was recorded" in line for line in result.not_replayed)
    assert len(result.not_replayed) == 2
    assert "technical" not in {answer.node for answer in result.answers}


def test_a_call_that_never_ended_is_told(served_once: Path) -> None:
    sql(served_once, "DELETE FROM opinions WHERE analyst = 'technical'")
    sql(served_once, "UPDATE llm_calls SET ended_at = NULL, outcome = NULL WHERE role = 'technical'")
    result = exactly(served_once)
    assert result.succeeded
    assert [line for line in result.not_replayed if "its process died" in line] == list(result.not_replayed)
    assert len(result.not_replayed) == 2


def test_bad_choices_are_one_clear_line(served_once: Path, tmp_path: Path) -> None:
    for message, choice in (
        ("no role `macro`; use one of: greeks", ReplayChoice(roles=("macro",))),
        ("no candidate 9; it has: 1, 2", ReplayChoice(ranks=(9,))),
        ("nothing failed in what you chose", ReplayChoice(failed=True, roles=("technical",))),
    ):
        with pytest.raises(InputError, match=message):
            exactly(served_once, choice=choice) if not choice.failed else asyncio.run(
                replay(database=served_once, choice=choice)
            )
    with pytest.raises(UnknownIdError, match="no run `nope`"):
        exactly(served_once, run="nope")
    with pytest.raises(ConfigError, match="no such prompt file"):
        exactly(served_once, prompt=tmp_path / "none.md")
    scan(tmp_path / "rules.db", "none")
    with pytest.raises(InputError, match="asked no model"):
        exactly(tmp_path / "rules.db")


class TestOnTheCommandLine:
    """`mahler replay`, as a user types it."""

    def test_exactly(self, served_once: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["replay", "--exact", "--db", str(served_once)]) == 0
        told = capsys.readouterr().out
        assert "10 of 10 answers the same to the byte; no request made" in told
        assert "greeks: the same, failed (bad_request)" in told

    def test_the_report_of_a_scan_says_the_command_that_repairs_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)

        async def run() -> list[int]:
            async with FaultServer(parse_script(["greeks=percent"])) as server:
                for name, value in server.environ.items():
                    monkeypatch.setenv(name, value)
                codes = [await asyncio.to_thread(main, ["scan", "--model", "openai:m"])]
                said = capsys.readouterr().out
                (command,) = [line.split("mahler ", 1)[1] for line in said.splitlines() if line.startswith("ask again")]
                codes.append(await asyncio.to_thread(main, command.split()))
                server.script = parse_script([])
                codes.append(await asyncio.to_thread(main, command.split()))
                return codes

        assert asyncio.run(run()) == [0, 1, 0]
        told = capsys.readouterr().out
        assert "was: failed (schema_violation)" in told
        assert "is:  favourable, confidence 80 %" in told

    def test_traces_tell_a_replay_from_a_scan(self, served_once: Path, capsys: pytest.CaptureFixture[str]) -> None:
        asyncio.run(replay(database=served_once, model=ScriptedModel.always().endpoint, environ={}))
        assert main(["trace", "list", "--db", str(served_once)]) == 0
        listed = capsys.readouterr().out.splitlines()
        assert [", replay" in line for line in listed[2:4]] == [True, False]
        assert main(["trace", "show", "latest", "--db", str(served_once)]) == 0
        shown = capsys.readouterr().out
        assert shown.count(": asked again") == 2
        assert "unfinished" not in shown
        page = served_once.with_suffix(".html")
        assert main(["trace", "export", "latest", "--html", "--out", str(page), "--db", str(served_once)]) == 0
        exported = page.read_text(encoding="utf-8")
        assert exported.count(">asked again</span>") == 2
        assert ">unfinished<" not in exported

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["nope"], "no run `nope`"),
            (["--analyst", "macro"], "no role `macro`"),
            (["--exact", "--model", "openai:m"], "leave out --model"),
            (["--exact", "--failed"], "leave out --failed"),
            (["--model", "none"], "--model none asks nobody"),
            (["--prompt", "missing.md"], "missing.md: no such prompt file"),
        ],
    )
    def test_bad_input_is_exit_code_2_and_one_line(
        self, arguments: list[str], says: str, served_once: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["replay", *arguments, "--db", str(served_once)]) == 2
        told = capsys.readouterr().err
        assert says in told
        assert told.count("\n") == 1

    def test_json_is_one_document(self, served_once: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["replay", "--exact", "--json", "--db", str(served_once)]) == 0
        document = json.loads(capsys.readouterr().out)
        assert len(document["answers"]) == 10


def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "replay.md").read_text()
    [example] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "replay.md", "exec"), {})  # noqa: S102 - our own example
    told = capsys.readouterr().out.splitlines()
    assert any(line.endswith("greeks server_error -> 0.9") for line in told)
    assert told[-1].startswith("True ")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
