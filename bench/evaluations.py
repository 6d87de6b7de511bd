"""(l) Evaluations whose answers are on record: served, recorded, loaded again and scored."""

import asyncio
import datetime as dt
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from mahler_agents.analysts.greeks import GreeksBrief
from mahler_agents.clock import utc_text
from mahler_agents.evaluation.loading import load
from mahler_agents.evaluation.run import evaluate
from mahler_agents.evaluation.scorers import BUILT_IN
from mahler_agents.llm.prompts import load_prompt, parse_prompt
from mahler_agents.record import open_database
from mahler_agents.record.cases import AddedCase, CaseBook
from mahler_agents.testing.scripted import ScriptedModel

CASES, REPEATS, ROUNDS = 250, 2, 5
_START = dt.datetime(2026, 1, 5, 15, 0, tzinfo=dt.UTC)


def run() -> dict[str, float]:
    """Return the answers that are served, recorded, loaded and scored in a minute, and the milliseconds of each."""
    return asyncio.run(_run())


async def _run() -> dict[str, float]:
    first = load_prompt("greeks")
    second = parse_prompt(first.text.replace("# System\n", "# System\nSecond. "), path="second")
    questions = 2 * CASES * REPEATS
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "bench.db", create=True)
        with CaseBook(database) as book:
            book.add(map(_case, range(CASES)), at=utc_text(_START))
        endpoint = ScriptedModel.always(confidence=0.8).endpoint

        async def once() -> tuple[float, float]:
            since = perf_counter()
            result = await evaluate((first, second), models=[endpoint], repeat=REPEATS, database=database, environ={})
            served = perf_counter() - since
            for told in load(database, result.id):
                for answers in told.answers.values():
                    for scorer in BUILT_IN:
                        scorer.score(answers)
            assert result.answered == questions
            return served, perf_counter() - since

        await once()  # asks, so that the record has the answers
        served, whole = (median(times) for times in zip(*[await once() for _ in range(ROUNDS)], strict=True))
    return {
        "served_ms": round(1e3 * served / questions, 3),
        "scored_too_ms": round(1e3 * whole / questions, 3),
        "cached_a_minute": round(60 * questions / whole),
    }


def _case(number: int) -> AddedCase:
    brief = GreeksBrief(
        underlying="SPY",
        spread=f"SPY {500 + number}/{495 + number} put spread, 2026-02-20",
        spread_type="bull_put",
        short_strike=500.0 + number,
        long_strike=495.0 + number,
        expiration=dt.date(2026, 2, 20),
        dte=40,
        credit=0.6,
        width=5.0,
        credit_pct_of_width=12.0,
        max_loss_dollars=440.0,
        break_even_price=499.4 + number,
        profit_target_pct=65.0,
        stop_loss_pct=125.0,
        break_even_probability=0.68,
        net_delta=2.5,
        net_gamma=-0.1,
        net_theta_per_day=1.9,
        net_vega_per_vol_point=-6.0,
        short_leg_delta=-0.12,
        short_leg_iv_pct=20.5,
    )
    return AddedCase(
        brief_hash=brief.content_hash,
        role="greeks",
        content=brief.text,
        as_of=utc_text(_START + dt.timedelta(days=number)),
        market="bench",
        synthetic=True,
        pnl_dollars=35.0 if number % 3 else -75.0,
        exit_rule=None,
        tags=(),
    )
