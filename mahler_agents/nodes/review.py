"""Nodes of the review graph: one call each into the stages.

Two kinds: the advisors (brief, analysts, fund manager, advisory) may say anything and stop nothing; the trade (size,
execute) sees the candidate and never a word of the advice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypedDict, TypeVar

from mahler_agents.advisory import advise
from mahler_agents.analysts import fund_manager as manager
from mahler_agents.analysts.base import Analyst, Brief, Opinion, Reply
from mahler_agents.errors import RecordError
from mahler_agents.execution import OrderTicket, client_order_id, execute, lowest_credit
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.failures import Failure, FailureKind, failure
from mahler_agents.llm.transport import CallContext
from mahler_agents.market.snapshot import Exposure
from mahler_agents.nodes.tracing import Node, Update, traced
from mahler_agents.progress import Stage
from mahler_agents.review import Decision, ReviewContext, ReviewState
from mahler_agents.risk import Sizing, size
from mahler_agents.screen import Candidate
from mahler_agents.types import Reason, Spread, SpreadQuote

R = TypeVar("R", bound=Reply)
T = TypeVar("T")


class SizeInput(TypedDict):
    """All that sizing gets of the state: no advice, by construction."""

    candidate: Candidate


class ExecuteInput(TypedDict):
    """All that execution gets of the state: no advice, by construction."""

    ticket: OrderTicket


def brief(analysts: Sequence[Analyst]) -> Node[ReviewState]:
    """Return the node that writes every analyst's brief from the snapshot."""

    async def stage(state: ReviewState, context: ReviewContext) -> Update:
        briefs: dict[str, Brief] = {}
        failures: list[Failure] = []
        for analyst in analysts:
            written = _walled(
                analyst.name, lambda a=analyst: a.brief(context.snapshot, state["candidate"], context.terms)
            )
            if isinstance(written, Failure):
                failures.append(written)
                _note_failure(context, written)
            else:
                briefs[analyst.name] = written
                context.recording.brief(analyst.name, written)
        return {"briefs": briefs, "failures": failures}

    return traced("brief", stage)


def analyst(analyst: Analyst) -> Node[ReviewState]:
    """Return the node in which one analyst reads its brief and gives an opinion, or fails; it never raises."""

    async def stage(state: ReviewState, context: ReviewContext) -> Update:
        written = state.get("briefs", {}).get(analyst.name)
        if context.llm is None or written is None:
            return {}
        outcome = await _walled_async(analyst.name, _opinion(context.llm, analyst, written, context))
        context.tell(Stage.ANALYST, outcome)
        if isinstance(outcome, Failure):
            _note_failure(context, outcome)
            return {"failures": [outcome]}
        context.recording.opinion(context.candidate_id, outcome)
        return {"opinions": [outcome]}

    return traced(analyst.name, stage)


async def _opinion(llm: ChatClient, analyst: Analyst, brief: Brief, context: ReviewContext) -> Opinion | Failure:
    if missing := brief.missing():
        return failure(analyst.name, FailureKind.MISSING_FACTS, f"the snapshot has no {', '.join(missing)}")
    answer = await _ask(llm, analyst.name, brief, analyst.reply, context)
    if isinstance(answer, Failure):
        return answer
    said = answer.reply.model_dump(mode="json")
    common = {name: said.pop(name) for name in ("summary", "stance", "confidence", "p_profit")}
    return Opinion(
        analyst=analyst.name,
        **common,
        details=said,
        brief_hash=brief.content_hash,
        prompt_hash=context.prompts[analyst.name].content_hash,
        model=answer.model,
    )


async def fund_manager_stage(state: ReviewState, context: ReviewContext) -> Update:
    """Ask the fund manager for a verdict on the panel's opinions; without a quorum it is not asked."""
    if context.llm is None:
        return {"verdict": None}
    outcome = await _walled_async(manager.NAME, _verdict(context.llm, state, context))
    context.tell(Stage.FUND_MANAGER, outcome)
    if isinstance(outcome, Failure):
        _note_failure(context, outcome)
        return {"verdict": None, "failures": [outcome]}
    context.recording.verdict(context.candidate_id, outcome)
    return {"verdict": outcome}


