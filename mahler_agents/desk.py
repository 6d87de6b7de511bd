"""Desk: the library's face; puts market, broker, model, prompts and record together, and runs the jobs.

async with Desk(market="sample") as desk:
    result = await desk.scan()
"""

import asyncio
import datetime as dt
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mahler_agents.alpaca import alpaca_settings, find_credentials
from mahler_agents.alpaca.raw import RawTape
from mahler_agents.analysts import ANALYSTS, Analyst
from mahler_agents.analysts.roles import load_prompts, roles_of
from mahler_agents.choices import ScanChoices
from mahler_agents.clock import NEW_YORK, Clock, Ids, utc_text
from mahler_agents.config import DeskConfig, config_from
from mahler_agents.errors import InputError, MahlerError
from mahler_agents.execution import (
    Broker,
    Identity,
    Ledger,
    PaperBroker,
    PendingOrder,
    Reconciled,
    Trading,
    is_entry_of,
    present_of,
    reconcile,
    wait_for,
)
from mahler_agents.execution.alpaca import check_quotes_are_of, without_commission
from mahler_agents.exits import ExitPolicy
from mahler_agents.graphs import monitor, review
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.prices import load_prices
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.roles import choose_models
from mahler_agents.llm.router import ModelRouter, Past, check_priced
from mahler_agents.llm.transport import CallLog
from mahler_agents.market import calendar
from mahler_agents.market.open import open_market
from mahler_agents.market.recorded import RecordedMarket
from mahler_agents.market.snapshot import Market, PresentMarket
from mahler_agents.market.watched import Quoted, WatchedMarket
from mahler_agents.monitor import MonitorContext, MonitorResult, MonitorState, result_of
from mahler_agents.progress import Watcher, guarded, unwatched
from mahler_agents.record import Writer, open_database
from mahler_agents.record.abandoned import abandoned_scans, claim, mark_abandoned, unended_scans
from mahler_agents.record.location import database_path, rerun_database
from mahler_agents.record.presence import at_work
from mahler_agents.recording import BookRecording, Recording
from mahler_agents.redaction import Redactor
from mahler_agents.regime import RegimeParams
from mahler_agents.remote_clock import clock_from
from mahler_agents.resume import AtWorkError, LeftRun, left_run, read_left, refuse_another, staleness
from mahler_agents.risk import BreakerBook, RiskLimits
from mahler_agents.safety import ReconcileResult, Safety, refuse_to_go_back
from mahler_agents.scan import Scan, ScanParts, ScanResult
from mahler_agents.scan_parts import Tapes
from mahler_agents.screen import ScreenParams
from mahler_agents.shadows import ShadowBook
from mahler_agents.tape import Tape
from mahler_agents.telemetry import Telemetry, telemetry_from
from mahler_agents.threads import entered_in_thread
from mahler_agents.types import Environment
from mahler_agents.volatility_history import Backfilled, backfill

if TYPE_CHECKING:
    from mahler_agents.alpaca.api import AlpacaApi

