"""Command line: options that several verbs share; one that is left out is what `mahler config show` says."""

from pathlib import Path

import click

from mahler_agents.settings.file import configured_path


def _or_configured(context: click.Context, option: click.Parameter, given: Path | None) -> Path | None:
    """Return the record that was named, here or in the settings: the verb needs no more of them."""
    del context, option
    return given or configured_path("db")


database_option = click.option(
    "--db",
    metavar="FILE",
    type=click.Path(path_type=Path),
    callback=_or_configured,
    help="The record; else MAHLER_DB, else mahler.toml's, else the newest mahler-*.db here.",
)

market_database_option = click.option(
    "--db",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The record; else MAHLER_DB, else mahler.toml's, else mahler-MARKET-BROKER.db.",
)

SETTINGS_MARKET = "the settings', else sample"
"""Said of an option `--market` that was left out."""

seed_option = click.option("--seed", type=int, help="Of the sample market: another seed is another world.")

broker_option = click.option(
    "--broker",
    show_default="the settings', else paper",
    metavar="paper|alpaca",
    help="Where orders go: the embedded broker, or with --market alpaca your account there.",
)

of_broker_option = click.option(
    "--broker", metavar="paper|alpaca", help="The newest record of this broker; any broker's unless it is given."
)

exits_option = click.option(
    "--exits",
    show_default="the settings', else fixed",
    metavar="fixed|conservative|neutral|aggressive",
    help="Exits of the trades that it opens: at fixed shares of the credit, or one of three groups that scale with the"
    " underlying's volatility.",
)

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
