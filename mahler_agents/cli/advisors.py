"""Command line: what several verbs let a user choose of the advisors: models, limits, prompts, debate."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_KEYS = {
    "model_for": "model_for",
    "max_calls": "budget.max_calls",
    "max_tokens": "budget.max_tokens",
    "max_dollars": "budget.max_dollars",
    "requests_per_minute": "calls.requests_per_minute",
    "debate_rounds": "desk.debate_rounds",
    "prompts": "prompts",
}
"""Option to the key of `mahler.toml` that it goes before; the settings know what is allowed."""

_OPTIONS = (
    click.option(
        "--model-for",
        "model_for",
        multiple=True,
        metavar="ROLE=MODEL",
        help="Another model for analyst, fund_manager or one analyst; may be repeated.",
    ),
    click.option("--max-calls", metavar="N", type=int, help="LLM requests that a scan may make."),
    click.option("--max-tokens", metavar="N", type=int, help="Tokens that they may take, prompts included."),
    click.option("--max-dollars", metavar="DOLLARS", type=float, help="Dollars that they may cost, at list price."),
    click.option(
        "--requests-per-minute",
        metavar="N",
        type=int,
        help="LLM requests that one provider gets in any minute; the others wait.",
    ),
    click.option(
        "--debate-rounds",
        metavar="N",
        type=int,
        help="Rounds in which a bull and a bear argue before the fund manager decides; else none.",
    ),
    click.option(
        "--prompts",
        metavar="FOLDER",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Prompts to use instead of the package's.",
    ),
)


def advisors_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command these options; it gets them as one argument, `advisors`, as `Settings.load` takes options."""

    @functools.wraps(command)
    def with_advisors(**arguments: Any) -> int:
        chosen = {key: arguments.pop(option) for option, key in _KEYS.items()}
        if chosen["model_for"]:
            from mahler_agents.llm.roles import parse_model_for

            chosen["model_for"] = parse_model_for(chosen["model_for"])
        else:
            chosen["model_for"] = None
        return command(**arguments, advisors=chosen)

    for option in reversed(_OPTIONS):
        with_advisors = option(with_advisors)
    return with_advisors
