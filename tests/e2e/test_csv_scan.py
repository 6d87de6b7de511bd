"""End to end on real quotes: SPY end-of-day chains of 2021, where the file lies beside the project."""

import datetime as dt
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest
from desks import scan

from mahler_agents.market.calendar import session_close
from mahler_agents.scan import ScanResult
from mahler_agents.testing.scripted import ScriptedModel

FILE = Path(__file__).parents[3] / "shared" / "data" / "spy_eod_2021.csv"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="shared/data/spy_eod_2021.csv is not beside the project")

CANDIDATES: Mapping[str, int] = {
    "2021-02-09": 1,
    "2021-02-10": 1,
    "2021-04-20": 1,
    "2021-09-28": 1,
    "2021-10-11": 1,
    "2021-11-11": 1,
    "2021-12-01": 3,
    "2021-12-22": 1,
}
"""Dates on which a pair passes the house's screen, and how many do."""


def scan_on(database: Path, date: str) -> ScanResult:
    model = ScriptedModel.always(confidence=0.6).endpoint
    at = session_close(dt.date.fromisoformat(date))
    return scan(database, model, market=f"csv:{FILE}", as_of=at, seed_of_ids=int(date.replace("-", "")))


@pytest.mark.parametrize("date", CANDIDATES)
def test_a_date_with_candidates_runs_the_whole_graph_to_a_fill(tmp_path: Path, date: str) -> None:
    result = scan_on(tmp_path / "desk.db", date)
    assert result.report.passed == CANDIDATES[date]
    assert not result.synthetic
    [review] = result.reviews
    assert review.verdict is not None
    # The file has no headlines and too few bars for some: absent, named, and no call was made.
    assert ("sentiment", "missing_facts") in [(failure.role, failure.kind.value) for failure in review.failures]
    assert {"headlines", "vix", "volatility_history"} <= result.missing.keys()
    assert review.sizing is not None
    assert review.sizing.contracts > 0
    assert review.decision.reason.value in {"filled", "unfilled"}


def test_on_every_other_date_the_report_says_which_filter_binds(tmp_path: Path) -> None:
    for date in ("2021-01-04", "2021-03-15", "2021-06-11", "2021-08-20", "2021-12-31"):
        result = scan_on(tmp_path / f"{date}.db", date)
        assert result.reviews == ()
        report = result.report
        assert report.contracts == report.eligible_contracts + sum(report.rejected_contracts.values())
        assert report.nearest_misses
        for miss in report.nearest_misses:
            assert miss.reason in {*report.rejected_contracts, *report.rejected_pairs, "short_delta", "width"}
            assert miss.text
        with sqlite3.connect(tmp_path / f"{date}.db") as connection:
            told = connection.execute("SELECT code FROM events").fetchall()
        connection.close()
        # The file has closes only, and no VIX.
        assert [code for (code,) in told] == [
            "regime_unknown",
            "no_opportunities",
            "size_multiplier",
            "vix_not_evaluated",
        ]
