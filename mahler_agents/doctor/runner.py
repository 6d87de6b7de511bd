"""Doctor, runner: a situation and checks in, every finding out: all of them run, whatever becomes of the others.

Checks that wait for the network do so at once; each ends in time; what one finds keeps those that need it from finding
it again.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from typing import TypeVar

from mahler_agents.clock import SystemClock
from mahler_agents.doctor.check import Answer, Check
from mahler_agents.doctor.findings import Diagnosis, Finding, Group, Level, Said, fail, skipped
from mahler_agents.doctor.model import asks_provider
from mahler_agents.doctor.situation import Situation
from mahler_agents.errors import MahlerError
from mahler_agents.llm.models import Endpoint
from mahler_agents.market import calendar
from mahler_agents.redaction import Redactor
from mahler_agents.version import __version__

T = TypeVar("T")
Outcome = Sequence[Said]


async def diagnose(situation: Situation, checks: Sequence[Check]) -> Diagnosis:
    """Return what the checks find, by group and in their order; those that a check `needs` must stand before it.

    Nothing is traded, and nothing is written to the record. Raises nothing that a check raises: that is its finding.
    """
    await _in_thread(lambda: _prepare(situation))
    running: dict[str, asyncio.Task[Outcome]] = {}
    for check in checks:
        needed = {name: running[name] for name in check.needs}
        running[check.name] = asyncio.create_task(_outcome(check, situation, needed))
    outcomes = await asyncio.gather(*running.values())
    redact = Redactor.of(situation.environ, keys=_keys_of(situation))
    findings = [
        Finding(
            check=check.name,
            group=check.group,
            level=said.level,
            text=redact(said.text),
            fix=None if said.fix is None else redact(said.fix),
        )
        for check, outcome in zip(checks, outcomes, strict=True)
        for said in outcome
    ]
    order = list(Group)
    findings.sort(key=lambda finding: order.index(finding.group))
    return Diagnosis(at=SystemClock().now(), version=__version__, findings=findings)


def _prepare(situation: Situation) -> None:
    """Import what takes seconds before any time is taken: a busy machine is not what the checks are about."""
    with suppress(Exception):  # whatever it is, the check whose matter it is meets it again, and tells it
        calendar.load()
        if situation.uses_alpaca:
            import_module("mahler_agents.doctor.answers")
        if not situation.offline and asks_provider(situation):
            import_module("mahler_agents.llm.chat")


async def _outcome(check: Check, situation: Situation, needed: Mapping[str, asyncio.Task[Outcome]]) -> Outcome:
    limit = asyncio.timeout(None)
    try:
        if (unlooked := await _unlooked(check, situation, needed)) is not None:
            return unlooked
        async with limit:
            limit.reschedule(asyncio.get_running_loop().time() + situation.patience_seconds)
            said = await _look(check, situation)
    except MahlerError as error:
        return (fail(str(error), fix="do what the message says, and try again"),)
    except Exception as error:  # noqa: BLE001 - the doctor's edge: a defect of one check is a line, and the others go on
        return (_late(situation) if limit.expired() else _defect(error),)
    return (said,) if isinstance(said, Said) else tuple(said)


async def _unlooked(check: Check, situation: Situation, needed: Mapping[str, asyncio.Task[Outcome]]) -> Outcome | None:
    """Return what is said of a check that does not look, None if it does."""
    if not check.applies(situation):
        return ()
    if situation.offline and check.asks(situation):
        return (skipped("not asked: --offline"),)
    for name, task in needed.items():
        levels = {said.level for said in await task}
        if Level.FAIL in levels:
            return (skipped(f"not looked at: {name} fails"),)
        if Level.SKIPPED in levels:
            return (skipped(f"not looked at: {name} is skipped"),)
    return None


def _late(situation: Situation) -> Said:
    return fail(
        f"it had not ended after {situation.patience_seconds:g} s",
        fix="look at the network, the disk and the machine's load, and try again",
    )


def _defect(error: Exception) -> Said:
    words = " ".join(f"{type(error).__name__}: {error}".split())
    broken = isinstance(error, ImportError)
    fix = "pip install --force-reinstall mahler-agents" if broken else "report this as a defect"
    return fail(f"the check itself failed: {words}", fix=fix)


async def _look(check: Check, situation: Situation) -> Answer:
    if inspect.iscoroutinefunction(check.look):
        return await check.look(situation)
    return await _in_thread(lambda: check.look(situation))  # pyright: ignore[reportReturnType] - a plain function's


async def _in_thread(work: Callable[[], T]) -> T:
    """Return what blocking work returns; its thread holds nothing up if it never ends, as a pool's would."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - handed to who waits
            with suppress(Exception):  # nobody waits any more
                future.set_exception(error)
        else:
            with suppress(Exception):
                future.set_result(result)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return await asyncio.wrap_future(future)


def _keys_of(situation: Situation) -> list[str]:
    endpoints = [one for one in (situation.model, *(situation.model_for or {}).values()) if isinstance(one, Endpoint)]
    return [endpoint.api_key for endpoint in endpoints]
