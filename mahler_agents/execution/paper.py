"""Stage 8, execute: the embedded broker: limit orders matched against a market's quotes, an account of paper money."""

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from mahler_agents.execution.orders import BrokerOrder, OrderState, OrderUpdate, Ticket
from mahler_agents.execution.paper_account import (
    OpenOrder,
    PaperAccount,
    buying_power_dollars,
    equity_dollars,
    refusal,
    settled,
    settles_at,
)
from mahler_agents.execution.paper_books import PaperBooks
from mahler_agents.execution.paper_matching import (
    PaperOrder,
    PaperTerms,
    accepted,
    broker_order_id,
    canceled,
    looked_at,
)
from mahler_agents.execution.settlement import LegSettlement
from mahler_agents.market.occ import parse_symbol
from mahler_agents.market.snapshot import Account, Market
from mahler_agents.types import Quote, Spread, SpreadQuote


class PaperBroker:
    """A broker for trials, deterministic: 100,000 dollars, and limit orders good for the day.

    The market is looked at in the instants in which the broker is asked, and never between. An entry fills at its limit
    once that is at or below the credit after `concession` of the way from mid to natural (not from the better side:
    this is the lower of the two readings); an exit fills at natural once its limit pays that. `largest_fill` is the
    most contracts that the market takes of an order in one instant; None: all of them.

    An order that the account cannot carry (`buying_power`), or that closes what it does not hold (`not_held`), is
    rejected. Legs that have expired are settled in cash at the underlying's price at that session's close, once that
    price is known; a real account would be assigned shares. Money is kept in whole cents.
    """

    name = "paper"
    host = "embedded"

    def __init__(
        self,
        path: Path,
        market: Market,
        *,
        concession: float,
        commission: float,
        account_id: str | None = None,
        largest_fill: int | None = None,
    ) -> None:
        self.account_id = account_id or f"paper-{market.world}"
        self._market = market
        self._terms = PaperTerms(
            concession=concession, commission_cents=round(commission * 100), largest_fill=largest_fill
        )
        self._books = PaperBooks(path, self.account_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._books.__exit__(kind, error, trace)

    async def account(self, at: dt.datetime) -> Account:
        """Return cash plus every leg at its mid at the instant `at`; buying power is cash less what the legs could owe.

        A spread of which a leg has no quote then is marked at the last one that the account saw of both, and its legs
        named in `stale_marks`: one leg of today and one of yesterday are no price of a spread.
        """
        await self._settle(at)
        account, working, marks = await asyncio.to_thread(self._books.holdings)
        found = await self._market.quotes(list(account.legs), at)
        halves = {
            leg for legs in account.spreads if not all(_quoted(leg, account, found) for leg in legs) for leg in legs
        }
        quotes = {symbol: quote for symbol, quote in found.items() if symbol not in halves}
        if quotes:
            await asyncio.to_thread(self._books.note_marks, quotes)
        mids = {symbol: quotes[symbol].mid if symbol in quotes else mark.mid for symbol, mark in marks.items()}
        return Account(
            account_id=self.account_id,
            equity=equity_dollars(account, mids),
            cash=account.cash_cents / 100,
            buying_power=buying_power_dollars(account, working, self._terms.commission_cents),
            stale_marks={symbol: mark.quoted_at for symbol, mark in marks.items() if symbol not in quotes},
        )

    async def positions(self, at: dt.datetime) -> Mapping[str, int]:
        """Return the legs that the account holds after what has expired by the instant `at` was settled."""
        await self._settle(at)
        return (await asyncio.to_thread(self._books.holdings)).account.legs

    async def working(self, at: dt.datetime) -> tuple[BrokerOrder, ...]:
        """Return the orders that have not ended and whose day has not."""
        return tuple(
            BrokerOrder(
                order_id=order.order_id,
                broker_order_id=broker_order_id(order.order_id),
                symbols=(order.ticket.spread.short_symbol, order.ticket.spread.long_symbol),
            )
            for order in await asyncio.to_thread(self._books.all_working)
            if at <= order.expires_at
        )

    async def submit(
        self, ticket: Ticket, *, number: int, contracts: int, limit_credit: float, at: dt.datetime
    ) -> OrderUpdate:
        """Reject the attempt, or take it and look at the market; a known one trades nothing again."""
        order = accepted(ticket, number=number, contracts=contracts, limit_credit=limit_credit, at=at)
        if (known := await asyncio.to_thread(self._books.known, order)) is not None:
            return known
        quote = await self._quote(ticket.spread, at)

        def judge(account: PaperAccount, working: Sequence[OpenOrder]) -> PaperOrder:
            if (reason := refusal(account, working, order.left, self._terms.commission_cents)) is not None:
                return replace(order, state=OrderState.REJECTED, reason=reason)
            return looked_at(order, quote, at, self._terms)

        return await asyncio.to_thread(self._books.take, order, judge, quote)

    async def find(self, order_id: str, *, at: dt.datetime) -> OrderUpdate | None:
        """Look at the market for a working order, and return how it stands; None if it was never in the books."""
        if (known := await asyncio.to_thread(self._books.find, order_id)) is None or known.ended:
            return known
        order = await asyncio.to_thread(self._books.working, order_id)
        quote = None if order is None or at > order.expires_at else await self._quote(order.ticket.spread, at)
        return await asyncio.to_thread(
            self._books.change, order_id, lambda order: looked_at(order, quote, at, self._terms), quote
        )

    async def cancel(self, order_id: str, *, at: dt.datetime) -> OrderUpdate:
        """Cancel what is left of the order: it has ended at once."""
        return await asyncio.to_thread(self._books.change, order_id, lambda order: canceled(order, at), None)

    async def settlements(self, symbols: Sequence[str], *, at: dt.datetime) -> Mapping[str, LegSettlement]:
        """Settle what has expired by the instant `at`, and return how these legs were settled.

        A leg whose underlying's closing price the market does not know is not settled: it stays in the account.
        """
        await self._settle(at)
        return await asyncio.to_thread(self._books.settlements, symbols, at)

    async def _quote(self, spread: Spread, at: dt.datetime) -> SpreadQuote | None:
        return SpreadQuote.of(await self._market.quotes([spread.short_symbol, spread.long_symbol], at), spread)

    async def _settle(self, at: dt.datetime) -> None:
        account = (await asyncio.to_thread(self._books.holdings)).account
        due: dict[dt.datetime, list[str]] = defaultdict(list)
        # Also a leg that is short in one spread and long in another: the account has none of it, its spreads have.
        for symbol in sorted({*account.legs, *(leg for legs in account.spreads for leg in legs)}):
            if (close := settles_at(symbol, by=at)) is not None:
                due[close].append(symbol)
        legs: list[LegSettlement] = []
        for close, symbols in sorted(due.items()):
            underlyings = {symbol: parse_symbol(symbol).underlying for symbol in symbols}
            prices = await self._market.prices(sorted(set(underlyings.values())), close)
            legs += [
                settled(symbol, close, prices[underlying])
                for symbol, underlying in underlyings.items()
                if underlying in prices
            ]
        if legs:
            await asyncio.to_thread(self._books.settle, legs)


def _quoted(leg: str, account: PaperAccount, quotes: Mapping[str, Quote]) -> bool:
    """Return whether a leg has a quote, or needs none: all of it is the other leg of another spread."""
    return leg in quotes or leg not in account.legs
