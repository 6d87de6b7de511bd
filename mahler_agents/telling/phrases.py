"""Telling: how the parts of a review are said, in the same words from a scan's result and from the record."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mahler_agents.llm.failure_kinds import ACTIONS
from mahler_agents.record.trace_rows import (
    ArgumentRow,
    FailureRow,
    FillRow,
    GroundingRow,
    OpinionRow,
    SizingRow,
    VerdictRow,
)
from mahler_agents.text import cents, count, dollars, listed, per_share, percent, plain, small_dollars
from mahler_agents.units import CONTRACT_MULTIPLIER
from mahler_agents.wording import TOY_MODEL

if TYPE_CHECKING:  # the stages import numpy and more, which `mahler trace show` has no use for
    from mahler_agents.analysts.base import Opinion
    from mahler_agents.analysts.debate import Argument
    from mahler_agents.analysts.fund_manager import Verdict
    from mahler_agents.analysts.grounding import Grounding
    from mahler_agents.execution.orders import Execution, Traded
    from mahler_agents.llm.failures import Failure
    from mahler_agents.market.snapshot import Account
    from mahler_agents.risk import Sizing

TOY = TOY_MODEL
_DELTA_LIMIT = "max_beta_weighted_delta"
_ACTIONS = {kind.value: action for kind, action in ACTIONS.items()}


def opinion(said: "Opinion | OpinionRow") -> str:
    """Return an analyst's opinion on one line."""
    return f"{said.stance}, {_numbers(said)}: {plain(said.summary)}"


def argument(said: "Argument | ArgumentRow") -> str:
    """Return one turn of the debate on one line."""
    return f"{said.strength}: {plain(said.summary)}"


def verdict(said: "Verdict | VerdictRow") -> str:
    """Return the fund manager's verdict on one line; its contracts are advice, which sizes nothing."""
    judgement = "approves" if said.approved else "does not approve"
    return f"{judgement}, {_numbers(said)}, advises {count(said.contracts, 'contract')}: {plain(said.summary)}"


def ungrounded(found: "Grounding | GroundingRow | None") -> list[str]:
    """Return the numbers of an opinion or verdict that its brief does not hold, on one line; nothing if there are none.

    As in `2 of 7 numbers not in the brief: 0.45, 12`.
    """
    if found is None or not found.ungrounded:
        return []
    told = f"{len(found.ungrounded)} of {count(found.numbers, 'number')} not in the brief"
    return [f"{told}: {', '.join(map(plain, found.ungrounded))}"]


def failure(failed: "Failure | FailureRow") -> str:
    """Return why a role said nothing, and what to do about it."""
    # The record may be of a newer version, with kinds that this one does not know.
    to_do = f"; {action}" if (action := _ACTIONS.get(str(failed.kind))) else ""
    return f"failed ({plain(failed.kind)}): {plain(failed.detail)}{to_do}"


def sizing(sized: "Sizing | SizingRow") -> str:
    """Return the contracts and the limit that binds them, in dollars of risk."""
    number = count(sized.contracts, "contract") if sized.contracts else "no contracts"
    binding = next((one for one in sized.constraints if one.code == sized.binding), None)
    if binding is None or binding.limit_dollars is None or binding.used_dollars is None:
        return f"{number}, bound by {plain(sized.binding)}"
    if sized.binding == _DELTA_LIMIT:
        limit, now = dollars(binding.limit_dollars), dollars(binding.used_dollars)
        return f"{number}, bound by {_DELTA_LIMIT}: limit {limit} for 1 % of SPY either way, now at {now}"
    limit, used = binding.limit_dollars, binding.used_dollars
    left = f"limit {dollars(limit)}, used {dollars(used)}, left {dollars(max(0.0, limit - used))}"
    return f"{number}, bound by {plain(sized.binding)}: {left}; one contract risks {dollars(sized.max_loss_dollars)}"


def order(
    *,
    state: str,
    reason: str | None,
    contracts: int,
    limit_credit: float,
    lowest_asked: float | None = None,
    detail: str | None = None,
) -> str:
    """Return what an order asked for and how it stands; of one that was worked in vain, the least that it asked for.

    `detail` are the broker's words, where it refused.
    """
    words = [plain(reason) if reason and reason != state else "", plain(detail or "")]
    why = f" ({': '.join(filter(None, words))})" if any(words) else ""
    sell = f"{plain(state)}{why}: sell {count(contracts, 'spread')} at"
    if lowest_asked is None or reason != "unfilled":
        return f"{sell} {per_share(limit_credit)} or more"
    return f"{sell} {per_share(lowest_asked)} at last"


def unfilled(execution: "Execution") -> str:
    """Return what an order of a scan asked for that was not filled."""
    return order(
        state=execution.state,
        reason=execution.reason,
        contracts=execution.ticket.contracts,
        limit_credit=execution.ticket.limit_credit,
        lowest_asked=execution.lowest_asked,
        detail=execution.detail,
    )


def fill(traded: "Traded | FillRow") -> str:
    """Return what traded: credit per share and for all contracts, and the fees."""
    received = cents(traded.credit * CONTRACT_MULTIPLIER * traded.contracts)
    sold = f"sold {count(traded.contracts, 'spread')} at {per_share(traded.credit)}"
    return f"{sold}, {received} received, fees {cents(traded.fees)}"


def screened(*, contracts: int, eligible: int, pairs: int, passed: int) -> str:
    """Return how many of what the screen looked at are left after each step."""
    looked = f"{count(contracts, 'contract')}, {eligible:,} eligible as legs"
    return f"{looked}, {count(pairs, 'pair')} in the ranges, {passed:,} passed"


def cost(dollars: float | None) -> str:
    """Return what LLM calls cost at list price."""
    return "cost unknown" if dollars is None else small_dollars(dollars)


def kinds(failures: "Iterable[Failure]") -> str:
    """Return who failed and at what, e.g. `greeks (timeout) x2 and sentiment (refusal)`."""
    found = Counter(f"{failed.role} ({failed.kind})" for failed in failures)
    return listed(f"{kind}{f' x{number}' if number > 1 else ''}" for kind, number in found.items())


def account(of: "Account") -> str:
    """Return an account's equity, cash and heat on one line."""
    heat = percent(of.heat_dollars / of.equity, 1) if of.equity > 0 else "unknown"
    pending = sum(exposure.pending for exposure in of.exposures)
    held = count(len(of.exposures) - pending, "position")
    carried = f"{held}, {count(pending, 'pending order')}" if pending else held
    return f"equity {cents(of.equity)}, cash {cents(of.cash)}, heat {heat} ({carried})"


def _numbers(said: "Opinion | OpinionRow | Verdict | VerdictRow") -> str:
    return f"confidence {percent(said.confidence)}, p_profit {percent(said.p_profit)}"
