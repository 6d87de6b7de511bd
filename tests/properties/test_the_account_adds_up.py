"""Property: over any history of a month, cash, marks, fills, fees and outcomes add up to the account's equity; pure."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from conftest import at_scale
from hypothesis import given, settings
from hypothesis import strategies as st
from trading_builders import DECIDED_AT, a_spread

from mahler_agents.execution import Fill
from mahler_agents.execution.paper_account import (
    STARTING_CASH_CENTS,
    PaperAccount,
    after_fill,
    after_settlement,
    equity_dollars,
    fees_cents,
    settled,
    worst_payout_dollars,
)
from mahler_agents.execution.profit import Cents, part_of, part_result, received_cents
from mahler_agents.types import Spread, SpreadType

SPREADS = [
    a_spread(underlying, spread_type=spread_type, short=short)
    for underlying in ("SPY", "TLT")
    for spread_type in SpreadType
    for short in (540.0, 545.0)  # neighbours share a strike, so that legs net
]

cents = st.integers(1, 450)
contracts = st.integers(1, 12)
events = st.one_of(
    st.tuples(st.just("sell"), st.integers(0, len(SPREADS) - 1), contracts, cents),
    st.tuples(st.just("buy back"), st.integers(0, 30), contracts, cents),
    st.tuples(st.just("settle"), st.sampled_from(["SPY", "TLT"]), st.integers(52_000, 56_500)),
)


@dataclass
class Held:
    """One entry's fills and how many of its contracts are closed."""

    spread: Spread
    fills: list[Fill] = field(default_factory=list)
    closed: int = 0

    @property
    def open(self) -> int:
        return sum(fill.contracts for fill in self.fills) - self.closed


@dataclass
class Desk:
    """An account with its broker's arithmetic, and beside it the ledger's: positions and the P&L of closed parts."""

    commission: int
    account: PaperAccount = field(default_factory=lambda: PaperAccount(legs={}, spreads={}))
    held: list[Held] = field(default_factory=list)
    pnl_cents: int = 0

    def sell(self, which: int, count: int, credit: int) -> None:
        """Sell a spread; a second sale of the same one is a later fill of the same entry."""
        spread = SPREADS[which]
        position = next((one for one in self.held if one.spread == spread and one.open), None)
        if position is None:
            position = Held(spread)
            self.held.append(position)
        fees = fees_cents(count, self.commission)
        number = len(position.fills) + 1
        fill = Fill(
            client_order_id="x",
            number=number,
            attempt=1,
            contracts=count,
            credit=credit / 100,
            fees=fees / 100,
            at=DECIDED_AT,
        )
        position.fills.append(fill)
        self.account = after_fill(self.account, spread, opens=True, contracts=count, credit=fill.credit, fees=fees)

    def buy_back(self, which: int, count: int, debit: int) -> None:
        """Buy a part of a position back, or all of it."""
        still = [one for one in self.held if one.open]
        if not still:
            return
        position = still[which % len(still)]
        count, fees = min(count, position.open), fees_cents(min(count, position.open), self.commission)
        self.account = after_fill(
            self.account, position.spread, opens=False, contracts=count, credit=-debit / 100, fees=fees
        )
        self._close(position, count, Cents(received=-debit * 100 * count, fees=fees))

    def settle(self, underlying: str, price: int) -> None:
        """Settle all legs of an underlying."""
        legs = [symbol for one in self.held if one.open for symbol in (one.spread.short_symbol, one.spread.long_symbol)]
        found = {s: settled(s, DECIDED_AT, price / 100) for s in legs if s.startswith(underlying)}
        for leg in found.values():
            self.account = after_settlement(self.account, leg)
        for position in self.held:
            if position.open and position.spread.underlying == underlying:
                short, long = found[position.spread.short_symbol], found[position.spread.long_symbol]
                debit = round(short.dollars_per_share - long.dollars_per_share, 2)
                self._close(position, position.open, Cents(-received_cents(debit, position.open), 0))

    def _close(self, position: Held, count: int, exit_: Cents) -> None:
        entry = part_of(position.fills, after=position.closed, contracts=count)
        position.closed += count
        self.pnl_cents += round(part_result(entry, exit_).pnl_dollars * 100)

    def check(self, mids: dict[str, float]) -> None:
        """Assert that the broker's account and the ledger's figures say the same, to the cent."""
        open_cents = 0
        for position in self.held:
            entry = part_of(position.fills, after=position.closed, contracts=position.open)
            open_cents += entry.received - entry.fees
        assert self.account.cash_cents == STARTING_CASH_CENTS + self.pnl_cents + open_cents
        marks = sum(count * round(mids[symbol] * 200) * 50 for symbol, count in self.account.legs.items())
        assert equity_dollars(self.account, mids) == (self.account.cash_cents + marks) / 100
        spreads = {(one.spread.short_symbol, one.spread.long_symbol): one.open for one in self.held if one.open}
        assert spreads == self.account.spreads


@settings(max_examples=at_scale(1_000))
@given(
    history=st.lists(events, max_size=40),
    commission=st.integers(0, 150),
    half_cents=st.lists(st.integers(1, 900), min_size=4, max_size=4),
)
def test_marks_fills_and_fees_add_up_to_equity_and_outcomes_to_the_change_of_cash(
    history: list[tuple[Any, ...]], commission: int, half_cents: list[int]
) -> None:
    desk = Desk(commission)
    symbols = sorted({symbol for one in SPREADS for symbol in (one.short_symbol, one.long_symbol)})
    mids = {symbol: half_cents[place % 4] / 200 for place, symbol in enumerate(symbols)}
    steps = {"sell": desk.sell, "buy back": desk.buy_back, "settle": desk.settle}
    for kind, *arguments in history:
        steps[kind](*arguments)
        desk.check(mids)
    for underlying in ("SPY", "TLT"):
        desk.settle(underlying, 54_250)
    desk.check(mids)
    assert (dict(desk.account.legs), dict(desk.account.spreads)) == ({}, {})
    assert worst_payout_dollars(desk.account.legs) == 0
    assert desk.account.cash_cents - STARTING_CASH_CENTS == desk.pnl_cents


@given(
    parts=st.lists(st.tuples(st.integers(1, 9), st.integers(-400, 400), st.integers(0, 999)), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 12), max_size=10),
)
def test_consecutive_parts_of_an_order_are_the_whole_of_it(parts: list[tuple[int, int, int]], cuts: list[int]) -> None:
    fills = [
        Fill(
            client_order_id="x",
            number=number,
            attempt=1,
            contracts=count,
            credit=credit / 100,
            fees=fee / 100,
            at=DECIDED_AT + dt.timedelta(seconds=number),
        )
        for number, (count, credit, fee) in enumerate(parts, 1)
    ]
    total = sum(fill.contracts for fill in fills)
    taken, received, fees = 0, 0, 0
    for cut in (*cuts, total):
        count = min(cut, total - taken)
        share = part_of(fills, after=taken, contracts=count)
        taken, received, fees = taken + count, received + share.received, fees + share.fees
    assert (taken, received) == (total, sum(credit * 100 * count for count, credit, _ in parts))
    assert fees == sum(fee for _, _, fee in parts)
