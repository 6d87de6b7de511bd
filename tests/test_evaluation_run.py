"""Evaluations: every variant on the same cases, each answer once: in a budget, after kill -9, from the record."""

import asyncio
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import at_scale
from evaluations import brief, count, evaluated, greeks, knowing, record_of

from mahler_agents.clock import Ids
from mahler_agents.errors import ConfigError, InputError, UnknownIdError
from mahler_agents.evaluation.requests import request_hashes
from mahler_agents.evaluation.run import EvaluationResult, evaluate, retry
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.prompts import parse_prompt
from mahler_agents.testing.fault_server import FaultServer
from mahler_agents.testing.scripted import (
    Script,
    ScriptedModel,
    ScriptedReply,
    ScriptedRequest,
    favourable,
    http_error,
    never,
    reply,
)

CASES = at_scale(200)
REPEATS = 3
IN_FLIGHT = 4


def calls(path: Path) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute("SELECT * FROM llm_calls ORDER BY span_id, attempt").fetchall()


def test_every_variant_is_asked_on_every_case_as_often_as_told(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 4)
    model = ScriptedModel(knowing())
    result = evaluated(path, model, repeat=2)
    assert (result.answered, result.asked, result.served, result.failures) == (16, 16, 0, {})
    assert len(model.requests) == 16
    assert [one["variant"] for one in result.variants] == ["A", "B"]
    assert count(path, "SELECT COUNT(*) FROM runs WHERE kind = 'evaluation' AND retrospective AND status = 'done'") == 1


def test_what_it_hears_is_no_advice(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 2)
    evaluated(path, knowing())
    for table in ("opinions", "verdicts", "advice", "candidates", "orders", "shadows"):
        assert count(path, f"SELECT COUNT(*) FROM {table}") == 0, table
    assert count(path, "SELECT COUNT(*) FROM decisions") == 0


def test_each_model_is_asked_with_each_prompt(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 1)
    models = [ScriptedModel(favourable) for _ in range(2)]
    endpoints = [one.endpoint for one in models]
    result = evaluated(path, models[0], greeks(), greeks("SKILLED"), models=endpoints)
    assert (len(result.variants), result.answered) == (4, 4)
    assert [len(one.requests) for one in models] == [2, 2]


def test_the_hash_is_of_what_went_over_the_wire(tmp_path: Path) -> None:
    """What is served from the record answers this very request: model, body, to the letter."""
    from mahler_agents.evaluation.cases import panel_roles, read_cases
    from mahler_agents.evaluation.requests import _json, messages_of
    from mahler_agents.evaluation.variants import Variant
    from mahler_agents.llm.connection import body_of
    from mahler_agents.record.cases import CaseFilter, CaseReader

    path = record_of(tmp_path / "r.db", 2)
    model = ScriptedModel(favourable)
    evaluated(path, model)
    with CaseReader(path) as reader:
        cases, _ = read_cases(reader.cases(CaseFilter()))
    reply_type = panel_roles()["greeks"][1]
    variant = Variant(name="A", prompt=greeks(), endpoint=model.endpoint, toy=False)
    body = body_of(model.endpoint, "greeks", variant.prompt, reply_type)
    sent = {row["brief_hash"]: json.loads(row["request"]) for row in calls(path) if ".A." in row["span_id"]}
    assert {case.id: {**body, "messages": messages_of(variant.prompt, case)} for case in cases} == sent
    hashes = request_hashes([variant], cases, reply_type)
    assert len(set(hashes.values())) == len(cases)
    assert _json([1]) == b"[1]"


def test_the_same_again_is_served_from_the_record_and_asks_nobody(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 3)
    first = evaluated(path, knowing(), repeat=2)
    model = ScriptedModel(knowing())
    again = evaluated(path, model, repeat=2, seed=2)
    assert again.id != first.id
    assert (again.served, again.asked, again.answered) == (12, 0, 12)
    assert model.requests == []
    same = (
        "SELECT COUNT(*) FROM evaluation_results AS a JOIN evaluation_results AS b USING (variant, brief_hash, repeat)"
    )
    assert (
        count(path, f"{same} WHERE a.served_from = b.run_id AND a.reply = b.reply AND a.milliseconds = b.milliseconds")
        == 12
    )


def test_what_differs_in_a_letter_or_is_asked_once_more_is_asked(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 3)
    evaluated(path, knowing())
    other = evaluated(path, knowing(), greeks(), greeks("SKILLED?"), seed=2)
    assert (other.served, other.asked) == (3, 3)
    thrice = evaluated(path, knowing(), repeat=3, seed=3)
    assert (thrice.served, thrice.asked) == (6, 12)


