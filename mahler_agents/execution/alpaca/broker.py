"""Stage 8, execute: Alpaca as a broker: limit orders on both legs of a spread at once, sent once and asked for."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from alpaca.trading.enums import OrderClass, OrderSide, PositionIntent, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import GetOrderByIdRequest, GetOrdersRequest, LimitOrderRequest, OptionLegRequest

from mahler_agents.alpaca import AlpacaRefused, AlpacaUnsure
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.clock import Clock
from mahler_agents.errors import BrokerError
from mahler_agents.execution.alpaca.account import account_of, check_can_trade, positions_of
from mahler_agents.execution.alpaca.answers import Answer
from mahler_agents.execution.alpaca.orders import REPLACED, SpreadOrder, update_of_row, working_order
from mahler_agents.execution.alpaca.refusals import REFUSALS, is_duplicate, reason_of
from mahler_agents.execution.alpaca.settling import ACTIVITY_TYPES, LegEnd, leg_ends, settlement_of, underlying_of
from mahler_agents.execution.broker import BrokerOrder
from mahler_agents.execution.orders import OrderState, OrderUpdate, Ticket, attempt_id
from mahler_agents.execution.paper_account import settles_at
from mahler_agents.execution.settlement import LegSettlement
from mahler_agents.market.snapshot import Account, Market

T = TypeVar("T")

ASK_AGAIN_AFTER = tuple(dt.timedelta(seconds=seconds) for seconds in (0.0, 0.25, 0.5, 1.0))
"""After a cancel was asked for, when it is asked whether the order has ended: waits on the clock, one after another.

