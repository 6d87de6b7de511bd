"""Record: the meaning of the tables of accounts, the circuit breaker's memory and the embedded broker's own books."""

from mahler_agents.record.dictionary.entry import ACCOUNT, LEGS, Entry
from mahler_agents.record.dictionary.orders import BROKER_FILL

ENTRIES = {
    "record_owners": Entry(
        row="The account and the environment that this record belongs to; several in records of older versions.",
        columns={**ACCOUNT, "environment": "`paper` or `live`", "since": "when"},
    ),
    "trading_states": Entry(
        row="A change of the trading state; the newest is in force. No row: nothing was ever halted.",
        columns={
            "id": "counts up",
            "at": "when",
            "state": "`active`, `reducing` (nothing is opened, reviews go on) or `halted`",
            "reason": "why, in words",
            "by": "who: a user, or `reconcile`",
        },
    ),
    "broker_checks": Entry(
        row="When an account was last held against the broker's.",
        columns={
            **ACCOUNT,
            "at": "when",
            "error": "why the broker could not be read: nothing is opened; null if it was",
        },
    ),
    "broker_differences": Entry(
        row="Something in which the broker's account differed from the ledger.",
        columns={
            "id": "counts up",
            **ACCOUNT,
            "kind": "`external` (the broker holds what is not ours), `missing` (a leg of ours) or `order` (not ours)",
            "item": "symbol; the broker's id of an order",
            "underlying": "nothing is opened in it; null for orders",
            "in_ledger": "contracts that the ledger holds; negative is short",
            "at_broker": "contracts or shares that the broker holds; negative is short",
            "explanation": "in words",
            "first_seen_at": "when",
            "last_seen_at": "when",
            "gone_at": "since when it is no more; null while it stands",
        },
    ),
    "equity": Entry(
        row="What an account was worth.",
        columns={**ACCOUNT, "at": "when", "equity": "dollars", "cash": "dollars"},
    ),
    "deposits": Entry(
        row="Money paid in, or with a minus taken out: no gain and no loss.",
        columns={**ACCOUNT, "at": "when", "dollars": "dollars"},
    ),
    "breaker_states": Entry(
        row="The circuit breaker's memory of an account.",
        columns={**ACCOUNT, "state": "JSON: the peak, the standing halts, the steps reached"},
    ),
    "breaker_changes": Entry(
        row="A rule of the circuit breaker that reached another step.",
        columns={
            "id": "counts up",
            **ACCOUNT,
            "at": "when",
            "rule": "the rule",
            "code": "its step now",
            "observed": "what it saw; null if that was unknown",
            "equity": "dollars then",
            "size": "the multiplier that all rules together allow now",
            "close_share": "what all rules together ask to close now",
        },
    ),
    "paper_accounts": Entry(
        row="The embedded broker: an account.",
        columns={**ACCOUNT, "cash_cents": "whole cents"},
    ),
    "paper_orders": Entry(
        row="The embedded broker: an order that it took, which is an attempt of ours.",
        columns={
            "order_id": "the attempt's",
            **ACCOUNT,
            "state": "`accepted`, `partial`, `filled`, `canceled`, `expired` or `rejected`",
            "reason": "code of how it ended",
            "contracts": "how many",
            "ticket": "JSON: the order as it was sent; null in records of older versions",
            "limit_credit": "dollars per share",
            "expires_at": "the session's close",
            "at": "of the last change",
        },
    ),
    "paper_fills": Entry(row="The embedded broker: a fill.", columns=BROKER_FILL),
    "paper_positions": Entry(
        row="The embedded broker: the contracts of one option.",
        columns={
            **ACCOUNT,
            "symbol": "OCC symbol",
            "contracts": "how many; negative is short",
            "last_mid": "dollars per share: its last quote's mid",
            "last_quoted_at": "when that was",
        },
    ),
    "paper_spreads": Entry(
        row="The embedded broker: the spreads that the options stand for.",
        columns={**ACCOUNT, **LEGS, "contracts": "how many"},
    ),
    "paper_settlements": Entry(
        row="The embedded broker: an option that it settled at expiration.",
        columns={
            **ACCOUNT,
            "symbol": "OCC symbol",
            "at": "when",
            "contracts": "how many; negative was short",
            "underlying_price": "dollars per share",
            "dollars_per_share": "what one share of it was worth",
            "in_the_money": "1 or 0",
        },
    ),
}
