"""Evidence: spreads as they were screened in, the simulated P(profit) under their exit policy out.

The underlying moves as Black and Scholes have it, at the short leg's implied volatility and without drift, on a lattice
of its logarithm; each leg is valued at its own implied volatility. The exit rules are asked once a day, at mid, as far
as the time exit; what is left then is won if closing costs less than the credit after fees.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from mahler_agents.evidence.cases import Floats
from mahler_agents.pricing import DAYS_PER_YEAR, price

_NODES = 101
_WIDEST = 5.0
"""Standard deviations, over the time to the time exit, that the lattice reaches to each side."""


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
    days = spreads[0].dte - spreads[0].time_exit_dte
    nodes, kernel = _lattice(days)
    held = {name: np.array([getattr(one, name) for one in spreads])[:, None] for name in Terms.__annotations__}
    alive = np.zeros((len(spreads), nodes.size))
    alive[:, nodes.size // 2] = 1.0
    won = np.zeros(len(spreads))
    for day in range(1, days + 1):
        alive = alive @ kernel
        cost = _cost_to_close(held, nodes, day, days)
        target = cost <= (1 - held["profit_target"]) * held["credit"]
        stop = cost >= (1 + held["stop_loss"]) * held["credit"]
        profits = cost < held["credit"] - held["fees"]
        over = target | stop | (day == days)
        won += (alive * (over & profits)).sum(axis=1)
        alive = np.where(over, 0.0, alive)
    return np.clip(won, 0.0, 1.0)


def _cost_to_close(held: dict[str, Floats], nodes: Floats, day: int, days: int) -> Floats:
    spread_out = held["short_volatility"] * np.sqrt(days / DAYS_PER_YEAR)
    variance = held["short_volatility"] ** 2 * day / DAYS_PER_YEAR
    spot = held["spot"] * np.exp(nodes * spread_out - variance / 2)
    years = (held["dte"] - day) / DAYS_PER_YEAR
    short, long = (
        price(
            is_put=held["is_put"],
            spot=spot,
            strike=held[f"{leg}_strike"],
            years=years,
            rate=0.0,
            volatility=held[f"{leg}_volatility"],
        )
        for leg in ("short", "long")
    )
    return short - long


@cache
def _lattice(days: int) -> tuple[Floats, Floats]:
    """Return the nodes, in standard deviations of all days, and the chances of going from one to another in a day."""
    nodes = np.linspace(-_WIDEST, _WIDEST, _NODES)
    kernel = np.exp(-((nodes[:, None] - nodes[None, :]) ** 2) * days / 2)
    return nodes, kernel / kernel.sum(axis=1, keepdims=True)
