"""Safety: what a desk does before it opens anything: whose account is it, is it halted, does the broker's book agree?

Everything that closes, cancels or reconciles goes on whatever the answers are.
"""

import asyncio
import datetime as dt
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mahler_agents.clock import Clock, new_york_text, utc_text
from mahler_agents.config import DeskConfig
from mahler_agents.errors import HaltedError, InputError
from mahler_agents.execution import (
    Broker,
    BrokerBook,
    BrokerCheck,
    Identity,
    Ledger,
    Present,
    Reconciled,
    Standing,
    TradingState,
    TradingStates,
    Wait,
    check_broker,
    refuse_unconfirmed,
)
from mahler_agents.record.ownership import Ownership
from mahler_agents.redaction import Redactor
from mahler_agents.types import Frozen


class Events(Protocol):
    """Where what happened is recorded: of a run, or of the account."""

    def event(self, code: str, message: str, *, level: str = "info") -> None:
        """Record something that happened."""
        ...


class ReconcileResult(Frozen):
    """What reconciling found."""

    at: dt.datetime
    identity: Identity
    trading: Standing
    alone: bool
    """False if another process was at work on the record: its pending orders are its own to end."""
    orders: tuple[Reconciled, ...]
    """Orders that had been left pending."""
    broker_check: BrokerCheck

    @property
    def agrees(self) -> bool:
        """Whether nothing differs, and no order's end is unknown."""
        return self.broker_check.agrees and all(one.outcome is not None for one in self.orders)


class Safety:
    """The trading state of a record, and its account's book held against the broker's; a context manager."""

    def __init__(
        self,
        path: Path,
        broker: Broker,
        config: DeskConfig,
        clock: Clock,
        *,
        wait: Wait,
        present: Present,
        redact: Redactor | None = None,
    ) -> None:
        self._path = path
        self._broker = broker
        self._config = config
        self._clock = clock
        self._wait, self._present = wait, present
        self._redact = redact
        self._stack = ExitStack()
        self.identity = Identity.of(broker, config.environment)

    def __enter__(self) -> Self:
        """Make sure that the account may be traded into this record. Raises `ConfigError` or `RecordError`."""
        refuse_unconfirmed(self.identity, self._config)
        with Ownership(self._path, self.identity.account_id) as ownership:
            ownership.claim(self.identity.environment.value, at=utc_text(self._clock.now()))
        with ExitStack() as opening:
            self._states = opening.enter_context(TradingStates(self._path, redact=self._redact))
            self._book = opening.enter_context(BrokerBook(self._path, self.identity.account_id, redact=self._redact))
            self._stack = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    async def check(self, at: dt.datetime, events: Events) -> BrokerCheck:
        """Hold the ledger against the broker's account, and record what is new; see `check_broker`."""
        lag = dt.timedelta(seconds=self._config.lost_answer_grace_seconds)
        check = await check_broker(self._broker, self._book, at=at, wait=self._wait, lag=lag, present=self._present)
        for line in check.failed:
            events.event("broker_unreadable", line, level="error")
        for line in check.news:
            events.event("broker_difference", line, level="error" if check.broken else "warning")
        return check

    async def standing(self) -> Standing:
        """Return the trading state now."""
        return await asyncio.to_thread(self._states.standing)

    async def refuse_if_halted(self, events: Events, what: str) -> None:
        """Raise `HaltedError` if the trading state is HALTED, and record that `what` was refused."""
        standing = await self.standing()
        if standing.state is TradingState.HALTED:
            message = f"{what} refused: {standing.text}"
            events.event("scan_refused", message, level="warning")
            raise HaltedError(
                f"{message}; `mahler monitor` goes on closing, `mahler unhalt --db {self._path}` ends this"
            )


async def refuse_to_go_back(ledger: Ledger, at: dt.datetime) -> None:
    """Raise `InputError` if the account has already traded at a later instant: it holds what does not exist yet."""
    latest = await asyncio.to_thread(ledger.last_traded_as_of)
    if latest is not None and at < latest:
        raise InputError(
            f"account {ledger.account_id} has traded or moved money as of {new_york_text(latest)}, after"
            f" {new_york_text(at)}: use --as-of from then on, or another file with --db"
        )