async def _verdict(llm: ChatClient, state: ReviewState, context: ReviewContext) -> manager.Verdict | Failure:
    opinions, failures = state.get("opinions", []), state.get("failures", [])
    if len(opinions) < manager.QUORUM:
        return failure(
            manager.NAME, FailureKind.NO_QUORUM, f"{len(opinions)} opinions, needs {manager.QUORUM}: not asked"
        )
    written = manager.brief(context.snapshot, state["candidate"], context.terms, opinions, failures)
    context.recording.brief(manager.NAME, written)
    answer = await _ask(llm, manager.NAME, written, manager.VerdictReply, context)
    if isinstance(answer, Failure):
        return answer
    return manager.Verdict(
        **answer.reply.model_dump(),
        brief_hash=written.content_hash,
        prompt_hash=context.prompts[manager.NAME].content_hash,
        model=answer.model,
    )


async def advisory_stage(state: ReviewState, context: ReviewContext) -> Update:
    """Turn the verdict, or its absence, into advice, and have it on disk before any order is decided."""
    advice = advise(
        state.get("verdict"),
        underlying=state["candidate"].spread.underlying,
        environment=context.config.environment,
        llm_on=context.llm is not None,
        live_requires_verdict=context.config.live_requires_verdict,
    )
    context.recording.advice(context.candidate_id, advice)
    context.tell(Stage.ADVISORY, advice)
    await context.recording.flush()
    return {"advice": advice}


def route_after_advisory(state: ReviewState) -> Literal["size", "record"]:
    """Choose the way after the advisory edge: the only thing that advice can do."""
    advice = state.get("advice")
    return "size" if advice is not None and advice.proceed else "record"


async def size_stage(state: SizeInput, context: ReviewContext) -> Update:
    """Size the candidate on the risk open at its turn, and reserve the order in the same transaction."""
    candidate, config, account = state["candidate"], context.config, context.account
    limit_credit = lowest_credit(candidate.credit, config.min_fill_to_screened_credit)
    order_id = client_order_id(
        account_id=account.account_id, slot=context.slot, spread=candidate.spread, purpose="entry", attempt=1
    )

    def decide(exposures: tuple[Exposure, ...], entries: int) -> tuple[Sizing, OrderTicket | None]:
        sizing = size(
            spread=candidate.spread,
            limit_credit=limit_credit,
            account=account,
            exposures=exposures,
            limits=context.limits,
            trades_left=config.max_trades_per_scan - entries,
            multiplier=context.multiplier,
        )
        if already_ordered:
            sizing = sizing.forbidden_by(Reason.ALREADY_ORDERED)
        if sizing.contracts == 0:
            return sizing, None
        return sizing, OrderTicket(
            client_order_id=order_id,
            account_id=account.account_id,
            slot=context.slot,
            candidate_id=context.candidate_id,
            spread=candidate.spread,
            contracts=sizing.contracts,
            limit_credit=limit_credit,
            decided_at=context.decision_at,
        )

    await context.turns.wait(context.index)
    already_ordered = await asyncio.to_thread(context.ledger.was_ordered, order_id)
    sizing, ticket = await asyncio.to_thread(context.ledger.reserve, decide, slot=context.slot)
    context.recording.sizing(context.candidate_id, sizing)
    context.tell(Stage.SIZE, sizing)
    return {"sizing": sizing, "ticket": ticket}


def route_after_size(state: ReviewState) -> Literal["execute", "record"]:
    """Execute what was reserved; nothing else reaches the broker."""
    return "execute" if state.get("ticket") is not None else "record"


async def execute_stage(state: ExecuteInput, context: ReviewContext) -> Update:
    """Send the reserved order on the quotes of the decision time."""
    await _wait_for_decision_time(context)
    execution = await execute(
        state["ticket"],
        market=context.market,
        broker=context.broker,
        ledger=context.ledger,
        concession=context.config.entry_concession,
    )
    context.tell(Stage.EXECUTE, execution)
    return {"execution": execution}


