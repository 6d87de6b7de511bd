"""Record: where the file is; a verb's options and the environment in, a path out."""

import os
from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path

from mahler_agents.errors import ConfigError

RECORDED = "recorded"
"""Name of the market of a run that is seen again; its worlds, and so their files, begin with it."""


def database_path(
    given: Path | None, market: str, broker: str, variables: Mapping[str, str] = os.environ, *, live: bool = False
) -> Path:
    """Return the record's file for a verb with a market: `--db`, else `MAHLER_DB`, else one for each market and broker.

    The default file carries both names, and the live environment's, so that sample data never mixes with an account's.
    """
    return given or _named(variables) or Path(f"mahler-{market}-{broker}{'-live' if live else ''}.db")


def newest_database(
    given: Path | None,
    variables: Mapping[str, str] = os.environ,
    *,
    broker: str | None = None,
    reruns: bool = True,
) -> Path:
    """Return the record's file for a verb without a market: `--db`, else `MAHLER_DB`, else the newest `mahler-*.db`.

    With a `broker` the newest of its default files is meant: `mahler-MARKET-BROKER.db`, or `-live.db`. Without `reruns`
    those of recorded markets are not: no desk goes on trading there. Copies, such as
    `mahler-sample-paper.before-m004.db`, are not looked at. Raises `ConfigError` if there is none.
    """
    return max(databases(given, variables, broker=broker, reruns=reruns), key=_last_change)


def databases(
    given: Path | None, variables: Mapping[str, str] = os.environ, *, broker: str | None = None, reruns: bool = True
) -> list[Path]:
    """Return every file of which `newest_database` is the newest: one if it was named. Raises as that does."""
    if path := given or _named(variables):
        return [path]
    patterns = ["mahler-*.db"] if broker is None else [f"mahler-*-{broker}.db", f"mahler-*-{broker}-live.db"]
    matching = (path for pattern in patterns for path in Path().glob(pattern) if "." not in path.stem)
    found = [path for path in matching if reruns or not path.name.startswith(f"mahler-{RECORDED}-")]
    if not found:
        raise ConfigError(f"no {patterns[0]} in this folder: run `mahler scan` first, or name the file with --db")
    return sorted(found)


def rerun_database(given: Path | None, world: str, broker: str) -> Path:
    """Return the file of a run that sees another's market again: `--db`, else a new one for each, named by its world.

    Never what `MAHLER_DB` names: that is where the other run is.
    """
    numbered = (Path(f"mahler-{world}{number}-{broker}.db") for number in chain([""], (f"-{one}" for one in count(2))))
    return given or next(path for path in numbered if not path.exists())


def studio_folder(variables: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the records that a LangGraph server makes: `MAHLER_STUDIO`, else one in this folder."""
    return Path(variables.get("MAHLER_STUDIO") or "mahler-studio").absolute()


def _named(variables: Mapping[str, str]) -> Path | None:
    named = variables.get("MAHLER_DB")
    return Path(named) if named else None


def _last_change(path: Path) -> tuple[int, str]:
    """Return when a record was last written to: in WAL mode that may show in the file beside it only."""
    wal = path.with_name(f"{path.name}-wal")
    return max(_modified(path), _modified(wal)), path.name


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # the last connection to close takes the WAL file away
        return 0
