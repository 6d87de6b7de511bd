"""Command line: how the parts of a review are said, the same from a scan's result and from the record."""

from collections.abc import Mapping

from mahler_agents.cli.text import cents, count, dollars, per_share, percent, plain
from mahler_agents.types import CONTRACT_MULTIPLIER

TOY = "the embedded model is a toy; its opinions are for show"


def opinion(*, stance: str, confidence: float, p_profit: float, summary: str) -> str:
    """Return an analyst's opinion on one line."""
    return f"{stance}, {_numbers(confidence, p_profit)}: {plain(summary)}"


def verdict(*, approved: bool, contracts: int, confidence: float, p_profit: float, summary: str) -> str:
    """Return the fund manager's verdict on one line; its contracts are advice, which sizes nothing."""
    judgement = "approves" if approved else "does not approve"
    advised = f"advises {count(contracts, 'contract')}"
    return f"{judgement}, {_numbers(confidence, p_profit)}, {advised}: {plain(summary)}"


def failure(*, kind: str, detail: str, action: str | None) -> str:
    """Return why a role said nothing, and what to do about it."""
    to_do = f"; {action}" if action else ""
    return f"failed ({plain(kind)}): {plain(detail)}{to_do}"


def sizing(*, contracts: int, binding: str, max_loss_dollars: float, constraint: Mapping[str, float | None]) -> str:
    """Return the contracts and the limit that binds them, in dollars of risk; `constraint` is that limit's."""
    limit, used = constraint.get("limit_dollars"), constraint.get("used_dollars") or 0.0
    sized = count(contracts, "contract") if contracts else "no contracts"
    if limit is None:
        return f"{sized}, bound by {plain(binding)}"
    left = f"limit {dollars(limit)}, used {dollars(used)}, left {dollars(max(0.0, limit - used))}"
    return f"{sized}, bound by {plain(binding)}: {left}; one contract risks {dollars(max_loss_dollars)}"


def order(*, state: str, reason: str | None, contracts: int, limit_credit: float) -> str:
    """Return what an order without a fill asked for and how it stands."""
    why = f" ({plain(reason)})" if reason and reason != state else ""
    return f"{plain(state)}{why}: sell {count(contracts, 'spread')} at {per_share(limit_credit)} or more"


def fill(*, contracts: int, credit: float, fees: float) -> str:
    """Return what traded: credit per share and for all contracts, and the fees."""
    received = cents(credit * CONTRACT_MULTIPLIER * contracts)
    return f"filled: sold {count(contracts, 'spread')} at {per_share(credit)}, {received} received, fees {cents(fees)}"


def screened(*, contracts: int, eligible: int, pairs: int, passed: int) -> str:
    """Return how many of what the screen looked at are left after each step."""
    looked = f"{count(contracts, 'contract')}, {eligible:,} eligible as legs"
    return f"{looked}, {count(pairs, 'pair')} in the ranges, {passed:,} passed"


def _numbers(confidence: float, p_profit: float) -> str:
    return f"confidence {percent(confidence)}, p_profit {percent(p_profit)}"