def test_a_failure_of_the_network_is_asked_again_by_retry_and_one_of_the_model_too(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 3)

    def down(request: ScriptedRequest) -> ScriptedReply:
        return http_error(401) if request.messages[0]["content"].startswith("SKILLED") else favourable(request)

    async def run() -> None:
        async with FaultServer(down) as server:
            limits = CallLimits(max_attempts=1)
            first = await evaluate(
                (greeks(), greeks("SKILLED")),
                database=path,
                models=["openai:m"],
                environ=server.environ,
                ids=Ids(1),
                call_limits=limits,
            )
            assert first.answered == 3
            assert first.failures == {"auth": 3}
            before = server.received
            server.script = favourable
            second = await retry(first.id, database=path, environ=server.environ, call_limits=limits)
            assert (second.asked, second.answered, second.failures) == (3, 6, {})
            assert server.received - before == 3  # and nobody who had answered
            with pytest.raises(InputError, match="nothing failed"):
                await retry(first.id, database=path, environ=server.environ)

    asyncio.run(run())


def test_a_budget_ends_the_asking_and_is_told(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 5)
    model = ScriptedModel(favourable)
    result = evaluated(path, model, budget=ScanBudget(max_calls=4), call_limits=CallLimits(max_in_flight=1))
    assert (len(model.requests), result.answered, result.failures) == (4, 4, {"budget": 6})
    # Case by case: what was asked before it ended was asked of both variants.
    asked = "SELECT COUNT(DISTINCT variant) FROM evaluation_results WHERE reply NOT NULL GROUP BY brief_hash"
    assert count(path, f"SELECT MIN(1) FROM ({asked})") == 1
    assert (
        count(path, "SELECT COUNT(*) FROM (SELECT 1 FROM evaluation_results WHERE reply NOT NULL GROUP BY brief_hash)")
        == 2
    )


@dataclass(frozen=True, kw_only=True)
class Killed:
    """An evaluation by `mahler eval run` that was killed, and how the same, given again, went on."""

    path: Path
    asked_before: Counter[str]
    """Requests by what they ask, to the letter, that came before the kill."""
    rows: tuple[sqlite3.Row, ...]
    """Calls that the kill left on record."""
    asked_after: Counter[str]
    result: EvaluationResult

    @property
    def ended(self) -> Counter[str]:
        """Calls on record with their answer at the kill, by what they ask."""
        return Counter(asked(row["request"]) for row in self.rows if row["outcome"] is not None)


def asked(body: str) -> str:
    """Return what a request asks, so that the server's and the record's can be held together."""
    return json.dumps(json.loads(body)["messages"])


def killed(path: Path, deadly: Callable[[FaultServer, Callable[[], None]], Script]) -> Killed:
    """Run an evaluation whose script kills it, and run it again against a server that answers everything."""
    files = [path.with_name("a.md"), path.with_name("b.md")]
    for file, prompt in zip(files, (greeks(), greeks("SKILLED")), strict=True):
        file.write_text(prompt.text, encoding="utf-8")
    command = [
        *(str(Path(sys.executable).with_name("mahler")), "eval", "run", *map(str, files)),
        *("--model", "openai:m", "--repeat", str(REPEATS), "--in-flight", str(IN_FLIGHT), "--db", str(path)),
    ]

    async def run() -> Killed:
        async with FaultServer() as server:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**server.environ, "PATH": ""},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            server.script = deadly(server, process.kill)
            _, said = await process.communicate()
            assert process.returncode == -9, said.decode()
            before, rows = len(server.requests), calls(path)
            server.script = favourable
            result = await evaluate(
                tuple(map(str, files)),
                database=path,
                models=["openai:m"],
                repeat=REPEATS,
                environ=server.environ,
                call_limits=CallLimits(max_in_flight=IN_FLIGHT),
            )
            came = [json.dumps(list(request.messages)) for request in server.requests]
            return Killed(
                path=path,
                asked_before=Counter(came[:before]),
                rows=tuple(rows),
                asked_after=Counter(came[before:]),
                result=result,
            )

    return asyncio.run(run())


def check_went_on(found: Killed, questions: int) -> None:
    """Each question was asked until it was answered on record, and then never again; what was sent is on the bill."""
    assert found.result.resumed
    assert (found.result.answered, found.result.failures) == (questions, {})
    wanted = {asked(row["request"]): REPEATS for row in calls(found.path)}
    assert len(wanted) * REPEATS == questions
    assert found.asked_after == Counter(wanted) - found.ended
    assert found.result.spent.calls == len(found.rows) + found.asked_after.total()
    left = {row["id"] for row in found.rows if row["outcome"] is None}
    after = calls(found.path)
    assert {row["id"] for row in after if row["outcome"] is None} == left
    assert len({row["span_id"] for row in after if row["outcome"] is not None}) == len(after) - len(left) == questions
    assert count(found.path, "SELECT COUNT(*) FROM evaluations") == 1


