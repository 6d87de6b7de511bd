"""Doctor, model: one tiny call to each model that a role asks; of the embedded one that its file is the right one."""

import asyncio
import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import urlsplit

from mahler_agents.analysts.base import StrictReply
from mahler_agents.clock import SystemClock
from mahler_agents.doctor.findings import Said, fail, ok, skipped, warn
from mahler_agents.doctor.situation import Situation
from mahler_agents.errors import ConfigError, MahlerError
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget, Spending
from mahler_agents.llm.connection import Connection
from mahler_agents.llm.failure_kinds import ACTIONS, FailureKind
from mahler_agents.llm.install import SMOLLM2, embedded_model_path, models_dir
from mahler_agents.llm.models import Endpoint, ModelSpec, openai_endpoint
from mahler_agents.llm.prices import Prices, load_prices
from mahler_agents.llm.prompts import parse_prompt
from mahler_agents.llm.provider import Provider
from mahler_agents.llm.replies import Fault, read_reply
from mahler_agents.llm.roles import Choice
from mahler_agents.llm.router import check_priced, endpoint_price
from mahler_agents.llm.transport import CallContext, Exchange, NullCallLog

_ROLE = "doctor"
_TINY = parse_prompt(
    """---
name: doctor
description: The smallest question that has an answer of a known form.
model_role: analyst
temperature: 0
max_tokens: 64
variables: []
examples: []
---
# System
Reply in JSON, nothing else.
# User
Are you there?
""",
    path="the doctor's own prompt",
)
_CONTEXT = CallContext(run_id=_ROLE, candidate_id=_ROLE, span_id=_ROLE, brief_hash=_ROLE)
_HASTE_SECONDS = 1.0
"""A call ends so long before its check is given up: how it ended is told then."""
_REACHED = frozenset({FailureKind.RATE_LIMITED, FailureKind.TRUNCATED})
"""Faults of a model that is there, and takes the key."""


class _Reply(StrictReply):
    here: bool


class _Asked(NamedTuple):
    """A model, and the roles that ask it."""

    choice: Choice
    roles: list[str]


def choices(situation: Situation) -> Sequence[Said]:
    """Which models are asked, and what their tokens cost.

    Warn: a price is unknown.
    Fail: there is no such model or role, or `--max-dollars` is set and a price is unknown.
    """
    try:
        chosen = _chosen(situation)
        prices = load_prices(situation.environ)
        endpoints = [endpoint for endpoint, _ in _providers(chosen, situation)]
        check_priced(endpoints, situation.budget, prices)
    except MahlerError as error:
        return [fail(str(error), fix=_FIX_OF_CHOICE)]
    if not chosen:
        return [skipped("no model is asked: rules only")]
    unknown = [one.model for one in endpoints if endpoint_price(one, prices) is None]
    shown = "; ".join(f"{_name(choice)} for {', '.join(roles)}" for choice, roles in chosen)
    if unknown:
        return [
            warn(
                f"{shown}; the price of {', '.join(dict.fromkeys(unknown))} is unknown",
                fix="enter it in a file that MAHLER_PRICES names; without it a scan is bounded by --max-tokens only",
            )
        ]
    return [ok(shown)]


_FIX_OF_CHOICE = "choose another with --model, --model-for, MAHLER_MODEL or MAHLER_MODEL_FOR, or set what it needs"


def embedded(situation: Situation) -> Sequence[Said]:
    """The embedded model's file and its server, where a role asks it.

    Fail: either is missing, or the file is not the one that was published.
    """
    return [_embedded(choice, situation) for choice in _local(situation)]


def _embedded(spec: ModelSpec, situation: Situation) -> Said:
    if find_spec("xllamacpp") is None:
        return fail("the embedded model's server is missing", fix="pip install 'mahler-agents[local]'")
    if spec.path is not None:
        return ok(f"{spec.path} is there, {spec.path.stat().st_size / 1e6:,.0f} MB; its server is installed")
    try:
        path = embedded_model_path(directory=models_dir(situation.environ))
    except ConfigError as error:
        return fail(str(error), fix="mahler model install")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SMOLLM2.sha256:
        return fail(
            f"{path} has SHA-256 {found[:12]}..., expected {SMOLLM2.sha256[:12]}...",
            fix=f"rm {path}; mahler model install",
        )
    return ok(f"{path.name} is there and whole; its server is installed. It is a toy: its opinions are worth nothing")


