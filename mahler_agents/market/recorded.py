"""Stage 1, market: a recorded scan in, the market that it saw out, to be screened and traded once more.

Of a run that kept the server's answers they are read again, by the parser of today: what a change of it, or of the
screen, would have made of what the vendor really said. Of any other the recorded snapshot is what there is.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import InputError
from mahler_agents.market.archive import unpack
from mahler_agents.market.snapshot import Dividend, Snapshot
from mahler_agents.market.watched import Quoted
from mahler_agents.record.location import RECORDED
from mahler_agents.record.reruns import RecordedRun
from mahler_agents.types import Quote

_STEP = dt.timedelta(seconds=30)
"""Quotes for an instant are those that were asked for after it by less than this: orders are looked at as often."""
_WRITTEN = dt.timedelta(milliseconds=1)
"""The record cuts instants to it."""


class RecordedMarket:
    """The market of one recorded scan: its snapshot, and the quotes that were seen when its orders were decided.

    It has a world of its own, so that no account lives in it and in another. Nothing is made up: a leg that was not
    quoted then has no quote, and a price that was not asked for is not known. Quotes stand as long as the feed's may.
    """

    name = RECORDED
    live = False

    def __init__(self, run: RecordedRun) -> None:
        self._run = run
        try:
            self._recorded = unpack(run.snapshot)
        except ValueError as error:
            raise InputError(f"run {run.id}: its snapshot cannot be read: {error}") from error
        self.synthetic = run.synthetic
        self.max_quote_age_seconds = run.max_quote_age_seconds

    @property
    def rerun_of(self) -> str:
        """The run whose market it is."""
        return self._run.id

    @property
    def world(self) -> str:
        """`recorded-` and the run."""
        return f"{self.name}-{self._run.id}"

    @property
    def from_raw(self) -> bool:
        """True if it is made of the answers that the server gave, and not of what an earlier parser made of them."""
        return bool(self._run.answers)

    def default_as_of(self) -> dt.datetime:
        """Return the instant of the run's snapshot."""
        return self._recorded.as_of

    def instant_of(self, date: dt.date) -> dt.datetime:
        """Return the same for its own New York date; raises `InputError` for any other."""
        if date != self._recorded.as_of.astimezone(NEW_YORK).date():
            raise self._another(date.isoformat())
        return self._recorded.as_of

    async def snapshot(self, as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
        """Return what the run saw, without its account; raises `InputError` for another instant.

        Underlyings that it had not asked for are named in `missing`. Raises `MarketError` if its raw answers hold none.
        """
        if as_of != self._recorded.as_of:
            raise self._another(f"{as_of.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York")
        seen = await self._told(underlyings) if self.from_raw else self._kept(underlyings)
        what = "raw answers" if self.from_raw else "snapshot"
        source = f"{what} of run {self._run.id} on {self._run.market}: {self._run.source}"
        return replace(seen, market=self.name, source=source, synthetic=self.synthetic, account=None)

    async def quotes(self, symbols: Sequence[str], at: dt.datetime) -> Mapping[str, Quote]:
        """Return the quotes that were seen at the instant `at`, else the last ones before it, if they still stood."""
        found = {symbol: self._quote(symbol, at) for symbol in symbols}
        return {symbol: quote for symbol, quote in found.items() if quote is not None}

    async def dividends(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, tuple[Dividend, ...]]:
        """Return the dividends that the run knew, with ex-dates after `at`'s New York date."""
        date, seen = at.astimezone(NEW_YORK).date(), self._recorded.underlyings
        known = {name: seen[name].dividends for name in underlyings if name in seen}
        return {
            name: tuple(one for one in dividends if one.ex_date > date)
            for name, dividends in known.items()
            if dividends is not None
        }

    async def prices(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, float]:
        """Return the underlyings' prices at the snapshot's instant; there are none of any other."""
        seen = self._recorded.underlyings if at == self._recorded.as_of else {}
        spots = {name: seen[name].chain.spot for name in underlyings if name in seen}
        return {name: spot for name, spot in spots.items() if spot > 0}

    async def vix(self, at: dt.datetime) -> float | None:
        """Return the snapshot's VIX at its instant; there is none of any other."""
        return self._recorded.vix if at == self._recorded.as_of else None

    def _kept(self, underlyings: Sequence[str]) -> Snapshot:
        """Return the recorded snapshot of these underlyings."""
        seen = self._recorded.underlyings
        if not any(name in seen for name in underlyings):
            raise InputError(f"run {self._run.id} saw none of {', '.join(underlyings)}: it saw {', '.join(seen)}")
        absent = {
            f"underlyings.{name}": f"run {self._run.id} did not ask for it" for name in underlyings if name not in seen
        }
        return replace(
            self._recorded,
            underlyings={name: held for name, held in seen.items() if name in underlyings},
            missing={**absent, **self._recorded.missing},
        )

    async def _told(self, underlyings: Sequence[str]) -> Snapshot:
        """Return what the parser makes of the server's answers now, with the run's own history of volatility.

        That had come from the record, and not from the server.
        """
        from mahler_agents.market.alpaca.kept import snapshot_again  # alpaca-py takes half a second

        told = await snapshot_again(self._run.answers, self._recorded.as_of, underlyings)
        then = self._recorded.underlyings
        histories = {name: then[name].volatility_history for name in told.underlyings if name in then}
        why = {part: text for part, text in self._recorded.missing.items() if part.startswith("volatility_history.")}
        return replace(
            told,
            underlyings={
                name: replace(held, volatility_history=histories.get(name)) for name, held in told.underlyings.items()
            },
            missing={**told.missing, **why},
        )

    @cached_property
    def _looks(self) -> tuple[Quoted, ...]:
        return tuple(sorted(self._seen_quotes(), key=lambda look: look.at))

    def _seen_quotes(self) -> Iterator[Quoted]:
        if self.from_raw:
            from mahler_agents.market.alpaca.kept import quotes_again

            yield from quotes_again(self._run.answers)
        elif self._run.quotes:
            for row in self._run.quotes:
                at, since = dt.datetime.fromisoformat(row["at"]), row["quoted_at"]
                quote = since and Quote(bid=row["bid"], ask=row["ask"], at=dt.datetime.fromisoformat(since))
                yield Quoted(at, {row["symbol"]: quote or None})
        else:
            for row in self._run.decided:
                at = dt.datetime.fromisoformat(row["decided_at"])
                for leg in ("short", "long"):
                    quote = Quote(bid=row[f"{leg}_bid"], ask=row[f"{leg}_ask"], at=at)
                    yield Quoted(at, {row[f"{leg}_symbol"]: quote})

    def _quote(self, symbol: str, at: dt.datetime) -> Quote | None:
        looks = [look for look in self._looks if symbol in look.quotes]
        then = (look for look in looks if at - _WRITTEN <= look.at < at + _STEP)
        if (seen := next(then, None)) is not None:
            return seen.quotes[symbol]
        oldest = at - dt.timedelta(seconds=self.max_quote_age_seconds)
        before = [look for look in looks if oldest <= look.at < at]
        return before[-1].quotes[symbol] if before else None

    def _another(self, asked: str) -> InputError:
        at = self._recorded.as_of.astimezone(NEW_YORK)
        return InputError(
            f"run {self._run.id} saw the market of {at:%Y-%m-%d %H:%M} New York, and not of {asked}: leave --as-of out"
        )