Short, since orders are worked one step of one at a time: `working` goes on asking about one that takes longer."""

_MOST_ORDERS = 500
"""What one answer holds at most (docs.alpaca.markets, Get All Orders: `limit`)."""
_MOST_REPLACED = 100
"""Orders that may have replaced one of ours, one after another."""
_PAGE = 100
"""Activities on a page, at most (docs.alpaca.markets, Account Activities: Pagination of Results)."""
_BEFORE = dt.timedelta(days=60)
"""How long before its expiration a leg may have been assigned: spreads are sold with 45 days to go at most."""


class AlpacaBroker:
    """A paper or live account at Alpaca. Made by `open`, which reads whose it is and whether it can trade spreads.

    Every order is one price of a ticket, under the attempt's id, on both legs at once. It is sent once: an answer that
    was lost is had by `find`. What fills is read from the legs' own prices. `api` must outlive it.
    """

    name = "alpaca"

    def __init__(self, api: AlpacaApi, market: Market, clock: Clock, *, account_id: str) -> None:
        self.account_id = account_id
        self.host = urlsplit(api.settings.trading_url).netloc
        self._api = api
        self._market = market
        self._clock = clock

    @classmethod
    async def open(cls, api: AlpacaApi, market: Market, clock: Clock) -> Self:
        """Return the broker of the account that the keys are of.

        `market` is asked for closing prices when options have expired. Raises `ConfigError` if the account cannot trade
        spreads, `BrokerError` if it cannot be read.
        """
        answer = Answer.of(await _asked(api, _reading(api, "/account"), "the account"), "the account")
        check_can_trade(answer)
        return cls(api, market, clock, account_id=answer.text("account_number"))

    async def account(self, at: dt.datetime) -> Account:
        """Return the account as it is now, marked by Alpaca."""
        del at
        what = "the account"
        account = account_of(Answer.of(await self._get(_reading(self._api, "/account"), what), what))
        if account.account_id != self.account_id:
            raise BrokerError(f"Alpaca told of account {account.account_id}, and not of {self.account_id}")
        return account

    async def positions(self, at: dt.datetime) -> Mapping[str, int]:
        """Return everything that the account holds: signed quantities of options and shares."""
        del at
        what = "the positions"
        return positions_of(Answer.each(await self._get(self._api.trading.get_all_positions, what), what))

    async def working(self, at: dt.datetime) -> tuple[BrokerOrder, ...]:
        """Return the orders that are open at Alpaca, the desk's and any other."""
        del at
        what = "the open orders"
        found: dict[str, BrokerOrder] = {}
        until: dt.datetime | None = None
        while True:  # newest first; the next page begins with the last one's own instant, whose orders may be more
            wanted = GetOrdersRequest(status=QueryOrderStatus.OPEN, limit=_MOST_ORDERS, nested=True, until=until)
            get = partial(self._api.trading.get_orders, wanted)
            answers = Answer.each(await self._get(get, what), what)
            known = len(found)
            found |= {order.broker_order_id: order for order in map(working_order, answers)}
            if len(answers) < _MOST_ORDERS:
                return tuple(found.values())
            if len(found) == known:
                raise BrokerError(f"Alpaca tells of {_MOST_ORDERS} open orders of one instant, and of none beyond")
            until = min(answer.instant("submitted_at") for answer in answers) + dt.timedelta(microseconds=1)

    async def submit(
        self, ticket: Ticket, *, number: int, contracts: int, limit_credit: float, at: dt.datetime
    ) -> OrderUpdate:
        """Send the order of one attempt, once, and return how it stands: refused, at work, or filled already.

        An id that Alpaca has had before trades nothing again: the order that has it is compared with this one, and
        adopted. Raises `BrokerError` if it is another one, and if nobody knows whether the order was taken.
        """
        del at
        order_id = attempt_id(ticket.client_order_id, number)
        order = SpreadOrder.of(ticket, order_id=order_id, contracts=contracts, limit_credit=limit_credit)
        request, what = _request(order), f"order {order_id}"
        try:
            raw = await self._api.send(lambda: self._api.trading.submit_order(request), what=f"submit {what}")
        except AlpacaRefused as error:
            if is_duplicate(error):
                return await self._adopted(order)
            if error.status not in REFUSALS:
                raise BrokerError(str(error)) from error
            return OrderUpdate(
                state=OrderState.REJECTED,
                broker_order_id="",
                traded=None,
                reason=reason_of(error),
                detail=error.message,
            )
        except AlpacaUnsure as error:
            raise BrokerError(str(error)) from error
        return await self._standing(self._ours(Answer.of(raw, what), order_id))

    async def cancel(self, order_id: str, *, at: dt.datetime) -> OrderUpdate:
        """Cancel what is left of an attempt, ask until it has ended, and return how: a fill that came first wins.

        One that has not ended after all of `ASK_AGAIN_AFTER` is returned as it stands. Raises `BrokerError` if Alpaca
        does not know the order, or cannot be asked.
        """
        del at
        told = await self._find(order_id)
        if told is None:
            raise BrokerError(f"Alpaca does not know order {order_id}, which was to be canceled")
        row = await self._row(told)
        taken = ""
        for wait in ASK_AGAIN_AFTER:
            update, live = update_of_row(row), row[-1].text("id")
            if update.ended:
                return update
            if taken != live and await self._delete(live, order_id):
                taken = live
            if wait:
                await self._clock.sleep_until(self._clock.now() + wait)
            row = await self._row(await self._by_id(row[0].text("id"), order_id))
        return update_of_row(row)

    async def find(self, order_id: str, *, at: dt.datetime) -> OrderUpdate | None:
        """Return how an attempt stands now, None if Alpaca has never had it."""
        del at
        told = await self._find(order_id)
        return None if told is None else await self._standing(told)

    async def settlements(self, symbols: Sequence[str], *, at: dt.datetime) -> Mapping[str, LegSettlement]:
        """Return how legs that have expired by `at` were settled, as far as Alpaca has told: often the next morning.

        Left out too are legs that were assigned or exercised while the market does not know the underlying's close.
        """
        due = {symbol: close for symbol in symbols if (close := settles_at(symbol, by=at)) is not None}
        if not due:
            return {}
        ends = leg_ends(await self._activities(after=min(due.values()).date() - _BEFORE), due)
        prices = await self._closes(ends)
        found = (settlement_of(end, prices.get((underlying_of(end), end.close))) for end in ends)
        return {leg.symbol: leg for leg in found if leg is not None}

    async def _closes(self, ends: Sequence[LegEnd]) -> Mapping[tuple[str, dt.datetime], float]:
        """Return the underlyings' prices at the closes that settle some legs; those that are not known are left out."""
        wanted: dict[dt.datetime, set[str]] = defaultdict(set)
        for end in ends:
            wanted[end.close].add(underlying_of(end))
        return {
            (underlying, close): price
            for close, underlyings in sorted(wanted.items())
            for underlying, price in (await self._market.prices(sorted(underlyings), close)).items()
        }

    async def _activities(self, *, after: dt.date) -> tuple[Answer, ...]:
        what = "the account's activities"
        params: dict[str, Any] = {
            "activity_types": ",".join(ACTIVITY_TYPES),
            "after": after.isoformat(),
            "direction": "asc",
            "page_size": _PAGE,
        }
        found: list[Answer] = []
        while True:
            page = await self._get(_reading(self._api, "/account/activities", dict(params)), what)
            answers = Answer.each(page, what)
            found += answers
            if len(answers) < _PAGE:
                return tuple(found)
            params["page_token"] = answers[-1].text("id")

    async def _adopted(self, order: SpreadOrder) -> OrderUpdate:
        told = await self._find(order.order_id)
        if told is None:
            raise BrokerError(f"Alpaca says that order {order.order_id} exists already, and does not know it")
        if different := order.differences(told):
            raise BrokerError(f"Alpaca has another order under the id {order.order_id}: {'; '.join(different)}")
        return await self._standing(told)

    async def _find(self, order_id: str) -> Answer | None:
        what = f"order {order_id}"
        try:
            raw = await self._api.get(
                lambda: self._api.trading.get_order_by_client_id(order_id), what=f"find {what}", for_order=True
            )
        except AlpacaRefused as error:
            if error.status == 404 and error.code is not None:  # Alpaca's own: a gateway's says nothing of the order
                return None
            raise BrokerError(str(error)) from error
        except AlpacaUnsure as error:
            raise BrokerError(str(error)) from error
        answer = self._ours(Answer.of(raw, what), order_id)
        # Legs are documented for an order that is asked for by its own id, with `nested`; by ours they may be left out.
        return answer if answer.has("legs") else await self._by_id(answer.text("id"), order_id)

    async def _standing(self, answer: Answer) -> OrderUpdate:
        return update_of_row(await self._row(answer))

    async def _row(self, answer: Answer) -> tuple[Answer, ...]:
        """Return an order and those that have replaced it, one after another, which nobody does here.

        Somebody else has, or a corporate action; what they trade now is what was left of ours.
        """
        row = [answer]
        while row[-1].text("status") == REPLACED:
            if len(row) > _MOST_REPLACED:
                raise BrokerError(f"{answer.what} was replaced at Alpaca more than {_MOST_REPLACED} times")
            next_id, wanted = row[-1].text("replaced_by"), GetOrderByIdRequest(nested=True)
            get = partial(self._api.trading.get_order_by_id, next_id, wanted)
            what = f"order {next_id}, which replaced {answer.what}"
            row.append(Answer.of(await self._get(get, what), what))
        return tuple(row)

    async def _by_id(self, broker_order_id: str, order_id: str) -> Answer:
        wanted = GetOrderByIdRequest(nested=True)
        raw = await self._get(
            lambda: self._api.trading.get_order_by_id(broker_order_id, wanted), what := f"order {order_id}"
        )
        return self._ours(Answer.of(raw, what), order_id)

    async def _delete(self, broker_order_id: str, order_id: str) -> bool:
        """Ask to cancel an order; return whether Alpaca took the request. What becomes of it is asked, not believed."""
        delete = self._api.trading.cancel_order_by_id
        try:
            await self._api.send(lambda: delete(broker_order_id), what=f"cancel order {order_id}")
        except AlpacaRefused as error:
            if error.status not in {404, 422}:  # not cancelable: it has ended, or will be in a moment
                raise BrokerError(str(error)) from error
            return False
        except AlpacaUnsure:
            return False
        return True

    async def _get(self, call: Callable[[], T], what: str) -> T:
        return await _asked(self._api, call, what)

    @staticmethod
    def _ours(answer: Answer, order_id: str) -> Answer:
        if (told := answer.text("client_order_id")) != order_id:
            raise BrokerError(f"Alpaca told of order {told}, and not of {order_id}")
        return answer


def _reading(api: AlpacaApi, path: str, params: Mapping[str, Any] | None = None) -> Callable[[], Any]:
    """Return the request for what the trading client has no method of its own for, or one that hides fields."""
    get: Callable[..., Any] = api.trading.get
    return lambda: get(path, params)


async def _asked(api: AlpacaApi, call: Callable[[], T], what: str) -> T:
    try:
        return await api.get(call, what=what, for_order=True)
    except (AlpacaRefused, AlpacaUnsure) as error:
        raise BrokerError(str(error)) from error


def _request(order: SpreadOrder) -> LimitOrderRequest:
    return LimitOrderRequest(
        client_order_id=order.order_id,
        order_class=OrderClass.MLEG,
        time_in_force=TimeInForce.DAY,
        qty=order.contracts,
        limit_price=float(order.limit_price),
        legs=[
            OptionLegRequest(
                symbol=leg.symbol, ratio_qty=1, side=OrderSide(leg.side), position_intent=PositionIntent(leg.intent)
            )
            for leg in order.legs
        ],
    )
