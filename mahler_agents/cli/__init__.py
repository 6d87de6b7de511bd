"""Command line: the `mahler` verbs, and the one place where an error becomes a line and an exit code.

Verbs are imported when they are called, so that `mahler --help` starts at once.
"""

from collections.abc import Sequence

import click

from mahler_agents import __version__
from mahler_agents.cli.groups import LazyGroup
from mahler_agents.cli.logging import log_options
from mahler_agents.cli.outlet import outlets
from mahler_agents.cli.program import typable
from mahler_agents.errors import JobError, MahlerError
from mahler_agents.text import plain

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

VERBS = {
    "init": "Write a commented mahler.toml, and the prompts for editing.",
    "config show": "Show every setting, and where its value is from.",
    "scan": "Screen the market, hear the analysts, trade by the rules.",
    "monitor": "Mark open positions; close those that an exit rule says to.",
    "run": "Scan, monitor and sum up on schedule, until told to stop.",
    "schedule": "Show what runs when, and why nothing does.",
    "status": "Show where the desk stands, live on a terminal.",
    "positions": "Show open positions with their last marks.",
    "exits": "Show where each open position takes profit or stops.",
    "reconcile": "Hold the ledger against the broker; explain each difference.",
    "halt": "Open nothing more, from now on; exits go on.",
    "unhalt": "End a halt, after showing what it was.",
    "summary": "Show what one trading day brought.",
    "verify": "Check from the record whether the desk did what it should.",
    "report": "Show what an account earned and why; draw its equity curve.",
    "evidence": "Show whether the advice was worth anything, with intervals.",
    "deposit": "Pay money into a paper account, or take it out.",
    "simulate": "Scan and monitor over a span of a market's days.",
    "doctor": "Look at everything that a desk needs, before a scan does.",
    "trace list": "List the recorded runs, newest first.",
    "trace show": "Show one run: nodes, prompts, opinions, failures, orders.",
    "trace diff": "Show what differs between two runs.",
    "trace tail": "Tell what is recorded as it happens.",
    "trace export": "Write one run as a page for a browser.",
    "prompt list": "List the versions, and how replies keep to their briefs.",
    "prompt show": "Print a version's text.",
    "prompt render": "Fill a prompt from a stored brief.",
    "prompt diff": "Show in which lines two prompts differ.",
    "prompt check": "Check a prompt file: form, examples, length, bias.",
    "prompt history": "Show one role's versions in the order of their first use.",
    "case list": "List the stored briefs: by analyst, date, outcome, tag.",
    "case add": "Add one case from a brief of your own.",
    "case tag": "Give cases a tag.",
    "case export": "Write cases as JSON Lines.",
    "case import": "Add the cases of such a file: all, or none.",
    "eval run": "Ask variants of a prompt on the same stored briefs.",
    "eval retry": "Ask again what failed in an evaluation.",
    "eval list": "List the evaluations, newest first.",
    "eval show": "Show one evaluation, or what it heard of one case.",
    "eval compare": "Tell whether two variants differ: paired, corrected.",
    "replay": "Ask a recorded run's advisors again, or check their replies.",
    "data backfill": "Solve past implied volatilities from bars of options.",
    "db path": "Print the record's file.",
    "db backup": "Copy the record, also while a scan writes to it.",
    "db check": "Look for damage in the record.",
    "db prune": "Drop the bulk of old runs: requests, replies, snapshots.",
    "model install": "Put the embedded model where a scan finds it.",
    "model path": "Print the embedded model's file.",
    "notify test": "Send a message to every channel of notifications.",
    "fake-alpaca": "Serve an Alpaca on this machine over the synthetic market.",
}
"""Verb to the line that `mahler --help` shows; its first word is a module here and the command in it."""


class _Verbs(LazyGroup):
    """The program's own group."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write every verb with its line, without importing one."""
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


def _place(command: str) -> str:
    name = command.replace("-", "_")
    return f"mahler_agents.cli.{name}:{name}"


@click.group(
    cls=_Verbs,
    members={verb.split()[0]: _place(verb.split()[0]) for verb in VERBS},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExit codes: 0 done; 1 the job failed; 2 bad input or unknown id; 3 halted; 130 interrupted.\n"
    "Settings: mahler.toml in this folder, or the file that MAHLER_CONFIG names, and MAHLER_... variables;\n"
    "`mahler config show` tells which are in force. Keys: OPENAI_API_KEY (OPENAI_BASE_URL for another\n"
    "provider), APCA_API_KEY_ID and APCA_API_SECRET_KEY. Also NO_COLOR, and MAHLER_CLOCK_URL for a fake Alpaca.",
)
@log_options
@click.version_option(__version__, message="%(prog)s %(version)s")
def mahler() -> None:
    """A desk for option credit spreads: LLM analysts advise, rules trade, everything is recorded."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 failed, 2 bad input, 3 halted, 130 interrupted.

    Every error that is meant for the user is one line on stderr; any other keeps its traceback.
    """
    with outlets() as out:
        code = _run(arguments)
        out.flush()
        if out.error is not None and not isinstance(out.error, BrokenPipeError):
            return _refuse(f"cannot write the output: {out.error.strerror}", JobError.exit_code)
        return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        returned = mahler.main(args=arguments, prog_name="mahler", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _refuse(_usage(error), error.exit_code)
    except MahlerError as error:
        return _refuse(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _refuse("interrupted", INTERRUPTED)
    # Click hands back the code of an early exit, such as that of --help, or what the verb returned: nothing.
    return returned if isinstance(returned, int) else 0


def _usage(error: click.ClickException) -> str:
    """Return what is wrong with the command line and where help is."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    where = f" (see `{context.command_path} --help`)" if context else ""
    return f"{error.format_message().rstrip('.')}{where}"


def _refuse(message: str, code: int) -> int:
    from mahler_agents.redaction import Redactor  # only where something is refused

    click.echo(f"mahler: {plain(typable(Redactor.of()(message)))}", err=True)
    return code
