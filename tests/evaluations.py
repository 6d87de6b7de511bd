"""For the tests of evaluations: records of many cases without a scan, prompts that differ, models of known skill."""

import asyncio
import datetime as dt
import json
import re
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from mahler_agents.analysts.greeks import GreeksBrief
from mahler_agents.clock import Ids, utc_text
from mahler_agents.evaluation.run import EvaluationResult, evaluate
from mahler_agents.llm.prompts import Prompt, load_prompt, parse_prompt
from mahler_agents.record import open_database
from mahler_agents.record.cases import AddedCase, CaseBook
from mahler_agents.testing.fault_server import FaultServer
from mahler_agents.testing.scripted import Script, ScriptedModel, ScriptedReply, ScriptedRequest, favourable

FIRST = dt.datetime(2026, 1, 5, 15, 0, tzinfo=dt.UTC)
UNDERLYINGS = ("SPY", "QQQ", "IWM", "TLT", "GLD")


def brief(number: int) -> GreeksBrief:
    """Return a greeks brief whose short strike says which it is."""
    strike = 400.0 + number
    return GreeksBrief(
        underlying=UNDERLYINGS[number % 5],
        spread=f"{UNDERLYINGS[number % 5]} {strike:g}/{strike - 5:g} put spread, 2026-02-20",
        spread_type="bull_put",
        short_strike=strike,
        long_strike=strike - 5,
        expiration=dt.date(2026, 2, 20),
        dte=40,
        credit=0.6,
        width=5.0,
        credit_pct_of_width=12.0,
        max_loss_dollars=440.0,
        break_even_price=strike - 0.6,
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


def wins(number: int) -> bool:
    """Return whether the trade of a case ends in profit: two of three do."""
    return number % 3 != 0


def added(number: int, *, a_date: int = 1, outcome: bool = True) -> AddedCase:
    """Return a case; `a_date` of them have the same date."""
    facts = brief(number)
    return AddedCase(
        brief_hash=facts.content_hash,
        role="greeks",
        content=facts.text,
        as_of=utc_text(FIRST + dt.timedelta(days=number // a_date)),
        market="test",
        synthetic=True,
        pnl_dollars=(35.0 if wins(number) else -75.0) if outcome else None,
        exit_rule="target" if outcome else None,
        tags=("hard",) if number % 4 == 0 else (),
    )


def record_of(path: Path, number: int, **how: Any) -> Path:
    """Make a record of so many greeks cases."""
    open_database(path, create=True)
    with CaseBook(path) as book:
        book.add([added(one, **how) for one in range(number)], at=utc_text(FIRST))
    return path


def greeks(mark: str = "") -> Prompt:
    """Return the package's greeks prompt, or one that differs from it by a word in the system part."""
    text = load_prompt("greeks").text
    return parse_prompt(
        text.replace("# System\n", f"# System\n{mark} ") if mark else text, path=f"greeks {mark}".strip()
    )


def number_of(request: ScriptedRequest) -> int:
    """Return which case a request is about."""
    found = re.search(r"Trade: \w+ (\d+)/", request.messages[-1]["content"])
    assert found is not None
    return int(found[1]) - 400


def is_marked(request: ScriptedRequest, mark: str) -> bool:
    """Return whether a request is of the prompt with this word."""
    return request.messages[0]["content"].startswith(mark)


def knowing(mark: str = "SKILLED") -> Script:
    """Return a model that knows the outcomes where the prompt bears the mark, and says 0.66 where it does not."""

    def script(request: ScriptedRequest) -> ScriptedReply:
        knows = is_marked(request, mark)
        forecast = (0.9 if wins(number_of(request)) else 0.2) if knows else 0.66
        return favourable(
            request, p_profit=forecast, summary="Theta of 1.9 and vega of -6.0." if knows else "Theta of 7.7."
        )

    return script


def evaluated(path: Path, model: ScriptedModel | Script, *prompts: Prompt, **choices: Any) -> EvaluationResult:
    """Run an evaluation with seeded ids."""
    scripted = model if isinstance(model, ScriptedModel) else ScriptedModel(model)
    usual: dict[str, Any] = {"models": [scripted.endpoint], "ids": Ids(choices.pop("seed", 1)), "environ": {}}
    return asyncio.run(evaluate(prompts or (greeks(), greeks("SKILLED")), database=path, **(usual | choices)))


def count(path: Path, sql: str) -> int:
    """Return the number that a query counts."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchone()[0]


def lines_of(text: str) -> list[dict[str, Any]]:
    """Return the documents of JSON Lines."""
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def served(script: Script = favourable) -> Generator[FaultServer]:
    """Yield a fault server in a thread of its own, for commands that begin a loop of theirs."""
    ready: Future[FaultServer] = Future()

    async def serve() -> None:
        async with FaultServer(script) as server:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            stops.append(lambda: loop.call_soon_threadsafe(stop.set))
            ready.set_result(server)
            await stop.wait()

    stops: list[Callable[[], object]] = []
    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield ready.result(timeout=60)
    finally:
        for stop in stops:
            stop()
        thread.join()
