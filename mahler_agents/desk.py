"""Desk: the library's face; puts market, broker, model, prompts and record together, and runs the jobs.

async with Desk(market="sample") as desk:
    result = await desk.scan()
"""

import asyncio
import datetime as dt
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from mahler_agents.analysts import ANALYSTS, Analyst
from mahler_agents.analysts.roles import load_prompts, roles_of
from mahler_agents.books import Books
from mahler_agents.choices import ScanChoices
from mahler_agents.clock import NEW_YORK, Clock, Ids, utc_text
from mahler_agents.config import DeskConfig, config_from
from mahler_agents.execution import (
    HandClose,
    Identity,
    Reconciled,
)
from mahler_agents.exits import ExitPolicy
from mahler_agents.graphs import monitor, review
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.prices import load_prices
from mahler_agents.llm.roles import choose_models
from mahler_agents.llm.router import check_priced
from mahler_agents.logs import within
from mahler_agents.market import calendar
from mahler_agents.market.snapshot import Market, PresentMarket
from mahler_agents.monitor import MonitorContext, MonitorResult, MonitorState, log_pass, result_of
from mahler_agents.progress import Watcher, unwatched
from mahler_agents.record.presence import at_work
from mahler_agents.recording import BookRecording
from mahler_agents.redaction import Redactor
from mahler_agents.regime import RegimeParams
from mahler_agents.remote_clock import clock_from
from mahler_agents.review import Review
from mahler_agents.risk import RiskLimits
from mahler_agents.safety import ReconcileResult, refuse_to_go_back
from mahler_agents.scan import ScanResult
from mahler_agents.scans import Scans
from mahler_agents.screen import Candidate, ScreenParams
from mahler_agents.telemetry import Telemetry, telemetry_from
from mahler_agents.threads import entered_in_thread
from mahler_agents.types import Environment, Spread
from mahler_agents.venue import Venue
from mahler_agents.volatility_history import Backfilled, backfill


