"""Replay: what is heard again in, rows of a run of its own out, kind `replay`; or none, where the record has them."""

import datetime as dt
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from mahler_agents.analysts.base import Brief, Opinion
from mahler_agents.analysts.debate import Argument
from mahler_agents.clock import Clock, Ids
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.failures import Failure
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.transport import CallFinished, CallLog, CallStarted
from mahler_agents.record.writer import Writer, as_json
from mahler_agents.recording import Recording
from mahler_agents.replay.choice import Plan
from mahler_agents.replay.original import Original, OriginalCandidate, Outcome, role_of
from mahler_agents.replay.stages import Heard
from mahler_agents.version import __version__

_AS_IT_WAS = (
    "as_of",
    "decision_at",
    "environment",
    "market",
    "source",
    "synthetic",
    "account_id",
    "snapshot_hash",
)
"""Columns of a run that its replays share."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a replay works with, for its row in the record."""

    original: Original
    prompts: Mapping[str, Prompt]
    endpoints: Mapping[str, Endpoint]
    toy: bool
    budget: ScanBudget


class Keeping:
    """Records one repetition as a run of its own: an async context manager around it."""

    def __init__(self, writer: Writer, clock: Clock, ids: Ids, work: Work, plan: Plan) -> None:
        original = work.original.run
        self.run_id = ids.run_id(dt.datetime.fromisoformat(original["as_of"]))
        self.log = Recording(writer, self.run_id, clock)
        self._clock = clock
        self._work = work
        self._plan = plan

    async def __aenter__(self) -> Self:
        """Record that it begins."""
        work, original = self._work, self._work.original.run
        chosen = {candidate: sorted(nodes) for candidate, nodes in self._plan.nodes.items()}
        config = {
            **work.original.config,
            "prompts": {role: prompt.content_hash for role, prompt in work.prompts.items()},
            "models": {role: endpoint.described for role, endpoint in work.endpoints.items()},
            "budget": work.budget.model_dump(mode="json"),
            "replay": {"asked": chosen, "onward": self._plan.onward},
        }
        self.log.run_started(
            {
                **{name: original[name] for name in _AS_IT_WAS},
                "kind": "replay",
                "slot": f"replay-{self.run_id}",
                "broker": "none",
                "model": ", ".join(dict.fromkeys(one.model for one in work.endpoints.values())),
                "toy_model": work.toy,
                "version": __version__,
                "config": as_json(config),
                "replay_of": original["id"],
                "retrospective": True,
            }
        )
        for prompt in work.prompts.values():
            self.log.prompt(prompt)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record how it ended."""
        self.log.run_ended("failed" if error else "done", f"{type(error).__name__}: {error}" if error else None)

    def candidate(self, candidate: OriginalCandidate) -> str:
        """Record a candidate of the original's once more, undecided, and return its id in this run."""
        candidate_id = f"{self.run_id}.{candidate.row['rank']}"
        self.log.candidate_again(candidate_id, candidate.row)
        return candidate_id

    def hearer(self, candidate_id: str) -> Heard:
        """Return what awaits and records the answers of one candidate's advisors."""

        async def heard(node: str, brief: Brief, answer: Awaitable[Outcome]) -> Outcome:
            self.log.brief(role_of(node), brief)
            started, since = self._clock.now(), self._clock.seconds()
            outcome = await answer
            failed = isinstance(outcome, Failure)
            self._outcome(candidate_id, outcome)
            self.log.span(
                candidate_id,
                node,
                started=started,
                milliseconds=1000 * (self._clock.seconds() - since),
                status="failed" if failed else "ok",
                detail=outcome.kind.value if failed else "",
            )
            return outcome

        return heard

    def _outcome(self, candidate_id: str, outcome: Outcome) -> None:
        if isinstance(outcome, Opinion):
            self.log.opinion(candidate_id, outcome)
        elif isinstance(outcome, Argument):
            self.log.argument(candidate_id, outcome)
        elif isinstance(outcome, Failure):
            self.log.failure(candidate_id, outcome)
        else:
            self.log.verdict(candidate_id, outcome)


class Unkept:
    """Records nothing, and keeps the ids of the original: what an exact replay hears is on record."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def candidate(self, candidate: OriginalCandidate) -> str:
        """Return the candidate's own id."""
        return candidate.id

    def hearer(self, candidate_id: str) -> Heard:
        """Return what awaits the answers."""
        del candidate_id

        async def heard(node: str, brief: Brief, answer: Awaitable[Outcome]) -> Outcome:
            del node, brief
            return await answer

        return heard


class _ByRun:
    """Writes each call to the run that made it: the repetitions share their models and budget."""

    def __init__(self, logs: Mapping[str, CallLog]) -> None:
        self._logs = logs

    def call_started(self, call: CallStarted) -> None:
        """Write down a request that is about to be sent."""
        self._logs[call.run_id].call_started(call)

    def call_finished(self, call: CallFinished) -> None:
        """Write down how it ended."""
        self._logs[call.call_id.partition(".")[0]].call_finished(call)


def by_run(keepings: Iterable[Keeping]) -> CallLog:
    """Return the call log of several repetitions."""
    return _ByRun({keeping.run_id: keeping.log for keeping in keepings})
