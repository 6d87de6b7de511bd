"""Stage 8, execute: spreads, tickets, fills and positions as columns of the record, and back."""

import datetime as dt
import sqlite3
from typing import Any

from mahler_agents.clock import utc_text
from mahler_agents.execution.orders import Attempt, ClosingTicket, Fill, OrderTicket, Ticket
from mahler_agents.execution.positions import Position
from mahler_agents.exits import ExitParams
from mahler_agents.market.snapshot import Exposure
from mahler_agents.types import Spread, SpreadType

SPREAD_COLUMNS = (
    "underlying",
    "spread_type",
    "expiration",
    "short_strike",
    "long_strike",
    "short_symbol",
    "long_symbol",
)


def spread_row(spread: Spread) -> dict[str, object]:
    """Return a spread's columns."""
    row = spread.model_dump(mode="json")
    return {column: row[column] for column in SPREAD_COLUMNS}


def spread_of(row: sqlite3.Row) -> Spread:
    """Return the spread that a row of orders, positions or shadows speaks of."""
    return Spread(**{column: row[column] for column in SPREAD_COLUMNS})


def ticket_row(ticket: Ticket) -> dict[str, object]:
    """Return the columns of orders that say what a ticket asks for."""
    row = {
        "client_order_id": ticket.client_order_id,
        "account_id": ticket.account_id,
        "slot": ticket.slot,
        "purpose": ticket.purpose,
        **spread_row(ticket.spread),
        "contracts": ticket.contracts,
        "limit_credit": ticket.worst_credit,
        "decided_at": utc_text(ticket.decided_at),
    }
    if isinstance(ticket, OrderTicket):
        own = {"candidate_id": ticket.candidate_id, "exit_params": ticket.exit_params.model_dump_json()}
    else:
        own = {"closes": ticket.entry_order_id, "rule": ticket.rule}
    return row | own


def ticket_of(row: sqlite3.Row) -> Ticket:
    """Return the ticket that a row of orders was made from."""
    shared: dict[str, Any] = {name: row[name] for name in ("client_order_id", "account_id", "slot", "contracts")}
    shared |= {"spread": spread_of(row), "decided_at": dt.datetime.fromisoformat(row["decided_at"])}
    if row["purpose"] == "entry":
        return OrderTicket(
            **shared,
            candidate_id=row["candidate_id"],
            limit_credit=row["limit_credit"],
            exit_params=ExitParams.model_validate_json(row["exit_params"]),
        )
    return ClosingTicket(**shared, entry_order_id=row["closes"], limit_debit=-row["limit_credit"], rule=row["rule"])


def fill_row(fill: Fill) -> dict[str, object]:
    """Return the columns of a fill."""
    return {**fill.model_dump(), "at": utc_text(fill.at)}


def fill_of(row: sqlite3.Row) -> Fill:
    """Return the fill that a row of fills speaks of."""
    return Fill(
        client_order_id=row["client_order_id"],
        number=row["number"],
        attempt=row["attempt"],
        contracts=row["contracts"],
        credit=row["credit"],
        fees=row["fees"],
        at=dt.datetime.fromisoformat(row["at"]),
    )


def attempt_row(attempt: Attempt) -> dict[str, object]:
    """Return the columns of an attempt that say what the broker is asked for."""
    return {
        "client_order_id": attempt.ticket.client_order_id,
        "number": attempt.number,
        "order_id": attempt.order_id,
        "at": utc_text(attempt.at),
        "contracts": attempt.contracts,
        "limit_credit": attempt.limit_credit,
    }


def attempt_of(row: sqlite3.Row, ticket: Ticket) -> Attempt:
    """Return the attempt of an order that a row of order_attempts speaks of."""
    return Attempt(
        ticket=ticket,
        number=row["number"],
        contracts=row["contracts"],
        limit_credit=row["limit_credit"],
        at=dt.datetime.fromisoformat(row["at"]),
    )


def position_of(row: sqlite3.Row) -> Position:
    """Return the position that a row of positions speaks of."""
    return Position(
        entry_order_id=row["entry_order_id"],
        spread=spread_of(row),
        contracts=row["contracts"] - row["closed_contracts"],
        opened_contracts=row["contracts"],
        entry_credit=row["entry_credit"],
        fees=row["fees"],
        opened_at=dt.datetime.fromisoformat(row["opened_at"]),
        exit_params=ExitParams.model_validate_json(row["exit_params"]),
    )


def exposure_of(row: sqlite3.Row) -> Exposure:
    """Return the risk in a row with a spread's columns, `open_contracts`, `credit` and `pending`."""
    spread = spread_of(row)
    return Exposure(
        underlying=spread.underlying,
        spread_type=SpreadType(row["spread_type"]),
        expiration=spread.expiration,
        short_symbol=spread.short_symbol,
        long_symbol=spread.long_symbol,
        contracts=row["open_contracts"],
        max_loss_dollars=spread.max_loss_dollars(row["credit"]),
        pending=bool(row["pending"]),
    )
