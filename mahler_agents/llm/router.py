"""Stage 4, LLM calls: the models of one scan: each role asks its own, all on one budget, one gate a provider."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel

from mahler_agents.clock import Clock
from mahler_agents.errors import ConfigError
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget, Spending, Spent
from mahler_agents.llm.client import Answer, ChatClient, limits_of
from mahler_agents.llm.failures import Failure
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.past import PastCall, RecordedQuestion
from mahler_agents.llm.prices import FREE, Price, Prices, price_of
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.provider import Provider
from mahler_agents.llm.recorded import RecordedModels
from mahler_agents.llm.transport import CallContext, CallLog

R = TypeVar("R", bound=BaseModel)


class Asker(Protocol):
    """What a node asks: a client, or the models of a scan."""

    async def ask(
        self, *, role: str, prompt: Prompt, facts: Mapping[str, Any], reply: type[R], context: CallContext
    ) -> Answer[R] | Failure:
        """Return the model's reply to a brief, or why there is none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Past:
    """What a scan that is resumed has asked and heard before."""

    questions: Mapping[str, RecordedQuestion] = field(default_factory=dict[str, RecordedQuestion])
    """By span."""
    calls: Sequence[PastCall] = ()
    """All of them, those included whose process died."""


class ModelRouter:
    """Asks the endpoint of each role; an async context manager that belongs to the event loop that entered it."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        *,
        clock: Clock,
        log: CallLog,
        limits: CallLimits | None = None,
        budget: ScanBudget | None = None,
        prices: Prices | None = None,
        past: Past | None = None,
    ) -> None:
        """Put a client before each distinct endpoint of `endpoints`, which are by role.

        `limits` are those of providers: the embedded model, which answers one call at a time, keeps its own. Of a scan
        that is resumed, `past` is what the record has: no call of it is made again, and all of them are counted.
        """
        self.endpoints = endpoints
        self._past = past or Past()
        self._recorded = RecordedModels(self._past.questions, clock=clock)
        self._spending = Spending(budget or ScanBudget())
        of_model = {one.model: endpoint_price(one, prices or {}) for one in endpoints.values()}
        for call in self._past.calls:
            self._spending.book(call.bound(of_model.get(call.model)), call.used, call.dollars)
        self._clients: dict[str, ChatClient] = {}
        providers: dict[tuple[str, str, httpx2.AsyncBaseTransport | None], Provider] = {}
        of_endpoint: dict[int, ChatClient] = {}
        for role, endpoint in endpoints.items():
            if id(endpoint) not in of_endpoint:
                chosen = limits if limits is not None and endpoint.slots is None else limits_of(endpoint)
                whose = (endpoint.base_url, endpoint.api_key, endpoint.transport)
                of_endpoint[id(endpoint)] = ChatClient(
                    endpoint,
                    clock=clock,
                    log=log,
                    limits=chosen,
                    provider=providers.setdefault(whose, Provider(chosen)),
                    spending=self._spending,
                    price=endpoint_price(endpoint, prices or {}),
                )
            self._clients[role] = of_endpoint[id(endpoint)]
        self._distinct = tuple(of_endpoint.values())
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open every connection."""
        async with AsyncExitStack() as opening:
            for client in (*self._distinct, self._recorded):
                await opening.enter_async_context(client)
            self._stack = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self._stack.aclose()

    @property
    def spent(self) -> Spent:
        """What the calls that have ended took."""
        return self._spending.spent

    @property
    def budget(self) -> ScanBudget:
        """What they may take."""
        return self._spending.budget

    def set_deadline(self, deadline: float | None) -> None:
        """Set the instant, in the loop's time, after which no call goes on; None is no deadline."""
        for client in self._distinct:
            client.set_deadline(deadline)

    async def ask(
        self, *, role: str, prompt: Prompt, facts: Mapping[str, Any], reply: type[R], context: CallContext
    ) -> Answer[R] | Failure:
        """Return the reply of the role's model to a brief, or why there is none; raises as `ChatClient.ask` does."""
        return await self.asker(role).ask(role=role, prompt=prompt, facts=facts, reply=reply, context=context)

    def asker(self, name: str) -> Asker:
        """Return who asks the endpoint of this name in every role, for who has several endpoints for one role."""
        return _Asker(self._clients[name], self._past.questions, self._recorded)


@dataclass(frozen=True)
class _Asker:
    """Asks one endpoint what is not on record."""

    client: ChatClient
    questions: Mapping[str, RecordedQuestion]
    recorded: RecordedModels

    async def ask(
        self, *, role: str, prompt: Prompt, facts: Mapping[str, Any], reply: type[R], context: CallContext
    ) -> Answer[R] | Failure:
        """Return the reply to a brief, or why there is none."""
        past = self.questions.get(context.span_id)
        if past is not None and past.ended:
            return await self.recorded.ask(role=role, prompt=prompt, facts=facts, reply=reply, context=context)
        return await self.client.ask(role=role, prompt=prompt, facts=facts, reply=reply, context=context, past=past)


def check_priced(endpoints: Iterable[Endpoint], budget: ScanBudget, prices: Prices) -> None:
    """Raise ConfigError if there is a limit in dollars and a model's price is unknown: it could not be kept."""
    for endpoint in endpoints:
        if budget.max_dollars is not None and endpoint_price(endpoint, prices) is None:
            host = urlsplit(endpoint.base_url).hostname
            raise ConfigError(
                f"--max-dollars: the price of `{endpoint.model}` at {host} is unknown;"
                " enter it in a price file, named by MAHLER_PRICES, or use --max-tokens"
            )


def endpoint_price(endpoint: Endpoint, prices: Prices) -> Price | None:
    """Return what an endpoint's tokens cost, None if that is unknown; the embedded model's cost nothing."""
    if endpoint.slots is not None:
        return FREE
    return price_of(prices, base_url=endpoint.base_url, model=endpoint.model)