BROKERS = ("paper", "alpaca")


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
        if broker not in BROKERS:
            raise InputError(f"unknown broker `{broker}`; use one of: {', '.join(BROKERS)}")
        self.config = config or config_from(environ)
        self._clock = clock or clock_from(environ)
        self._environ = environ
        self._alpaca: AlpacaApi | None = None
        self._keep_raw = keep_raw
        self._tapes = Tapes(quotes=Tape[Quoted](), raw=None)
        if keep_raw and market != "alpaca":
            raise InputError("raw answers are kept of the market alpaca only: no other has a server that gives any")
        self.market: Market = (
            open_market(market, seed=seed, alpaca=self._alpaca_market, variables=environ)
            if isinstance(market, str)
            else market
        )
        self._at_alpaca = broker == "alpaca"
        if self._at_alpaca:
            check_quotes_are_of(self.market, self._alpaca_api().settings)
            self.config = without_commission(self.config)
        self._models = choose_models(model, model_for or {}, environ)
        self.model = self._models.spec
        live = self.config.environment is Environment.LIVE
        self.database = (
            rerun_database(database, self.market.world, broker)
            if isinstance(self.market, RecordedMarket)
            else database_path(database, self.market.name, broker, environ, live=live)
        )
        self.limits = limits or (RiskLimits.live() if live else RiskLimits())
        self.screen_params = _on_feed(screen_params or ScreenParams(), self.market)
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
            if self._alpaca is not None:
                opening.enter_context(self._alpaca).connect()
            self._broker = self._open_broker(opening)
            redact = self._redactor()
            self._safety = opening.enter_context(
                Safety(self.database, self._broker, self.config, self._clock, redact=redact)
            )
            self._ledger = opening.enter_context(Ledger(self.database, self._broker.account_id, redact=redact))
            self._trading = Trading(
                market=self._watched,
                broker=self._broker,
                ledger=self._ledger,
                wait=wait_for(self.market, self._clock),
                present=present_of(self.market, self._clock),
                concession=self.config.entry_concession,
                grace=dt.timedelta(seconds=self.config.lost_answer_grace_seconds),
            )
            self._breaker = opening.enter_context(BreakerBook(self.database, self._broker.account_id, redact=redact))
            self._shadows = opening.enter_context(ShadowBook(self.database, self._broker.account_id, redact=redact))
            return opening.pop_all()

    def _open_broker(self, opening: ExitStack) -> Broker:
        """Open the broker and the record, which an account that cannot trade spreads leaves as it was."""
        if self._at_alpaca:
            from mahler_agents.execution.alpaca.broker import AlpacaBroker

            # This thread has no event loop of its own.
            broker = asyncio.run(AlpacaBroker.open(self._alpaca_api(), self.market, self._clock))
            open_database(self.database, create=True)
            return broker
        open_database(self.database, create=True)
        return opening.enter_context(
            PaperBroker(
                self.database,
                self._watched,
                concession=self.config.entry_concession,
                commission=self.config.commission_per_contract_and_leg,
            )
        )

    @property
    def _watched(self) -> Market:
        return WatchedMarket(self.market, self._tapes.quotes)

    def _alpaca_market(self) -> Market:
        from mahler_agents.market.alpaca import AlpacaMarket  # alpaca-py takes half a second

        api = self._alpaca_api()
        # The keys are known by now, wherever they were found.
        raw = RawTape(Redactor.of(self._environ)) if self._keep_raw else None
        self._tapes = replace(self._tapes, raw=raw)
        return AlpacaMarket(api, self._clock, tape=raw)

    def _alpaca_api(self) -> "AlpacaApi":
        """Return the one way to Alpaca, which the market and the broker share: its limits are the account's."""
        from mahler_agents.alpaca.api import AlpacaApi

        if self._alpaca is None:
            settings = alpaca_settings(self._environ, self.config.environment)
            self._alpaca = AlpacaApi(settings, find_credentials(self._environ), self._clock)
        return self._alpaca

    @property
    def identity(self) -> Identity:
        """Where the desk trades: environment, account and host; known once it is open."""
        return self._safety.identity

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
        instant = as_of or self.market.default_as_of()
        refused: list[str] = []
        if slot is not None and (finished := await self._finish_left(instant, slot, watch, refused)) is not None:
            return finished
        run_id = self._ids.run_id(instant)
        async with AsyncExitStack() as stack:
            writer = await self._at_work(stack, run_id, lambda: self._put_right(instant, []))
            await self._safety.refuse_if_halted(BookRecording(writer, self._clock), "scan")
            for message in refused:
                BookRecording(writer, self._clock).event_once("not_resumed", message, level="warning")
            recording = Recording(writer, run_id, self._clock)
            choices = self._choices(only)
            scan = Scan(
                parts=self._parts(choices, self.prompts, await self._models_of(stack, recording, self.budget)),
                recording=recording,
                database=self.database,
                asked_as_of=instant,
                slot=slot or f"adhoc-{run_id}",
                watch=guarded(watch),
                tapes=self._rolling(stack),
                rerun_of=self.market.rerun_of if isinstance(self.market, RecordedMarket) else None,
                unfinished=await asyncio.to_thread(abandoned_scans, self.database, self._broker.account_id),
            )
            return await scan.run()

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
        run_id = await asyncio.to_thread(left_run, self.database, self._broker.account_id, run)
        return None if run_id is None else await self._resume(run_id, at, watch)

    async def _resume(self, run_id: str, at: dt.datetime | None, watch: Watcher) -> ScanResult:
        left = await asyncio.to_thread(self._read_left, run_id)
        now = at or (self._clock.now() if self.market.live else left.snapshot.as_of)
        stale = staleness(left, now=now, traded=await asyncio.to_thread(self._ledger.last_traded_as_of))

        def is_gone_on_with(pending: PendingOrder) -> bool:
            return stale is None and not self.market.live and is_entry_of(pending, run_id)

        async with AsyncExitStack() as stack:
            writer = await self._at_work(stack, run_id, lambda: self._put_right(now, [], is_gone_on_with))
            await self._safety.refuse_if_halted(BookRecording(writer, self._clock), f"resuming run {run_id}")
            left = await asyncio.to_thread(self._read_left, run_id)
            if not await asyncio.to_thread(claim, self.database, run_id):
                raise AtWorkError(f"run {run_id} may be at work in another process: try again when that has ended")
            BookRecording(writer, self._clock).event("resumed", f"run {run_id} is resumed")
            recording = Recording(writer, run_id, self._clock, resumed=True)
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
                resumed=left.resumption(stale=stale, desk=self._choices(None)),
            )
            return await scan.run()

    async def _finish_left(
        self, instant: dt.datetime, slot: str, watch: Watcher, refused: list[str]
    ) -> ScanResult | None:
        """Resume what was left before a scheduled scan; return the result if that is the scan of this very slot.

        A run that cannot be resumed keeps no scan from its time: why is told in `refused`.
        """
        for run_id in await asyncio.to_thread(unended_scans, self.database, self._broker.account_id):
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
        own = {"market": self.market.name, "broker": self._broker.name, "account_id": self._broker.account_id}
        refuse_another(left, self._choices(None), own=own, endpoints=self._endpoints)
        return left

    async def _at_work(self, stack: AsyncExitStack, run_id: str, put_right: Callable[[], Awaitable[None]]) -> Writer:
        """Be present on the record for as long as `stack` is open, and return what writes to it."""
        if (telemetry := self._telemetry) is not None:
            stack.push_async_callback(asyncio.to_thread, telemetry.send, self.database, run_id)  # last of all
        # Present until the last row is written: another process could take this run for a dead one's otherwise.
        await stack.enter_async_context(at_work(self.database, put_right))
        return await stack.enter_async_context(entered_in_thread(self._writer))

    def _rolling(self, stack: AsyncExitStack) -> Tapes:
        stack.enter_context(self._tapes.rolling())  # no longer than there is who writes
        return self._tapes

    async def _models_of(
        self, stack: AsyncExitStack, log: CallLog, budget: ScanBudget | None, past: Past | None = None
    ) -> ModelRouter | None:
        if not self._endpoints:
            return None
        router = ModelRouter(
            self._endpoints,
            clock=self._clock,
            log=log,
            limits=self.call_limits,
            budget=budget,
            prices=self._prices,
            past=past,
        )
        return await stack.enter_async_context(router)

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

    def _parts(self, choices: ScanChoices, prompts: Mapping[str, Prompt], llm: ModelRouter | None) -> ScanParts:
        return ScanParts(
            choices=choices,
            trading=self._trading,
            safety=self._safety,
            breaker=self._breaker,
            shadows=self._shadows,
            graph=self._graph,
            prompts=prompts,
            llm=llm,
            model=", ".join(dict.fromkeys(one.model for one in self._endpoints.values())) or "none",
            toy_model=self._models.has_toy,
            clock=self._clock,
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
        await refuse_to_go_back(self._ledger, instant)
        async with AsyncExitStack() as stack:
            ended: list[Reconciled] = []
            await stack.enter_async_context(at_work(self.database, lambda: self._put_right(instant, ended)))
            if at is None and self.market.live:  # a slow broker may have taken minutes, and quotes are of now
                instant = self._clock.now()
            recording = BookRecording(await stack.enter_async_context(entered_in_thread(self._writer)), self._clock)
            check = await self._safety.check(instant, recording)
            context = MonitorContext(
                slot=slot or f"monitor-{utc_text(instant)}",
                trading=self._trading,
                breaker=self._breaker,
                shadows=self._shadows,
                commission=self.config.commission_per_contract_and_leg,
                max_mark_age_seconds=self.config.max_mark_age_seconds or self.market.max_quote_age_seconds,
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
            identity=self._safety.identity,
            trading=await self._safety.standing(),
            broker_check=check,
        )

    async def reconcile(self, *, at: dt.datetime | None = None) -> ReconcileResult:
        """Book the ends of orders that were left pending, and hold the ledger against the broker's account.

        `at` is now on a live market; else the last instant at which the account has traded. Raises `InputError` if the
        account has traded after it.
        """
        instant = at or await self._last_instant()
        await refuse_to_go_back(self._ledger, instant)
        async with AsyncExitStack() as stack:
            ended: list[Reconciled] = []
            alone: list[bool] = []

            async def put_right() -> None:
                alone.append(True)
                await self._put_right(instant, ended)

            await stack.enter_async_context(at_work(self.database, put_right))
            writer = await stack.enter_async_context(entered_in_thread(self._writer))
            check = await self._safety.check(instant, BookRecording(writer, self._clock))
        return ReconcileResult(
            at=instant,
            identity=self._safety.identity,
            trading=await self._safety.standing(),
            alone=bool(alone),
            orders=tuple(ended),
            broker_check=check,
        )

    async def _last_instant(self) -> dt.datetime:
        if self.market.live:
            return self._clock.now()
        latest = await asyncio.to_thread(self._ledger.last_traded_as_of)
        return latest or self.market.default_as_of()

    async def _put_right(
        self, at: dt.datetime, orders: list[Reconciled], spared: Callable[[PendingOrder], bool] = lambda _: False
    ) -> None:
        """Put right, and say, what earlier processes left: orders pending, whose true ends are booked, and runs.

        What became of the orders is told in `orders` too; those that stay pending go on counting as risk. Those
        `spared` are left alone.
        """
        async with entered_in_thread(self._writer) as writer:
            recording = BookRecording(writer, self._clock)
            for ended in await reconcile(self._trading, at=at, spared=spared):
                orders.append(ended)
                known = ended.outcome is not None
                recording.event(
                    "reconciled" if known else "not_reconciled", ended.text, level="info" if known else "error"
                )
            now = utc_text(self._clock.now())
            for run_id in await asyncio.to_thread(mark_abandoned, self.database, at=now):
                recording.event(
                    "abandoned", f"run {run_id} was left by a process that ended before it", level="warning"
                )

    def _writer(self) -> Writer:
        return Writer(self.database, redact=self._redactor())

    def _redactor(self) -> Redactor:
        return Redactor.of(self._environ, keys=[endpoint.api_key for endpoint in self._endpoints.values()])


def _on_feed(params: ScreenParams, market: Market) -> ScreenParams:
    """Return the params with the market's own limit on a quote's age, unless they set one."""
    if "max_quote_age_seconds" in params.model_fields_set:
        return params
    return params.model_copy(update={"max_quote_age_seconds": market.max_quote_age_seconds})
