"""Command line, `mahler fake-alpaca`: an Alpaca on this machine over the synthetic market, to try everything on."""

import datetime as dt
import shlex
import signal
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from mahler_agents.cli.deposit import Dollars, Time
from mahler_agents.cli.program import program
from mahler_agents.errors import InputError
from mahler_agents.text import instant


@click.command(name="fake-alpaca")
@click.option(
    "--port", default=0, type=click.IntRange(0, 65535), help="Where it listens; 0, the default, is any free one."
)
@click.option("--seed", type=click.IntRange(min=0), help="Of the synthetic market: another seed is another world.")
@click.option("--start", type=Time(), metavar="TIME", help="The first instant of its clock, New York's unless it says.")
@click.option("--cash", type=Dollars(), metavar="DOLLARS", default="100000", show_default=True, help="Of its account.")
@click.option("--latency", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Before every answer.")
@click.option("--partial-fills", is_flag=True, help="Let orders fill in parts.")
@click.option("--still", is_flag=True, help="Let its clock stand still until somebody waits or moves it.")
def fake_alpaca(
    *,
    port: int,
    seed: int | None,
    start: dt.datetime | None,
    cash: int,
    latency: float,
    partial_fills: bool,
    still: bool,
) -> None:
    """Serve a fake Alpaca on this machine until Ctrl-C or `kill`.

    Prices, contracts, news and fills are those of the synthetic sample market; its clock runs at real speed and jumps
    ahead where a desk waits. It prints the keys and the settings that point a desk at it. Everything that it knows is
    gone when it ends.
    """
    from mahler_agents.market.sample import DEFAULT_AS_OF, DEFAULT_SEED
    from mahler_agents.testing.fake_alpaca import FakeAlpaca

    if cash < 0:
        raise InputError(f"--cash {cash / 100:g}: an account starts with no less than nothing")
    with (
        _until_told() as told,
        FakeAlpaca(
            port=port,
            seed=DEFAULT_SEED if seed is None else seed,
            start=start or DEFAULT_AS_OF,
            cash=cash / 100,
            latency_seconds=latency,
            partial_fills=partial_fills,
            flow=not still,
        ) as fake,
    ):
        click.echo(f"# SYNTHETIC: a fake Alpaca over the sample market, seed {fake.settings.seed}; not a real account")
        click.echo(f"# its clock: {instant(fake.now)} New York{', standing still' if still else ''}")
        for name, value in fake.environ.items():
            click.echo(f"export {name}={shlex.quote(value)}")
        verb = f"{program()} scan --market alpaca --broker alpaca --model none"
        click.echo(f"# paste these four lines in another shell, then: {verb}")
        told.wait()
        click.echo(f"# {_summary(fake.books())}")


@contextmanager
def _until_told() -> Generator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set, and give both back what they did before."""
    told = threading.Event()

    def tell(number: int, frame: FrameType | None) -> None:
        del number, frame
        told.set()

    interrupt, terminate = signal.signal(signal.SIGINT, tell), signal.signal(signal.SIGTERM, tell)
    try:
        yield told
    finally:
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, terminate)


def _summary(books: Mapping[str, Any]) -> str:
    return f"ended: {len(books['orders'])} orders taken, {len(books['positions'])} positions open"
