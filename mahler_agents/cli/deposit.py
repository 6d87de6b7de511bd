"""Command line, `mahler deposit`: money into an account of the embedded broker, or out of it."""

import datetime as dt
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.errors import InputError
from mahler_agents.text import cents, instant, plain

_MOST = Decimal(10) ** 12


class Dollars(click.ParamType[int]):
    """An amount of dollars in whole cents; a number of cents out."""

    name = "dollars"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the cents."""
        if isinstance(value, int):
            return value
        try:
            amount = Decimal(value)
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or abs(amount) >= _MOST:
            self.fail(f"{value!r} is not an amount of dollars such as 2500 or -99.50", param, ctx)
        if amount * 100 != int(amount * 100):
            self.fail(f"{value!r} is not in whole cents: accounts are kept in them", param, ctx)
        return int(amount * 100)


class Time(click.ParamType[dt.datetime]):
    """An ISO time: New York's unless it names a zone."""

    name = "time"

    def convert(
        self, value: str | dt.datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> dt.datetime:
        """Return the aware instant."""
        from mahler_agents.clock import NEW_YORK

        if isinstance(value, dt.datetime):
            return value
        try:
            found = dt.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-03-16T10:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=NEW_YORK)


@click.command(context_settings={"ignore_unknown_options": True})  # a negative amount is no option
@click.argument("dollars", type=Dollars(), metavar="DOLLARS")
@click.option("--at", type=Time(), metavar="TIME", help="When; else just after the last that the record knows.")
@click.option("--account", metavar="ID", help="Which account, where the record has several.")
@database_option
@as_json_option
def deposit(dollars: int, *, at: dt.datetime | None, account: str | None, db: Path | None, as_json: bool) -> None:
    """Pay money into a paper account; below zero, take it out.

    It is neither gain nor loss: the circuit breaker and the report leave it out of both. What open positions may still
    cost cannot be taken out. Only the embedded broker's accounts: of another, the money moves at the broker.
    """
    from mahler_agents.clock import SystemClock
    from mahler_agents.execution.deposits import deposit as book
    from mahler_agents.record.accounts import AccountReader, only_account
    from mahler_agents.record.location import newest_database

    path = newest_database(db, reruns=False)
    with AccountReader(path) as reader:
        chosen = only_account(reader.accounts(), account)
        embedded = reader.embedded_accounts()
    if chosen is None:
        raise InputError(f"{path} has no account yet: run a scan or a monitor pass first")
    if chosen not in embedded:
        raise InputError(f"account {chosen} is not one of the embedded broker's: move the money at the broker")
    done = book(path, chosen, cents=dollars, at=at, now=SystemClock().now())
    if as_json:
        click.echo(done.model_dump_json())
        return
    verb = "paid into" if done.dollars > 0 else "taken out of"
    click.echo(
        f"{cents(abs(done.dollars))} {verb} {plain(done.account_id)} as of {instant(done.at)} New York: cash"
        f" {cents(done.cash)}, buying power {cents(done.buying_power)}\nrecorded in {plain(str(path))}"
    )
