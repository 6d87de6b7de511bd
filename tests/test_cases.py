"""Cases: stored briefs, asked for by what they are, tagged, and exchanged as JSON Lines: all of a file, or nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_scans import json_of
from desks import scan
from evaluations import added, count, lines_of, record_of

from mahler_agents.cli import main
from mahler_agents.record import open_database

CASES = 12


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return record_of(tmp_path / "r.db", CASES)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main([*arguments]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def listed(capsys: pytest.CaptureFixture[str], record: Path, *query: str) -> list[dict[str, Any]]:
    found: Any = json_of(said(capsys, "case", "list", *query, "--json", "--db", str(record)))
    return found


def test_the_briefs_of_a_scan_are_cases_whether_or_not_a_model_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scan.db"
    result = scan(path, "none")
    rows = listed(capsys, path, "analyst=greeks")
    assert len(rows) == len(result.reviews) > 0
    assert {row["run_id"] for row in rows} == {result.run_id}
    assert {row["candidate_id"] for row in rows} == {f"{result.run_id}.{one.candidate.rank}" for one in result.reviews}
    assert {row["pnl_dollars"] for row in rows} == {None}
    assert {row["role"] for row in listed(capsys, path)} == {"greeks", "technical", "sentiment", "volatility"}


QUERIES = {
    "underlying=SPY": 3,
    "underlying=spy,QQQ": 6,
    "outcome=profit": 8,
    "outcome=loss": 4,
    "outcome=known": 12,
    "outcome=pending": 0,
    "tag=hard": 3,
    "date=2026-01-05": 1,
    "date=2026-01-05..2026-01-07": 3,
    "date=..2026-01-06": 2,
    "date=2026-01-15..": 2,
    "failure=none": 12,
    "failure=any": 0,
    "type=bull_put": 12,
    "market=test limit=5": 5,
    "outcome=loss underlying=SPY": 1,
    "all": 12,
    "": 12,
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_finds_the_cases_that_fit_all_of_it(
    query: str, record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(listed(capsys, record, *query.split())) == QUERIES[query]


def test_a_limit_takes_the_newest_and_shows_them_oldest_first(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = [row["brief_hash"] for row in listed(capsys, record)]
    assert [row["brief_hash"] for row in listed(capsys, record, "limit=4")] == whole[-4:]


def test_a_case_is_found_by_the_beginning_of_its_id(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = added(3).brief_hash
    [row] = listed(capsys, record, f"case={case[:9]}")
    assert row["brief_hash"] == case


def test_a_tag_is_given_and_taken(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "case", "tag", "calm", "outcome=profit", "--db", str(record)) == "calm given to 8 of 8 cases\n"
    assert said(capsys, "case", "tag", "calm", "all", "--db", str(record)) == "calm given to 4 of 12 cases\n"
    assert len(listed(capsys, record, "tag=calm")) == 12
    assert "taken from 12" in said(capsys, "case", "tag", "calm", "all", "--remove", "--db", str(record))
    assert listed(capsys, record, "tag=calm") == []
    assert "is no tag" in said(capsys, "case", "tag", "So Calm", "all", "--db", str(record), code=2)


def test_what_is_exported_is_imported_elsewhere_as_it_was(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, other = tmp_path / "cases.jsonl", open_database(tmp_path / "other.db", create=True)
    said(capsys, "case", "export", "outcome=loss", "--out", str(file), "--db", str(record))
    assert said(capsys, "case", "import", str(file), "--db", str(other)) == "4 cases added, 0 already there\n"
    assert said(capsys, "case", "export", "--db", str(other)) == file.read_text(encoding="utf-8")
    assert said(capsys, "case", "import", str(file), "--db", str(other)) == "0 cases added, 4 already there\n"


def spoiled(**fields: Any) -> dict[str, Any]:
    from mahler_agents.evaluation.lines import line_of
    from mahler_agents.record.cases import CaseRow

    case = added(1)
    row = CaseRow(
        **{name: getattr(case, name) for name in ("brief_hash", "role", "as_of", "market", "synthetic")},
        **{name: getattr(case, name) for name in ("pnl_dollars", "exit_rule", "tags", "content")},
        underlying="QQQ",
        spread_type="bull_put",
        run_id=None,
        candidate_id=None,
        failure=None,
    )
    return {**json.loads(line_of(row)), **fields}


FACTS = spoiled()["brief"]
BAD_LINES = {
    "no JSON": ("{", "no JSON object: write one JSON object a line, as"),
    "an unknown field": (json.dumps(spoiled(colour="red")), "colour: Extra inputs are not permitted"),
    "an unknown role": (json.dumps(spoiled(analyst="astrology")), "no role `astrology`; use one of: greeks"),
    "no zone": (json.dumps(spoiled(as_of="2026-03-17T10:00:00")), "write it with its zone"),
    "a number as text": (json.dumps(spoiled(case=None, brief={**FACTS, "credit": "0.6"})), "brief: credit"),
    "a missing fact": (json.dumps(spoiled(case=None, brief={"underlying": "SPY"})), "brief: spread: Field required"),
    "another hash": (json.dumps(spoiled(case="0" * 64)), "it is not this brief's hash"),
    "what it needs": (
        json.dumps(spoiled(case=None, brief={**FACTS, "net_delta": None})),
        "greeks is not asked without net_delta",
    ),
    "an infinite outcome": (
        json.dumps(spoiled(outcome={"pnl_dollars": float("inf")})),
        "outcome.pnl_dollars: Input should be a finite number",
    ),
    "a bad tag": (json.dumps(spoiled(tags=["So Calm"])), "`So Calm` is no tag"),
}


@pytest.mark.parametrize("what", BAD_LINES)
def test_a_bad_line_is_named_and_nothing_of_its_file_is_imported(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, words = BAD_LINES[what]
    file, record = tmp_path / "cases.jsonl", open_database(tmp_path / "r.db", create=True)
    file.write_text(f"{json.dumps(spoiled())}\n\n{line}\n", encoding="utf-8")
    refused = said(capsys, "case", "import", str(file), "--db", str(record), code=2)
    assert f"{file} line 3: " in refused
    assert words in refused
    assert len(refused.splitlines()) == 1
    assert count(record, "SELECT COUNT(*) FROM briefs") == count(record, "SELECT COUNT(*) FROM cases") == 0


def test_one_case_of_one_s_own_is_added_from_a_brief(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, file = open_database(tmp_path / "r.db", create=True), tmp_path / "brief.json"
    file.write_text(json.dumps(FACTS), encoding="utf-8")
    arguments = ("case", "add", "greeks", str(file), "--as-of", "2026-01-06T15:00:00Z", "--pnl", "-75", "--tag", "mine")
    assert said(capsys, *arguments, "--db", str(record)) == "1 case added, 0 already there\n"
    [line] = lines_of(said(capsys, "case", "export", "tag=mine", "--db", str(record)))
    assert (line["case"], line["outcome"]) == (added(1).brief_hash, {"pnl_dollars": -75.0, "exit_rule": None})
    file.write_text("[", encoding="utf-8")
    assert "no JSON can be read" in said(capsys, *arguments, "--db", str(record), code=2)


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("colour=red", "keys: analyst, underlying"),
        ("outcome=good", "use one of: profit, loss, known, pending"),
        ("limit=0", "use a number from 1 on"),
        ("date=2026-13-01", "use a date such as"),
        ("case=xyz", "use a case's id"),
        ("nonsense", "use words such as"),
    ],
)
def test_a_query_that_says_nothing_is_refused_in_a_line(
    query: str, line: str, record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = said(capsys, "case", "list", query, "--db", str(record), code=2)
    assert line in refused
    assert len(refused.splitlines()) == 1


def test_nothing_to_export_or_tag_is_said(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (("export",), ("tag", "calm")):
        assert "no case fits" in said(capsys, "case", *verb, "underlying=XYZ", "--db", str(record), code=2)
