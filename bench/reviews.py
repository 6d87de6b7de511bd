"""Reviews for measuring: contexts on the sample market's snapshot, with or without a record behind them."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mahler_agents.analysts import Terms
from mahler_agents.analysts.base import Brief
from mahler_agents.clock import SystemClock
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.execution import (
    Attempt,
    Ledger,
    OrderState,
    OrderStatus,
    OrderUpdate,
    OrderWorker,
    PaperBroker,
    Ticket,
    Traded,
    Trading,
    at_once,
)
from mahler_agents.exits import ExitParams
from mahler_agents.llm.client import ChatClient
from mahler_agents.llm.prompts import Prompt
from mahler_agents.market.sample import SampleMarket
from mahler_agents.market.snapshot import Account, Exposure, Snapshot
from mahler_agents.progress import unwatched
from mahler_agents.record import Writer, open_database
from mahler_agents.recording import Recording
from mahler_agents.review import ReviewContext, Turns
from mahler_agents.risk import DeltaFacts, RiskLimits, SizeMultiplier, delta_facts
from mahler_agents.screen import Candidate, ScreenParams, screen, select_for_review
from mahler_agents.shadows import ShadowBook
from mahler_agents.types import Reason

RUN_ID = "bench"


class NoRecording:
    """Records nothing: what is left is the graph and the nodes."""

    async def flush(self) -> None:
        """Return at once."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Return a method that does nothing."""
        return _nothing


class NoLedger:
    """Reserves in memory and follows no shadow: no file, no commit."""

    account_id = "bench"

    def reserve(self, decide: Callable[..., Any], **_: object) -> Any:
        """Return what `decide` says of an empty account, where nothing is barred."""
        empty: tuple[Exposure, ...] = ()
        return (*decide(empty, 0), None)

    def attempts_made(self, ticket: Ticket) -> tuple[int, None]:  # noqa: ARG002 - as the real one
        """Return that none was."""
        return 0, None

    def attempt(self, ticket: Ticket, *, limit_credit: float, at: dt.datetime, quote: object) -> Attempt:  # noqa: ARG002
        """Return the first attempt of a ticket."""
        return Attempt(ticket=ticket, number=1, contracts=ticket.contracts, limit_credit=limit_credit, at=at)

    def status(self, client_order_id: str) -> OrderStatus:  # noqa: ARG002 - as the real one
        """Return that the order is filled."""
        return OrderStatus(state=OrderState.FILLED, reason=Reason.FILLED)

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Return a method that does nothing."""
        return _nothing


class InstantBroker:
    """Fills everything at its first price, and keeps no books."""

    name = "instant"
    account_id = "bench"

    async def submit(
        self,
        ticket: Ticket,  # noqa: ARG002 - as the real one
        *,
        number: int,  # noqa: ARG002 - as the real one
        contracts: int,
        limit_credit: float,
        at: dt.datetime,
    ) -> OrderUpdate:
        """Return a fill."""
        traded = Traded(contracts=contracts, credit=limit_credit, fees=0.0, at=at)
        return OrderUpdate(state=OrderState.FILLED, broker_order_id="bench", traded=traded)


def _nothing(*_: object, **__: object) -> None:
    """Do nothing, whatever is asked."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What every measured review starts from."""

    market: SampleMarket
    snapshot: Snapshot
    account: Account
    candidates: tuple[Candidate, ...]
    prompts: Mapping[str, Prompt]
    delta_facts: DeltaFacts


async def ground() -> Ground:
    """Return the sample market's default snapshot and its reviewed candidates."""
    market = SampleMarket()
    account = Account(account_id="bench", equity=100_000.0, cash=100_000.0, buying_power=100_000.0)
    snapshot = replace(await market.snapshot(market.default_as_of(), DeskConfig().universe), account=account)
    candidates, _ = select_for_review(screen(snapshot)[0])
    prompts = Desk(model="local", environ={}).prompts
    return Ground(
        market=market,
        snapshot=snapshot,
        account=account,
        candidates=candidates,
        prompts=prompts,
        delta_facts=delta_facts(snapshot, (), [one.spread for one in candidates], ScreenParams()),
    )


class Recorded:
    """A record, a ledger and an embedded broker in a file, as a scan has them; a context manager."""

    def __init__(self, path: Path, on: Ground) -> None:
        self._path, self._ground, self._stack = path, on, ExitStack()

    def __enter__(self) -> Self:
        """Open the file and enter the run that the rows belong to."""
        open_database(self._path, create=True)
        self._writer = self._stack.enter_context(Writer(self._path))
        self.recording = Recording(self._writer, RUN_ID, SystemClock())
        shared = {"as_of": "2026-01-01T00:00:00.000Z", "market": "sample", "synthetic": True}
        texts = ("slot", "decision_at", "source", "broker", "account_id", "model", "snapshot_hash", "version", "config")
        row = dict.fromkeys(texts, "bench")
        self.recording.run_started(
            {"kind": "scan", "environment": "paper", "toy_model": False, **row, **shared},
            {"hash": "bench", "content": b"", **shared},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit and close."""
        self._stack.close()

    def books(self, account_id: str) -> tuple[Ledger, PaperBroker]:
        """Return a ledger and a broker of one account."""
        market = self._ground.market
        broker = PaperBroker(self._path, market, concession=0.66, commission=1.0, account_id=account_id)
        ledger = Ledger(self._path, account_id)
        self._stack.enter_context(broker)
        self._stack.enter_context(ledger)
        return ledger, broker

    def shadows(self, account_id: str) -> ShadowBook:
        """Return the shadows of one account."""
        return self._stack.enter_context(ShadowBook(self._path, account_id))

    def candidate(self, candidate: Candidate, rank: int) -> str:
        """Enter a candidate and return its id."""
        ranked = candidate.model_copy(update={"rank": rank})
        self.recording.candidate(f"{RUN_ID}.{rank}", ranked, reviewed=True)
        return f"{RUN_ID}.{rank}"


def context(
    on: Ground,
    llm: ChatClient,
    *,
    recording: Any,
    ledger: Any,
    shadows: Any,
    broker: Any,
    candidate_id: str,
    index: int = 0,
) -> ReviewContext:
    """Return the context of one review."""
    trading = Trading(
        market=on.market, broker=broker, ledger=ledger, wait=at_once, concession=0.66, grace=dt.timedelta(seconds=10)
    )
    return ReviewContext(
        run_id=RUN_ID,
        slot=f"bench-{index}",
        candidate_id=candidate_id,
        index=0,
        snapshot=on.snapshot,
        account=on.account,
        decision_at=on.snapshot.as_of + dt.timedelta(minutes=3),
        config=DeskConfig(),
        terms=Terms(exits=ExitParams(), commission_per_contract_and_leg=1.0),
        limits=RiskLimits(),
        forbidden=None,
        sized=None,
        multiplier=SizeMultiplier(),
        delta_facts=on.delta_facts,
        prompts=on.prompts,
        llm=llm,
        recall=without_memory,
        market=on.market,
        ledger=ledger,
        orders=OrderWorker(trading),
        shadows=shadows,
        recording=recording,
        turns=Turns(1),
        clock=SystemClock(),
        watch=unwatched,
    )


def without_memory(role: str, brief: Brief, number: int) -> Brief:
    """Return the brief as it is: no prompt here has a memory."""
    del role, number
    return brief


async def reviewed(review: ReviewContext, stages: Awaitable[object]) -> object:
    """Return what the stages of a review return, its order worked beside them as in a scan."""
    _, state = await asyncio.gather(review.orders.work(review.turns.all_ended), stages)
    return state
