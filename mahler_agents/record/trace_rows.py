"""Record: what is read of one run and what happened in it, frozen rows.

Instants are text in UTC, ISO 8601 with milliseconds, and dates are ISO text, as the record keeps them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mahler_agents.record.rows import SpreadRow


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run's own row; what the record keeps as JSON is parsed, and None if the run ended before it."""

    id: str
    kind: str
    slot: str
    status: str
    as_of: str
    decision_at: str
    started_at: str
    ended_at: str | None
    environment: str
    market: str
    source: str
    synthetic: bool
    broker: str
    account_id: str
    model: str
    toy_model: bool
    version: str
    error: str | None
    abandoned_at: str | None
    """When it was found that its process had died; None again once it is resumed."""
    screen: Mapping[str, Any] | None
    regime: Mapping[str, Any] | None
    breaker: Mapping[str, Any] | None
    size_multiplier: Mapping[str, Any] | None
    portfolio_delta: Mapping[str, Any] | None
    """`before` and `after`, this None if the run did not come to its end."""
    config: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CallRow:
    """One HTTP attempt of a role."""

    id: str
    role: str
    attempt: int
    model: str
    prompt_hash: str
    brief_hash: str | None
    resolved_model: str | None
    started_at: str
    ended_at: str | None
    outcome: str | None
    """None: the process ended before the reply came."""
    http_status: int | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_dollars: float | None
    """At list price; None is unknown."""
    error: str | None
    request: str
    response: str | None


@dataclass(frozen=True, kw_only=True)
class SpanRow:
    """One node's run, with the LLM calls that it made."""

    id: str
    name: str
    status: str
    """`ok`, `failed`, `error`, or `unfinished`: at work, or its process died."""
    started_at: str
    milliseconds: float | None
    detail: str | None
    calls: tuple[CallRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GroundingRow:
    """Numbers of an advisor's text, and those of them that its brief does not hold, as they were written."""

    numbers: int
    ungrounded: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OpinionRow:
    """One analyst's opinion."""

    analyst: str
    stance: str
    confidence: float
    p_profit: float
    summary: str
    details: Mapping[str, str]
    grounding: GroundingRow | None
    """None in records made before it was looked at."""
    brief_hash: str
    prompt_hash: str
    model: str


@dataclass(frozen=True, kw_only=True)
class ArgumentRow:
    """One turn of the debate."""

    side: str
    round: int
    strength: str
    summary: str
    grounding: GroundingRow | None
    brief_hash: str
    prompt_hash: str
    model: str

    @property
    def node(self) -> str:
        """The node that made it, e.g. `bull_1`."""
        return f"{self.side}_{self.round}"


@dataclass(frozen=True, kw_only=True)
class FailureRow:
    """A role that gave no opinion or verdict."""

    role: str
    kind: str
    detail: str
    retryable: bool
    raw_reply: str | None
    brief_hash: str | None
    prompt_hash: str | None


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """The fund manager's verdict."""

    approved: bool
    contracts: int
    confidence: float
    p_profit: float
    summary: str
    grounding: GroundingRow | None
    """None in records made before it was looked at."""
    brief_hash: str
    prompt_hash: str
    model: str


@dataclass(frozen=True, kw_only=True)
class PromptRow:
    """One version of one role's prompt: the whole file, normalised."""

    name: str
    content: str


@dataclass(frozen=True, kw_only=True)
class AdviceRow:
    """What the advisory edge made of it."""

    level: str
    would_veto: bool
    rejected: bool
    proceed: bool
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class ConstraintRow:
    """One limit: the contracts that it allows and its dollars of risk; None where it has none."""

    code: str
    contracts: int | None
    limit_dollars: float | None
    used_dollars: float | None


@dataclass(frozen=True, kw_only=True)
class SizingRow:
    """How many contracts the limits allowed."""

    contracts: int
    binding: str
    limit_credit: float
    max_loss_dollars: float
    constraints: tuple[ConstraintRow, ...]


@dataclass(frozen=True, kw_only=True)
class FillRow:
    """Contracts that traded at one credit per share; fees in dollars."""

    at: str
    contracts: int
    credit: float
    fees: float


@dataclass(frozen=True, kw_only=True)
class OrderRow:
    """An order for a candidate, with its fills; credits and quotes per share."""

    client_order_id: str
    purpose: str
    state: str
    reason: str | None
    contracts: int
    limit_credit: float
    decided_at: str
    detail: str | None
    """The broker's own words, where it refused."""
    short_bid: float | None
    short_ask: float | None
    long_bid: float | None
    long_ask: float | None
    lowest_asked: float | None
    """The last of its prices; None if it was never sent, or by a version that did not keep them."""
    fills: tuple[FillRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EventRow:
    """Something that a reader of the run should see."""

    at: str
    level: str
    code: str
    message: str
    candidate_id: str | None


@dataclass(frozen=True, kw_only=True)
class CandidateTrace(SpreadRow):
    """One candidate and all that became of it; what did not happen is None or empty."""

    id: str
    rank: int
    dte: int
    credit: float
    score: float
    reviewed: bool
    decision: str | None
    reason: str | None
    facts: Mapping[str, Any]
    """The candidate as the screen found it: its legs, quotes, spot and the parts of its score."""
    spans: tuple[SpanRow, ...] = ()
    opinions: tuple[OpinionRow, ...] = ()
    arguments: tuple[ArgumentRow, ...] = ()
    failures: tuple[FailureRow, ...] = ()
    verdict: VerdictRow | None = None
    advice: AdviceRow | None = None
    sizing: SizingRow | None = None
    orders: tuple[OrderRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RawKept:
    """How much was kept of what the market's server answered."""

    answers: int
    bytes: int
    """Of all bodies."""
    stored_bytes: int
    """Of each body once, compressed; other runs may share them."""


@dataclass(frozen=True, kw_only=True)
class RunTrace:
    """A run and everything under it."""

    run: RunRow
    candidates: tuple[CandidateTrace, ...]
    """In rank order."""
    events: tuple[EventRow, ...]
    prompts: Mapping[str, PromptRow]
    """By version, which is the content's hash."""
    briefs: Mapping[str, Mapping[str, Any]]
    """By hash."""
    raw: RawKept | None = None
    """What was kept of the answers of the market's server; None if nothing was."""