async def reachable(situation: Situation) -> Sequence[Said]:
    """Whether each provider's model answers one tiny call, in the form that is asked for; with what that cost.

    Warn: it asks to wait, or is cut short at 64 tokens.
    Fail: it cannot be reached, refuses the key, has no such model, does not answer in time or in the form.
    """
    prices = load_prices(situation.environ)
    asked = _providers(_chosen(situation), situation)
    return await asyncio.gather(*(_ask(endpoint, roles, situation, prices) for endpoint, roles in asked))


async def _ask(endpoint: Endpoint, roles: Sequence[str], situation: Situation, prices: Prices) -> Said:
    seconds = max(0.05, situation.patience_seconds - _HASTE_SECONDS)
    limits, spending = CallLimits(attempt_seconds=seconds, max_attempts=1), Spending(ScanBudget())
    connection = Connection(
        endpoint,
        clock=SystemClock(),
        log=NullCallLog(),
        limits=limits,
        provider=Provider(limits),
        spending=spending,
        price=endpoint_price(endpoint, prices),
    )
    exchange = Exchange(context=_CONTEXT, role=_ROLE, attempt=1, model=endpoint.model, prompt_hash=_TINY.content_hash)
    began = situation.stopwatch()
    async with connection:
        request = connection.request(_ROLE, _TINY, _Reply)
        heard = await connection.send(request, _TINY.messages({}), exchange)
    took = situation.stopwatch() - began
    if not isinstance(heard, Fault):
        read = read_reply(heard.content or "", _Reply)
        heard = read if isinstance(read, Fault) else heard
    whose = f"{endpoint.model} at {urlsplit(endpoint.base_url).netloc} (for {', '.join(roles)})"
    if isinstance(heard, Fault):
        return _of_fault(whose, heard)
    spent = spending.spent
    cost = "at an unknown price" if spent.dollars is None else f"${spent.dollars:.6f}"
    tokens = spent.prompt_tokens + spent.completion_tokens
    return ok(f"{whose} answers in {took:.1f} s, in the form asked for: {tokens} tokens, {cost}")


def _of_fault(whose: str, fault: Fault) -> Said:
    text, fix = f"{whose}: {fault.kind}: {fault.detail}", ACTIONS[fault.kind]
    return warn(text, fix=fix) if fault.kind in _REACHED else fail(text, fix=fix)


def asks_provider(situation: Situation) -> bool:
    """Return whether a role asks a model over the network; true if that is not known."""
    try:
        return len(_chosen(situation)) > len(_local(situation))
    except MahlerError:
        return True


def asks_embedded(situation: Situation) -> bool:
    """Return whether a role asks a model on this machine, in this program."""
    try:
        return bool(_local(situation))
    except MahlerError:
        return False


def _chosen(situation: Situation) -> Sequence[_Asked]:
    """Return the models that are asked, each once, and for which roles; none if the desk asks nobody."""
    models = situation.models
    models.check(situation.panel)
    if models.spec.kind == "none":
        return []
    found: dict[int | ModelSpec, _Asked] = {}
    for role, choice in models.chosen(situation.panel_prompts).items():
        key = choice if isinstance(choice, ModelSpec) else id(choice)
        found.setdefault(key, _Asked(choice, [])).roles.append(role)
    return list(found.values())


def _local(situation: Situation) -> Sequence[ModelSpec]:
    asked = (one.choice for one in _chosen(situation))
    return [choice for choice in asked if isinstance(choice, ModelSpec) and choice.kind == "local"]


def _providers(asked: Sequence[_Asked], situation: Situation) -> Sequence[tuple[Endpoint, Sequence[str]]]:
    """Return the endpoints of the models at a provider, and for which roles. Raises `ConfigError` without a key."""
    return [
        (choice if isinstance(choice, Endpoint) else openai_endpoint(choice, situation.environ), roles)
        for choice, roles in asked
        if isinstance(choice, Endpoint) or choice.kind != "local"
    ]


def _name(choice: Choice) -> str:
    return choice.model if isinstance(choice, Endpoint) else str(choice)
