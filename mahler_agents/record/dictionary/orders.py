"""Record: the meaning of the tables of what was sized, ordered and held."""

from mahler_agents.record.dictionary.entry import ACCOUNT, CANDIDATE, EXIT_PARAMS, LEGS, SPREAD, Entry

_FILL = {
    "number": "counts from 1",
    "at": "when",
    "contracts": "how many",
    "credit": "dollars per share; negative is a debit",
    "fees": "dollars",
}


def _exit(prefix: str, words: str) -> dict[str, str]:
    return {
        f"{prefix}exit_rule": f"the rule that closed it {words}; null while it is followed",
        f"{prefix}exit_at": "when",
        f"{prefix}exit_debit": "dollars per share, at the natural side, or what it was settled at",
        f"{prefix}exit_pnl_dollars": "dollars for one contract, after fees",
    }


ENTRIES = {
    "sizings": Entry(
        row="How many contracts the limits allowed.",
        columns={
            **CANDIDATE,
            "contracts": "how many",
            "binding": "the limit that allowed the fewest",
            "limit_credit": "dollars per share: the lowest credit that the order may concede to, which is sized on",
            "max_loss_dollars": "dollars per contract at that credit",
            "constraints": "JSON: every limit, with contracts and dollars",
        },
    ),
    "orders": Entry(
        row="One order, written before the broker hears of it.",
        columns={
            "client_order_id": "ours; the broker takes it once only",
            **ACCOUNT,
            "slot": "of the scan or the monitor pass that decided it",
            "candidate_id": "the candidate of an entry; null for an exit",
            "purpose": "`entry` or `exit`",
            "closes": "the entry that an exit closes",
            "rule": "the exit rule",
            "state": (
                "`intent`, `sent`, `unknown`, `accepted`, `partial`; ended: `filled`, `canceled`, `expired`, `rejected`"
            ),
            "reason": "code of how it ended",
            **SPREAD,
            **LEGS,
            "contracts": "how many",
            "limit_credit": "dollars per share: the last limit; negative is a debit",
            "decided_at": "when it was decided",
            "short_bid": "of the short leg at the decision",
            "short_ask": "of the short leg at the decision",
            "long_bid": "of the long leg at the decision",
            "long_ask": "of the long leg at the decision",
            "exit_params": "JSON: the exit policy of an entry",
            "detail": "the broker's own words, where it refused",
        },
    ),
    "order_attempts": Entry(
        row="One limit order at the broker: a price of an order, for what was left of it; written before it is sent.",
        columns={
            "client_order_id": "its order",
            "number": "counts from 1",
            "order_id": "the id under which the broker has it",
            "at": "since when",
            "contracts": "how many were left",
            "limit_credit": "dollars per share; negative is a debit",
            "state": "as of an order, without `intent`",
            "broker_order_id": "the broker's; empty if it refused the attempt, and null as long as nothing of it is"
            " known: of one that has ended, an earlier sending may yet come to the broker",
        },
    ),
    "fills": Entry(
        row="Contracts of an order that traded at one price, as far as the broker told them apart.",
        columns={"client_order_id": "its order", "attempt": "number of the attempt that traded", **_FILL},
    ),
    "positions": Entry(
        row="A spread that was opened, by its entry.",
        columns={
            "entry_order_id": "the order that opened it",
            **ACCOUNT,
            "state": "`open` or `closed`",
            **SPREAD,
            **LEGS,
            "contracts": "how many were opened",
            "entry_credit": "dollars per share, as filled",
            "fees": "dollars at entry",
            "opened_at": "when",
            "closed_contracts": "how many of them are closed",
            **EXIT_PARAMS,
        },
    ),
    "marks": Entry(
        row="What it would have cost to close a position at an instant; nulls if a leg had no quote.",
        columns={
            "entry_order_id": "the position",
            "at": "when",
            "mid_cost": "dollars per share at mid",
            "natural_cost": "dollars per share: the ask of the short leg less the bid of the long one",
        },
    ),
    "outcomes": Entry(
        row="A closing of some contracts of a position: an order that filled, a settlement, or by the user.",
        columns={
            "entry_order_id": "the position",
            "number": "counts from 1",
            "exit_order_id": "the closing order; null for a settlement and for what was closed by hand",
            "rule": "why it was closed",
            "contracts": "how many were",
            "closed_at": "when",
            "exit_debit": "dollars per share",
            "fees": "dollars of this closing and of its share of the entry",
            "pnl_dollars": "dollars after those fees",
        },
    ),
    "shadows": Entry(
        row="A reviewed candidate, traded or not, followed to its exit as if one contract had been opened.",
        columns={
            **CANDIDATE,
            **ACCOUNT,
            **SPREAD,
            **LEGS,
            "entry_credit": "dollars per share, after the concession of an entry",
            "entered_at": "when",
            **_exit("", "in the monitor's passes"),
            **_exit("daily_", "had it been checked at each close only"),
            **EXIT_PARAMS,
        },
    ),
    "reductions": Entry(
        row="What the circuit breaker asked to close of a position.",
        columns={
            **ACCOUNT,
            "code": "the rule that asked",
            "at": "when",
            "entry_order_id": "the position",
            "keep": "contracts that may stay",
        },
    ),
}

BROKER_FILL = {"order_id": "its order", **_FILL}
"""The embedded broker keeps its own, so that the two can be reconciled."""
