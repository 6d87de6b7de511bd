"""Stage 4, LLM calls: what one scan may spend and has spent; reserved before a call, so that all at once keep to it."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from mahler_agents.llm.failures import FailureKind
from mahler_agents.llm.prices import Price
from mahler_agents.llm.replies import Fault
from mahler_agents.llm.transport import Exchange
from mahler_agents.types import Frozen


class ScanBudget(Frozen):
    """The most that the LLM calls of one scan may take; None is no limit."""

    max_calls: Annotated[int, Field(ge=0)] | None = None
    """HTTP requests, retries and repairs included."""
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    """Prompt and completion tokens together."""
    max_dollars: Annotated[float, Field(ge=0)] | None = None
    """US dollars at list price; with this limit no call is made to a model whose price is unknown."""


class Spent(Frozen):
    """What the LLM calls of one scan took."""

    calls: int = 0
    """HTTP requests, retries and repairs included."""
    prompt_tokens: int = 0
    """As far as the provider counted them."""
    completion_tokens: int = 0
    dollars: float | None = 0.0
    """At list price; None if that of any call is unknown."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The most that one call can take."""

    tokens: int
    dollars: float | None
    """None if the price is unknown."""

    @classmethod
    def of(cls, *, prompt_bytes: int, max_tokens: int, price: Price | None) -> "Bound":
        """Return the bound of a call: no tokenizer makes more tokens of a text than it has bytes."""
        dollars = None if price is None else price.cost(prompt_bytes, max_tokens)
        return cls(tokens=prompt_bytes + max_tokens, dollars=dollars)


class Spending:
    """Keeps the account of one scan's calls against its budget.

    A call whose bound does not fit beside the calls in flight waits for those to end, since they mostly take less than
    they might; one that does not fit even then is refused.
    """

    def __init__(self, budget: ScanBudget) -> None:
        self.budget = budget
        self._calls = 0
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._dollars: float | None = 0.0
        self._charged = Bound(tokens=0, dollars=0.0)
        """What has been spent as far as the budget goes: where that is unknown, the most that it can have been."""
        self._held: list[Bound] = []
        self._freed = asyncio.Event()

    @property
    def spent(self) -> Spent:
        """What the calls that have ended took."""
        return Spent(
            calls=self._calls,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            dollars=self._dollars,
        )

    async def reserve(self, bound: Bound) -> Fault | None:
        """Hold what a call may take, or return why it must not be made."""
        while (refusal := self._refusal(bound, self._held)) is not None:
            if (lasting := self._refusal(bound, [])) is not None or not self._held:
                return Fault(kind=FailureKind.BUDGET, detail=lasting or refusal, unsent=True)
            await self._freed.wait()
        self._held.append(bound)
        return None

    def settle(self, bound: Bound, exchange: Exchange) -> None:
        """Book what a call took in place of what was held for it; nothing if it was not sent."""
        self._held.remove(bound)
        if exchange.sent:
            self.book(bound, exchange.tokens, exchange.cost_dollars)
        # Everyone who waits looks again, in the order in which they came.
        self._freed.set()
        self._freed = asyncio.Event()

    def book(self, bound: Bound, used: tuple[int, int] | None, cost: float | None) -> None:
        """Book a call that was made: the prompt and completion tokens that it used, and dollars; None is unknown."""
        self._calls += 1
        prompt, completion = used or (None, None)
        self._prompt_tokens += prompt or 0
        self._completion_tokens += completion or 0
        self._dollars = None if cost is None or self._dollars is None else self._dollars + cost
        tokens = bound.tokens if prompt is None or completion is None else prompt + completion
        dollars = bound.dollars if cost is None else cost
        self._charged = Bound(
            tokens=self._charged.tokens + tokens, dollars=(self._charged.dollars or 0.0) + (dollars or 0.0)
        )

    def _refusal(self, bound: Bound, held: list[Bound]) -> str | None:
        """Return which limit a call would exceed beside those held, None if it fits."""
        budget = self.budget
        if budget.max_calls is not None and self._calls + len(held) >= budget.max_calls:
            return f"the scan's {budget.max_calls:,} calls are spent"
        if budget.max_tokens is not None:
            left = budget.max_tokens - self._charged.tokens - sum(one.tokens for one in held)
            if bound.tokens > left:
                limit, most = f"{budget.max_tokens:,}", f"{bound.tokens:,}"
                return f"{max(0, left):,} of the scan's {limit} tokens are left; the call may take {most}"
        if budget.max_dollars is not None:
            if bound.dollars is None:
                return "the price of this model is unknown, and the scan has a limit in dollars; see MAHLER_PRICES"
            left = budget.max_dollars - (self._charged.dollars or 0.0) - sum(one.dollars or 0.0 for one in held)
            if bound.dollars > left:
                limit = f"{budget.max_dollars:g}"
                return f"${max(0.0, left):.4f} of the scan's ${limit} are left; the call may take ${bound.dollars:.4f}"
        return None
