"""Test tool: an advisor that knows how a trade of the sample market will end, as well as you say.

No real advisor can: it asks the sample market, which is a function of its seed, for the quotes of days to come. It is
here to show that `mahler evidence` tells such advisors apart, and reads nothing but the brief's name of the spread.
"""

import datetime as dt
import re
import zlib
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

import numpy as np
from scipy.special import expit, logit

from mahler_agents.clock import NEW_YORK
from mahler_agents.execution.orders import LEGS, closing_debit
from mahler_agents.exits import ExitParams, Mark, decide
from mahler_agents.market import calendar
from mahler_agents.market.sample import SampleMarket
from mahler_agents.testing.scripted import ScriptedReply, ScriptedRequest, favourable
from mahler_agents.types import SpreadQuote

T = TypeVar("T")
_SPREAD = re.compile(r"\b([A-Z]{3}) ([\d.]+)/([\d.]+) (put|call) spread, (\d{4})-(\d{2})-(\d{2})")
_ENTRY = dt.timedelta(minutes=3)
_BEFORE_CLOSE = dt.timedelta(minutes=5)
_CONCESSION, _COMMISSION = 0.66, 1.0


class Clock(Protocol):
    """What tells the time of the simulation."""

    def now(self) -> dt.datetime: ...


class FortuneTeller:
    """A script for `ScriptedModel`: give it to a desk on the same sample market and clock.

    `skill` is between 0, which is chance, and 1, which is certainty; the same `seed` makes the same mistakes.
    `exaggerated` multiplies the log-odds of what it says: above 1 it picks as well and is too sure of it.
    """

    def __init__(
        self, market: SampleMarket, clock: Clock, *, skill: float, exaggerated: float = 1.0, seed: int = 0
    ) -> None:
        self._market, self._clock = market, clock
        self.skill, self.exaggerated, self.seed = skill, exaggerated, seed
        self._fates: dict[tuple[str, dt.datetime], bool | None] = {}

    def __call__(self, request: ScriptedRequest) -> ScriptedReply:
        """Reply validly, with the conviction and the probability that the skill allows."""
        named = _SPREAD.search(str(request.messages[-1]["content"]))
        if named is None:
            raise ValueError(f"the brief of {request.role} names no spread that the fortune teller can read")
        fate = named.group(0), self._clock.now()
        if fate not in self._fates:  # all analysts ask of the same spreads
            self._fates[fate] = self._is_won(named)
        leaning = self._leaning(named.group(0), won=self._fates[fate])
        chance = float(expit(self.exaggerated * logit(0.4 + 0.5 * leaning)))
        said: dict[str, object] = {"confidence": round(leaning, 2), "p_profit": round(chance, 2)}
        if "approved" in request.schema["properties"]:
            said |= {"approved": leaning >= 0.4, "contracts": round(4 * leaning)}
        return favourable(request, **said)

    def _leaning(self, label: str, *, won: bool | None) -> float:
        """Return a number between 0 and 1: high for trades that will be won, if there is skill."""
        key = f"{self.seed} {label} {self._clock.now().date()}"
        noise = float(np.random.default_rng(zlib.crc32(key.encode())).normal())
        truth = 0.0 if won is None else 1.5 if won else -1.5
        return float(expit(2 * (self.skill * truth + np.sqrt(1 - self.skill**2) * noise)))

    def _is_won(self, named: re.Match[str]) -> bool | None:
        """Return how the trade will end, asked once a session before the close; None where it could not be entered."""
        underlying, short, long, right, *expires = named.groups()
        expiration = dt.date(*map(int, expires))
        sides = [_occ(underlying, expiration, right, strike) for strike in (short, long)]
        at = self._clock.now()
        entry = self._quote(sides, at + _ENTRY)
        if entry is None:
            return None
        credit, width = round(entry.credit_at(_CONCESSION), 2), abs(float(short) - float(long))
        for day in calendar.sessions(at.astimezone(NEW_YORK).date(), expiration):
            instant = calendar.session_close(day) - _BEFORE_CLOSE
            quote = self._quote(sides, instant)
            if quote is None:
                continue
            dte = (expiration - day).days
            if decide(entry_credit=credit, dte=dte, mark=Mark.of(quote, instant), params=ExitParams()) is not None:
                fees = 2 * LEGS * _COMMISSION / 100
                return credit - closing_debit(quote, width) - fees > 0
        return None

    def _quote(self, symbols: list[str], at: dt.datetime) -> SpreadQuote | None:
        found = _at_once(self._market.quotes(symbols, at))
        short, long = (found.get(symbol) for symbol in symbols)
        return None if short is None or long is None else SpreadQuote(short=short, long=long)


def _occ(underlying: str, expiration: dt.date, right: str, strike: str) -> str:
    return f"{underlying}{expiration:%y%m%d}{right[0].upper()}{round(float(strike) * 1000):08}"


def _at_once(asked: Coroutine[Any, Any, T]) -> T:
    """Return what the sample market answers: it computes, and never waits for anything."""
    try:
        asked.send(None)
    except StopIteration as answered:
        return answered.value
    raise RuntimeError("the market waited: the fortune teller needs the sample market")
