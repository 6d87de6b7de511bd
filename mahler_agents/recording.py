"""Recording: the stages' types in, rows of the record out; the one place that knows both."""

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mahler_agents.advisory import Advice
from mahler_agents.alpaca.raw import RawAnswer
from mahler_agents.analysts.base import Brief, Opinion
from mahler_agents.analysts.debate import Argument
from mahler_agents.analysts.fund_manager import Verdict
from mahler_agents.clock import Clock, utc_text
from mahler_agents.execution import Position, Settlement
from mahler_agents.exits import Mark, NoMark
from mahler_agents.llm.failures import Failure
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.transport import CallFinished, CallStarted
from mahler_agents.logs import log_event
from mahler_agents.market.snapshot import Account
from mahler_agents.market.watched import Quoted
from mahler_agents.record.writer import Writer, as_json
from mahler_agents.regime import Regime, RegimeUnknown
from mahler_agents.risk import BreakerDecision, PortfolioDelta, Reduction, SizeMultiplier, Sizing
from mahler_agents.screen import Candidate, ScreenReport

_LOG = logging.getLogger(__name__)


class BookRecording:
    """Records the marks of positions and the account's equity, which belong to no run."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    def event(self, code: str, message: str, *, level: str = "info") -> None:
        """Record something that happened to the account outside a run."""
        row = {"at": utc_text(self._clock.now()), "level": level, "code": code, "message": message}
        _insert_event(self._writer, row)

    def event_once(self, code: str, message: str, *, level: str = "info") -> None:
        """Record such a thing unless the record has it already, whenever that was."""
        row = {"at": utc_text(self._clock.now()), "level": level, "code": code, "message": message}
        _insert_event(self._writer, row, same=_SAME_WORDS)

    def mark(self, position: Position, at: dt.datetime, mark: Mark | NoMark) -> None:
        """Record what it would cost to close a position; without a mark, that there was none and why."""
        costs = (None, None) if isinstance(mark, NoMark) else (mark.mid_cost, mark.natural_cost)
        self._writer.insert_once(
            "marks",
            {
                "entry_order_id": position.entry_order_id,
                "at": utc_text(at),
                "mid_cost": costs[0],
                "natural_cost": costs[1],
            },
        )
        if isinstance(mark, NoMark):
            self.alert("no_mark", position, f"{mark.reason}; exits not evaluated", at)

    def alert(self, code: str, position: Position, text: str, at: dt.datetime) -> None:
        """Record something about a position that the user must know."""
        _insert_event(self._writer, _alert_row(code, position, text, at))

    def alert_once(self, code: str, position: Position, text: str, at: dt.datetime) -> None:
        """Record an alert unless the record has it already, whenever that was."""
        _insert_event(self._writer, _alert_row(code, position, text, at), same=_SAME_WORDS)

    def settled(self, position: Position, settlement: Settlement) -> None:
        """Record that expiration closed a position."""
        price = settlement.underlying_price
        message = (
            f"{position.spread.label}: {position.contracts} settled at {settlement.debit:.2f},"
            f" underlying at {'a price not told' if price is None else f'{price:.2f}'}"
        )
        row = {"at": utc_text(settlement.at), "level": "info", "code": settlement.expiry.value, "message": message}
        _insert_event(self._writer, row)

    def reduction(self, reduction: Reduction) -> None:
        """Record that the circuit breaker asks to close a share of a position."""
        message = f"the circuit breaker lets {reduction.keep} contracts of {reduction.entry_order_id} stay"
        row = {"at": utc_text(reduction.at), "level": "warning", "code": reduction.code, "message": message}
        _insert_event(self._writer, row)

    async def flush(self) -> None:
        """Return once everything recorded so far is committed."""
        await self._writer.flush()

    def equity(self, account: Account, at: dt.datetime) -> None:
        """Record the account's equity and cash."""
        _insert_equity(self._writer, account, at)


