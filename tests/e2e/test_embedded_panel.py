"""End to end: the embedded model as the whole panel, for two candidates of the sample market."""

import asyncio
import json
from pathlib import Path

import pytest

from mahler_agents.analysts import ANALYSTS
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.record.queries import Reader
from mahler_agents.scan import ScanResult

ROLES = {analyst.name for analyst in ANALYSTS} | {"fund_manager"}


@pytest.fixture(scope="module")
def scanned(embedded_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ScanResult, Path]:
    """Return the result and the record of a scan of two candidates by the embedded model."""
    assert embedded_model.is_file()
    database = tmp_path_factory.mktemp("embedded") / "desk.db"
    # No deadline within reach: this is about what is written, on a machine as busy as it may be.
    config = DeskConfig(max_candidates=2, decision_delay_seconds=1800)

    async def scan() -> ScanResult:
        async with Desk(model="local", database=database, config=config) as desk:
            return await desk.scan()

    return asyncio.run(scan()), database


@pytest.mark.model
def test_nine_of_ten_replies_are_valid_on_the_first_attempt(scanned: tuple[ScanResult, Path]) -> None:
    result, database = scanned
    with Reader(database) as reader:
        spans = [span for one in reader.trace(result.run_id).candidates for span in one.spans if span.calls]
    assert [len(span.calls) for span in spans].count(1) >= 9
    assert [span.status for span in spans].count("ok") >= 9
    assert len(spans) == 10
    assert {span.name for span in spans} == ROLES
    for review in result.reviews:
        assert review.advice is not None
        assert review.verdict is not None or review.failures


@pytest.mark.model
def test_the_groundedness_of_every_reply_is_reported(scanned: tuple[ScanResult, Path]) -> None:
    result, database = scanned
    said = [one for review in result.reviews for one in (*review.opinions, review.verdict) if one is not None]
    assert all(one.grounding is not None for one in said)
    with Reader(database) as reader:
        counted = reader.groundedness()
    assert sum(row.replies for row in counted) == len(said)
    assert sum(row.numbers for row in counted) >= 10  # it quotes figures, and the check sees them


@pytest.mark.model
def test_the_decoder_is_held_to_the_schema_in_a_slot_for_each_role(scanned: tuple[ScanResult, Path]) -> None:
    result, database = scanned
    with Reader(database) as reader:
        candidates = reader.trace(result.run_id).candidates
    calls = [call for one in candidates for span in one.spans for call in span.calls]
    requests = [json.loads(call.request) for call in calls]
    for request in requests:
        assert "maxLength" in request["response_format"]["json_schema"]["schema"]["properties"]["summary"]
    assert {request["id_slot"] for request in requests} == set(range(len(ROLES)))
    # The second candidate's calls find what does not change already read.
    again = [json.loads(call.response or "{}")["usage"]["prompt_tokens_details"]["cached_tokens"] for call in calls]
    assert sum(cached > 0 for cached in again) >= 4
