"""Stage 1, market: a market's name as the user types it in, the `Market` out."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from mahler_agents.errors import InputError
from mahler_agents.market.snapshot import Market

EXISTING = "sample, csv:PATH, alpaca, recorded:RUN"


def is_market(spec: str) -> bool:
    """Return whether a market may have this name; whether there is such a file or run is seen when it is opened."""
    return spec in {"sample", "alpaca"} or spec.partition(":")[0] in {"csv", "recorded"}


def open_market(
    spec: str,
    *,
    seed: int | None = None,
    alpaca: Callable[[], Market] | None = None,
    variables: Mapping[str, str] = os.environ,
) -> Market:
    """Return the market that `spec` names: `sample`, `csv:PATH`, `alpaca` or `recorded:RUN`.

    `seed` is the sample market's, which has a default; `alpaca` makes that market of the desk's own keys and clock;
    without it, it is refused. RUN is a run's id, the beginning of one, or `latest`, in the record that `MAHLER_DB`
    names among `variables`, else in the newest of this folder that is no re-run's; `recorded:RUN@FILE` names another.
    Raises `InputError` for any other name, if the file of a `csv` market cannot be used, and for a run whose market
    cannot be seen again.
    """
    name, _, argument = spec.partition(":")
    if name == "recorded":
        return _open_recorded(argument, seed, variables)
    if name == "csv":
        return _open_csv(argument, seed)
    if spec == "sample":
        from mahler_agents.market.sample import DEFAULT_SEED, SampleMarket

        return SampleMarket(DEFAULT_SEED if seed is None else seed)
    if spec == "alpaca":
        return _open_alpaca(alpaca, seed)
    raise InputError(f"unknown market {spec!r}: use one of {EXISTING}")


def _open_alpaca(make: Callable[[], Market] | None, seed: int | None) -> Market:
    if seed is not None:
        raise InputError("a seed is for the sample market only: Alpaca's quotes are what they are")
    if make is None:
        raise InputError("the market alpaca has only now: use one whose past is known, sample or csv:PATH")
    return make()


def _open_recorded(argument: str, seed: int | None, variables: Mapping[str, str]) -> Market:
    from mahler_agents.market.recorded import RecordedMarket
    from mahler_agents.record.location import newest_database
    from mahler_agents.record.reruns import read_recorded

    run, _, file = argument.partition("@")
    if not run:
        raise InputError("the market recorded needs a run: recorded:RUN, an id, the beginning of one, or latest")
    if seed is not None:
        raise InputError("a seed is for the sample market only: what a run saw is what it was")
    record = newest_database(Path(file) if file else None, variables, reruns=False)
    return RecordedMarket(read_recorded(record, run))


def _open_csv(path: str, seed: int | None) -> Market:
    if not path:
        raise InputError("the market csv needs a file: csv:PATH")
    if seed is not None:
        raise InputError("a seed is for the sample market only: a file's quotes are what they are")
    from mahler_agents.market.csv import CsvMarket

    return CsvMarket(path)
