"""Scans: the parts of an opened desk in, its scans run, and those finished that a dead process left."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from mahler_agents.analysts import Analyst
from mahler_agents.books import Books
from mahler_agents.choices import ScanChoices
from mahler_agents.clock import Clock, Ids
from mahler_agents.errors import MahlerError
from mahler_agents.execution import PendingOrder, is_entry_of
from mahler_agents.graphs.review import ReviewGraph
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.prices import Prices
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.router import ModelRouter, Past
from mahler_agents.llm.transport import CallLog
from mahler_agents.logs import within
from mahler_agents.market.snapshot import PresentMarket
from mahler_agents.progress import Watcher, guarded
from mahler_agents.record import Writer
from mahler_agents.record.abandoned import abandoned_scans, claim, unended_scans
from mahler_agents.record.presence import at_work
from mahler_agents.recording import BookRecording, Recording
from mahler_agents.resume import AtWorkError, LeftRun, left_run, read_left, refuse_another, staleness
from mahler_agents.scan import Scan, ScanParts, ScanResult
from mahler_agents.scan_parts import Tapes
from mahler_agents.telemetry import Telemetry
from mahler_agents.threads import entered_in_thread
from mahler_agents.venue import Venue


@dataclass(frozen=True, kw_only=True)
class Scans:
    """Runs scans on the parts of a desk that is open."""

    venue: Venue
    books: Books
    database: Path
    analysts: Sequence[Analyst]
    prompts: Mapping[str, Prompt]
    graph: ReviewGraph
    endpoints: Mapping[str, Endpoint]
    """Role to whom it asks; empty for a desk of rules alone."""
    toy_model: bool
    call_limits: CallLimits | None
    prices: Prices
    choices: Callable[[], ScanChoices]
    """What a scan would begin with now."""
    telemetry: Telemetry | None
    clock: Clock
    ids: Ids

    async def scan(
        self, choices: ScanChoices, *, as_of: dt.datetime | None, slot: str | None, watch: Watcher
    ) -> ScanResult:
        """Run one scan, after what a dead process left if it has a slot: see `Desk.scan`."""
        instant = as_of or self.venue.market.default_as_of()
        refused: list[str] = []
        if slot is not None and (finished := await self._finish_left(instant, slot, watch, refused)) is not None:
            return finished
        instant = as_of or self.venue.market.default_as_of()  # finishing what was left may have taken minutes
        run_id = self.ids.run_id(instant)
        slot = slot or f"adhoc-{run_id}"
        async with AsyncExitStack() as stack:
            stack.enter_context(within(job="scan", run_id=run_id, slot=slot))
            writer = await self._at_work(stack, run_id, lambda: self.books.put_right(instant, []))
            await self.books.safety.refuse_if_halted(BookRecording(writer, self.clock), "scan")
            for message in refused:
                BookRecording(writer, self.clock).event_once("not_resumed", message, level="warning")
            recording = Recording(writer, run_id, self.clock)
            scan = Scan(
                parts=self._parts(choices, self.prompts, await self._models_of(stack, recording, choices.budget)),
                recording=recording,
                database=self.database,
                asked_as_of=instant,
                slot=slot,
                watch=guarded(watch),
                tapes=self._rolling(stack),
                rerun_of=self.venue.rerun_of,
                unfinished=await asyncio.to_thread(abandoned_scans, self.database, self.books.broker.account_id),
            )
            return await scan.run()

    async def resume(self, run: str | None, *, at: dt.datetime | None, watch: Watcher) -> ScanResult | None:
        """Finish a scan whose process died, None if none was left: see `Desk.resume`."""
        if at is not None and isinstance(self.venue.market, PresentMarket):
            self.venue.market.check_now(at)
        run_id = await asyncio.to_thread(left_run, self.database, self.books.broker.account_id, run)
        return None if run_id is None else await self._resume(run_id, at, watch)

    async def _resume(self, run_id: str, at: dt.datetime | None, watch: Watcher) -> ScanResult:
        left = await asyncio.to_thread(self._read_left, run_id)
        now = self.clock.now() if self.venue.market.live else at or left.snapshot.as_of
        stale = staleness(
            left,
            now=now,
            traded=await asyncio.to_thread(self.books.ledger.last_traded_as_of),
            halted=await asyncio.to_thread(self.books.breaker.halted_after, left.snapshot.as_of),
        )

        def is_gone_on_with(pending: PendingOrder) -> bool:
            return stale is None and not self.venue.market.live and is_entry_of(pending, run_id)

        async with AsyncExitStack() as stack:
            stack.enter_context(within(job="scan", run_id=run_id, slot=left.run["slot"]))
            writer = await self._at_work(stack, run_id, lambda: self.books.put_right(now, [], is_gone_on_with))
            await self.books.safety.refuse_if_halted(BookRecording(writer, self.clock), f"resuming run {run_id}")
            left = await asyncio.to_thread(self._read_left, run_id)
            if not await asyncio.to_thread(claim, self.database, run_id):
                raise AtWorkError(f"run {run_id} may be at work in another process: try again when that has ended")
            BookRecording(writer, self.clock).event("resumed", f"run {run_id} is resumed")
            recording = Recording(writer, run_id, self.clock, resumed=True)
            llm = await self._models_of(stack, recording, left.choices.budget, left.past)
            scan = Scan(
                parts=self._parts(left.choices, left.prompts, llm),
                recording=recording,
                database=self.database,
                asked_as_of=left.snapshot.as_of,
                slot=left.run["slot"],
                watch=guarded(watch),
                tapes=self._rolling(stack),
                left=left,
                resumed=left.resumption(stale=stale, desk=self.choices()),
            )
            return await scan.run()

    async def _finish_left(
        self, instant: dt.datetime, slot: str, watch: Watcher, refused: list[str]
    ) -> ScanResult | None:
        """Resume what was left before a scheduled scan; return the result if that is the scan of this very slot.

        A run that cannot be resumed keeps no scan from its time: why is told in `refused`.
        """
        for run_id in await asyncio.to_thread(unended_scans, self.database, self.books.broker.account_id):
            try:
                result = await self._resume(run_id, instant, watch)
            except AtWorkError:
                continue
            except MahlerError as error:
                refused.append(str(error))
                continue
            if result.slot == slot and result.resumed is not None and result.resumed.stale is None:
                return result
        return None

    def _read_left(self, run_id: str) -> LeftRun:
        left = read_left(self.database, run_id, panel=self.analysts, prompts=self.prompts)
        own = {
            "market": self.venue.market.name,
            "broker": self.books.broker.name,
            "account_id": self.books.broker.account_id,
        }
        refuse_another(left, self.choices(), own=own, endpoints=self.endpoints)
        return left

    async def _at_work(self, stack: AsyncExitStack, run_id: str, put_right: Callable[[], Awaitable[None]]) -> Writer:
        """Be present on the record for as long as `stack` is open, and return what writes to it."""
        if (telemetry := self.telemetry) is not None:
            stack.push_async_callback(asyncio.to_thread, telemetry.send, self.database, run_id)  # last of all
        # Present until the last row is written: another process could take this run for a dead one's otherwise.
        await stack.enter_async_context(at_work(self.database, put_right))
        return await stack.enter_async_context(entered_in_thread(self.books.writer))

    def _rolling(self, stack: AsyncExitStack) -> Tapes:
        tapes = self.venue.tapes
        stack.enter_context(tapes.rolling())  # no longer than there is who writes
        return tapes

    async def _models_of(
        self, stack: AsyncExitStack, log: CallLog, budget: ScanBudget | None, past: Past | None = None
    ) -> ModelRouter | None:
        if not self.endpoints:
            return None
        router = ModelRouter(
            self.endpoints,
            clock=self.clock,
            log=log,
            limits=self.call_limits,
            budget=budget,
            prices=self.prices,
            past=past,
        )
        return await stack.enter_async_context(router)

    def _parts(self, choices: ScanChoices, prompts: Mapping[str, Prompt], llm: ModelRouter | None) -> ScanParts:
        return ScanParts(
            choices=choices,
            trading=self.books.trading,
            safety=self.books.safety,
            breaker=self.books.breaker,
            shadows=self.books.shadows,
            graph=self.graph,
            prompts=prompts,
            llm=llm,
            model=", ".join(dict.fromkeys(one.model for one in self.endpoints.values())) or "none",
            toy_model=self.toy_model,
            clock=self.clock,
        )
