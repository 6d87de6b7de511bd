"""Telling: how a monitor pass closed positions, and why."""

from typing import TYPE_CHECKING

from mahler_agents.text import count, per_share, words

if TYPE_CHECKING:
    from mahler_agents.monitor import Closing, Due, Settled


def settled(one: "Settled") -> str:
    """Return how its expiration closed a position."""
    settlement, price = one.settlement, one.settlement.underlying_price
    underlying = "a price that the broker did not tell" if price is None else per_share(price)
    return (
        f"{one.position.spread.label}: {count(one.position.contracts, 'contract')} {words(settlement.expiry)} at"
        f" {per_share(settlement.debit)}, the underlying at {underlying}"
    )


def closing(closed: "Closing") -> str:
    """Return what was closed of a position and why: the rule, its threshold and what it saw."""
    due, held = closed.due, closed.position.contracts
    label, told = closed.position.spread.label, f"{words(due.rule)}: {why(due)}"
    if closed.order is None or closed.order.traded is None:
        return f"{label}: {due.contracts} of {held} not closed ({told}); asked again at the next pass"
    traded = closed.order.traded
    missing = due.contracts - traded.contracts
    rest = f"; {missing} asked again at the next pass" if missing else ""
    return f"{label}: closed {traded.contracts} of {held} at {per_share(-traded.credit)} ({told}){rest}"


def why(due: "Due") -> str:
    """Return what a rule compared, or what the circuit breaker lets stay."""
    if due.decision is not None:
        seen, threshold = due.decision.observed, due.decision.threshold
        if due.decision.rule.value == "time_exit":
            return f"{seen:g} days left, threshold {threshold:g}"
        return f"cost {per_share(seen)} at mid, threshold {per_share(threshold)}"
    keep = due.reduction.keep if due.reduction is not None else 0
    return f"the circuit breaker lets {keep} stay"
