"""Scan: freezes the snapshot, screens it, reviews the candidates at once, and gives each its turn to trade.

Only the reviews' advisors run at the same time; sizing and execution take turns in rank order, so that the outcome does
not depend on which reply came first.
"""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mahler_agents.analysts import Terms
from mahler_agents.clock import NEW_YORK, Clock, utc_text
from mahler_agents.config import DeskConfig
from mahler_agents.errors import InputError, RecordError
from mahler_agents.execution import Broker, Ledger
from mahler_agents.exits import ExitPolicy, resolve
from mahler_agents.graphs.review import ReviewGraph
from mahler_agents.llm.budget import Spent
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.router import ModelRouter
from mahler_agents.market.archive import content_hash, pack
from mahler_agents.market.possible import without_impossible
from mahler_agents.market.snapshot import Account, Market, Snapshot
from mahler_agents.progress import Progress, Stage, Watcher, unwatched
from mahler_agents.record.writer import as_json
from mahler_agents.recording import Recording
from mahler_agents.regime import Regime, RegimeParams, RegimeUnknown, market_regime
from mahler_agents.review import Decision, Review, ReviewContext, ReviewState, Turns, review_of
from mahler_agents.risk import (
    BreakerBook,
    BreakerDecision,
    DeltaFacts,
    PortfolioDelta,
    RiskLimits,
    SizeMultiplier,
    delta_facts,
    portfolio_delta,
    size_multiplier,
)
from mahler_agents.screen import Candidate, ScreenParams, ScreenReport, screen, select_for_review
from mahler_agents.shadows import ShadowBook
from mahler_agents.types import Environment, Frozen, Reason
from mahler_agents.version import __version__


@dataclass(frozen=True, kw_only=True)
class ScanParts:
    """What a scan works with; the desk puts them together."""

    config: DeskConfig
    exit_policy: ExitPolicy
    limits: RiskLimits
    screen_params: ScreenParams
    regime_params: RegimeParams
    market: Market
    broker: Broker
    ledger: Ledger
    breaker: BreakerBook
    shadows: ShadowBook
    graph: ReviewGraph
    prompts: Mapping[str, Prompt]
    llm: ModelRouter | None
    """None: rules only."""
    model: str
    """Name of the model, or of all that are asked, for the record and the user."""
    toy_model: bool
    """True if the model's opinions are for show."""
    clock: Clock