async def record_stage(state: ReviewState, context: ReviewContext) -> Update:
    """Record how the candidate ended, and begin to follow it as a shadow."""
    decision = _decision(state)
    await _follow(state, context)
    verdict = state.get("verdict")
    context.recording.decided(
        context.candidate_id,
        decision=decision.decision,
        reason=decision.reason.value,
        ai_summary=verdict.summary if verdict else None,
        confidence=verdict.confidence if verdict else None,
    )
    return {"decision": decision}


async def _follow(state: ReviewState, context: ReviewContext) -> None:
    """Enter the candidate's shadow at the decision time's quotes: those of its order, or the same instant's."""
    spread, execution = state["candidate"].spread, state.get("execution")
    quote = execution.quote if execution is not None else await _decision_quote(spread, context)
    if quote is None:
        message = f"{spread.label}: a leg had no quote at the decision time; not followed as a shadow"
        context.recording.event("no_shadow", message, candidate_id=context.candidate_id, level="warning")
        return
    await context.recording.flush()  # the shadow refers to the candidate's row
    await asyncio.to_thread(
        context.shadows.enter,
        context.candidate_id,
        spread,
        quote,
        concession=context.config.entry_concession,
        at=context.decision_at,
    )


async def _decision_quote(spread: Spread, context: ReviewContext) -> SpreadQuote | None:
    await _wait_for_decision_time(context)
    quotes = await context.market.quotes([spread.short_symbol, spread.long_symbol], context.decision_at)
    return SpreadQuote.of(quotes, spread)


async def _wait_for_decision_time(context: ReviewContext) -> None:
    if context.market.live:
        await context.clock.sleep_until(context.decision_at)


def _decision(state: ReviewState) -> Decision:
    if (execution := state.get("execution")) is not None:
        return Decision(decision="traded" if execution.fill else "skipped", reason=execution.reason)
    if (sizing := state.get("sizing")) is not None:
        return Decision(decision="skipped", reason=sizing.binding)
    advice = state.get("advice")
    return Decision(decision="skipped", reason=(advice and advice.skip_reason) or Reason.ERROR)


async def _ask(llm: ChatClient, role: str, brief: Brief, reply: type[R], context: ReviewContext) -> Answer[R] | Failure:
    call = CallContext(
        run_id=context.run_id,
        candidate_id=context.candidate_id,
        span_id=f"{context.candidate_id}.{role}",
        brief_hash=brief.content_hash,
    )
    return await llm.ask(role=role, prompt=context.prompts[role], facts=brief.facts(), reply=reply, context=call)


def _walled(role: str, write: Callable[[], T]) -> T | Failure:
    """Return what `write` returns, or a failure if it raises.

    The wall between advice and trade: a defect in an advisor's own code is that advisor's failure, told and recorded
    like any other, and never keeps a candidate from being sized.
    """
    try:
        return write()
    except Exception as error:  # noqa: BLE001 - see above
        return _defect(role, error)


async def _walled_async(role: str, ask: Awaitable[T | Failure]) -> T | Failure:
    """Return what `ask` returns, or a failure if it raises; a record that cannot be written is no advisor's defect."""
    try:
        return await ask
    except RecordError:
        raise
    except Exception as error:  # noqa: BLE001 - the same wall
        return _defect(role, error)


def _defect(role: str, error: Exception) -> Failure:
    return failure(role, FailureKind.INTERNAL, f"{type(error).__name__}: {error}")


def _note_failure(context: ReviewContext, outcome: Failure) -> None:
    context.recording.failure(context.candidate_id, outcome)
    context.recording.event(
        "advisor_failed",
        f"{outcome.role} failed ({outcome.kind.value}): {outcome.detail}; {outcome.action}",
        candidate_id=context.candidate_id,
        level="warning",
    )