class Recording:
    """Records one run, as it happens; also the log to which the LLM layer writes every HTTP attempt.

    Of a run that is `resumed`, what the process before had recorded stays as it is: a row is added where there is none.
    """

    def __init__(self, writer: Writer, run_id: str, clock: Clock, *, resumed: bool = False) -> None:
        self.run_id = run_id
        self._writer = writer
        self._clock = clock
        self._resumed = resumed
        self._insert = writer.insert_once if resumed else writer.insert
        self._calls_at_work: set[str] = set()

    async def flush(self) -> None:
        """Return once everything recorded so far is committed."""
        await self._writer.flush()

    def run_started(self, row: dict[str, Any], snapshot: dict[str, Any] | None = None) -> None:
        """Record the run and, unless it is on record, the snapshot that it reads."""
        if snapshot is not None:
            self._writer.insert_once("snapshots", snapshot)
        full = {"id": self.run_id, "started_at": self._now(), "status": "running", **row}
        self._writer.insert("runs", full, then=self._log_start)

    def run_resumed(self, decision_at: dt.datetime) -> None:
        """Record that the run goes on, and when its orders are decided now."""
        values = {"decision_at": utc_text(decision_at)}
        self._writer.update("runs", {"id": self.run_id}, values, then=lambda _: self._log_run({"status": "resumed"}))

    def run_left(self, error: str) -> None:
        """Record that the run is left where it is: it can be resumed, or is as a process before had left it."""
        values = {"status": "failed", "error": error, "abandoned_at": self._now()}
        self._writer.update("runs", {"id": self.run_id}, values, then=self._log_run)

    def run_interrupted(self) -> None:
        """Record that the run was left, with the calls that it was waiting for, as a process leaves it that dies."""
        self.run_left("interrupted")
        for call_id in sorted(self._calls_at_work):
            self._writer.update("llm_calls", {"id": call_id}, {"abandoned_at": self._now()})

    def run_ended(self, status: str, error: str | None = None) -> None:
        """Record how the run ended: `done` or `failed`."""
        values = {"status": status, "ended_at": self._now(), "error": error}
        self._writer.update("runs", {"id": self.run_id}, values, then=self._log_run)

    def regime(self, regime: Regime | RegimeUnknown) -> None:
        """Record the market's regime, or why it is unknown, and log it as an event."""
        self._writer.update("runs", {"id": self.run_id}, {"regime": as_json(regime.model_dump(mode="json"))})
        code = regime.regime.value if isinstance(regime, Regime) else "regime_unknown"
        self.event(code, f"regime: {regime.text}")

    def risk(self, breaker: BreakerDecision, multiplier: SizeMultiplier) -> None:
        """Record what the circuit breaker saw and the multiplier of the run's sizes, and log both."""
        values = {
            "breaker": as_json(breaker.model_dump(mode="json")),
            "size_multiplier": as_json(multiplier.model_dump(mode="json")),
        }
        self._writer.update("runs", {"id": self.run_id}, values)
        level = "warning" if multiplier.risk < 1 else "info"
        self.event("size_multiplier", multiplier.text, level=level)
        if not breaker.vix_evaluated:
            self.event("vix_not_evaluated", "no VIX: VIX rules not evaluated", level="warning")

    def portfolio_delta(self, before: PortfolioDelta, after: PortfolioDelta | None = None) -> None:
        """Record the beta-weighted delta of the portfolio as the run met it, and as it left it."""
        both = {name: one and one.model_dump(mode="json") for name, one in (("before", before), ("after", after))}
        self._writer.update("runs", {"id": self.run_id}, {"portfolio_delta": as_json(both)})

    def equity(self, account: Account, at: dt.datetime) -> None:
        """Record the account's equity and cash, unless a later look at the same instant has."""
        if self._resumed:
            self._writer.insert_once("equity", _equity_row(account, at))
        else:
            _insert_equity(self._writer, account, at)

    def screened(self, report: ScreenReport) -> None:
        """Record what the screen rejected, and why."""
        self._writer.update("runs", {"id": self.run_id}, {"screen": as_json(report.model_dump(mode="json"))})

    def prompt(self, prompt: Prompt) -> None:
        """Record a prompt's content under its version."""
        row = {"hash": prompt.content_hash, "name": prompt.name, "content": prompt.text}
        self._writer.insert_once("prompts", row)

    def candidate_again(self, candidate_id: str, original: Mapping[str, Any]) -> None:
        """Record a candidate of a replay: the original's row without what was decided, which names that row."""
        undecided = dict.fromkeys(("decision", "reason", "ai_summary", "confidence"))
        own = {"id": candidate_id, "run_id": self.run_id, "replay_of": original["id"]}
        self._insert("candidates", {**original, **undecided, **own})

    def candidate(self, candidate_id: str, candidate: Candidate, *, reviewed: bool) -> None:
        """Record a candidate that passed the screen."""
        spread = candidate.spread
        self._insert(
            "candidates",
            {
                "id": candidate_id,
                "run_id": self.run_id,
                "rank": candidate.rank,
                "underlying": spread.underlying,
                "spread_type": spread.spread_type.value,
                "expiration": spread.expiration.isoformat(),
                "short_strike": spread.short_strike,
                "long_strike": spread.long_strike,
                "dte": candidate.dte,
                "credit": candidate.credit,
                "score": candidate.score,
                "iv_rank": candidate.iv_rank,
                "reviewed": reviewed,
                "decision": None if reviewed else "skipped",
                "reason": None if reviewed else "ranked_out",
                "facts": as_json(candidate.model_dump(mode="json")),
            },
        )

    def brief(self, role: str, brief: Brief, *, candidate_id: str | None = None) -> None:
        """Record a brief under its hash, and of which candidate it was written."""
        row = {"hash": brief.content_hash, "role": role, "content": brief.text}
        self._writer.insert_once("briefs", row)
        if candidate_id is not None:
            link = {"candidate_id": candidate_id, "brief_hash": brief.content_hash}
            self._writer.insert_once("candidate_briefs", link)

    def opinion(self, candidate_id: str, opinion: Opinion) -> None:
        """Record an analyst's opinion."""
        row = opinion.model_dump(mode="json")
        row |= {"details": as_json(row["details"]), **_grounding(row.pop("grounding"))}
        self._insert("opinions", {"candidate_id": candidate_id, **row})

    def argument(self, candidate_id: str, argument: Argument) -> None:
        """Record one turn of the debate."""
        row = argument.model_dump(mode="json")
        row |= _grounding(row.pop("grounding"))
        self._insert("arguments", {"candidate_id": candidate_id, **row})

    def failure(self, candidate_id: str, failure: Failure) -> None:
        """Record that a role gave no opinion or verdict, and why."""
        self._insert("failures", {"candidate_id": candidate_id, **failure.model_dump(mode="json")})

    def verdict(self, candidate_id: str, verdict: Verdict) -> None:
        """Record the fund manager's verdict."""
        row = verdict.model_dump(mode="json")
        row |= _grounding(row.pop("grounding"))
        self._insert("verdicts", {"candidate_id": candidate_id, **row})

    def advice(self, candidate_id: str, advice: Advice) -> None:
        """Record what the advisory edge made of the verdict, and log it as an event."""
        row = advice.model_dump(mode="json")
        self._insert("advice", {"candidate_id": candidate_id, **row, "recorded_at": self._now()})
        level = "info" if advice.proceed else "warning"
        self.event(advice.code.value, advice.message, candidate_id=candidate_id, level=level)

    def decided(
        self, candidate_id: str, *, decision: str, reason: str, ai_summary: str | None, confidence: float | None
    ) -> None:
        """Record how a reviewed candidate ended."""
        values = {"decision": decision, "reason": reason, "ai_summary": ai_summary, "confidence": confidence}
        extra = {"run_id": self.run_id, "candidate_id": candidate_id, "code": reason}
        self._writer.update(
            "candidates",
            {"id": candidate_id},
            values,
            then=lambda row: _LOG.info("%s: %s", row["decision"], row["reason"], extra=extra),
        )

    def span(
        self,
        candidate_id: str | None,
        name: str,
        *,
        started: dt.datetime,
        milliseconds: float,
        status: str,
        detail: str,
    ) -> None:
        """Record one node's run: when, how long and how it ended."""
        self._insert(
            "spans",
            {
                "id": f"{candidate_id or self.run_id}.{name}",
                "run_id": self.run_id,
                "candidate_id": candidate_id,
                "name": name,
                "status": status,
                "started_at": utc_text(started),
                "milliseconds": round(milliseconds, 3),
                "detail": detail,
            },
        )

    def event(self, code: str, message: str, *, candidate_id: str | None = None, level: str = "info") -> None:
        """Record something that a reader of the run should see."""
        row = {
            "run_id": self.run_id,
            "candidate_id": candidate_id,
            "at": self._now(),
            "level": level,
            "code": code,
            "message": message,
        }
        _insert_event(self._writer, row, same=("run_id", "candidate_id", *_SAME_WORDS) if self._resumed else ())

    def call_started(self, call: CallStarted) -> None:
        """Record an HTTP attempt before it is made, so that a crash leaves evidence."""
        row = dict(vars(call))
        self._calls_at_work.add(call.call_id)
        self._writer.insert("llm_calls", {"id": row.pop("call_id"), "request": row.pop("request_json"), **row})

    def call_finished(self, call: CallFinished) -> None:
        """Complete an HTTP attempt's row with what came of it."""
        row = dict(vars(call))
        self._calls_at_work.discard(call.call_id)
        key = {"id": row.pop("call_id")}
        self._writer.update("llm_calls", key, {"response": row.pop("response_text"), **row})

    def quoted(self, quoted: Quoted) -> None:
        """Record the quotes that the market gave for an instant, unless it has been asked for them before."""
        for symbol, quote in quoted.quotes.items():
            row: dict[str, Any] = {"run_id": self.run_id, "at": utc_text(quoted.at), "symbol": symbol}
            if quote is not None:
                row |= {"bid": quote.bid, "ask": quote.ask, "quoted_at": utc_text(quote.at)}
            self._writer.insert_once("quotes", row)

    def raw_answer(self, answer: RawAnswer) -> None:
        """Record what the market's server answered, its body under its hash."""
        payload = {"hash": answer.content_hash, "bytes": answer.size, "content": answer.content}
        self._writer.insert_once("raw_payloads", payload)
        row = {
            "run_id": self.run_id,
            "method": answer.method,
            "path": answer.path,
            "status": answer.status,
            "asked_at": utc_text(answer.asked_at),
            "received_at": utc_text(answer.received_at),
            "payload_hash": answer.content_hash,
        }
        self._writer.insert("raw_answers", row)

    def _log_start(self, row: Mapping[str, Any]) -> None:
        made_up = " (SYNTHETIC)" if row.get("synthetic") else ""
        said = f"run started: {row['environment']}, market {row['market']}{made_up}, model {row['model']}"
        _LOG.info("%s", said, extra={"run_id": self.run_id, "code": "run_started"})

    def _log_run(self, row: Mapping[str, Any]) -> None:
        """Log how the run goes on or ended, as its row says."""
        why = f": {row['error']}" if row.get("error") else ""
        extra = {"run_id": self.run_id, "code": f"run_{row['status']}"}
        _LOG.log(logging.ERROR if why else logging.INFO, "run %s%s", row["status"], why, extra=extra)

    def _now(self) -> str:
        return utc_text(self._clock.now())


