"""Command line: options that several verbs share."""

from pathlib import Path

import click

database_option = click.option(
    "--db",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The record; else MAHLER_DB, else the newest mahler-*.db here.",
)

market_database_option = click.option(
    "--db",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The record; else MAHLER_DB, else mahler-MARKET-BROKER.db.",
)

seed_option = click.option("--seed", type=int, help="Of the sample market: another seed is another world.")

broker_option = click.option(
    "--broker",
    default="paper",
    show_default=True,
    metavar="paper|alpaca",
    help="Where orders go: the embedded broker, or with --market alpaca your account there.",
)

of_broker_option = click.option(
    "--broker", metavar="paper|alpaca", help="The newest record of this broker; any broker's unless it is given."
)

exits_option = click.option(
    "--exits",
    envvar="MAHLER_EXITS",
    default="fixed",
    show_default=True,
    metavar="fixed|conservative|neutral|aggressive",
    help="Exits of the trades that it opens: at fixed shares of the credit, or one of three groups that scale with the"
    " underlying's volatility. Else MAHLER_EXITS.",
)

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
