"""Books: what a desk keeps of an account in the record, opened together, and put right after others."""

import asyncio
import datetime as dt
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mahler_agents.clock import Clock, utc_text
from mahler_agents.config import DeskConfig
from mahler_agents.execution import (
    Broker,
    HandClose,
    Ledger,
    PendingOrder,
    Reconciled,
    Trading,
    WithTrading,
    hand_close,
    present_of,
    reconcile,
    refuse_if_held,
    wait_for,
)
from mahler_agents.market.snapshot import Market
from mahler_agents.record import Writer
from mahler_agents.record.abandoned import mark_abandoned
from mahler_agents.record.presence import at_work
from mahler_agents.recording import BookRecording
from mahler_agents.redaction import Redactor
from mahler_agents.risk import BreakerBook
from mahler_agents.safety import ReconcileResult, Safety, refuse_to_go_back
from mahler_agents.shadows import ShadowBook
from mahler_agents.threads import entered_in_thread


@dataclass(frozen=True, kw_only=True)
class Books(WithTrading):
    """The books of one account, and what it trades with."""

    database: Path
    clock: Clock
    redact: Redactor
    safety: Safety
    breaker: BreakerBook
    shadows: ShadowBook

    @classmethod
    def open(
        cls,
        opening: ExitStack,
        database: Path,
        *,
        market: Market,
        broker: Broker,
        config: DeskConfig,
        clock: Clock,
        redact: Redactor,
    ) -> Self:
        """Open all of them for as long as `opening` is open. Raises `ConfigError` or `RecordError`."""
        account = broker.account_id
        wait, present = wait_for(market, clock), present_of(market, clock)
        safety = opening.enter_context(
            Safety(database, broker, config, clock, wait=wait, present=present, redact=redact)
        )
        trading = Trading(
            market=market,
            broker=broker,
            ledger=opening.enter_context(Ledger(database, account, redact=redact)),
            wait=wait,
            present=present,
            concession=config.entry_concession,
            grace=dt.timedelta(seconds=config.lost_answer_grace_seconds),
        )
        return cls(
            database=database,
            clock=clock,
            redact=redact,
            trading=trading,
            safety=safety,
            breaker=opening.enter_context(BreakerBook(database, account, redact=redact)),
            shadows=opening.enter_context(ShadowBook(database, account, redact=redact)),
        )

    def writer(self) -> Writer:
        """Return what writes to the record; not open yet."""
        return Writer(self.database, redact=self.redact)

    async def put_right(
        self, at: dt.datetime, orders: list[Reconciled], spared: Callable[[PendingOrder], bool] = lambda _: False
    ) -> None:
        """Put right, and say, what earlier processes left: orders pending, whose true ends are booked, and runs.

        What became of the orders is told in `orders` too; those that stay pending go on counting as risk. Those
        `spared` are left alone.
        """
        async with entered_in_thread(self.writer) as writer:
            recording = BookRecording(writer, self.clock)
            for ended in await reconcile(self.trading, at=at, spared=spared):
                orders.append(ended)
                known = ended.outcome is not None
                recording.event(
                    "reconciled" if known else "not_reconciled", ended.text, level="info" if known else "error"
                )
            now = utc_text(self.clock.now())
            for run_id in await asyncio.to_thread(mark_abandoned, self.database, at=now):
                recording.event(
                    "abandoned", f"run {run_id} was left by a process that ended before it", level="warning"
                )

    async def reconcile(self, at: dt.datetime | None) -> ReconcileResult:
        """Book the ends of orders that were left pending, and hold the ledger against the broker's account.

        `at` is now on a live market; else the last instant at which the account has traded. Raises `InputError` if the
        account has traded after it.
        """
        instant = at or await self._last_instant()
        await refuse_to_go_back(self.ledger, instant)
        async with AsyncExitStack() as stack:
            ended: list[Reconciled] = []
            alone: list[bool] = []

            async def put_right() -> None:
                alone.append(True)
                await self.put_right(instant, ended)

            await stack.enter_async_context(at_work(self.database, put_right))
            writer = await stack.enter_async_context(entered_in_thread(self.writer))
            check = await self.safety.check(instant, BookRecording(writer, self.clock))
        return ReconcileResult(
            at=instant,
            identity=self.safety.identity,
            trading=await self.safety.standing(),
            alone=bool(alone),
            orders=tuple(ended),
            broker_check=check,
        )

    async def hand_close(
        self, position: str, *, debit: float, fees: float, closed_at: dt.datetime | None, at: dt.datetime | None
    ) -> HandClose:
        """Return what the user says of a close at the broker, if that does not hold the legs: see `Desk.hand_close`."""
        found = await self.reconcile(at)
        held = await asyncio.to_thread(self.ledger.open_positions, found.at)
        close = hand_close(held, position, debit=debit, fees=fees, at=closed_at or found.at, now=found.at)
        refuse_if_held(close.position, found.broker_check)
        return close

    async def book_hand_close(self, close: HandClose, at: dt.datetime | None) -> ReconcileResult:
        """Book it, if the broker still does not hold the legs, and reconcile again."""
        refuse_if_held(close.position, (await self.reconcile(at)).broker_check)
        await asyncio.to_thread(self.ledger.book_hand_close, close)
        async with entered_in_thread(self.writer) as writer:
            BookRecording(writer, self.clock).event("closed_by_hand", close.text)
        return await self.reconcile(at)

    async def _last_instant(self) -> dt.datetime:
        market = self.trading.market
        if market.live:
            return self.clock.now()
        return await asyncio.to_thread(self.ledger.last_traded_as_of) or market.default_as_of()
