"""Stage 8, execute: a refusal of Alpaca's in, the reason code of the record out; pure.

Alpaca tells refusals by HTTP status, a code of eight digits that is shared by many, and words (docs.alpaca.markets,
Orders at Alpaca; alpaca.markets/learn, How to Fix Common Trading API Errors).
"""

from mahler_agents.alpaca import AlpacaRefused
from mahler_agents.types import Reason

REFUSALS = (400, 401, 403, 404, 422)
"""Statuses of a definite no to an order: it was not taken."""

_DUPLICATE = "client_order_id must be unique"

_REASONS = (
    ("buying power", Reason.BUYING_POWER),
    ("insufficient qty", Reason.NOT_HELD),
    ("position intent mismatch", Reason.NOT_HELD),
)
"""Words of Alpaca's message -> our reason."""


def is_duplicate(error: AlpacaRefused) -> bool:
    """Return whether an order was refused since Alpaca has had its client order id before."""
    return error.status == 422 and _DUPLICATE in error.message.lower()


def reason_of(error: AlpacaRefused) -> Reason:
    """Return why an order was refused, as far as a code says it; the words themselves are the order's detail."""
    message = error.message.lower()
    return next((reason for words, reason in _REASONS if words in message), Reason.REJECTED)