class ScanResult(Frozen):
    """What a scan found, heard, decided and did."""

    run_id: str
    slot: str
    database: Path
    as_of: dt.datetime
    decision_at: dt.datetime
    environment: Environment
    market: str
    source: str
    synthetic: bool
    """True if the market's figures are made up."""
    missing: Mapping[str, str]
    """Parts that the market does not have, and why."""
    broker: str
    model: str
    toy_model: bool
    account_before: Account
    account_after: Account
    exit_policy: ExitPolicy
    """Under which trades are entered; what was open before keeps its own thresholds."""
    delta_before: PortfolioDelta
    delta_after: PortfolioDelta
    """At the snapshot's prices, like the one before."""
    regime: Regime | RegimeUnknown
    """Chooses the weights of the screen's score."""
    breaker: BreakerDecision
    multiplier: SizeMultiplier
    """Of every size of this scan."""
    report: ScreenReport
    reviews: tuple[Review, ...]
    """In rank order."""
    ranked_out: int
    """Candidates that passed the screen and were not reviewed."""
    spent: Spent
    """What the LLM calls took."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One scan on its way: what it works with, when it is, and who watches."""

    parts: ScanParts
    recording: Recording
    database: Path
    asked_as_of: dt.datetime
    """The market answers with the snapshot that it has for this instant."""
    slot: str
    only: str | None = None
    """The one underlying whose candidates are reviewed; None: every one's."""
    watch: Watcher = unwatched

    async def run(self) -> ScanResult:
        """Run the scan and return what came of it.

        A review that failed on the trading side is in the result, with its error: the others have ended as they would
        have. Raises `InputError` if the market has no such instant or the account has traded after it.
        """
        market_view = without_impossible(await self.parts.market.snapshot(self.asked_as_of, self.parts.config.universe))
        await refuse_to_go_back(self.parts.ledger, market_view.as_of)
        account = await self._account(market_view.as_of)
        snapshot = replace(market_view, account=account)
        decision_at = snapshot.as_of + dt.timedelta(seconds=self.parts.config.decision_delay_seconds)
        self._record_start(snapshot, decision_at)
        self.watch(Progress(stage=Stage.SNAPSHOT, result=snapshot))
        try:
            regime = await self._regime(snapshot)
            report, candidates, reviewed = self._screen(snapshot, regime)
            breaker, multiplier = await self._risk(snapshot, account, regime)
            facts = delta_facts(snapshot, account.exposures, [one.spread for one in reviewed], self.parts.screen_params)
            delta_before = portfolio_delta(account.exposures, facts, account.equity)
            self.recording.portfolio_delta(delta_before)
            reviews = await self._review_all(
                snapshot, account, decision_at=decision_at, reviewed=reviewed, multiplier=multiplier, facts=facts
            )
            account_after = await self._account(decision_at)
            delta_after = portfolio_delta(account_after.exposures, facts, account_after.equity)
            self.recording.portfolio_delta(delta_before, delta_after)
        except BaseException as error:
            self.recording.run_ended("failed", f"{type(error).__name__}: {error}")
            raise
        failed = [review.error for review in reviews if review.error is not None]
        self.recording.run_ended("failed" if failed else "done", "; ".join(failed) or None)
        return ScanResult(
            run_id=self.recording.run_id,
            slot=self.slot,
            database=self.database,
            as_of=snapshot.as_of,
            decision_at=decision_at,
            environment=self.parts.config.environment,
            market=snapshot.market,
            source=snapshot.source,
            synthetic=snapshot.synthetic,
            missing=snapshot.all_missing,
            broker=self.parts.broker.name,
            model=self.parts.model,
            toy_model=self.parts.toy_model,
            account_before=account,
            account_after=account_after,
            exit_policy=self.parts.exit_policy,
            delta_before=delta_before,
            delta_after=delta_after,
            regime=regime,
            breaker=breaker,
            multiplier=multiplier,
            report=report,
            reviews=reviews,
            ranked_out=len(candidates) - len(reviewed),
            spent=self.parts.llm.spent if self.parts.llm else Spent(),
        )

    async def _regime(self, snapshot: Snapshot) -> Regime | RegimeUnknown:
        found = await asyncio.to_thread(market_regime, snapshot, self.parts.regime_params)
        self.recording.regime(found)
        return found

    async def _risk(
        self, snapshot: Snapshot, account: Account, regime: Regime | RegimeUnknown
    ) -> tuple[BreakerDecision, SizeMultiplier]:
        """Evaluate the circuit breaker, once for the whole scan, on the snapshot's account."""
        parts = self.parts
        breaker = await asyncio.to_thread(
            parts.breaker.evaluate, equity=account.equity, at=snapshot.as_of, vix=snapshot.vix
        )
        multiplier = size_multiplier(breaker, regime, parts.regime_params, parts.config.environment)
        self.recording.equity(account, snapshot.as_of)
        self.recording.risk(breaker, multiplier)
        return breaker, multiplier

    def _screen(
        self, snapshot: Snapshot, regime: Regime | RegimeUnknown
    ) -> tuple[ScreenReport, tuple[Candidate, ...], tuple[Candidate, ...]]:
        known = regime.regime if isinstance(regime, Regime) else None
        candidates, report = screen(snapshot, self.parts.screen_params, regime=known)
        reviewed, _ = select_for_review(candidates, self.parts.config.max_candidates, only=self.only)
        self.recording.screened(report)
        for candidate in candidates:
            self.recording.candidate(self._candidate_id(candidate), candidate, reviewed=candidate in reviewed)
        if not candidates:
            self.recording.event(Reason.NO_OPPORTUNITIES.value, "nothing passed the screen")
        self.watch(Progress(stage=Stage.SCREEN, result=(report, reviewed)))
        return report, candidates, reviewed

    async def _review_all(
        self,
        snapshot: Snapshot,
        account: Account,
        *,
        decision_at: dt.datetime,
        reviewed: Sequence[Candidate],
        multiplier: SizeMultiplier,
        facts: DeltaFacts,
    ) -> tuple[Review, ...]:
        if self.parts.llm is not None:
            now = asyncio.get_running_loop().time()
            self.parts.llm.set_deadline(now + self.parts.config.decision_delay_seconds)
        turns = Turns(len(reviewed))
        contexts = [
            self._context(
                snapshot=snapshot,
                account=account,
                decision_at=decision_at,
                turns=turns,
                index=index,
                candidate=candidate,
                multiplier=multiplier,
                facts=facts,
            )
            for index, candidate in enumerate(reviewed)
        ]
        ended = await asyncio.gather(
            *(self._review(context, candidate) for context, candidate in zip(contexts, reviewed, strict=True)),
            return_exceptions=True,
        )
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome
        return tuple(outcome for outcome in ended if isinstance(outcome, Review))

    async def _review(self, context: ReviewContext, candidate: Candidate) -> Review:
        try:
            state = await self.parts.graph.ainvoke({"candidate": candidate}, context=context)
            review = review_of(ReviewState(**state), context.terms)
        except RecordError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of one review: recorded, shown, and the job fails by it
            review = await self._failed_review(context, candidate, error)
        finally:
            context.turns.end(context.index)
        context.tell(Stage.REVIEW, review)
        return review

    async def _failed_review(self, context: ReviewContext, candidate: Candidate, error: Exception) -> Review:
        """Return and record a review that an error ended; whether it traded is the ledger's to say."""
        words = f"{candidate.spread.label}: {type(error).__name__}: {error}"
        traded = await asyncio.to_thread(self.parts.ledger.has_filled, context.candidate_id)
        reason = Reason.FILLED if traded else Reason.ERROR
        decision = Decision(decision="traded" if traded else "skipped", reason=reason)
        self.recording.decided(
            context.candidate_id, decision=decision.decision, reason=reason.value, ai_summary=None, confidence=None
        )
        self.recording.event("review_failed", words, candidate_id=context.candidate_id, level="error")
        return Review(candidate=candidate, decision=decision, error=words)

    def _context(
        self,
        *,
        snapshot: Snapshot,
        account: Account,
        decision_at: dt.datetime,
        turns: Turns,
        index: int,
        candidate: Candidate,
        multiplier: SizeMultiplier,
        facts: DeltaFacts,
    ) -> ReviewContext:
        parts = self.parts
        return ReviewContext(
            run_id=self.recording.run_id,
            slot=self.slot,
            candidate_id=self._candidate_id(candidate),
            index=index,
            snapshot=snapshot,
            account=account,
            decision_at=decision_at,
            config=parts.config,
            terms=self._terms(snapshot, candidate),
            limits=parts.limits,
            multiplier=multiplier,
            delta_facts=facts,
            prompts=parts.prompts,
            llm=parts.llm,
            market=parts.market,
            broker=parts.broker,
            ledger=parts.ledger,
            shadows=parts.shadows,
            recording=self.recording,
            turns=turns,
            clock=parts.clock,
            watch=self.watch,
        )

    def _terms(self, snapshot: Snapshot, candidate: Candidate) -> Terms:
        """Resolve the exit policy for a candidate: what its briefs say is what its position will be held to."""
        config = self.parts.config
        resolved = resolve(self.parts.exit_policy, snapshot.underlyings[candidate.spread.underlying].bars)
        if resolved.text is not None:
            message = f"{candidate.spread.label}: {resolved.text}"
            level = "info" if resolved.note is None else "warning"
            self.recording.event("exit_policy", message, candidate_id=self._candidate_id(candidate), level=level)
        return Terms(
            exits=resolved.params,
            exits_note=resolved.text,
            commission_per_contract_and_leg=config.commission_per_contract_and_leg,
        )

    async def _account(self, at: dt.datetime) -> Account:
        """Return the broker's account with the risk that our own ledger says it carries."""
        # In this order: what another scan reserves in between is then counted twice, never not at all.
        exposures = await asyncio.to_thread(self.parts.ledger.exposures)
        account = await self.parts.broker.account(at)
        return account.model_copy(update={"exposures": exposures})

    def _candidate_id(self, candidate: Candidate) -> str:
        return f"{self.recording.run_id}.{candidate.rank}"

    def _record_start(self, snapshot: Snapshot, decision_at: dt.datetime) -> None:
        parts = self.parts
        packed = pack(snapshot)
        config: dict[str, Any] = {
            "desk": parts.config.model_dump(mode="json"),
            "exits": parts.exit_policy.model_dump(mode="json"),
            "limits": parts.limits.model_dump(mode="json"),
            "screen": parts.screen_params.model_dump(mode="json"),
            "regime": parts.regime_params.model_dump(mode="json"),
            "prompts": {name: prompt.content_hash for name, prompt in parts.prompts.items()},
        }
        if parts.llm is not None:
            config["budget"] = parts.llm.budget.model_dump(mode="json")
            config["models"] = {role: endpoint.described for role, endpoint in parts.llm.endpoints.items()}
        shared = {"as_of": utc_text(snapshot.as_of), "market": snapshot.market, "synthetic": snapshot.synthetic}
        self.recording.run_started(
            {
                "kind": "scan",
                "slot": self.slot,
                "decision_at": utc_text(decision_at),
                "environment": parts.config.environment.value,
                "source": snapshot.source,
                "broker": parts.broker.name,
                "account_id": parts.broker.account_id,
                "model": parts.model,
                "toy_model": parts.toy_model,
                "snapshot_hash": content_hash(packed),
                "version": __version__,
                "config": as_json(config),
                **shared,
            },
            {"hash": content_hash(packed), "content": packed, **shared},
        )
        for prompt in parts.prompts.values():
            self.recording.prompt(prompt)


async def refuse_to_go_back(ledger: Ledger, at: dt.datetime) -> None:
    """Raise `InputError` if the account has already traded at a later instant: it holds what does not exist yet."""
    latest = await asyncio.to_thread(ledger.last_traded_as_of)
    if latest is not None and at < latest:
        raise InputError(
            f"account {ledger.account_id} has traded or moved money as of {_new_york(latest)}, after {_new_york(at)}"
            " New York: use --as-of from then on, or another file with --db"
        )


def _new_york(instant: dt.datetime) -> str:
    return f"{instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M}"