class Desk:
    """A desk on one market, broker, model and record; an async context manager that belongs to one event loop."""

    def __init__(
        self,
        *,
        market: str | Market = "sample",
        broker: str = "paper",
        model: str | Endpoint = "auto",
        model_for: Mapping[str, str | Endpoint] | None = None,
        database: Path | None = None,
        prompts: Path | None = None,
        config: DeskConfig | None = None,
        limits: RiskLimits | None = None,
        screen_params: ScreenParams | None = None,
        regime_params: RegimeParams | None = None,
        exit_policy: ExitPolicy | None = None,
        call_limits: CallLimits | None = None,
        budget: ScanBudget | None = None,
        analysts: Sequence[Analyst] = ANALYSTS,
        seed: int | None = None,
        keep_raw: bool = False,
        telemetry: Telemetry | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Choose the parts; nothing is opened yet.

        `market` is `sample`, `csv:PATH`, `alpaca`, `recorded:RUN` or a `Market`; `model` is what `--model` takes, or an
        endpoint such as that of a `ScriptedModel`, and `model_for` the same for single roles, `analyst` or
        `fund_manager`; `prompts` is a folder to read prompts from instead of the package's; `seed` is the sample
        market's; `keep_raw` records every answer of the market alpaca beside what was read in it; `call_limits` is what
        one LLM call to a provider may cost in time and requests (the embedded model has its own), and `budget` what all
        of a scan may take; `telemetry` gets every scan that has ended, and else what OpenTelemetry's own variables
        name. `broker` is `paper`, the embedded one, or `alpaca`, with the market `alpaca`. Raises `InputError` for a
        choice that does not exist, and `ConfigError` without keys for `alpaca`.
        """
        self._clock = clock or clock_from(environ)
        self._environ = environ
        self._venue = Venue(
            market=market,
            broker=broker,
            seed=seed,
            keep_raw=keep_raw,
            config=config or config_from(environ),
            clock=self._clock,
            environ=environ,
        )
        self.market, self.config = self._venue.market, self._venue.config
        self.database = self._venue.database(database)
        self._models = choose_models(model, model_for or {}, environ)
        self.model = self._models.spec
        live = self.config.environment is Environment.LIVE
        self.limits = limits or (RiskLimits.live() if live else RiskLimits())
        self.screen_params = self._venue.screening(screen_params or ScreenParams())
        self.regime_params = regime_params or RegimeParams()
        self.exit_policy = exit_policy or ExitPolicy()
        self.call_limits = call_limits
        self.budget = budget or ScanBudget()
        self._prices = load_prices(environ)
        self.analysts = tuple(analysts)
        # A folder that was named is checked even if no model is asked: what is wrong in it is told now.
        roles, debate = roles_of(self.analysts, self.config.debate_rounds), self.config.debate_rounds > 0
        loaded = load_prompts(roles, prompts, debate=debate) if prompts or self.model.kind != "none" else {}
        self.prompts = loaded if self.model.kind != "none" else {}
        self._models.check(roles)
        self._telemetry = telemetry
        self._ids = ids or Ids()
        self._graph = review.build(self.analysts, self.config.debate_rounds)
        self._monitor_graph = monitor.build()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the model and the record. Raises `ConfigError` or `RecordError`, and leaves nothing open then."""
        await self._stack.enter_async_context(entered_in_thread(self._open))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened."""
        await self._stack.aclose()

    def _open(self) -> ExitStack:
        if self._telemetry is None:
            self._telemetry = telemetry_from(self._environ)
        calendar.load()  # reads files: here, in a thread, and not at the first question on the loop
        with ExitStack() as opening:
            if self._telemetry is not None:
                opening.enter_context(self._telemetry)
            self._endpoints = self._models.open(opening, self.prompts, self._environ)
            check_priced(self._endpoints.values(), self.budget, self._prices)
            self._books = Books.open(
                opening,
                self.database,
                market=self._venue.watched,
                broker=self._venue.open(opening, self.database),
                config=self.config,
                clock=self._clock,
                redact=self._redactor(),
            )
            self._scans = Scans(
                venue=self._venue,
                books=self._books,
                database=self.database,
                analysts=self.analysts,
                prompts=self.prompts,
                graph=self._graph,
                endpoints=self._endpoints,
                toy_model=self._models.has_toy,
                call_limits=self.call_limits,
                prices=self._prices,
                choices=lambda: self._choices(None),
                telemetry=self._telemetry,
                clock=self._clock,
                ids=self._ids,
            )
            return opening.pop_all()

    @property
    def identity(self) -> Identity:
        """Where the desk trades: environment, account and host; known once it is open."""
        return self._books.safety.identity

    async def present(self) -> dt.datetime | None:
        """Return the instant of a scan or a pass that is due now: None on a live market, which knows it itself.

        A market that computes its prices fills orders minutes ahead of the clock: then it is when the account traded.
        """
        if self.market.live:
            return None
        traded = await asyncio.to_thread(self._books.ledger.last_traded_as_of)
        return max(filter(None, (self._clock.now(), traded)))

    async def scan(
        self,
        *,
        as_of: dt.datetime | None = None,
        slot: str | None = None,
        only: str | None = None,
        watch: Watcher = unwatched,
    ) -> ScanResult:
        """Run one scan: `as_of` is the market's own default unless given, `slot` names the scan's place in a schedule.

        A scan without a slot is ad hoc and has a slot of its own. `only` names the one underlying to review: all are
        screened, and those of the others recorded as not reviewed. A scan with a slot first finishes what a process
        left that died (`resume`); if that was this slot's scan, it is returned. Raises `InputError`,
        before anything is recorded, if the market has no such instant or the account has traded after it. A review that
        failed is in the result, and whatever happened is in the record.
        """
        return await self._scans.scan(self._choices(only), as_of=as_of, slot=slot, watch=watch)

    async def review(
        self, candidate: Candidate | Spread, *, as_of: dt.datetime | None = None, watch: Watcher = unwatched
    ) -> Review:
        """Hear the panel on one spread, on the market as it is at `as_of`, and open nothing (`review_only`).

        `candidate` is one of an earlier scan, or its spread. It is recorded as a run of its own, apart from the advice
        that orders followed. Raises `InputError` if the spread does not pass the screen.
        """
        spread = candidate.spread if isinstance(candidate, Candidate) else candidate
        choices = self._choices(None).model_copy(update={"review_only": spread})
        [review] = (await self._scans.scan(choices, as_of=as_of, slot=None, watch=watch)).reviews
        return review

    async def resume(
        self, run: str | None = None, *, at: dt.datetime | None = None, watch: Watcher = unwatched
    ) -> ScanResult | None:
        """Finish a scan whose process died: `run` is its id or the beginning of one; None is the last that was left.

        Return None if none was. What the record has is not done again: calls that ended are served from it, orders are
        kept. `at` is when that is: the present of a live market, and of others, where time stands still, the snapshot's
        own instant unless given. More than 10 minutes after the snapshot, outside the session, or once the account has
        traded since, reviews are completed and nothing is opened (`stale_snapshot`). Raises `UnknownIdError` for an
        unknown run, `InputError` for one that was not left, that may be at work, or that another desk began.
        """
        return await self._scans.resume(run, at=at, watch=watch)

    def _choices(self, only: str | None) -> ScanChoices:
        """Return what a scan would begin with now."""
        return ScanChoices.of_models(
            self._endpoints,
            self.prompts,
            self.budget,
            desk=self.config,
            exits=self.exit_policy,
            limits=self.limits,
            screen=self.screen_params,
            regime=self.regime_params,
            panel=tuple(analyst.name for analyst in self.analysts),
            only=only,
        )

    async def backfill(self, first: dt.date | None = None, last: dt.date | None = None) -> tuple[Backfilled, ...]:
        """Solve implied volatilities of past sessions that the record lacks: see `volatility_history.backfill`."""
        today = self._clock.now().astimezone(NEW_YORK).date()
        span = first or today - dt.timedelta(days=365), min(last or today, today - dt.timedelta(days=1))
        return await backfill(self.market, self.database, self.config.universe, *span)

    async def monitor(self, *, at: dt.datetime | None = None, slot: str | None = None) -> MonitorResult:
        """Run one pass over the open positions: mark, settle, evaluate the circuit breaker, decide, close, record.

        Each is held to the thresholds under which it was entered, whatever this desk's policy is now.
        Raises `InputError` if the exchange has no session that day or the account has traded after it, `JobError` if
        trading failed: after every other position has been looked after.
        """
        instant = at or self._clock.now()
        if isinstance(self.market, PresentMarket):
            self.market.check_now(instant)
        calendar.session(instant.astimezone(NEW_YORK).date())  # or it says which days have one: before anything is done
        await refuse_to_go_back(self._books.ledger, instant)
        with within(job="monitor", slot=slot or f"monitor-{utc_text(instant)}"):
            result = await self._monitor(at, instant, slot)
            log_pass(result)
        return result

    async def _monitor(self, at: dt.datetime | None, instant: dt.datetime, slot: str | None) -> MonitorResult:
        async with AsyncExitStack() as stack:
            ended: list[Reconciled] = []
            await stack.enter_async_context(at_work(self.database, lambda: self._books.put_right(instant, ended)))
            if at is None and self.market.live:  # a slow broker may have taken minutes, and quotes are of now
                instant = self._clock.now()
            recording = BookRecording(
                await stack.enter_async_context(entered_in_thread(self._books.writer)), self._clock
            )
            check = await self._books.safety.check(instant, recording)
            context = MonitorContext(
                slot=slot or f"monitor-{utc_text(instant)}",
                trading=self._books.trading,
                breaker=self._books.breaker,
                shadows=self._books.shadows,
                commission=self.config.commission_per_contract_and_leg,
                max_mark_age_seconds=self.config.max_mark_age_seconds or self.market.max_quote_age_seconds,
                missing_legs=check.missing,
                recording=recording,
            )
            state = await self._monitor_graph.ainvoke({"at": instant}, context=context)
        unknown = [one.text for one in ended if one.outcome is None]
        state["failed"] = (*unknown, *check.failed, *state.get("failed", ()))
        return result_of(
            MonitorState(**state),
            state["account"],
            state["breaker"],
            synthetic=self.market.synthetic,
            identity=self._books.safety.identity,
            trading=await self._books.safety.standing(),
            broker_check=check,
        )

    async def reconcile(self, *, at: dt.datetime | None = None) -> ReconcileResult:
        """Book the ends of orders that were left pending, and hold the ledger against the broker's account.

        `at` is now on a live market; else the last instant at which the account has traded. Raises `InputError` if the
        account has traded after it.
        """
        return await self._books.reconcile(at)

    async def hand_close(
        self,
        position: str,
        *,
        debit: float,
        fees: float = 0.0,
        closed_at: dt.datetime | None = None,
        at: dt.datetime | None = None,
    ) -> HandClose:
        """Return what `book_hand_close` would write of a spread that the user closed at the broker.

        `position` is the id of its entry or the beginning of it; `debit` is per share, `fees` dollars; `closed_at` is
        the instant of reconciling unless given. Raises `InputError` if it is not open, or the broker holds its legs.
        """
        return await self._books.hand_close(position, debit=debit, fees=fees, closed_at=closed_at, at=at)

    async def book_hand_close(self, close: HandClose, *, at: dt.datetime | None = None) -> ReconcileResult:
        """Book a spread as closed by the user, if the broker still does not hold its legs, and reconcile again."""
        return await self._books.book_hand_close(close, at)

    def _redactor(self) -> Redactor:
        return Redactor.of(self._environ, keys=[endpoint.api_key for endpoint in self._endpoints.values()])
