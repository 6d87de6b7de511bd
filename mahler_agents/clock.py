"""Clock, ids and chance: the one module that reads them; everything else takes them as arguments."""

import random
import time
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # no 0/o, 1/l/i: run ids are typed by hand


class Clock(Protocol):
    """What tells the time and waits; times are timezone-aware UTC."""

    @property
    def flows(self) -> bool:
        """Whether time passes by itself; False if it stands still while somebody works, and to wait is to move it."""
        ...

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        ...

    async def sleep_until(self, instant: datetime) -> None:
        """Return once `now()` is `instant` or later."""
        ...

    def seconds(self) -> float:
        """Return seconds on a clock that never goes back, for durations only."""
        ...


class SystemClock:
    """The machine's clock."""

    flows = True

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, instant: datetime) -> None:
        """Wait until `instant`, re-reading the clock, so that a clock that jumps is followed."""
        import asyncio  # 50 ms, for which verbs that only read the record do not wait

        while (left := (instant - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - time is no event
            await asyncio.sleep(min(left, 60.0))

    def seconds(self) -> float:
        """Return seconds on a clock that never goes back, for durations only."""
        return time.perf_counter()


class SimulatedClock:
    """A clock that stands still until it is told to move: simulations and tests."""

    flows = False

    def __init__(self, start: datetime) -> None:
        self._now = _in_utc(start)

    def now(self) -> datetime:
        """Return the simulated instant, in UTC."""
        return self._now

    async def sleep_until(self, instant: datetime) -> None:
        """Move to `instant` at once, never back."""
        self.advance_to(instant)

    def advance_to(self, instant: datetime) -> None:
        """Set the simulated instant, unless it is in the past."""
        self._now = max(self._now, _in_utc(instant))

    def seconds(self) -> float:
        """Return simulated seconds: work takes none."""
        return self._now.timestamp()


class Ids:
    """Makes short random ids; seeded, it makes the same ones again."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 - not a secret

    def run_id(self, as_of: datetime) -> str:
        """Return a run id such as `20260316-x7k2qf`: the New York date of `as_of`, then six random characters."""
        day = as_of.astimezone(NEW_YORK).strftime("%Y%m%d")
        return f"{day}-{''.join(self._random.choice(_ALPHABET) for _ in range(6))}"


def utc_text(instant: datetime) -> str:
    """Return `instant` as the record keeps it: ISO 8601 in UTC with milliseconds, so that text order is time order.

    Raises `ValueError` for a time without a zone.
    """
    return _in_utc(instant).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_york_text(instant: datetime) -> str:
    """Return `instant` as people at the exchange say it, e.g. `2026-03-17 10:00 New York`."""
    return f"{instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"


def milliseconds_between(first: str, last: str) -> float:
    """Return the milliseconds from one instant to another, both as the record keeps them."""
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds() * 1000


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:  # Python would take it for the machine's own time
        raise ValueError(f"{instant} must be timezone-aware")
    return instant.astimezone(UTC)
