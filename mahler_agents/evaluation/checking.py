"""Evaluation: a prompt in, what is right with it out, or the first thing that is not, as one line."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from mahler_agents.analysts.base import Brief
from mahler_agents.errors import ConfigError
from mahler_agents.evaluation.bias import biased_instructions
from mahler_agents.llm.prompts import Prompt

CHARACTERS_PER_TOKEN = 4.0
"""Of English text, near enough, with the tokenizers of large models: there is none here to ask."""


_PLAUSIBLE = (1.5, 8.0)


@dataclass(frozen=True, kw_only=True)
class TokenRate:
    """How many characters a token has, and where that is from."""

    characters: float = CHARACTERS_PER_TOKEN
    counted: str = "at 4 characters a token: no call of this role is on record"


@dataclass(frozen=True, kw_only=True)
class PromptCheck:
    """A prompt that is in order."""

    role: str
    hash: str
    path: str
    variables: int
    examples: int
    constant_tokens: int
    """Of the system part and the worked examples, which a provider's prefix cache can hold."""
    user_tokens: int
    """Of the user part: filled from a brief if there was one, else from the first example."""
    max_reply_tokens: int
    counted: str
    """How tokens were counted."""
    filled_from: str
    """What filled the user part."""


def rate_of(model: str, calls: Sequence[tuple[int, int]]) -> TokenRate:
    """Return the rate that recorded calls of one model had: characters of the messages and prompt tokens of each."""
    tokens = sum(count for _, count in calls)
    if not tokens:
        return TokenRate()
    rate = sum(characters for characters, _ in calls) / tokens
    if not _PLAUSIBLE[0] <= rate <= _PLAUSIBLE[1]:  # a scripted model says what it likes
        return TokenRate(counted=f"at 4 characters a token: {model} counted {rate:.2f}, which no tokenizer does")
    told = "call" if len(calls) == 1 else f"{len(calls)} calls"
    return TokenRate(
        characters=rate, counted=f"at {rate:.2f} characters a token, as {model} counted in {told} on record"
    )


def check(prompt: Prompt, brief: Brief | None, rate: TokenRate) -> PromptCheck:
    """Return what a prompt is, read and checked against its role before (`prompt_of`).

    Raises `ConfigError` if it holds an instruction that biases the forecast, or does not render with the brief.
    """
    for found in biased_instructions(prompt):
        raise ConfigError(f'{prompt.path}: "{found.words}" biases the forecast: {found.why}; take it out')
    facts, source = _facts(prompt, brief)
    if facts is None:
        constant, user = len(prompt.system), len(prompt.user)
    else:
        *opening, last = prompt.messages(facts)
        constant, user = sum(len(one["content"]) for one in opening), len(last["content"])
    return PromptCheck(
        role=prompt.name,
        hash=prompt.content_hash,
        path=prompt.path,
        variables=len(prompt.front.variables),
        examples=len(prompt.front.examples),
        constant_tokens=ceil(constant / rate.characters),
        user_tokens=ceil(user / rate.characters),
        max_reply_tokens=prompt.front.max_tokens,
        counted=rate.counted,
        filled_from=source,
    )


def _facts(prompt: Prompt, brief: Brief | None) -> tuple[dict[str, object] | None, str]:
    if brief is not None:
        return brief.facts(), f"case {brief.content_hash[:8]}"
    if prompt.front.examples:
        return prompt.front.examples[0].brief, "the first worked example"
    return None, "nothing: the template itself was measured"
