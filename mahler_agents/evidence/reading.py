"""Evidence: a record's file in, a report of each of its pools out, or one line on why there is none."""

import gc
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mahler_agents.errors import InputError
from mahler_agents.evidence.cutoffs import load_cutoffs
from mahler_agents.evidence.pools import Pool, read_pools
from mahler_agents.evidence.report import PoolReport, pool_report
from mahler_agents.evidence.settings import Settings

_WHAT_TO_DO = {
    "time_exit_date_not_passed": "wait until its 21-DTE date has passed, with `mahler monitor` at work",
    "no_outcome": "run `mahler monitor`, which follows it to its exit",
    "no_verdict": "scan with a model: `mahler scan --model MODEL`",
    "advice_after_the_decision": "only advice that came before the order was decided counts: scan anew",
    "not_followed": "only candidates with quotes at the decision time can be followed: scan anew",
    "review_did_not_end": "finish its run: `mahler scan --resume`",
    "of_a_replay": "what a replay says came after the fact: scan anew",
}


def read_evidence(path: Path, settings: Settings) -> tuple[PoolReport, ...]:
    """Return a report of each pool of a record.

    Raises `InputError` if the record has nothing to judge, with what to do about it.
    """
    with _without_looking_for_cycles():
        pools = read_pools(path, load_cutoffs())
        return _reports(path, pools, settings)


@contextmanager
def _without_looking_for_cycles() -> Generator[None]:
    """Leave Python's collector alone: a hundred thousand cases are millions of objects, and none is part of a cycle."""
    at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if at_work:
            gc.enable()


def _reports(path: Path, pools: Sequence[Pool], settings: Settings) -> tuple[PoolReport, ...]:
    if not pools:
        raise InputError(f"{path} holds no reviewed candidate: run `mahler scan --model MODEL` first")
    if not any(pool.cases or pool.remembered for pool in pools):
        raise InputError(f"{path} holds no case yet: {_why(pools)}")
    return tuple(pool_report(pool, settings) for pool in pools)


def _why(pools: Sequence[Pool]) -> str:
    left_out: Counter[str] = Counter()
    for pool in pools:
        left_out.update(pool.left_out)
    most, number = left_out.most_common(1)[0]
    total = sum(left_out.values())
    reviewed = "1 reviewed candidate" if total == 1 else f"{total:,} reviewed candidates"
    return f"of {reviewed} {number:,} left out as {most.replace('_', ' ')}; {_WHAT_TO_DO[most]}"
