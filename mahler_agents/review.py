"""Review: what one candidate's way through the graph carries (state), uses (context) and leaves behind (`Review`)."""

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from operator import add
from typing import Annotated, Literal

from typing_extensions import TypedDict  # the schema of a graph's input cannot be made of typing's before 3.12

from mahler_agents.advisory import Advice
from mahler_agents.analysts.base import Brief, Opinion, Terms
from mahler_agents.analysts.debate import Argument
from mahler_agents.analysts.fund_manager import Verdict
from mahler_agents.clock import Clock
from mahler_agents.config import DeskConfig
from mahler_agents.execution import Execution, Ledger, OrderTicket, OrderWorker
from mahler_agents.llm.failures import Failure
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.router import Asker
from mahler_agents.market.snapshot import Account, Market, Snapshot
from mahler_agents.memory import Recall
from mahler_agents.progress import Progress, Stage, Watcher
from mahler_agents.recording import Recording
from mahler_agents.risk import DeltaFacts, RiskLimits, SizeMultiplier, Sizing
from mahler_agents.screen import Candidate
from mahler_agents.shadows import ShadowBook
from mahler_agents.types import Frozen, Reason


class ReviewInput(TypedDict):
    """What a review starts from."""

    candidate: Candidate


class ReviewState(ReviewInput, total=False):
    """What a review has so far; each stage adds its own."""

    briefs: dict[str, Brief]
    opinions: Annotated[list[Opinion], add]
    arguments: Annotated[list[Argument], add]
    failures: Annotated[list[Failure], add]
    verdict: Verdict | None
    advice: Advice
    sizing: Sizing
    ticket: OrderTicket | None
    execution: Execution
    decision: "Decision"


class Decision(Frozen):
    """How a candidate ended."""

    decision: Literal["traded", "skipped"]
    reason: Reason


class Review(Frozen):
    """A reviewed candidate, from the screen to the order."""

    candidate: Candidate
    opinions: tuple[Opinion, ...] = ()
    arguments: tuple[Argument, ...] = ()
    """The debate in its order; empty without one."""
    failures: tuple[Failure, ...] = ()
    verdict: Verdict | None = None
    advice: Advice | None = None
    sizing: Sizing | None = None
    execution: Execution | None = None
    decision: Decision
    exits_note: str | None = None
    """What the dynamic exit policy made of this trade, in words; None under the fixed one."""
    error: str | None = None
    """What failed on the trading side, if anything did."""


def review_of(state: ReviewState, terms: Terms) -> Review:
    """Return what a graph that has ended leaves behind of a trade under these terms."""
    return Review(
        candidate=state["candidate"],
        opinions=tuple(state.get("opinions", ())),
        arguments=tuple(state.get("arguments", ())),
        failures=tuple(state.get("failures", ())),
        verdict=state.get("verdict"),
        advice=state.get("advice"),
        sizing=state.get("sizing"),
        execution=state.get("execution"),
        decision=state.get("decision", Decision(decision="skipped", reason=Reason.ERROR)),
        exits_note=terms.exits_note,
    )


class Turns:
    """Lets the reviews of a scan size and reserve one after another, in rank order, whichever is ready first."""

    def __init__(self, count: int) -> None:
        self._ended = [asyncio.Event() for _ in range(count)]

    async def wait(self, index: int) -> None:
        """Return once every turn before `index` has ended."""
        for earlier in self._ended[:index]:
            await earlier.wait()

    async def all_ended(self) -> None:
        """Return once every turn has ended."""
        await self.wait(len(self._ended))

    def end(self, index: int) -> None:
        """Say that turn `index` has ended, however it ended; it may be said again."""
        self._ended[index].set()


@dataclass(frozen=True, kw_only=True)
class ReviewContext:
    """What the nodes of one review use; the graph's run-time context."""

    run_id: str
    slot: str
    candidate_id: str
    index: int
    """Place in the order of turns, from 0."""
    snapshot: Snapshot
    account: Account
    """The snapshot's account, which sizing needs."""
    decision_at: dt.datetime
    config: DeskConfig
    terms: Terms
    limits: RiskLimits
    forbidden: Reason | None
    """Why nothing may be opened any more, whatever the limits say; None if something may."""
    sized: Sizing | None
    """How the candidate had been sized already, by a process that ended before the scan did."""
    multiplier: SizeMultiplier
    """Of every size of the scan."""
    delta_facts: DeltaFacts
    """Of what was held when the scan began, and of what it reviews."""
    prompts: Mapping[str, Prompt]
    """Role to prompt; empty if the LLM is off."""
    llm: Asker | None
    """None: rules only."""
    recall: Recall
    """Gives a brief what became of similar trades, if its prompt asks for that."""
    market: Market
    ledger: Ledger
    orders: OrderWorker
    """Works what is reserved, once every review has had its turn."""
    shadows: ShadowBook
    recording: Recording
    turns: Turns
    clock: Clock
    watch: Watcher

    def tell(self, stage: Stage, result: object) -> None:
        """Report that a stage of this candidate ended."""
        self.watch(Progress(stage=stage, result=result, place=self.index + 1))
