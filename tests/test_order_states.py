"""The states of orders and attempts: the table of what may follow what, state by state."""

import itertools

import pytest

from mahler_agents.execution import OrderState
from mahler_agents.execution.orders import PENDING_STATES
from mahler_agents.execution.states import ATTEMPT_MAY_BECOME, attempt_may_become, order_state

ATTEMPTS = [state for state in OrderState if state is not OrderState.INTENT]

EXPECTED = """
            sent  unknown  accepted  partial  filled  canceled  expired  rejected
sent        .     yes      yes       yes      yes     yes       yes      yes
unknown     .     .        yes       yes      yes     yes       yes      yes
accepted    .     .        yes       yes      yes     yes       yes      yes
partial     .     .        .         yes      yes     yes       yes      yes
filled      .     .        .         .        again   .         .        .
canceled    .     .        .         .        fill    both      fill     .
expired     .     .        .         .        fill    fill      both     .
rejected    .     .        .         .        fill    fill      fill     again
"""
"""Rows become columns: `yes`, or only with a `fill` that was not booked, only told `again` without one, or `both`."""


def table() -> list[tuple[OrderState, OrderState, str]]:
    head, *lines = [line.split() for line in EXPECTED.strip().splitlines()]
    return [
        (OrderState(line[0]), OrderState(name), cell)
        for line in lines
        for name, cell in zip(head, line[1:], strict=True)
    ]


@pytest.mark.parametrize(("before", "after", "cell"), table())
def test_what_an_attempt_may_become(before: OrderState, after: OrderState, cell: str) -> None:
    assert attempt_may_become(before, after, new_fill=False) == (cell in {"yes", "again", "both"})
    assert attempt_may_become(before, after, new_fill=True) == (cell in {"yes", "fill", "both"})


def test_the_table_has_every_state_that_an_attempt_can_have() -> None:
    assert set(ATTEMPT_MAY_BECOME) == set(ATTEMPTS)
    assert {(before, after) for before, after, _ in table()} == set(itertools.product(ATTEMPTS, ATTEMPTS))


def test_nothing_that_has_ended_begins_again() -> None:
    for before, after in itertools.product(ATTEMPTS, ATTEMPTS):
        for new_fill in (False, True):
            if before not in PENDING_STATES and attempt_may_become(before, after, new_fill=new_fill):
                assert after not in PENDING_STATES


@pytest.mark.parametrize(
    ("attempt", "filled", "over", "order"),
    [
        ("sent", 0, True, "sent"),
        ("sent", 2, True, "sent"),
        ("unknown", 2, True, "unknown"),
        ("accepted", 0, True, "accepted"),
        ("accepted", 2, True, "partial"),  # by an attempt before
        ("partial", 2, True, "partial"),
        ("canceled", 0, False, "accepted"),  # the next price follows
        ("canceled", 2, False, "partial"),
        ("canceled", 0, True, "canceled"),
        ("canceled", 2, True, "canceled"),
        ("canceled", 4, False, "filled"),  # a fill won over the cancel
        ("filled", 4, False, "filled"),
        ("expired", 0, False, "expired"),  # the day is over, whatever price was to follow
        ("expired", 2, False, "expired"),
        ("expired", 4, False, "filled"),
        ("rejected", 0, False, "rejected"),
        ("rejected", 2, False, "rejected"),
    ],
)
def test_an_order_of_four_contracts_is_what_its_last_attempt_makes_of_it(
    attempt: str, filled: int, *, over: bool, order: str
) -> None:
    assert order_state(OrderState(attempt), filled=filled, contracts=4, over=over) is OrderState(order)


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("filled", range(4))
def test_an_order_is_pending_while_its_attempt_is_or_another_follows(filled: int, *, over: bool) -> None:
    for attempt in ATTEMPTS:
        state = order_state(attempt, filled=filled, contracts=4, over=over)
        follows = attempt is OrderState.CANCELED and not over
        if attempt is not OrderState.FILLED:  # which has filled all that was left, or is not booked
            assert (state in PENDING_STATES) == (attempt in PENDING_STATES or follows)
