"""Which positions no order can close out, by what the broker lacks of their legs."""

import pytest
from builders import EXPIRATION, occ_symbol
from trading_builders import DECIDED_AT

from mahler_agents.execution import Position, broken_positions
from mahler_agents.exits import ExitParams
from mahler_agents.types import Spread, SpreadType


def a_position(short: float, long: float, contracts: int) -> Position:
    spread = Spread(
        underlying="SPY",
        spread_type=SpreadType.BULL_PUT,
        expiration=EXPIRATION,
        short_strike=short,
        long_strike=long,
        short_symbol=symbol(short),
        long_symbol=symbol(long),
    )
    return Position(
        entry_order_id=f"{short:.0f}/{long:.0f}",
        spread=spread,
        contracts=contracts,
        opened_contracts=contracts,
        entry_credit=0.8,
        fees=0.0,
        opened_at=DECIDED_AT,
        exit_params=ExitParams(),
    )


def symbol(strike: float) -> str:
    return occ_symbol("SPY", EXPIRATION, strike, is_put=True)


A, B = a_position(540, 535, 4), a_position(540, 530, 2)
"""They share their short leg: 6 contracts of it."""


@pytest.mark.parametrize(
    ("missing", "broken"),
    [
        ({}, {}),
        ({535: 0}, {A.entry_order_id: [535]}),
        ({535: 3}, {A.entry_order_id: [535]}),
        ({535: -4}, {A.entry_order_id: [535]}),  # turned into its opposite
        ({540: -2, 535: 0}, {A.entry_order_id: [540, 535]}),  # A is gone, and what is left of the short leg is B's
        ({540: -4, 530: 0}, {B.entry_order_id: [530]}),
        ({540: -4}, {A.entry_order_id: [540], B.entry_order_id: [540]}),  # enough for either, not for both
        ({540: 0, 535: 0, 530: 0}, {A.entry_order_id: [540, 535], B.entry_order_id: [540, 530]}),
        ({540: -1, 535: 0}, {A.entry_order_id: [540, 535], B.entry_order_id: [540]}),
        ({500: 0}, {}),
    ],
)
def test_a_position_is_broken_if_the_broker_holds_less_than_it_takes_to_close_it(
    missing: dict[int, int], broken: dict[str, list[int]]
) -> None:
    found = broken_positions((A, B), {symbol(strike): held for strike, held in missing.items()})
    told = {key: tuple(symbol(strike) for strike in strikes) for key, strikes in broken.items()}
    assert found == told
