"""Memory: what became of similar trades, of those only that had been closed by then; off unless a prompt asks."""

import asyncio
import datetime as dt
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import fmean, pstdev

import pytest
from conftest import at_scale
from desks import scan
from evaluations import brief, evaluated, greeks, record_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from remembering import DAY_ONE, PAPER, TIME_EXIT, Ended, forget, remember

from mahler_agents.analysts.greeks import GreeksBrief
from mahler_agents.analysts.technical import TechnicalBrief
from mahler_agents.cli import main
from mahler_agents.errors import ConfigError
from mahler_agents.evaluation.cases import panel_roles
from mahler_agents.llm.prompts import Prompt, check_prompt, load_prompt, parse_prompt
from mahler_agents.memory import Memory, Pool
from mahler_agents.memory.closed import figures_of
from mahler_agents.record import open_database
from mahler_agents.replay import replay, replay_exactly
from mahler_agents.testing.scripted import ScriptedModel, ScriptedRequest, favourable

POOLS = (
    PAPER,
    Pool(market="sample", environment="paper", synthetic=True, toy_model=True),
    Pool(market="sample", environment="live", synthetic=True, toy_model=False),
    Pool(market="alpaca", environment="paper", synthetic=False, toy_model=False),
)
SUBJECT = brief(300)


def remembering() -> Prompt:
    """Return the package's greeks prompt with a memory."""
    asking = load_prompt("greeks").text.replace("variables: [", "memory: 3\nvariables: [memory, ")
    return parse_prompt(f"{asking}\n{{{{ memory }}}}\n", path="remembering.md")


def recalled(
    path: Path, at: dt.datetime, number: int = 3, *, pool: Pool | None = PAPER, of: GreeksBrief = SUBJECT
) -> str:
    """Return what a brief is given."""
    found = Memory(path).recalled("greeks", of, number, pool=pool, as_of=at).memory
    assert found is not None
    return found


def labels(text: str) -> list[str]:
    """Return the trades of a table, in its order."""
    return [line.split(" | ")[2] for line in text.splitlines()[2:]]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_database(tmp_path_factory.mktemp("memory") / "r.db", create=True)


@st.composite
def histories(draw: st.DrawFn) -> list[Ended]:
    """Draw trades of several pools and both types, some of them open, some seen again."""
    return [
        Ended(
            number=number,
            entered=draw(st.integers(0, 40)),
            lived=draw(st.none() | st.integers(0, 24 * 45)),
            pnl=draw(st.sampled_from([-75.0, -1.0, 0.0, 24.0])),
            volatility=draw(st.sampled_from([10.0, 15.5, 20.5, 41.0])),
            spread_type=draw(st.sampled_from(["bull_put", "bull_put", "bear_call"])),
            pool=draw(st.sampled_from([PAPER, *POOLS])),
            retrospective=draw(st.integers(0, 5)) == 5,
        )
        for number in range(draw(st.integers(0, 12)))
    ]


def knowable(one: Ended, at: dt.datetime) -> bool:
    """Return whether somebody of the paper pool could have known then how a bull put ended; the other way to say it."""
    if one.retrospective or one.pool != PAPER or one.spread_type != "bull_put" or one.closed_at is None:
        return False
    last_of_its_day = (one.as_of + dt.timedelta(days=TIME_EXIT)).date()
    return one.closed_at < at and last_of_its_day < at.date()


@settings(max_examples=at_scale(1_000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), hours=st.integers(0, 24 * 80))
def test_no_outcome_that_nobody_could_have_known_is_told_or_moves_what_is(
    record: Path, history: list[Ended], hours: int
) -> None:
    at = DAY_ONE + dt.timedelta(hours=hours)
    known = [one for one in history if knowable(one, at)]
    forget(record)
    remember(record, history)
    text = recalled(record, at)
    assert text == recalled(record, at)
    assert set(labels(text)) <= {one.facts.spread for one in known}
    assert len(labels(text)) == len(set(labels(text))) == min(3, len(known))
    if known:
        won = sum(one.pnl > 0 for one in known)
        assert text.startswith(f"Of {len(known)} bull put trades closed before ")
        assert f", {won} ended in profit." in text
    else:
        assert re.fullmatch(r"No bull put was closed before \S+ that could be compared\.", text)
    forget(record)
    remember(record, known)
    assert recalled(record, at) == text  # not even by the scale on which trades are likened


def test_a_planted_outcome_of_a_later_day_is_told_from_its_day_on_only(record: Path) -> None:
    forget(record)
    future = Ended(number=1, entered=2, lived=24 * 30, pnl=4711.0)
    remember(record, [Ended(number=0, entered=0, lived=24), future])
    closed = future.closed_at
    assert closed is not None
    assert "4711" not in recalled(record, closed)
    assert "+4711.00" in recalled(record, closed + dt.timedelta(milliseconds=1))


