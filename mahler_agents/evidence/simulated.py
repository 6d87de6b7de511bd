"""Evidence: spreads as they were screened in, the simulated P(profit) under their exit policy out.

The underlying moves as Black and Scholes have it, at the short leg's implied volatility and without drift, on a lattice
of its logarithm; each leg is valued at its own implied volatility. The exit rules are asked once a day, at mid, as far
as the time exit; what is left then is won if closing costs less than the credit after fees. The further the underlying
is from the short leg the less that costs, so each rule is a bound on the lattice, found by halving.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from mahler_agents.evidence.cases import Floats, Numbers
from mahler_agents.pricing import DAYS_PER_YEAR

_NODES = 101
_WIDEST = 5.0
"""Standard deviations, over the time to the time exit, that the lattice reaches to each side."""
_AT_ONCE = 2_000
"""Spreads, so that what is computed of them fits the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """One spread and its exit policy."""

    is_put: bool
    spot: float
    short_strike: float
    long_strike: float
    short_volatility: float
    long_volatility: float
    dte: int
    credit: float
    """At entry, per share."""
    profit_target: float
    stop_loss: float
    time_exit_dte: int
    fees: float
    """Of entry and exit, dollars per share."""


def simulated_p_profit(spreads: Sequence[Terms | None]) -> list[float | None]:
    """Return P(profit) of each spread, None for None and where a figure makes no sense."""
    found: list[float | None] = [None] * len(spreads)
    by_days: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, one in enumerate(spreads):
        if one is not None and one.short_volatility > 0 and one.long_volatility > 0 and one.dte > one.time_exit_dte:
            by_days[one.dte, one.time_exit_dte].append(place)
    for places in by_days.values():
        chosen = [one for place in places if (one := spreads[place]) is not None]
        for place, chance in zip(places, _simulate(chosen).tolist(), strict=True):
            found[place] = chance
    return found


def _simulate(spreads: Sequence[Terms]) -> Floats:
    """Return P(profit) of spreads with the same days to expiration and to the time exit."""
    from threadpoolctl import threadpool_limits

    parts = (spreads[begin : begin + _AT_ONCE] for begin in range(0, len(spreads), _AT_ONCE))
    # Matrices of 101 x 101: threads cost twice what they save, more on a busy machine.
    with threadpool_limits(limits=1):
        return np.concatenate([_simulate_some(part) for part in parts])


def _simulate_some(spreads: Sequence[Terms]) -> Floats:
    days = spreads[0].dte - spreads[0].time_exit_dte
    nodes, kernel = _lattice(days)
    held = {name: np.array([getattr(one, name) for one in spreads])[:, None] for name in Terms.__annotations__}
    at_target = (1 - held["profit_target"]) * held["credit"]
    at_stop = np.nextafter((1 + held["stop_loss"]) * held["credit"], 0)  # for that price it is closed
    at_profit = np.nextafter(held["credit"] - held["fees"], 0)  # what only pays for itself is not won
    day, last = np.arange(1, days + 1), np.array([days])
    ends = _first_nodes(held, nodes, day, at_target).T
    stop = _first_nodes(held, nodes, day, at_stop).T  # never a win: it costs more than the credit
    wins = (
        ends if (at_target <= at_profit).all() else _first_nodes(held, nodes, day, np.minimum(at_target, at_profit)).T
    )
    # On the last day all is over.
    wins = np.vstack([wins[:-1], _first_nodes(held, nodes, last, at_profit).T])
    ends = np.vstack([ends[:-1], np.zeros_like(ends[:1])])
    alive = np.zeros((len(spreads), nodes.size), dtype=np.float32)
    alive[:, nodes.size // 2] = 1.0
    won = np.zeros(len(spreads))
    from_there = _from_each(nodes.size)
    for winning, stopped, ended in zip(wins, stop, ends, strict=True):
        alive = alive @ kernel
        won += np.einsum("ij,ij->i", alive, from_there[winning])
        alive *= from_there[stopped]
        alive *= 1 - from_there[ended]
    return np.clip(won, 0.0, 1.0)


def _first_nodes(held: dict[str, Floats], nodes: Floats, day: Numbers, level: Floats) -> Numbers:
    """Return of each spread, and on each of some days, the first node at which it can be closed for a price or less.

    Nodes go from where the short leg is in the money to where it is out of it: the cost falls on the way, and is asked
    for only where the search must. What is past the last node stands for "nowhere".
    """
    low = np.zeros((level.size, day.size), dtype=np.int64)
    high = np.full((level.size, day.size), nodes.size)
    while (low < high).any():
        middle = (low + high) // 2
        cheap = _cost_to_close(held, nodes[np.minimum(middle, nodes.size - 1)], day) <= level
        searching = low < high
        high = np.where(searching & cheap, middle, high)
        low = np.where(searching & ~cheap, middle + 1, low)
    return low


def _cost_to_close(held: dict[str, Floats], nodes: Floats, day: Numbers) -> Floats:
    """Return what it costs to close each spread on each day, at one node each; without interest, after Black 1976."""
    days = held["dte"] - held["time_exit_dte"]
    sign = np.where(held["is_put"], 1.0, -1.0)  # nodes go up for puts and down for calls
    away = sign * nodes * held["short_volatility"] * np.sqrt(days / DAYS_PER_YEAR)
    log_spot = np.log(held["spot"]) + away - held["short_volatility"] ** 2 * day / DAYS_PER_YEAR / 2
    spot, root_years = np.exp(log_spot), np.sqrt((held["dte"] - day) / DAYS_PER_YEAR)
    short, long = (
        _option(sign, spot, log_spot, held[f"{leg}_strike"], held[f"{leg}_volatility"] * root_years)
        for leg in ("short", "long")
    )
    # Legs of unlike volatility can come out dearer together than the spread is wide, or for less than nothing.
    return np.clip(short - long, 0.0, np.abs(held["short_strike"] - held["long_strike"]))


def _option(sign: Floats, spot: Floats, log_spot: Floats, strike: Floats, deviation: Floats) -> Floats:
    d1 = (log_spot - np.log(strike)) / deviation + deviation / 2
    return sign * (strike * ndtr(sign * (deviation - d1)) - spot * ndtr(-sign * d1))


@cache
def _from_each(size: int) -> NDArray[np.float32]:
    """Return a row for each place from the first to past the last: 0 before it and 1 from it on."""
    return (np.arange(size)[None, :] >= np.arange(size + 1)[:, None]).astype(np.float32)


@cache
def _lattice(days: int) -> tuple[Floats, NDArray[np.float32]]:
    """Return the nodes, in standard deviations of all days, and the chances of going from one to another in a day."""
    nodes = np.linspace(-_WIDEST, _WIDEST, _NODES)
    kernel = np.exp(-((nodes[:, None] - nodes[None, :]) ** 2) * days / 2)
    return nodes, (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
