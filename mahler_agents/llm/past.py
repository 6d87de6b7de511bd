"""Stage 4, LLM calls: what the record holds of one question: its attempts, which answer in the network's place.

A question that has ended is served whole (`recorded.py`). Of one that a process left when it died, the attempts that
had ended are served, and what follows them is really sent, under numbers that no attempt has had.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2

from mahler_agents.errors import RecordError
from mahler_agents.llm.budget import Bound
from mahler_agents.llm.failures import RETRYABLE, Failure, FailureKind
from mahler_agents.llm.prices import Price
from mahler_agents.llm.transport import CallOutcome, Exchange, current_exchange


class MissError(RecordError):
    """A request that the record does not have; the message says whose it is and what differs."""


class EndedError(RecordError):
    """The question ended here, as the record says, whatever had been heard of it: by the deadline, or by a defect."""


@dataclass(frozen=True, kw_only=True)
class RecordedAttempt:
    """One HTTP attempt as the record holds it."""

    model: str
    """As asked for."""
    prompt_hash: str
    brief_hash: str | None
    request: str
    """The body."""
    outcome: CallOutcome
    http_status: int | None
    response: str | None
    error: str | None
    """Class and words of what broke the call."""


@dataclass(frozen=True, kw_only=True)
class RecordedQuestion:
    """What one role was asked about one candidate, and how that ended."""

    whose: str
    """The role and the candidate, as an error names them."""
    attempts: Mapping[int, RecordedAttempt]
    """Those that ended, by number from 1; one that timed out before its request left is not there."""
    abandoned: int = 0
    """Attempts whose process died before they ended: they have taken numbers, and are not counted in `attempts`."""
    ended: bool = True
    """Whether it was answered or failed; else its process died over it."""
    failure: Failure | None = None
    """How it ended; None with an answer."""

    @property
    def last(self) -> int:
        """Number of the last attempt that ended, 0 if there was none."""
        return max(self.attempts, default=0)

    def miss(self, why: str) -> MissError:
        """Return the error of a request that the record does not have."""
        return MissError(f"{self.whose}: not in the record: {why}")

    def serve(self, number: int, content: bytes) -> httpx2.Response:
        """Return, or raise, what an attempt came to; the request's body must be the recorded one, else `MissError`."""
        exchange, attempt = current_exchange.get(), self.attempts.get(number)
        if attempt is not None and (what := _difference(attempt, exchange, content)) is not None:
            raise self.miss(what)
        if attempt is None or attempt.outcome == "cancelled":
            exchange.defect = TimeoutError("recorded")  # not the network's: our own patience ended
            raise exchange.defect
        if attempt.error is not None and self._broken_by_a_defect(attempt.error):
            raise EndedError(attempt.error)
        if attempt.outcome == "broken" or attempt.http_status is None:
            raise self._broken(attempt.error or "", number)
        return httpx2.Response(
            attempt.http_status,
            headers={"content-type": "application/json"},
            content=(attempt.response or "").encode(),
        )

    def _broken_by_a_defect(self, error: str) -> bool:
        """Return whether it was no network that broke an attempt, but our own code of that day."""
        ended = self.failure
        return ended is not None and ended.kind is FailureKind.INTERNAL and error == ended.detail

    def _broken(self, error: str, number: int) -> httpx2.TransportError:
        """Return the error that broke a connection, with the cause that the failure quotes if it was the last."""
        name, _, words = error.partition(": ")
        kind = getattr(httpx2, name, None)
        broken = kind(words) if isinstance(kind, type) and issubclass(kind, httpx2.TransportError) else None
        broken = broken or httpx2.NetworkError(words)
        ended = self.failure
        quoted = ended.detail if ended and ended.kind in RETRYABLE and number == self.last else error
        cause, _, said = quoted.partition(":")
        broken.__cause__ = type(cause, (Exception,), {})(said.strip())
        return broken

    def number_of(self, tried: int) -> int:
        """Return the number under which an attempt is recorded: it is the `tried`-th, from 1, of those with an end."""
        return tried if tried <= self.last else tried + self.abandoned

    def answer_to(self, tried: int) -> "ServedAttempt | None":
        """Return what answers the `tried`-th attempt in the network's place; None if it must be sent."""
        return ServedAttempt(self, tried) if tried <= self.last else None


@dataclass(frozen=True, kw_only=True)
class PastCall:
    """What a call of the past took of the budget."""

    model: str
    """As asked for."""
    request: str
    """The body."""
    used: tuple[int, int] | None
    """Prompt and completion tokens; None if the provider did not say."""
    dollars: float | None
    """At list price; None is unknown."""

    def bound(self, price: Price | None) -> Bound:
        """Return the most that it can have taken."""
        body = json.loads(self.request)
        most = body.get("max_completion_tokens") or body.get("max_tokens") or 0
        return Bound.of(prompt_bytes=len(self.request.encode()), max_tokens=most, price=price)


class ServedAttempt(httpx2.AsyncBaseTransport):
    """Sends nothing: the record answers one attempt."""

    def __init__(self, question: RecordedQuestion, number: int) -> None:
        self._question = question
        self._number = number

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return or raise what the attempt came to."""
        return self._question.serve(self._number, request.content)


def _difference(attempt: RecordedAttempt, exchange: Exchange, content: bytes) -> str | None:
    """Return in what a request is not the recorded one, None if it is; how JSON is spelled is no difference."""
    sent = content.decode("utf-8", "replace")
    if sent == attempt.request:
        return None
    new, old = json.loads(sent), json.loads(attempt.request)
    if new == old:
        return None
    if exchange.prompt_hash != attempt.prompt_hash:
        return f"the prompt differs ({attempt.prompt_hash[:8]} then, {exchange.prompt_hash[:8]} now)"
    if exchange.context.brief_hash != attempt.brief_hash:
        return f"the brief differs ({(attempt.brief_hash or 'none')[:8]} then, {exchange.context.brief_hash[:8]} now)"
    fields = [name for name in {**old, **new} if new.get(name) != old.get(name)]
    named = ", ".join("the schema of the reply" if name == "response_format" else name for name in fields)
    return f"the request differs in {named}"
