"""Scan: freezes the snapshot, screens it, reviews the candidates at once, and gives each its turn to trade.

Only the reviews' advisors run at the same time; sizing takes turns in rank order, and what was reserved is worked
together after the last turn, so that the outcome does not depend on which reply came first.
"""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mahler_agents.analysts import Terms
from mahler_agents.clock import utc_text
from mahler_agents.errors import InputError, RecordError
from mahler_agents.execution import OrderWorker
from mahler_agents.exits import resolve
from mahler_agents.llm.budget import Spent
from mahler_agents.llm.past import MissError
from mahler_agents.logs import within
from mahler_agents.market.archive import content_hash, pack
from mahler_agents.market.possible import without_impossible
from mahler_agents.market.snapshot import Account, Snapshot
from mahler_agents.memory import Recall
from mahler_agents.progress import Progress, Stage, Watcher, unwatched
from mahler_agents.recording import Recording
from mahler_agents.regime import Regime, RegimeUnknown, market_regime
from mahler_agents.resume import LeftRun, Resumption
from mahler_agents.review import Decision, Review, ReviewContext, ReviewState, Turns, review_of
from mahler_agents.risk import (
    BreakerDecision,
    DeltaFacts,
    SizeMultiplier,
    delta_facts,
    portfolio_delta,
    size_multiplier,
)
from mahler_agents.safety import refuse_to_go_back
from mahler_agents.scan_parts import ScanParts, ScanResult, Stopwatch, Tapes
from mahler_agents.screen import Candidate, ScreenReport, screen, select_for_review
from mahler_agents.types import Reason
from mahler_agents.version import __version__
from mahler_agents.volatility_history import with_history

