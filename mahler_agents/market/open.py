"""Stage 1, market: a market's name as the user types it in, the `Market` out."""

from collections.abc import Callable

from mahler_agents.errors import InputError
from mahler_agents.market.snapshot import Market

_EXISTING = "sample, csv:PATH, alpaca"


def open_market(spec: str, *, seed: int | None = None, alpaca: Callable[[], Market] | None = None) -> Market:
    """Return the market that `spec` names: `sample` (with `seed`, or its default), `csv:PATH` or `alpaca`.

    `alpaca` makes that market of the desk's own keys and clock; without it, it is refused. Raises `InputError` for
    any other name, and if the file of a `csv` market cannot be used.
    """
    name, _, argument = spec.partition(":")
    if name == "csv":
        return _open_csv(argument, seed)
    if spec == "sample":
        from mahler_agents.market.sample import DEFAULT_SEED, SampleMarket

        return SampleMarket(DEFAULT_SEED if seed is None else seed)
    if spec == "alpaca":
        return _open_alpaca(alpaca, seed)
    raise InputError(f"unknown market {spec!r}: use one of {_EXISTING}")


def _open_alpaca(make: Callable[[], Market] | None, seed: int | None) -> Market:
    if seed is not None:
        raise InputError("a seed is for the sample market only: Alpaca's quotes are what they are")
    if make is None:
        raise InputError("the market alpaca has only now: use one whose past is known, sample or csv:PATH")
    return make()


def _open_csv(path: str, seed: int | None) -> Market:
    if not path:
        raise InputError("the market csv needs a file: csv:PATH")
    if seed is not None:
        raise InputError("a seed is for the sample market only: a file's quotes are what they are")
    from mahler_agents.market.csv import CsvMarket

    return CsvMarket(path)
