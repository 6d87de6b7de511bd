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
from typing import TYPE_CHECKING, Self

from mahler_agents.alpaca import Credentials, alpaca_settings, find_credentials
from mahler_agents.analysts import ANALYSTS, Analyst
from mahler_agents.analysts import fund_manager as manager
from mahler_agents.analysts.base import Brief, StrictReply
from mahler_agents.analysts.debate import ArgumentReply, DebateBrief, Side
from mahler_agents.clock import NEW_YORK, Clock, Ids, utc_text
from mahler_agents.config import DeskConfig, environment_from
from mahler_agents.errors import ConfigError, InputError
from mahler_agents.execution import Ledger, PaperBroker, reconcile, wait_for
from mahler_agents.exits import ExitPolicy
from mahler_agents.graphs import monitor, review
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.prices import load_prices
from mahler_agents.llm.prompts import Prompt, check_prompt, load_prompt
from mahler_agents.llm.roles import choose_models
from mahler_agents.llm.router import ModelRouter, check_priced
from mahler_agents.market import calendar
from mahler_agents.market.open import open_market
from mahler_agents.market.snapshot import Market, PresentMarket
from mahler_agents.monitor import MonitorContext, MonitorResult, MonitorState, result_of
from mahler_agents.progress import Watcher, guarded, unwatched
from mahler_agents.record import Writer, open_database
from mahler_agents.record.abandoned import mark_abandoned
from mahler_agents.record.location import database_path
from mahler_agents.record.presence import at_work
from mahler_agents.recording import BookRecording, Recording
from mahler_agents.redaction import Redactor
from mahler_agents.regime import RegimeParams
from mahler_agents.remote_clock import clock_from
from mahler_agents.risk import BreakerBook, RiskLimits
from mahler_agents.scan import Scan, ScanParts, ScanResult, refuse_to_go_back
from mahler_agents.screen import ScreenParams
from mahler_agents.shadows import ShadowBook
from mahler_agents.telemetry import Telemetry, telemetry_from
from mahler_agents.threads import entered_in_thread
from mahler_agents.types import Environment

if TYPE_CHECKING:
    from mahler_agents.alpaca.api import AlpacaApi

