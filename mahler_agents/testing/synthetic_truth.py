"""Test tool: trades that overlap and move together, and advisors whose skill is known.

A trade's fate is one normal number, z: the sum of the daily shocks of the days that it is held, half of whose variance
(`common`) all underlyings share. So two trades of one day, or of days not far apart, end alike, as real ones do. What z
earns is a credit spread's P&L: mostly the profit target, sometimes a time exit near nothing, now and then the stop or
worse. An advisor sees z through noise: the share that it sees is its skill, so that its best forecast, the truth about
the trades and the power to find it out are all known.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from mahler_agents.evidence.cases import Advised, Case, Columns, Floats, Numbers

Skill = Literal["none", "weak", "strong", "overconfident"]
SKILLS: tuple[Skill, ...] = get_args(Skill)
_SEEN = {"none": 0.0, "weak": 0.2, "strong": 0.6, "overconfident": 0.2}
"""Correlation of what an advisor sees with z."""
_EXAGGERATED = 3.0
"""The overconfident advisor's log-odds are this many times what they should be."""
UNDERLYINGS = ("SPY", "QQQ", "IWM", "TLT", "GLD")
SESSIONS_A_WEEK = 5
_MONDAY = dt.date(2015, 1, 5)
_TARGET, _STOP, _FEES = 0.65, 1.25, 2.60
_CREDIT_DOLLARS, _MAX_LOSS_DOLLARS = 60.0, 440.0
_WORST = 2.5
"""The worst exit, as a multiple of the credit: a gap beyond the stop."""
_SHORTEST, _LONGEST = 6, 17
"""Sessions that a trade is held, at least and at most."""
_TRADED = 2
"""Of the candidates of one day, the first so many are traded."""
_MOOD = 0.3
"""Variance of the advisor's noise that all trades of one week share: it is wrong about whole weeks."""


@dataclass(frozen=True, kw_only=True)
class World:
    """How the trades are made."""

    weeks: int = 312
    """Of entries."""
    chance: float = 0.4
    """Of a trade in each underlying on each session."""
    common: float = 0.6
    """Share of the daily shocks' variance that all underlyings have together."""
    stopped: float = 0.14
    """Share of trades that end at the stop or beyond."""
    timed: float = 0.16
    """Share of trades that end by the clock, between the stop and the target."""

    def pnl(self, z: Floats) -> Floats:
        """Return dollars of one contract after fees: rises with z."""
        share = ndtr(z)
        beyond = np.clip(1 - share / self.stopped, 0, None)
        loss = -_STOP - (_WORST - _STOP) * beyond**2
        between = (share - self.stopped) / self.timed  # 0 to 1
        earned = np.where(share < self.stopped, loss, np.where(between < 1, -0.6 + 1.2 * between, _TARGET))
        return np.round(earned * _CREDIT_DOLLARS - _FEES, 2)

    @property
    def mean_pnl(self) -> float:
        """The true mean of `pnl`, dollars."""
        return _mean_and_win_rate(self)[0]

    @property
    def win_rate(self) -> float:
        """The true share of trades above 0."""
        return _mean_and_win_rate(self)[1]


@lru_cache
def _mean_and_win_rate(world: World) -> tuple[float, float]:
    steps = 200_000
    pnl = world.pnl(ndtri((np.arange(steps) + 0.5) / steps))
    return float(pnl.mean()), float((pnl > 0).mean())


@dataclass(frozen=True, kw_only=True)
class History:
    """The trades of one world, in order of their entries."""

    world: World
    session: Numbers
    """Entry, counted from 0; five a week."""
    held: Numbers
    """Sessions."""
    underlying: Numbers
    """Place in `UNDERLYINGS`."""
    z: Floats
    """What came of it, standard normal."""

    @property
    def pnl(self) -> Floats:
        """Dollars of one contract after fees."""
        return self.world.pnl(self.z)


