"""Command line, `mahler eval run` and `retry`: prompts, models and cases in, how many answers are there out."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.progress_bar import Told, progress_bar
from mahler_agents.errors import JobError
from mahler_agents.text import count, plain, words

if TYPE_CHECKING:
    from mahler_agents.evaluation.run import EvaluationResult
    from mahler_agents.evaluation.work import Progress
    from mahler_agents.llm.attempts import CallLimits
    from mahler_agents.llm.budget import ScanBudget

F = TypeVar("F", bound=Callable[..., Any])
_SHOWN = 8


def _limits(function: F) -> F:
    """Add the options on how much and how fast is asked."""
    for option in reversed(
        (
            click.option("--max-calls", type=click.IntRange(min=0), help="LLM requests that all of it may make."),
            click.option("--max-tokens", type=click.IntRange(min=0), help="Tokens they may take, prompts included."),
            click.option("--max-dollars", type=click.FloatRange(min=0), help="Dollars they may cost, at list price."),
            click.option("--in-flight", type=click.IntRange(min=1), help="Requests at once; 16 by default."),
            click.option(
                "--requests-per-minute",
                type=click.IntRange(min=1),
                envvar="MAHLER_REQUESTS_PER_MINUTE",
                help="What one provider gets in any minute.",
            ),
        )
    ):
        function = option(function)
    return function


@click.command()
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...")
@click.option("--model", "models", multiple=True, metavar="MODEL", help="As `mahler scan` takes it; may be repeated.")
@click.option("--cases", "query", default="all", show_default=True, metavar="QUERY", help="As `mahler case list`.")
@click.option("--repeat", default=1, type=click.IntRange(min=1), metavar="K", help="Ask each of them K times.")
@_limits
@database_option
@as_json_option
def run(  # noqa: PLR0917 - click passes them by name
    prompts: tuple[str, ...],
    models: tuple[str, ...],
    query: str,
    repeat: int,
    max_calls: int | None,
    max_tokens: int | None,
    max_dollars: float | None,
    in_flight: int | None,
    requests_per_minute: int | None,
    db: Path | None,
    *,
    as_json: bool,
) -> int:
    """Ask every PROMPT with every model on the same stored briefs.

    A PROMPT is ROLE@HASH (a version on record), a file, or ROLE alone (the package's own); all are of one role.

    The same command goes on with what an interrupted one left; what was asked before, to the byte, is not asked again.
    Exit code 1: questions failed, `mahler eval retry` asks those again.
    """
    from mahler_agents.evaluation.run import evaluate

    with progress_bar("evaluation") as tell:
        result = asyncio.run(
            evaluate(
                prompts,
                cases=query,
                models=models,
                repeat=repeat,
                database=db,
                budget=_budget(max_calls, max_tokens, max_dollars),
                call_limits=_call_limits(in_flight, requests_per_minute),
                watch=_watch(tell),
            )
        )
    return _ended(result, as_json=as_json)


@click.command()
@click.argument("evaluation", metavar="[ID]", default="latest")
@_limits
@database_option
@as_json_option
def retry(  # noqa: PLR0917 - click passes them by name
    evaluation: str,
    max_calls: int | None,
    max_tokens: int | None,
    max_dollars: float | None,
    in_flight: int | None,
    requests_per_minute: int | None,
    db: Path | None,
    *,
    as_json: bool,
) -> int:
    """Ask again what failed in an evaluation, and what it did not come to; nothing else."""
    from mahler_agents.evaluation.run import retry as ask_again

    with progress_bar("evaluation") as tell:
        result = asyncio.run(
            ask_again(
                evaluation,
                database=db,
                budget=_budget(max_calls, max_tokens, max_dollars),
                call_limits=_call_limits(in_flight, requests_per_minute),
                watch=_watch(tell),
            )
        )
    return _ended(result, as_json=as_json)


def _budget(max_calls: int | None, max_tokens: int | None, max_dollars: float | None) -> "ScanBudget":
    from mahler_agents.llm.budget import ScanBudget

    return ScanBudget(max_calls=max_calls, max_tokens=max_tokens, max_dollars=max_dollars)


def _call_limits(in_flight: int | None, requests_per_minute: int | None) -> "CallLimits":
    from mahler_agents.llm.attempts import CallLimits

    usual = CallLimits()
    return CallLimits(max_in_flight=in_flight or usual.max_in_flight, requests_per_minute=requests_per_minute)


def _watch(tell: Told) -> "Callable[[Progress], None]":
    def watch(progress: "Progress") -> None:
        notes = [f"{progress.failed:,} failed"] if progress.failed else []
        notes += [f"{progress.served:,} from the record"] if progress.served else []
        tell(progress.done, progress.total, ", ".join(notes))

    return watch


def _ended(result: "EvaluationResult", *, as_json: bool) -> int:
    if as_json:
        click.echo(result.model_dump_json())
    else:
        for line in _lines(result):
            click.echo(line)
    return JobError.exit_code if result.failures else 0


def _lines(result: "EvaluationResult") -> Iterator[str]:
    from mahler_agents.telling import phrases

    again = " (gone on with)" if result.resumed else ""
    yield f"evaluation {result.id}{again}: {words(result.role)}, {count(result.cases, 'case')}" + (
        f", {result.repeats} times each" if result.repeats > 1 else ""
    )
    for one in result.variants:
        toy = " (toy)" if one["toy_model"] else ""
        yield f"  {one['variant']}  {str(one['prompt_hash'])[:_SHOWN]}  {plain(str(one['model']))}{toy}"
    expected = result.cases * result.repeats * len(result.variants)
    failed = ", ".join(f"{number:,} {words(kind)}" for kind, number in result.failures.items())
    yield f"{result.answered:,} of {count(expected, 'answer')}" + (f"; failed: {failed}" if failed else "")
    spent = result.spent
    tokens = f"{spent.prompt_tokens:,} + {spent.completion_tokens:,} tokens"
    served = f"; {count(result.served, 'answer')} served from the record" if result.served else ""
    yield f"LLM: {count(spent.calls, 'call')}, {tokens}, {phrases.cost(spent.dollars)}{served}"
    for line in result.not_read:
        yield f"left out: {plain(line)}"
    if result.failures:
        yield f"next: mahler eval retry {result.id}"
    yield f"next: mahler eval compare {result.id}"