__all__ = ["Scan", "ScanParts", "ScanResult"]


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One scan on its way: what it works with, when it is, and who watches."""

    parts: ScanParts
    recording: Recording
    database: Path
    asked_as_of: dt.datetime
    """The market answers with the snapshot that it has for this instant."""
    slot: str
    tapes: Tapes
    """Hear what the market is asked for and answers."""
    watch: Watcher = unwatched
    rerun_of: str | None = None
    """The run whose market it sees again, if it does."""
    left: LeftRun | None = None
    """What the process before had come to, if this scan is resumed."""
    resumed: Resumption | None = None
    """And how it came to be."""
    unfinished: tuple[str, ...] = ()

    async def run(self) -> ScanResult:
        """Run the scan and return what came of it.

        A review that failed on the trading side is in the result, with its error: the others have ended as they would
        have. Raises `InputError` if the market has no such instant or the account has traded after it.
        """
        stopwatch = Stopwatch(self.parts.clock)
        snapshot, account, decision_at = await (self._begun() if self.left is None else self._again(self.left))
        started = (self.parts.safety.identity, await self.parts.safety.standing())
        self.watch(Progress(stage=Stage.START, result=started))
        self.watch(Progress(stage=Stage.SNAPSHOT, result=snapshot))
        stopwatch.lap("snapshot")
        try:
            broker_check = await self.parts.safety.check(snapshot.as_of, self.recording)
            regime = await self._regime(snapshot)
            report, candidates, reviewed = self._screen(snapshot, regime)
            breaker, multiplier = await self._risk(snapshot, account, regime)
            spreads = [one.spread for one in reviewed]
            facts = delta_facts(snapshot, account.exposures, spreads, self.parts.choices.screen)
            delta_before = portfolio_delta(account.exposures, facts, account.equity)
            self.recording.portfolio_delta(delta_before)
            stopwatch.lap("screen")
            reviews = await self._review_all(
                snapshot, account, decision_at=decision_at, reviewed=reviewed, multiplier=multiplier, facts=facts
            )
            stopwatch.lap("reviews_and_orders")
            account_after = await self._account(decision_at)
            delta_after = portfolio_delta(account_after.exposures, facts, account_after.equity)
            self.recording.portfolio_delta(delta_before, delta_after)
        except MissError as error:
            self.recording.run_left(str(error))
            raise
        except asyncio.CancelledError:
            self.recording.run_interrupted()
            raise
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
            identity=self.parts.safety.identity,
            trading=await self.parts.safety.standing(),
            broker_check=broker_check,
            model=self.parts.model,
            toy_model=self.parts.toy_model,
            account_before=account,
            account_after=account_after,
            exit_policy=self.parts.choices.exits,
            delta_before=delta_before,
            delta_after=delta_after,
            regime=regime,
            breaker=breaker,
            multiplier=multiplier,
            report=report,
            reviews=reviews,
            ranked_out=len(candidates) - len(reviewed),
            spent=self.parts.llm.spent if self.parts.llm else Spent(),
            seconds=stopwatch.read(),
            resumed=self.resumed,
            unfinished=self.unfinished,
        )

    async def _begun(self) -> tuple[Snapshot, Account, dt.datetime]:
        """Freeze the snapshot and record it; return it, its account and when orders will be decided."""
        market_view = without_impossible(await self.parts.market.snapshot(self.asked_as_of, self.parts.config.universe))
        if self.parts.market.live:  # it has only now: what its volatility was is in our own record
            market_view = await asyncio.to_thread(
                with_history,
                market_view,
                self.database,
                self.parts.market.world,
                max_quote_age_seconds=self.parts.choices.screen.max_quote_age_seconds,
            )
        await refuse_to_go_back(self.parts.ledger, market_view.as_of)
        account = await self._account(market_view.as_of)
        snapshot = replace(market_view, account=account)
        decision_at = snapshot.as_of + self._delay
        self._record_start(snapshot, decision_at)
        return snapshot, account, decision_at

    async def _again(self, left: LeftRun) -> tuple[Snapshot, Account, dt.datetime]:
        """Return the same as it was recorded; a live market has no quotes of the past, so orders are decided anew."""
        snapshot, decision_at = left.snapshot, left.decision_at
        if snapshot.account is None:
            raise RecordError(f"run {left.id}: its snapshot holds no account")
        if self.parts.market.live and self._forbidden is None:
            decision_at = self.parts.clock.now() + self._delay
        self.recording.run_resumed(decision_at)
        self.tapes.keep_with(self.recording)
        for prompt in self.parts.prompts.values():
            self.recording.prompt(prompt)
        return snapshot, snapshot.account, decision_at

    @property
    def _delay(self) -> dt.timedelta:
        return dt.timedelta(seconds=self.parts.config.decision_delay_seconds)

    def _until(self, decision_at: dt.datetime) -> dt.timedelta:
        """Return how long models may take: to the decision time, some of which has passed where the market is live."""
        if not self.parts.market.live or self._forbidden is not None:
            return self._delay
        return min(self._delay, decision_at - self.parts.clock.now())

    @property
    def _forbidden(self) -> Reason | None:
        """Why nothing may be opened any more, whatever the limits say."""
        if self.parts.choices.review_only is not None:
            return Reason.REVIEW_ONLY
        return Reason.STALE_SNAPSHOT if self.resumed is not None and self.resumed.stale is not None else None

    async def _regime(self, snapshot: Snapshot) -> Regime | RegimeUnknown:
        found = await asyncio.to_thread(market_regime, snapshot, self.parts.choices.regime)
        self.recording.regime(found)
        return found

    async def _risk(
        self, snapshot: Snapshot, account: Account, regime: Regime | RegimeUnknown
    ) -> tuple[BreakerDecision, SizeMultiplier]:
        """Evaluate the circuit breaker, once for the whole scan, on the snapshot's account."""
        parts = self.parts
        if self.left is not None and self.left.risk is not None:
            breaker, multiplier = self.left.risk
        else:
            breaker = await asyncio.to_thread(
                parts.breaker.evaluate, equity=account.equity, at=snapshot.as_of, vix=snapshot.vix
            )
            multiplier = size_multiplier(breaker, regime, parts.choices.regime, parts.config.environment)
        self.recording.equity(account, snapshot.as_of)
        self.recording.risk(breaker, multiplier)
        return breaker, multiplier

    def _screen(
        self, snapshot: Snapshot, regime: Regime | RegimeUnknown
    ) -> tuple[ScreenReport, tuple[Candidate, ...], tuple[Candidate, ...]]:
        known = regime.regime if isinstance(regime, Regime) else None
        candidates, report = screen(snapshot, self.parts.choices.screen, regime=known)
        reviewed = self._reviewed(candidates)
        self.recording.screened(report)
        for candidate in candidates:
            self.recording.candidate(self._candidate_id(candidate), candidate, reviewed=candidate in reviewed)
        if not candidates:
            self.recording.event(Reason.NO_OPPORTUNITIES.value, "nothing passed the screen")
        self.watch(Progress(stage=Stage.SCREEN, result=(report, reviewed)))
        return report, candidates, reviewed

    def _reviewed(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        choices = self.parts.choices
        if choices.review_only is None:
            return select_for_review(candidates, choices.desk.max_candidates, only=choices.only)[0]
        reviewed = tuple(candidate for candidate in candidates if candidate.spread == choices.review_only)
        if not reviewed:
            raise InputError(f"{choices.review_only.label} does not pass the screen: there is no brief to review")
        return reviewed

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
            self.parts.llm.set_deadline(now + self._until(decision_at).total_seconds())
        turns, orders = Turns(len(reviewed)), OrderWorker(self.parts.trading)
        recall = self.parts.recall(self.database, snapshot)
        contexts = [
            self._context(
                snapshot=snapshot,
                account=account,
                decision_at=decision_at,
                turns=turns,
                orders=orders,
                index=index,
                candidate=candidate,
                multiplier=multiplier,
                facts=facts,
                recall=recall,
            )
            for index, candidate in enumerate(reviewed)
        ]
        ended = await asyncio.gather(
            orders.work(turns.all_ended),
            *(self._review(context, candidate) for context, candidate in zip(contexts, reviewed, strict=True)),
            return_exceptions=True,
        )
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome
        return tuple(outcome for outcome in ended if isinstance(outcome, Review))

    async def _review(self, context: ReviewContext, candidate: Candidate) -> Review:
        try:
            with within(candidate_id=context.candidate_id):
                state = await self.parts.graph.ainvoke({"candidate": candidate}, context=context)
            review = review_of(ReviewState(**state), context.terms)
        except RecordError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of one review: recorded, shown, and the job fails by it
            context.turns.end(context.index)
            await context.orders.done()  # what it had reserved is worked all the same
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
        orders: OrderWorker,
        index: int,
        candidate: Candidate,
        multiplier: SizeMultiplier,
        facts: DeltaFacts,
        recall: Recall,
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
            limits=parts.choices.limits,
            forbidden=self._forbidden,
            sized=self.left and self.left.sizing(self._candidate_id(candidate), multiplier),
            multiplier=multiplier,
            delta_facts=facts,
            prompts=parts.prompts,
            llm=parts.llm,
            recall=recall,
            market=parts.market,
            ledger=parts.ledger,
            orders=orders,
            shadows=parts.shadows,
            recording=self.recording,
            turns=turns,
            clock=parts.clock,
            watch=self.watch,
        )

    def _terms(self, snapshot: Snapshot, candidate: Candidate) -> Terms:
        """Resolve the exit policy for a candidate: what its briefs say is what its position will be held to."""
        config = self.parts.config
        resolved = resolve(self.parts.choices.exits, snapshot.underlyings[candidate.spread.underlying].bars)
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
                "host": parts.broker.host,
                "model": parts.model,
                "toy_model": parts.toy_model,
                "snapshot_hash": content_hash(packed),
                "version": __version__,
                "config": parts.choices.recorded,
                "rerun_of": self.rerun_of,
                # Advice that no order could follow is no evidence of what advice to a desk is worth.
                "retrospective": self.rerun_of is not None or parts.choices.review_only is not None,
                **shared,
            },
            {"hash": content_hash(packed), "content": packed, **shared},
        )
        self.tapes.keep_with(self.recording)
        for prompt in parts.prompts.values():
            self.recording.prompt(prompt)
