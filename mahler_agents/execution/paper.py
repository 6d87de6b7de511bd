"""Stage 8, execute: the embedded broker; its account is kept in the record's file, apart from our own ledger."""

import asyncio
import datetime as dt
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from mahler_agents.clock import utc_text
from mahler_agents.execution.orders import (
    LEGS,
    ClosingTicket,
    Fill,
    OrderState,
    OrderTicket,
    OrderUpdate,
    closing_debit,
)
from mahler_agents.market.occ import ContractTerms, parse_symbol
from mahler_agents.market.snapshot import Account, Market
from mahler_agents.record.durable import DurableConnection, insert
from mahler_agents.types import CONTRACT_MULTIPLIER, Quote, Reason, Spread, SpreadQuote

STARTING_CASH_CENTS = 10_000_000
_CENT_GUARD = 1e-9  # prices are whole cents; this is for binary fractions


class _HeldLeg(NamedTuple):
    symbol: str
    contracts: int
    """Negative if short."""
    last_mid: float
    last_quoted_at: dt.datetime


class _Order(NamedTuple):
    """What the books need of an entry or an exit."""

    client_order_id: str
    spread: Spread
    contracts: int
    at: dt.datetime
    opens: bool


class PaperBroker:
    """A broker for trials: 100,000 dollars, fills at the order's last price, at once, from the market's own quotes.

    An entry fills when the credit after `concession` of the way from mid to natural (not from the better side: this is
    the lower of the two readings) is at or above the order's lowest price; it fills at that credit, rounded down to a
    cent. An exit fills at the natural side. Money is kept in whole cents.
    """

    name = "paper"

    def __init__(
        self, path: Path, market: Market, *, concession: float, commission: float, account_id: str | None = None
    ) -> None:
        self.account_id = account_id or f"paper-{market.world}"
        self._market = market
        self._concession = concession
        self._commission_cents = round(commission * 100)
        self._books = DurableConnection(path)
        with self._books.transaction() as connection:
            connection.execute(
                "INSERT INTO paper_accounts (account_id, cash_cents) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (self.account_id, STARTING_CASH_CENTS),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._books.close()

    async def account(self, at: dt.datetime) -> Account:
        """Return cash plus every leg at its mid at the instant `at`; buying power is cash less what the legs could owe.

        A leg without a quote then is marked at the last one that the account saw, and named in `stale_marks`.
        """
        cash_cents, legs = await asyncio.to_thread(self._holdings)
        quotes = await self._market.quotes([leg.symbol for leg in legs], at)
        await asyncio.to_thread(self._note_marks, quotes)
        mids = {leg.symbol: quotes[leg.symbol].mid if leg.symbol in quotes else leg.last_mid for leg in legs}
        value = sum(leg.contracts * mids[leg.symbol] for leg in legs) * CONTRACT_MULTIPLIER
        cash = cash_cents / 100
        return Account(
            account_id=self.account_id,
            equity=round(cash + value, 2),
            cash=cash,
            buying_power=round(cash - worst_payout_dollars({leg.symbol: leg.contracts for leg in legs}), 2),
            stale_marks={leg.symbol: leg.last_quoted_at for leg in legs if leg.symbol not in quotes},
        )

    async def submit(self, ticket: OrderTicket, steps: tuple[float, ...]) -> OrderUpdate:
        """Fill the order at its last step or cancel it; a known `client_order_id` trades nothing again."""
        order = _Order(ticket.client_order_id, ticket.spread, ticket.contracts, ticket.decided_at, opens=True)
        if (known := await self.find(ticket.client_order_id)) is not None:
            return known
        quote = await self._quote(order)
        if quote is None or quote.credit_at(self._concession) < steps[-1] - _CENT_GUARD:
            return await asyncio.to_thread(self._cancel, order)
        return await asyncio.to_thread(self._fill, order, steps[-1], quote)

    async def close(self, ticket: ClosingTicket) -> OrderUpdate:
        """Buy back at the natural side, never above the width, or cancel if that is above the ticket's debit."""
        order = _Order(ticket.client_order_id, ticket.spread, ticket.contracts, ticket.decided_at, opens=False)
        if (known := await self.find(ticket.client_order_id)) is not None:
            return known
        quote = await self._quote(order)
        if quote is None:
            return await asyncio.to_thread(self._cancel, order)
        debit = closing_debit(quote, ticket.spread.width)
        if debit > ticket.limit_debit + _CENT_GUARD:
            return await asyncio.to_thread(self._cancel, order)
        return await asyncio.to_thread(self._fill, order, -debit, quote)

    async def find(self, client_order_id: str) -> OrderUpdate | None:
        """Return what became of an order, None if it was never in the books."""
        return await asyncio.to_thread(self._find, client_order_id)

    async def _quote(self, order: _Order) -> SpreadQuote | None:
        symbols = [order.spread.short_symbol, order.spread.long_symbol]
        return SpreadQuote.of(await self._market.quotes(symbols, order.at), order.spread)

    def _holdings(self) -> tuple[int, tuple[_HeldLeg, ...]]:
        with self._books.reading() as connection:
            cash = connection.execute(
                "SELECT cash_cents FROM paper_accounts WHERE account_id = ?", (self.account_id,)
            ).fetchone()
            rows = connection.execute(
                "SELECT symbol, contracts, last_mid, last_quoted_at FROM paper_positions"
                " WHERE account_id = ? AND contracts <> 0 ORDER BY symbol",
                (self.account_id,),
            ).fetchall()
        legs = tuple(
            _HeldLeg(row["symbol"], row["contracts"], row["last_mid"], dt.datetime.fromisoformat(row["last_quoted_at"]))
            for row in rows
        )
        return cash["cash_cents"], legs

    def _note_marks(self, quotes: Mapping[str, Quote]) -> None:
        if not quotes:
            return
        with self._books.transaction() as connection:
            connection.executemany(
                "UPDATE paper_positions SET last_mid = ?, last_quoted_at = ?"
                " WHERE account_id = ? AND symbol = ? AND last_quoted_at < ?",
                [
                    (quote.mid, utc_text(quote.at), self.account_id, symbol, utc_text(quote.at))
                    for symbol, quote in quotes.items()
                ],
            )

    def _find(self, client_order_id: str) -> OrderUpdate | None:
        with self._books.reading() as connection:
            row = connection.execute(
                "SELECT client_order_id, contracts, credit, fees, at FROM paper_orders WHERE client_order_id = ?",
                (client_order_id,),
            ).fetchone()
        return None if row is None else _update(row)

    def _cancel(self, order: _Order) -> OrderUpdate:
        with self._books.transaction() as connection:
            row = self._order_row(order, OrderState.CANCELED, None, 0.0)
            insert(connection, "paper_orders", row)
        return _update(row)

    def _fill(self, order: _Order, credit: float, quote: SpreadQuote) -> OrderUpdate:
        """Enter order, cash and legs into the books, in one transaction; a negative credit is paid."""
        fees_cents = self._commission_cents * LEGS * order.contracts
        received_cents = round(credit * 100) * CONTRACT_MULTIPLIER * order.contracts
        longs = order.contracts if order.opens else -order.contracts
        with self._books.transaction() as connection:
            row = self._order_row(order, OrderState.FILLED, credit, fees_cents / 100)
            insert(connection, "paper_orders", row)
            connection.execute(
                "UPDATE paper_accounts SET cash_cents = cash_cents + ? WHERE account_id = ?",
                (received_cents - fees_cents, self.account_id),
            )
            self._move_leg(connection, order.spread.short_symbol, -longs, quote.short)
            self._move_leg(connection, order.spread.long_symbol, longs, quote.long)
        return _update(row)

    def _order_row(self, order: _Order, state: OrderState, credit: float | None, fees: float) -> dict[str, object]:
        return {
            "client_order_id": order.client_order_id,
            "account_id": self.account_id,
            "state": state.value,
            "contracts": order.contracts,
            "credit": credit,
            "fees": fees,
            "at": utc_text(order.at),
        }

    def _move_leg(self, connection: sqlite3.Connection, symbol: str, contracts: int, quote: Quote) -> None:
        connection.execute(
            "INSERT INTO paper_positions (account_id, symbol, contracts, last_mid, last_quoted_at)"
            " VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET contracts = contracts + excluded.contracts,"
            " last_mid = excluded.last_mid, last_quoted_at = excluded.last_quoted_at",
            (self.account_id, symbol, contracts, quote.mid, utc_text(quote.at)),
        )


def worst_payout_dollars(held: Mapping[str, int]) -> float:
    """Return the most that option legs could owe at expiry, dollars: what the broker sets aside.

    `held` maps OCC symbols to contracts, negative if short. Legs of one underlying, expiration and right offset each
    other; others do not. The payoff is piecewise linear, so that its worst point is at a strike, at zero or far above.
    """
    groups: dict[tuple[str, dt.date, str], list[tuple[ContractTerms, int]]] = defaultdict(list)
    for symbol, contracts in held.items():
        option = parse_symbol(symbol)
        groups[option.underlying, option.expiration, option.right].append((option, contracts))
    return sum(_worst_of_group(legs) for legs in groups.values()) * CONTRACT_MULTIPLIER


def _worst_of_group(legs: list[tuple[ContractTerms, int]]) -> float:
    strikes = [option.strike for option, _ in legs]
    prices = [0.0, *strikes, 2 * max(strikes)]
    return max(0.0, *(-sum(contracts * _intrinsic(option, price) for option, contracts in legs) for price in prices))


def _intrinsic(option: ContractTerms, price: float) -> float:
    return max(0.0, option.strike - price if option.right == "put" else price - option.strike)


def _update(row: Mapping[str, Any] | sqlite3.Row) -> OrderUpdate:
    """Return what a row of the broker's orders says."""
    broker_order_id = f"paper-{row['client_order_id']}"
    if row["credit"] is None:
        return OrderUpdate(state=OrderState.CANCELED, broker_order_id=broker_order_id, reason=Reason.UNFILLED)
    fill = Fill(
        client_order_id=row["client_order_id"],
        contracts=row["contracts"],
        credit=row["credit"],
        fees=row["fees"],
        at=dt.datetime.fromisoformat(row["at"]),
    )
    return OrderUpdate(state=OrderState.FILLED, broker_order_id=broker_order_id, fill=fill)
