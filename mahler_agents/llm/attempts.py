"""Stage 4, LLM calls: how long, how often and how many at once; tenacity is the one owner of retries."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field
from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from mahler_agents.llm.failure_kinds import RETRYABLE
from mahler_agents.llm.replies import Fault
from mahler_agents.types import Frozen

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0)]


class CallLimits(Frozen):
    """What one role's question may cost in time and requests."""

    max_in_flight: Count = 16
    """Requests at once; a wait for the next attempt holds no place."""
    attempt_seconds: Annotated[float, Field(gt=0)] = 45.0
    """From sending a request to the last byte of its response."""
    max_attempts: Count = 3
    """Requests for one question; a repair has as many again."""
    backoff_seconds: Seconds = 0.5
    """Longest wait before the second attempt; it doubles with each, and chance takes a share of it."""
    max_backoff_seconds: Seconds = 8.0
    """The longest that this wait grows."""
    max_retry_after_seconds: Seconds = 30.0
    """A provider that asks for a longer wait is asked again after this one."""
    requests_per_minute: Count | None = None
    """Of all roles that ask the same provider; None is no limit."""
    outage_failures: Count = 5
    """Time-outs, server errors and broken connections in a row after which a provider is out and not asked."""
    outage_seconds: Seconds = 30.0
    """So often one call goes out to see whether it is back."""

    @classmethod
    def embedded(cls) -> "CallLimits":
        """Return the limits for the embedded model: one at a time, patient, since a busy machine slows it tenfold."""
        return cls(max_in_flight=1, attempt_seconds=120.0)


def retrying(limits: CallLimits, *, seed: int, deadline: Callable[[], float | None]) -> AsyncRetrying:
    """Return what repeats an attempt that ended in a retryable `Fault`, and hands back the last one's result.

    Exponential backoff with full jitter, or the provider's Retry-After if that is longer. An attempt that could only
    begin after the deadline is not waited for.
    """
    chance = np.random.default_rng(seed)

    def wait(state: RetryCallState) -> float:
        ceiling = min(limits.max_backoff_seconds, limits.backoff_seconds * 2 ** (state.attempt_number - 1))
        asked = _fault(state).retry_after or 0.0
        return max(float(chance.uniform(0, ceiling)), min(asked, limits.max_retry_after_seconds))

    def stop(state: RetryCallState) -> bool:
        until = deadline()
        too_late = until is not None and asyncio.get_running_loop().time() + state.upcoming_sleep >= until
        return too_late or state.attempt_number >= limits.max_attempts

    return AsyncRetrying(
        retry=retry_if_result(_worth_another),
        wait=wait,
        stop=stop,
        sleep=asyncio.sleep,
        retry_error_callback=_fault,
    )


def _worth_another(result: object) -> bool:
    return isinstance(result, Fault) and result.kind in RETRYABLE and not result.unsent


def _fault(state: RetryCallState) -> Fault:
    assert state.outcome is not None  # noqa: S101 - tenacity calls this after an attempt, never before
    return state.outcome.result()