def test_a_trade_that_ended_early_is_told_with_those_of_its_day(record: Path) -> None:
    """Else quick wins would come first, and the share of wins would be of those that were quick."""
    forget(record)
    quick = Ended(number=0, entered=0, lived=24)
    remember(record, [quick])
    last = quick.as_of + dt.timedelta(days=TIME_EXIT)
    assert recalled(record, last).startswith("No bull put was closed")
    assert labels(recalled(record, last + dt.timedelta(days=1))) == [quick.facts.spread]


@settings(max_examples=at_scale(400), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(volatilities=st.lists(st.integers(80, 400).map(lambda one: one / 8), min_size=1, max_size=10))
def test_the_nearest_are_those_of_least_distance_in_standard_deviations(
    record: Path, volatilities: list[float]
) -> None:
    forget(record)
    trades = [Ended(number=number, entered=number, lived=24, volatility=one) for number, one in enumerate(volatilities)]
    remember(record, trades)
    facts = [figures_of(one.facts.facts()) for one in trades]
    subject = figures_of(SUBJECT.facts())
    spreads = {name: pstdev([one[name] for one in facts]) for name in subject}
    telling = [name for name, spread in spreads.items() if spread > 0]

    def distance(one: Ended) -> float:
        own = facts[one.number]
        return fmean([((own[name] - subject[name]) / spreads[name]) ** 2 for name in telling] or [0.0])

    nearest = sorted(trades, key=lambda one: (round(distance(one) ** 0.5, 9), -one.number))
    late = DAY_ONE + dt.timedelta(days=200)
    assert labels(recalled(record, late, 4)) == [one.facts.spread for one in nearest[:4]]


def test_prices_of_the_underlying_liken_nothing() -> None:
    for facts in (GreeksBrief, TechnicalBrief):
        names = {name for name, field in facts.model_fields.items() if field.annotation in {float, float | None}}
        figures = figures_of(dict.fromkeys(names, 1.0))
        assert figures
        assert not figures.keys() & {"short_strike", "spot", "sma_200", "support", "break_even_price"}


def test_a_case_that_no_scan_wrote_remembers_nothing(record: Path) -> None:
    forget(record)
    remember(record, [Ended(number=0, entered=0, lived=24)])
    assert recalled(record, DAY_ONE + dt.timedelta(days=60), pool=None).startswith("No bull put was closed")


# --- Prompts ----------------------------------------------------------------------------------------------------------


def test_a_prompt_without_a_memory_is_what_it_was_whatever_was_closed(record: Path) -> None:
    plain = load_prompt("greeks")
    found = Memory(record).recalled("greeks", SUBJECT, plain.front.memory, pool=PAPER, as_of=DAY_ONE)
    assert found is SUBJECT
    assert "memory" not in SUBJECT.text
    assert plain.messages(SUBJECT.model_copy(update={"memory": "told"}).facts()) == plain.messages(SUBJECT.facts())


@pytest.mark.parametrize(
    ("text", "role", "line"),
    [
        (remembering().text.replace("memory: 3\n", ""), "greeks", "say of how many trades in the front matter"),
        (
            load_prompt("greeks").text.replace("variables: [", "memory: 3\nvariables: ["),
            "greeks",
            "`memory` is not shown",
        ),
        (
            load_prompt("fund_manager").text.replace("variables: [", "memory: 3\nvariables: ["),
            "fund_manager",
            "only an analyst is given closed trades",
        ),
        (
            remembering().text.replace("memory: 3", "memory: 99"),
            "greeks",
            "front matter: memory: Input should be less than or equal to 20",
        ),
    ],
)
def test_a_memory_that_makes_no_sense_is_refused_in_a_line(text: str, role: str, line: str) -> None:
    facts, reply = panel_roles()[role]
    with pytest.raises(ConfigError, match=re.escape(line)) as error:
        check_prompt(parse_prompt(text, path="mine.md"), tuple(facts.model_fields), reply)
    assert "\n" not in str(error.value)


# --- Whole ways -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[ScriptedRequest]]:
    """Return the record of a scan whose greeks analyst remembers, its prompts' folder, and what the model was asked."""
    folder = tmp_path_factory.mktemp("remembering")
    database, prompts = open_database(folder / "r.db", create=True), folder / "prompts"
    prompts.mkdir()
    for role in panel_roles():
        (prompts / f"{role}.md").write_text(load_prompt(role).text, encoding="utf-8")
    (prompts / "greeks.md").write_text(remembering().text, encoding="utf-8")
    remember(database, [Ended(number=number, entered=number, lived=48, pnl=100.25 + number) for number in range(4)])
    model = ScriptedModel(favourable)
    scan(database, model.endpoint, prompts=prompts)
    return database, prompts, model.requests


def shown(requests: list[ScriptedRequest], role: str = "greeks") -> Iterator[str]:
    return (one.messages[-1]["content"] for one in requests if one.role == role)


def test_a_scan_s_analyst_reads_what_was_closed_by_then(
    scanned: tuple[Path, Path, list[ScriptedRequest]],
) -> None:
    database, _, requests = scanned
    asked = list(shown(requests))
    assert asked
    puts = [text for text in asked if "put spread" in text.partition("\n")[0]]
    calls = [text for text in asked if "call spread" in text.partition("\n")[0]]
    assert all("Of 4 bull put trades closed before 2026-03-17, 4 ended in profit." in text for text in puts)
    assert all(len(re.findall(r"\| profit target \| \+10[0-3]\.25", text)) == 3 for text in puts)
    assert all("No bear call was closed before 2026-03-17 that could be compared." in text for text in calls)
    assert not any("ended in profit" in text for text in shown(requests, "technical"))
    with closing(sqlite3.connect(database)) as connection:
        briefs = connection.execute(
            "SELECT COUNT(*) FROM briefs JOIN candidate_briefs ON brief_hash = hash"
            " WHERE role = 'greeks' AND content ->> 'memory' IS NOT NULL"
        ).fetchone()
    assert briefs == (len(asked),)


def test_a_scan_with_a_memory_is_replayed_exactly_though_more_has_been_closed_since(
    scanned: tuple[Path, Path, list[ScriptedRequest]], tmp_path: Path
) -> None:
    later = tmp_path / "later.db"
    with closing(sqlite3.connect(scanned[0])) as source, closing(sqlite3.connect(later)) as target:
        source.backup(target)
    remember(later, [Ended(number=9, entered=5, lived=24, pnl=1.0)])
    result = asyncio.run(replay_exactly(database=later))
    assert result.answers
    assert all(answer.same for answer in result.answers)


def test_a_replay_with_a_prompt_that_remembers_is_given_what_was_closed_by_then(
    scanned: tuple[Path, Path, list[ScriptedRequest]], tmp_path: Path
) -> None:
    database = record_of_plain_scan(tmp_path)
    model = ScriptedModel(favourable)
    asyncio.run(replay(database=database, prompt=remembering(), model=model.endpoint, environ={}))
    assert sorted(shown(model.requests)) == sorted(shown(scanned[2]))


def record_of_plain_scan(folder: Path) -> Path:
    """Return a record with the same closed trades, and a scan whose analysts remember nothing."""
    database = open_database(folder / "plain.db", create=True)
    remember(database, [Ended(number=number, entered=number, lived=48, pnl=100.25 + number) for number in range(4)])
    scan(database, ScriptedModel(favourable).endpoint)
    return database


def test_in_an_evaluation_a_memory_is_one_more_variant_and_the_other_is_as_it_was(
    scanned: tuple[Path, Path, list[ScriptedRequest]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = record_of_plain_scan(tmp_path)
    model = ScriptedModel(favourable)
    result = evaluated(database, model, greeks(), remembering(), cases="date=2026-03-17")
    assert (result.failures, result.answered) == ({}, 2 * result.cases)
    asked = list(shown(model.requests))
    assert sorted(text for text in asked if "closed before" in text) == sorted(shown(scanned[2]))
    again = ScriptedModel(favourable)
    second = evaluated(database, again, greeks(), remembering(), cases="date=2026-03-17", seed=2)
    assert (second.served, again.requests) == (2 * second.cases, [])
    # What the first variant was asked is what a scan without any closed trade is asked, to the letter.
    alone = ScriptedModel(favourable)
    scan(tmp_path / "alone.db", alone.endpoint)
    assert sorted(text for text in asked if "closed before" not in text) == sorted(shown(alone.requests))
    file = tmp_path / "mine.md"
    file.write_text(remembering().text, encoding="utf-8")
    assert main(["prompt", "render", str(file), "--json", "--db", str(database)]) == 0
    assert json.loads(capsys.readouterr().out)["messages"][-1]["content"] in asked


def test_cases_from_elsewhere_are_asked_with_an_empty_memory(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 2)
    model = ScriptedModel(favourable)
    evaluated(path, model, greeks(), remembering())
    assert sum("No bull put was closed before" in text for text in shown(model.requests)) == 2
