"""Stage 8, execute: which state of an order may follow which, as a table; and how an attempt's state is its order's."""

from collections.abc import Mapping

from mahler_agents.execution.orders import PENDING_STATES, OrderState

INTENT, SENT, UNKNOWN = OrderState.INTENT, OrderState.SENT, OrderState.UNKNOWN
ACCEPTED, PARTIAL, FILLED = OrderState.ACCEPTED, OrderState.PARTIAL, OrderState.FILLED
CANCELED, EXPIRED, REJECTED = OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED

_TOLD = frozenset({ACCEPTED, PARTIAL, FILLED, CANCELED, EXPIRED, REJECTED})
"""What a broker may say of an attempt of which it had said nothing yet."""

ATTEMPT_MAY_BECOME: Mapping[OrderState, frozenset[OrderState]] = {
    SENT: _TOLD | {UNKNOWN},
    UNKNOWN: _TOLD,
    ACCEPTED: _TOLD,
    PARTIAL: _TOLD - {ACCEPTED},
    FILLED: frozenset({FILLED}),
    CANCELED: frozenset({CANCELED}),
    EXPIRED: frozenset({EXPIRED}),
    REJECTED: frozenset({REJECTED}),
}
"""From the state in the ledger to those that an update without a new fill may bring; the same one is told again."""

A_FILL_WINS: Mapping[OrderState, frozenset[OrderState]] = {
    CANCELED: frozenset({CANCELED, EXPIRED, FILLED}),
    EXPIRED: frozenset({CANCELED, EXPIRED, FILLED}),
    REJECTED: frozenset({CANCELED, EXPIRED, FILLED}),
}
"""From the end of an attempt to those that an update may bring that tells a fill which the ledger did not have."""


def attempt_may_become(before: OrderState, after: OrderState, *, new_fill: bool) -> bool:
    """Return whether an attempt that the ledger has in one state may be told to be in another."""
    wins = new_fill and after in A_FILL_WINS.get(before, ())
    return wins or (after in ATTEMPT_MAY_BECOME[before] and not (new_fill and before not in PENDING_STATES))


def order_state(attempt: OrderState, *, filled: int, contracts: int, over: bool) -> OrderState:
    """Return an order's state from that of its last attempt, the contracts that all have filled, and those asked for.

    `over`: no other attempt is going to follow. One that was canceled is followed by the next unless it is `over`;
    until then the order is being worked still. Any other end of an attempt is the order's.
    """
    if filled == contracts and attempt not in PENDING_STATES:
        return FILLED
    if attempt is CANCELED and over:
        return CANCELED
    if attempt in {CANCELED, ACCEPTED, PARTIAL}:
        return PARTIAL if filled else ACCEPTED
    return attempt