BROKERS = ("paper",)


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
        telemetry: Telemetry | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Choose the parts; nothing is opened yet.

        `market` is `sample`, `csv:PATH`, `alpaca` or a `Market`; `model` is what `--model` takes, or an endpoint such
        as that of a `ScriptedModel`, and `model_for` the same for single roles, `analyst` or `fund_manager`; `prompts`
        is a folder to read prompts from instead of the package's; `seed` is the sample market's; `call_limits` is what
        one LLM call to a provider may cost in time and requests (the embedded model has its own), and `budget` what all
        of a scan may take; `telemetry` gets every scan that has ended, and else what OpenTelemetry's own variables
        name. Raises `InputError` for a choice that does not exist, and `ConfigError` without keys for `alpaca`.
        """
        if broker not in BROKERS:
            raise InputError(f"unknown broker `{broker}`; use one of: {', '.join(BROKERS)}")
        self.config = config or DeskConfig(environment=environment_from(environ))
        self._clock = clock or clock_from(environ)
        self._environ = environ
        self._credentials: Credentials | None = None
        self._alpaca: AlpacaApi | None = None
        opened = open_market(market, seed=seed, alpaca=self._alpaca_market) if isinstance(market, str) else market
        self.market: Market = opened
        self._models = choose_models(model, model_for or {}, environ)
        self.model = self._models.spec
        self.database = database_path(database, self.market.name, broker, environ)
        live = self.config.environment is Environment.LIVE
        self.limits = limits or (RiskLimits.live() if live else RiskLimits())
        self.screen_params = _on_feed(screen_params or ScreenParams(), self.market)
        self.regime_params = regime_params or RegimeParams()
        self.exit_policy = exit_policy or ExitPolicy()
        self.call_limits = call_limits
        self.budget = budget or ScanBudget()
        self._prices = load_prices(environ)
        self.analysts = tuple(analysts)
        # A folder that was named is checked even if no model is asked: what is wrong in it is told now.
        loaded = self._load_prompts(prompts) if prompts or self.model.kind != "none" else {}
        self.prompts = loaded if self.model.kind != "none" else {}
        self._models.check(self._roles())
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
            open_database(self.database, create=True)
            redact = self._redactor()
            if self._alpaca is not None:
                opening.enter_context(self._alpaca).connect()
            self._broker = opening.enter_context(
                PaperBroker(
                    self.database,
                    self.market,
                    concession=self.config.entry_concession,
                    commission=self.config.commission_per_contract_and_leg,
                )
            )
            self._ledger = opening.enter_context(Ledger(self.database, self._broker.account_id, redact=redact))
            self._breaker = opening.enter_context(BreakerBook(self.database, self._broker.account_id, redact=redact))
            self._shadows = opening.enter_context(ShadowBook(self.database, self._broker.account_id, redact=redact))
            return opening.pop_all()

    def _alpaca_market(self) -> Market:
        from mahler_agents.market.alpaca import AlpacaMarket  # alpaca-py takes half a second

        return AlpacaMarket(self._alpaca_api(), self._clock)

    def _alpaca_api(self) -> "AlpacaApi":
        """Return the one way to Alpaca, which the market and the broker share: its limits are the account's."""
        from mahler_agents.alpaca.api import AlpacaApi

        if self._alpaca is None:
            settings = alpaca_settings(self._environ, self.config.environment)
            self._credentials = find_credentials(self._environ)
            self._alpaca = AlpacaApi(settings, self._credentials, self._clock)
        return self._alpaca

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
        screened, and those of the others recorded as not reviewed. Raises `InputError`, before anything is recorded, if
        the market has no such instant or the account has traded after it. A review that failed is in the result, and
        whatever happened is in the record.
        """
        instant = as_of or self.market.default_as_of()
        run_id = self._ids.run_id(instant)
        async with AsyncExitStack() as stack:
            if (telemetry := self._telemetry) is not None:
                stack.push_async_callback(asyncio.to_thread, telemetry.send, self.database, run_id)  # last of all
            # Present until the last row is written: another process could take this run for a dead one's otherwise.
            await stack.enter_async_context(at_work(self.database, lambda: self._put_right(instant, [])))
            writer = await stack.enter_async_context(entered_in_thread(self._writer))
            recording = Recording(writer, run_id, self._clock)
            llm = None
            if self._endpoints:
                router = ModelRouter(
                    self._endpoints,
                    clock=self._clock,
                    log=recording,
                    limits=self.call_limits,
                    budget=self.budget,
                    prices=self._prices,
                )
                llm = await stack.enter_async_context(router)
            parts = ScanParts(
                config=self.config,
                exit_policy=self.exit_policy,
                limits=self.limits,
                screen_params=self.screen_params,
                regime_params=self.regime_params,
                market=self.market,
                broker=self._broker,
                ledger=self._ledger,
                breaker=self._breaker,
                shadows=self._shadows,
                graph=self._graph,
                prompts=self.prompts,
                llm=llm,
                model=", ".join(dict.fromkeys(one.model for one in self._endpoints.values())) or "none",
                toy_model=self._models.has_toy,
                clock=self._clock,
            )
            scan = Scan(
                parts=parts,
                recording=recording,
                database=self.database,
                asked_as_of=instant,
                slot=slot or f"adhoc-{run_id}",
                only=only,
                watch=guarded(watch),
            )
            return await scan.run()

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
            pending: list[str] = []
            await stack.enter_async_context(at_work(self.database, lambda: self._put_right(instant, pending)))
            recording = BookRecording(await stack.enter_async_context(entered_in_thread(self._writer)), self._clock)
            context = MonitorContext(
                slot=slot or f"monitor-{utc_text(instant)}",
                market=self.market,
                broker=self._broker,
                ledger=self._ledger,
                breaker=self._breaker,
                shadows=self._shadows,
                commission=self.config.commission_per_contract_and_leg,
                max_mark_age_seconds=self.config.max_mark_age_seconds or self.market.max_quote_age_seconds,
                wait=wait_for(self.market, self._clock),
                recording=recording,
            )
            state = await self._monitor_graph.ainvoke({"at": instant}, context=context)
        state["failed"] = (*pending, *state.get("failed", ()))
        return result_of(MonitorState(**state), state["account"], state["breaker"], synthetic=self.market.synthetic)

    async def _put_right(self, at: dt.datetime, pending: list[str]) -> None:
        """Put right, and say, what earlier processes left: orders pending, whose true ends are booked, and runs.

        Orders that stay pending are told in `pending` too; they go on counting as risk.
        """
        async with entered_in_thread(self._writer) as writer:
            recording = BookRecording(writer, self._clock)
            for ended in await reconcile(self._broker, self._ledger, at=at):
                left = f"order {ended.client_order_id} was left pending"
                if ended.outcome is not None:
                    recording.event("reconciled", f"{left}: {ended.outcome.value}")
                else:
                    pending.append(f"{left}, and stays so: {ended.error}")
                    recording.event("not_reconciled", pending[-1], level="error")
            now = utc_text(self._clock.now())
            for run_id in await asyncio.to_thread(mark_abandoned, self.database, at=now):
                recording.event(
                    "abandoned", f"run {run_id} was left by a process that ended before it", level="warning"
                )

    def _writer(self) -> Writer:
        return Writer(self.database, redact=self._redactor())

    def _redactor(self) -> Redactor:
        # Alpaca's may be from a file or the keyring, which the environment knows nothing of.
        alpaca = self._credentials.keys if self._credentials is not None else ()
        models = (endpoint.api_key for endpoint in self._endpoints.values())
        return Redactor.of(self._environ, keys=[*models, *alpaca])

    def _load_prompts(self, folder: Path | None) -> dict[str, Prompt]:
        """Read and check every role's prompt now, so that a slip in one is the user's to mend before anything runs."""
        prompts: dict[str, Prompt] = {}
        for name, (facts, reply) in self._roles().items():
            prompts[name] = load_prompt(name, folder)
            check_prompt(prompts[name], tuple(facts.model_fields), reply)
        verdict = prompts[manager.NAME]
        if self.config.debate_rounds and "arguments" not in verdict.used_variables:
            raise ConfigError(f"{verdict.path}: show `arguments`, or the fund manager does not hear the debate")
        return prompts

    def _roles(self) -> dict[str, tuple[type[Brief], type[StrictReply]]]:
        """Return what each role that a model plays reads and must write."""
        panel = {analyst.name: (analyst.facts, analyst.reply) for analyst in self.analysts}
        sides = {side.value: (DebateBrief, ArgumentReply) for side in Side if self.config.debate_rounds}
        return {**panel, **sides, manager.NAME: (manager.FundManagerBrief, manager.VerdictReply)}


def _on_feed(params: ScreenParams, market: Market) -> ScreenParams:
    """Return the params with the market's own limit on a quote's age, unless they set one."""
    if "max_quote_age_seconds" in params.model_fields_set:
        return params
    return params.model_copy(update={"max_quote_age_seconds": market.max_quote_age_seconds})
