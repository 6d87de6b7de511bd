"""One process' work on orders at the fake Alpaca, as a desk does it: put right what is pending, enter, close."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from broker_worlds import a_vertical, an_api

from mahler_agents.execution import (
    Close,
    Ledger,
    OrderTicket,
    Reconciled,
    Trading,
    client_order_id,
    close_positions,
    execute,
    reconcile,
)
from mahler_agents.execution.alpaca.broker import AlpacaBroker
from mahler_agents.exits import ExitParams
from mahler_agents.market.sample import SampleMarket
from mahler_agents.remote_clock import RemoteClock
from mahler_agents.types import Spread

GRACE = dt.timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One process' way to its ledger and its broker; opened where it runs, after the fork."""

    clock: RemoteClock
    ledger: Ledger
    trading: Trading
    told: tuple[Reconciled, ...]
    """What became of the orders that were pending at its start."""

    @classmethod
    def open(cls, stack: ExitStack, environ: Mapping[str, str], database: Path, timeout: float) -> "Desk":
        """Connect, and put right what an earlier process left, as a desk does at every start."""
        clock, market = RemoteClock(environ["MAHLER_CLOCK_URL"]), SampleMarket()
        api = stack.enter_context(an_api(environ, timeout=timeout))
        broker = AlpacaBroker(api, market, clock, account_id="PAPER")
        ledger = stack.enter_context(Ledger(database, broker.account_id))
        trading = Trading(
            market=market, broker=broker, ledger=ledger, wait=clock.sleep_until, concession=0.66, grace=GRACE
        )
        told = asyncio.run(reconcile(trading, at=clock.now()))
        return cls(clock=clock, ledger=ledger, trading=trading, told=told)

    def enter(self, contracts: Sequence[int], *, slot: str = "scan") -> None:
        """Reserve and work a slot's entries in the first spreads, without those ordered in it, held or pending."""
        now = self.clock.now()
        at_risk = {one.short_symbol for one in self.ledger.exposures()}
        tickets = [
            self._ticket(spread, slot, rank, count, now)
            for rank, (spread, count) in enumerate(zip(spreads(), contracts, strict=False), 1)
            if spread.short_symbol not in at_risk
        ]
        new = [ticket for ticket in tickets if self.ledger.entry(ticket.client_order_id) is None]
        for ticket in new:
            self.ledger.reserve(lambda _exposures, _entries, ticket=ticket: (None, ticket), slot=slot)

        async def worked() -> None:
            async for _ in execute(new, self.trading):
                pass

        asyncio.run(worked())

    def close(self, *, urgent: bool) -> None:
        """Buy back all that is open and not being bought back."""
        now = self.clock.now()
        rule = "stop_loss" if urgent else "profit_target"
        closes = [
            Close(position=one, contracts=one.contracts, rule=rule, urgent=urgent)
            for one in self.ledger.open_positions(now)
        ]
        asyncio.run(close_positions(closes, self.trading, slot=f"monitor-{now.isoformat()}", at=now))

    def _ticket(self, spread: Spread, slot: str, rank: int, contracts: int, now: dt.datetime) -> OrderTicket:
        account_id = self.ledger.account_id
        return OrderTicket(
            client_order_id=client_order_id(
                account_id=account_id, slot=slot, spread=spread, purpose="entry", attempt=1
            ),
            account_id=account_id,
            slot=slot,
            candidate_id=f"run.{rank}",
            spread=spread,
            contracts=contracts,
            limit_credit=0.01,
            decided_at=now,
            exit_params=ExitParams(),
        )


@cache
def spreads() -> tuple[Spread, Spread]:
    """Return two put spreads of SPY, out of the money, a month from their expiration, that share no leg."""
    market = SampleMarket()
    chain = asyncio.run(market.snapshot(market.default_as_of(), ["SPY"])).underlyings["SPY"].chain
    puts = [
        (date.astype(dt.date), float(strike))
        for date, strike, bid, is_put in zip(chain.expiration, chain.strike, chain.bid, chain.is_put, strict=True)
        if is_put and bid > 0.1
    ]
    soonest = market.default_as_of().date() + dt.timedelta(days=30)
    expiration = min(date for date, _ in puts if date >= soonest)
    strikes = {strike for date, strike in puts if date == expiration}
    shorts = sorted((one for one in strikes if one < 0.97 * chain.spot and one - 5.0 in strikes), reverse=True)
    first = shorts[0]
    second = next(one for one in shorts if one < first - 6.0)
    return a_vertical(expiration, first, first - 5.0), a_vertical(expiration, second, second - 5.0)