def sizing_row(candidate_id: str, sizing: Sizing) -> dict[str, Any]:
    """Return how many contracts the limits allowed, and which one bound, as a row of `sizings`."""
    row = sizing.model_dump(mode="json")
    del row["multiplier"]  # the run's own
    return {"candidate_id": candidate_id, **row, "constraints": as_json(row.pop("constraints"))}


_SAME_WORDS = ("code", "message")


def _insert_event(writer: Writer, row: Mapping[str, Any], *, same: Sequence[str] = ()) -> None:
    """Record an event, unless there is one with the `same` columns; what is recorded is logged, and nothing else is."""
    if same:
        writer.insert_unless("events", row, same=same, then=log_event)
    else:
        writer.insert("events", row, then=log_event)


def _grounding(found: dict[str, Any] | None) -> dict[str, Any]:
    return (
        {"numbers": None, "ungrounded": None}
        if found is None
        else {**found, "ungrounded": as_json(found["ungrounded"])}
    )


def _alert_row(code: str, position: Position, text: str, at: dt.datetime) -> dict[str, str]:
    return {"at": utc_text(at), "level": "warning", "code": code, "message": f"{position.spread.label}: {text}"}


def _insert_equity(writer: Writer, account: Account, at: dt.datetime) -> None:
    writer.replace(
        "equity", _equity_row(account, at)
    )  # of two looks at one instant the later one holds what the first has traded


def _equity_row(account: Account, at: dt.datetime) -> dict[str, Any]:
    return {"account_id": account.account_id, "at": utc_text(at), "equity": account.equity, "cash": account.cash}