def history(world: World, random: np.random.Generator) -> History:
    """Return trades of a world."""
    sessions = world.weeks * SESSIONS_A_WEEK
    days = sessions + _LONGEST
    shocks = np.sqrt(world.common) * random.standard_normal(days)[:, None]
    shocks = shocks + np.sqrt(1 - world.common) * random.standard_normal((days, len(UNDERLYINGS)))
    walked = np.vstack([np.zeros(len(UNDERLYINGS)), np.cumsum(shocks, axis=0)])
    session, underlying = np.nonzero(random.random((sessions, len(UNDERLYINGS))) < world.chance)
    held = random.integers(_SHORTEST, _LONGEST + 1, size=session.size)
    z = (walked[session + held, underlying] - walked[session, underlying]) / np.sqrt(held)
    return History(world=world, session=session, held=held, underlying=underlying, z=z)


def advised(trades: History, skill: Skill | float, random: np.random.Generator) -> Columns:
    """Return the trades with what an advisor of that skill says of them; a number is the correlation that it sees."""
    seen = _SEEN[skill] if isinstance(skill, str) else skill
    size = trades.session.size
    mood = random.standard_normal(trades.world.weeks)[trades.session // SESSIONS_A_WEEK]
    noise = np.sqrt(_MOOD) * mood + np.sqrt(1 - _MOOD) * random.standard_normal(size)
    signal = seen * trades.z + np.sqrt(1 - seen**2) * noise
    # A trade is won where z is above the win rate's quantile; given the signal, z is normal.
    p_profit = ndtr((seen * signal - ndtri(1 - trades.world.win_rate)) / np.sqrt(1 - seen**2))
    if skill == "overconfident":
        p_profit = expit(_EXAGGERATED * logit(p_profit))
    confidence = np.round(ndtr(signal), 2)
    rank = _ranks(trades.session)
    ones = np.ones(size)
    return Columns(
        day=_ordinals(trades.session),
        exit_day=_ordinals(trades.session + trades.held),
        scan=trades.session,
        rank=rank,
        traded=rank <= _TRADED,
        pnl=trades.pnl,
        confidence=confidence,
        p_profit=np.round(p_profit, 3),
        approved=confidence >= 0.4,
        short_delta=0.10 * ones,
        simulated=trades.world.win_rate * ones,
        contracts=2 * ones,
        advised_contracts=np.round(4 * confidence),
        max_loss=_MAX_LOSS_DOLLARS * ones,
    )


def columns(skill: Skill | float, *, weeks: int = 312, seed: int = 0) -> Columns:
    """Return the advised trades of the default world; the same seed makes the same ones."""
    random = np.random.default_rng(seed)
    return advised(history(World(weeks=weeks), random), skill, random)


def cases(skill: Skill | float, *, weeks: int = 312, seed: int = 0, model: str = "synthetic") -> tuple[Case, ...]:
    """Return the same as `columns`, as cases."""
    random = np.random.default_rng(seed)
    trades = history(World(weeks=weeks), random)
    return tuple(_rows(advised(trades, skill, random), trades, model))


def _rows(found: Columns, trades: History, model: str) -> Iterator[Case]:
    for place in range(len(found)):
        session, rank = int(trades.session[place]), int(found.rank[place])
        yield Case(
            candidate_id=f"synthetic-{session}.{rank}",
            run_id=f"synthetic-{session:06}",
            entry_date=dt.date.fromordinal(int(found.day[place])),
            rank=rank,
            traded=bool(found.traded[place]),
            underlying=UNDERLYINGS[int(trades.underlying[place])],
            short_delta=float(found.short_delta[place]),
            simulated_p_profit=float(found.simulated[place]),
            regime=None,
            contracts=int(found.contracts[place]),
            max_loss_dollars=float(found.max_loss[place]),
            pnl_dollars=float(found.pnl[place]),
            exit_date=dt.date.fromordinal(int(found.exit_day[place])),
            advice=Advised(
                confidence=float(found.confidence[place]),
                p_profit=float(found.p_profit[place]),
                approved=bool(found.approved[place]),
                contracts=int(found.advised_contracts[place]),
                model=model,
                prompt_hash="0" * 64,
            ),
        )


def _ordinals(sessions: Numbers) -> Numbers:
    weeks, days = np.divmod(sessions, SESSIONS_A_WEEK)
    return _MONDAY.toordinal() + 7 * weeks + days


def _ranks(session: Numbers) -> Numbers:
    first = np.searchsorted(session, session)
    return np.arange(session.size) - first + 1
