"""Command line: what several verbs let a user choose of the advisors: models, limits, prompts, debate."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

_MOST_DEBATE_ROUNDS = 5
"""`DeskConfig`'s own bound, without its import: `mahler scan --help` is instant."""

_OPTIONS = (
    click.option(
        "--model-for",
        "model_for",
        multiple=True,
        metavar="ROLE=MODEL",
        help="Another model for analyst, fund_manager or one analyst; may be repeated. Else MAHLER_MODEL_FOR.",
    ),
    click.option("--max-calls", metavar="N", type=click.IntRange(min=0), help="LLM requests that a scan may make."),
    click.option(
        "--max-tokens", metavar="N", type=click.IntRange(min=0), help="Tokens that they may take, prompts included."
    ),
    click.option(
        "--max-dollars",
        metavar="DOLLARS",
        type=click.FloatRange(min=0),
        help="Dollars that they may cost, at list price.",
    ),
    click.option(
        "--requests-per-minute",
        envvar="MAHLER_REQUESTS_PER_MINUTE",
        metavar="N",
        type=click.IntRange(min=1),
        help="LLM requests that one provider gets in any minute; the others wait. Else MAHLER_REQUESTS_PER_MINUTE.",
    ),
    click.option(
        "--debate-rounds",
        envvar="MAHLER_DEBATE_ROUNDS",
        metavar="N",
        type=click.IntRange(0, _MOST_DEBATE_ROUNDS),
        default=0,
        show_default=True,
        help="Rounds in which a bull and a bear argue before the fund manager decides. Else MAHLER_DEBATE_ROUNDS.",
    ),
    click.option(
        "--prompts",
        metavar="FOLDER",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Prompts to use instead of the package's.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Advisors:
    """What was chosen, as the options have it."""

    model_for: tuple[str, ...]
    max_calls: int | None
    max_tokens: int | None
    max_dollars: float | None
    requests_per_minute: int | None
    debate_rounds: int
    prompts: Path | None

    def of_desk(self) -> dict[str, Any]:
        """Return the choices as arguments of a `Desk`. Raises `InputError` or `ConfigError` for what cannot be."""
        from mahler_agents.config import config_from
        from mahler_agents.llm.attempts import CallLimits
        from mahler_agents.llm.budget import ScanBudget
        from mahler_agents.llm.roles import parse_model_for

        return {
            "model_for": parse_model_for(self.model_for),
            "budget": ScanBudget(max_calls=self.max_calls, max_tokens=self.max_tokens, max_dollars=self.max_dollars),
            "call_limits": CallLimits(requests_per_minute=self.requests_per_minute),
            "config": config_from().model_copy(update={"debate_rounds": self.debate_rounds}),
            "prompts": self.prompts,
        }


def advisors_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command these options; it gets them as one argument, `advisors`."""

    @functools.wraps(command)
    def with_advisors(**arguments: Any) -> int:
        chosen = {field.name: arguments.pop(field.name) for field in fields(Advisors)}
        return command(**arguments, advisors=Advisors(**chosen))

    for option in reversed(_OPTIONS):
        with_advisors = option(with_advisors)
    return with_advisors
