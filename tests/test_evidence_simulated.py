"""The simulated P(profit): by bounds that are searched for, it is what pricing every node of the lattice gives."""

import numpy as np
import pytest
from conftest import at_scale
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_agents.evidence.simulated import Terms, simulated_p_profit
from mahler_agents.pricing import DAYS_PER_YEAR, price

NODES, WIDEST = 101, 5.0


def by_every_node(one: Terms) -> float:
    """Return P(profit), with each leg priced at each node on each day and the exit rules asked there."""
    days = one.dte - one.time_exit_dte
    nodes = np.linspace(-WIDEST, WIDEST, NODES)
    kernel = np.exp(-((nodes[:, None] - nodes[None, :]) ** 2) * days / 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    alive, won = np.eye(NODES)[NODES // 2], 0.0
    for day in range(1, days + 1):
        variance = one.short_volatility**2 * day / DAYS_PER_YEAR
        spot = one.spot * np.exp(nodes * one.short_volatility * np.sqrt(days / DAYS_PER_YEAR) - variance / 2)
        short, long = (
            price(
                is_put=one.is_put,
                spot=spot,
                strike=strike,
                years=(one.dte - day) / DAYS_PER_YEAR,
                rate=0.0,
                volatility=volatility,
            )
            for strike, volatility in ((one.short_strike, one.short_volatility), (one.long_strike, one.long_volatility))
        )
        cost = np.clip(short - long, 0.0, abs(one.short_strike - one.long_strike))
        over = (cost <= (1 - one.profit_target) * one.credit) | (cost >= (1 + one.stop_loss) * one.credit)
        over |= day == days
        alive = alive @ kernel
        won += alive[over & (cost < one.credit - one.fees)].sum()
        alive = np.where(over, 0.0, alive)
    return won


@st.composite
def spreads(draw: st.DrawFn) -> Terms:
    is_put, dte = draw(st.booleans()), draw(st.integers(24, 45))
    spot, volatility = draw(st.floats(20, 600)), draw(st.floats(0.08, 0.9))
    width = draw(st.floats(0.005, 0.08)) * spot
    away = np.exp(draw(st.floats(0.1, 2.5)) * volatility * np.sqrt(dte / DAYS_PER_YEAR))
    short = float(spot / away if is_put else spot * away)
    return Terms(
        is_put=is_put,
        spot=spot,
        short_strike=short,
        long_strike=short - width if is_put else short + width,
        short_volatility=volatility,
        long_volatility=volatility * draw(st.floats(0.9, 1.4)),
        dte=dte,
        credit=width * draw(st.floats(0.05, 0.45)),
        profit_target=draw(st.sampled_from([0.5, 0.65])),
        stop_loss=1.25,
        time_exit_dte=21,
        fees=draw(st.floats(0, 0.05)),
    )


@settings(max_examples=at_scale(1_000), deadline=None)
@given(st.lists(spreads(), min_size=1, max_size=5))
def test_it_is_what_every_node_says(some: list[Terms]) -> None:
    assert simulated_p_profit(some) == pytest.approx([by_every_node(one) for one in some], abs=2e-6)


def test_what_cannot_be_simulated_has_no_forecast_and_leaves_the_others_alone() -> None:
    whole = Terms(
        is_put=True,
        spot=100.0,
        short_strike=95.0,
        long_strike=90.0,
        short_volatility=0.2,
        long_volatility=0.22,
        dte=40,
        credit=0.6,
        profit_target=0.65,
        stop_loss=1.25,
        time_exit_dte=21,
        fees=0.05,
    )
    expired = Terms(**{**whole.__dict__, "dte": 21})
    found = simulated_p_profit([None, whole, expired])
    assert found[0] is None
    assert found[2] is None
    assert found[1] == pytest.approx(by_every_node(whole), abs=2e-6)
