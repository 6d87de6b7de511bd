"""Exit rules: the table of DESIGN's numbers, their order, and what a mark is."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mahler_agents.exits import ExitParams, ExitRule, Mark, decide
from mahler_agents.types import Quote, SpreadQuote

AT = dt.datetime(2026, 3, 16, 15, 0, tzinfo=dt.UTC)
HOUSE = ExitParams()


def mark(cost: float) -> Mark:
    return Mark(at=AT, mid_cost=cost, natural_cost=cost + 0.05)


def test_a_credit_of_fifty_cents_takes_profit_at_0_175_and_stops_at_1_125() -> None:
    assert HOUSE.target_cost(0.50) == pytest.approx(0.175)
    assert HOUSE.stop_cost(0.50) == pytest.approx(1.125)


@pytest.mark.parametrize(
    ("cost", "dte", "rule"),
    [
        (0.50, 35, None),
        (0.1751, 35, None),
        (0.175, 35, ExitRule.PROFIT_TARGET),
        (0.05, 35, ExitRule.PROFIT_TARGET),
        (0.0, 35, ExitRule.PROFIT_TARGET),
        (-0.02, 35, ExitRule.PROFIT_TARGET),
        (1.1249, 35, None),
        (1.125, 35, ExitRule.STOP_LOSS),
        (3.00, 35, ExitRule.STOP_LOSS),
        (0.50, 22, None),
        (0.50, 21, ExitRule.TIME_EXIT),
        (0.50, 0, ExitRule.TIME_EXIT),
        (1.125, 21, ExitRule.STOP_LOSS),
        (0.175, 21, ExitRule.PROFIT_TARGET),
    ],
)
def test_rules_are_checked_in_the_order_stop_target_time(cost: float, dte: int, rule: ExitRule | None) -> None:
    decision = decide(entry_credit=0.50, dte=dte, mark=mark(cost), params=HOUSE)
    assert (decision and decision.rule) == rule


@given(credit=st.floats(0.05, 5), cost=st.floats(-1, 20), worse=st.floats(0, 5), dte=st.integers(0, 45))
def test_a_dearer_mark_never_turns_a_stop_into_something_milder(
    credit: float, cost: float, worse: float, dte: int
) -> None:
    def rule(at_cost: float) -> ExitRule | None:
        decision = decide(entry_credit=credit, dte=dte, mark=mark(at_cost), params=HOUSE)
        return decision and decision.rule

    if rule(cost) is ExitRule.STOP_LOSS:
        assert rule(cost + worse) is ExitRule.STOP_LOSS


@pytest.mark.parametrize("stop_loss", [0.2, 0.49, 5.01, 125.0])
def test_a_stop_that_looks_like_a_percentage_is_refused(stop_loss: float) -> None:
    with pytest.raises(ValidationError, match=r"0\.20 means 20 %, not 200 %"):
        ExitParams(stop_loss=stop_loss)


def test_a_mark_has_the_cost_at_mid_and_at_the_natural_side() -> None:
    quote = SpreadQuote(short=Quote(bid=0.50, ask=0.60, at=AT), long=Quote(bid=0.0, ask=0.10, at=AT))
    found = Mark.of(quote, AT)
    assert found.mid_cost == pytest.approx(0.50)
    assert found.natural_cost == pytest.approx(0.60)