def test_after_kill_9_the_same_command_asks_what_is_not_answered_and_nothing_else(tmp_path: Path) -> None:
    """It dies when half of all is answered and on record, and as many as may be in flight wait for their answers."""
    path = record_of(tmp_path / "r.db", CASES)
    questions = CASES * 2 * REPEATS
    half = questions // 2

    def deadly(server: FaultServer, kill: Callable[[], None]) -> Script:
        async def kill_once_recorded() -> None:
            # Rows may wait a moment to be committed with others: those of all answers and of all that wait for one.
            rows = "SELECT COUNT(outcome) + COUNT(*) FROM llm_calls"
            while count(path, rows) < 2 * half + IN_FLIGHT:  # noqa: ASYNC110 - another process writes them
                await asyncio.sleep(0)
            kill()

        def script(request: ScriptedRequest) -> ScriptedReply:
            if server.received == half + IN_FLIGHT:
                waiting.append(asyncio.ensure_future(kill_once_recorded()))
            return favourable(request) if server.received <= half else never()

        return script

    waiting: list[asyncio.Future[None]] = []
    found = killed(path, deadly)
    assert found.asked_before.total() == len(found.rows) == half + IN_FLIGHT
    assert found.ended.total() == half
    assert found.asked_after.total() == questions - half
    assert found.result.spent.calls == questions + IN_FLIGHT  # those that waited may have cost, though nobody heard
    check_went_on(found, questions)


def test_a_kill_9_in_the_midst_of_answers_loses_no_more_than_had_not_reached_the_record(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 10)

    def deadly(server: FaultServer, kill: Callable[[], None]) -> Script:
        def script(request: ScriptedRequest) -> ScriptedReply:
            if server.received == 31:
                kill()
            return favourable(request)

        return script

    found = killed(path, deadly)
    # What is on record was sent, and what was answered by then and is not on record is asked again.
    assert found.ended <= found.asked_before
    assert found.ended.total() <= len(found.rows) <= found.asked_before.total()
    check_went_on(found, 10 * 2 * REPEATS)


def test_a_question_that_died_before_its_repair_goes_on_with_the_repair(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 1)
    limits = CallLimits(max_in_flight=1)

    async def interrupted() -> None:
        def stuck(request: ScriptedRequest) -> ScriptedReply:
            if request.attempt == 1:
                return reply("no JSON")
            asyncio.get_running_loop().call_soon(task.cancel)
            return never()

        models = [ScriptedModel(stuck).endpoint]
        task = asyncio.ensure_future(
            evaluate((greeks(), greeks("SKILLED")), database=path, models=models, environ={}, call_limits=limits)
        )
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    assert count(path, "SELECT COUNT(*) FROM runs WHERE status = 'failed' AND error LIKE 'CancelledError%'") == 1
    model = ScriptedModel(favourable)
    result = evaluated(path, model, call_limits=limits)
    assert (result.resumed, result.answered) == (True, 2)
    # Both had been answered once, with no JSON: neither is asked for the first time again, both to write it again.
    whole = len(greeks().messages(brief(0).facts()))
    assert [len(request.messages) for request in model.requests] == [whole + 2, whole + 2]
    assert count(path, "SELECT COUNT(*) FROM evaluation_results WHERE repaired") == 2


REFUSED = {
    "no case": ({"cases": "underlying=XYZ"}, "no case of greeks fits `underlying=XYZ`"),
    "another role's cases": ({"cases": "analyst=technical"}, "the prompts are of greeks: leave it out"),
    "unknown key": ({"cases": "colour=red"}, "cases `colour=red`: use words such as"),
    "bad date": ({"cases": "date=yesterday"}, "use a date such as 2026-03-17"),
    "dates turned round": ({"cases": "date=2026-01-09..2026-01-02"}, "the last date is before the first"),
    "no repeat": ({"repeat": 0}, "--repeat 0: at least 1"),
    "no model": ({"models": ["none"]}, "--model none asks nobody"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_asked_is_refused_in_a_line(tmp_path: Path, what: str) -> None:
    choices, line = REFUSED[what]
    path = record_of(tmp_path / "r.db", 1)
    with pytest.raises(InputError) as error:
        evaluated(path, favourable, **choices)
    assert line in str(error.value)
    assert "\n" not in str(error.value)
    assert count(path, "SELECT COUNT(*) FROM runs") == 0


def test_prompts_that_are_no_comparison_are_refused(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 1)
    with pytest.raises(InputError, match="one variant is nothing to compare"):
        evaluated(path, favourable, greeks())
    with pytest.raises(InputError, match="are the same version"):
        evaluated(path, favourable, greeks(), greeks())
    with pytest.raises(UnknownIdError, match="no version `beef` of greeks"):
        asyncio.run(evaluate(["greeks@beef", "greeks"], database=path, environ={}))
    with pytest.raises(InputError, match="several roles"):
        asyncio.run(evaluate(["technical", "greeks"], database=path, environ={}))
    with pytest.raises(InputError, match="names no prompt"):
        asyncio.run(evaluate(["greek", "greeks"], database=path, environ={}))


def test_a_prompt_that_does_not_render_with_a_case_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 2)
    broken = parse_prompt(greeks().text.replace("{{ credit }}", "{{ credit / (short_leg_delta + 0.12) }}"), path="g.md")
    model = ScriptedModel(favourable)
    with pytest.raises(ConfigError, match=r"g\.md: cannot render the prompt: .* \(case \w{8}\); mend the prompt"):
        evaluated(path, model, greeks(), broken)
    assert model.requests == []
    assert count(path, "SELECT COUNT(*) FROM runs") == 0
