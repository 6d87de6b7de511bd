"""Command line, `mahler replay`: asks a recorded run's advisors again; shows what they said and say, side by side."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.errors import InputError, JobError

if TYPE_CHECKING:
    from mahler_agents.replay import ReplayChoice, ReplayResult


@click.command()
@click.argument("run", metavar="[RUN]", default="latest")
@click.option("--failed", is_flag=True, help="Only what failed, then the stages after it.")
@click.option(
    "--analyst", "roles", multiple=True, metavar="ROLE", help="Only this role, fund_manager too; may be repeated."
)
@click.option(
    "--candidate", "ranks", multiple=True, type=click.IntRange(min=1), metavar="N", help="Only this candidate, by rank."
)
@click.option("--downstream", is_flag=True, help="Also the stages after it, with the new answers.")
@click.option("--exact", is_flag=True, help="Serve the recorded bytes; no request is made and nothing written.")
@click.option(
    "--prompt",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A prompt in place of the recorded one of the role that its front matter names.",
)
@click.option("--model", metavar="MODEL", help="As `mahler scan` takes it; else the model that each role had asked.")
@click.option("--model-for", "model_for", multiple=True, metavar="ROLE=MODEL", help="Another model for one role.")
@click.option("--repeat", type=click.IntRange(min=1), metavar="K", help="Ask K times; shows how the answers spread.")
@click.option("--max-calls", type=int, help="LLM requests that all of it may make.")
@click.option("--max-tokens", type=int, help="Tokens that they may take, prompts included.")
@click.option("--max-dollars", type=float, help="Dollars that they may cost, at list price.")
@database_option
@as_json_option
def replay(
    *,
    run: str,
    failed: bool,
    roles: tuple[str, ...],
    ranks: tuple[int, ...],
    downstream: bool,
    exact: bool,
    prompt: Path | None,
    model: str | None,
    model_for: tuple[str, ...],
    repeat: int | None,
    max_calls: int | None,
    max_tokens: int | None,
    max_dollars: float | None,
    db: Path | None,
    as_json: bool,
) -> int:
    """Ask the advisors of a recorded run again, on the briefs that they had.

    RUN is a run's id, the beginning of one, or `latest`, the newest scan. What is heard is recorded as a run of its
    own, in retrospect: it never counts as advice, and nothing is traded. With --exact the record itself replies.
    Exit code 1: a replayed call failed again, or an exact replay differs.
    """
    from mahler_agents.replay import ReplayChoice  # seconds of imports: only once the command line is understood

    choice = ReplayChoice(failed=failed, roles=roles, ranks=ranks, downstream=downstream)
    if exact:
        _check_exact(model, model_for, repeat, (max_calls, max_tokens, max_dollars))
        result = _exactly(run, choice, prompt, db)
    else:
        limits = {"budget.max_calls": max_calls, "budget.max_tokens": max_tokens, "budget.max_dollars": max_dollars}
        result = _again(run, choice, prompt, db, model=model, model_for=model_for, repeat=repeat or 1, limits=limits)
    if as_json:
        click.echo(result.model_dump_json())
    else:
        from mahler_agents.cli.replay_text import replay_lines

        for line in replay_lines(result):
            click.echo(line)
    return 0 if result.succeeded else JobError.exit_code


def _check_exact(
    model: str | None, model_for: tuple[str, ...], repeat: int | None, limits: tuple[float | None, ...]
) -> None:
    given = {"--model": model, "--model-for": model_for or None, "--repeat": repeat}
    for name, value in {**given, "the --max options": next((one for one in limits if one is not None), None)}.items():
        if value is not None:
            raise InputError(f"--exact asks nobody: leave out {name}")


def _exactly(run: str, choice: "ReplayChoice", prompt: Path | None, db: Path | None) -> "ReplayResult":
    from mahler_agents.replay import replay_exactly

    return asyncio.run(replay_exactly(run, choice=choice, prompt=prompt, database=db))


def _again(
    run: str,
    choice: "ReplayChoice",
    prompt: Path | None,
    db: Path | None,
    *,
    model: str | None,
    model_for: tuple[str, ...],
    repeat: int,
    limits: dict[str, float | None],
) -> "ReplayResult":
    from mahler_agents.llm.roles import parse_model_for
    from mahler_agents.replay import replay as ask_again
    from mahler_agents.settings import Settings

    settings = Settings.load(limits)
    return asyncio.run(
        ask_again(
            run,
            choice=choice,
            prompt=prompt,
            model=model,
            model_for=parse_model_for(model_for),
            repeat=repeat,
            budget=settings.budget,
            call_limits=settings.calls,
            database=db,
            environ=settings.environ,
        )
    )
