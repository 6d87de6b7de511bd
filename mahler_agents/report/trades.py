"""Report: an account's history in, what its trades brought out; pure.

A trade is a position that has been closed whole: its profit is the sum of its parts, its day that of the last of them.
Profits are dollars after all fees. A trade, or an exit, is won if it brought more than 0.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from mahler_agents.record.accounts import AccountHistory, ClosedPart, HeldPosition

SHARES_PER_CONTRACT = 100
_Z_95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A position with all that was closed of it, oldest first."""

    position: HeldPosition
    parts: tuple[ClosedPart, ...]

    @property
    def left(self) -> int:
        """Contracts that are open."""
        return self.position.contracts - sum(part.contracts for part in self.parts)

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that closed something of it, in that order."""
        return tuple(dict.fromkeys(part.rule for part in self.parts))

    @cached_property
    def pnl_dollars(self) -> float:
        """What the parts brought."""
        return dollars(part.pnl_dollars for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class NamedTrade:
    """A trade as a report names it."""

    label: str
    rules: tuple[str, ...]
    closed_at: str
    pnl_dollars: float


@dataclass(frozen=True, kw_only=True)
class TradeStatistics:
    """What some trades brought together; None where there is nothing to divide by."""

    trades: int
    won: int
    pnl_dollars: float
    gross_profit_dollars: float
    """Sum of the trades that were won."""
    gross_loss_dollars: float
    """Sum of those that lost, as a positive number."""
    mean_dollars: float | None
    win_rate: float | None
    """Won / trades."""
    win_rate_95: tuple[float, float] | None
    """Wilson's score interval of the win rate at 95 %, as if no trade depended on another."""
    profit_factor: float | None
    """Gross profit / gross loss."""
    best: NamedTrade | None
    worst: NamedTrade | None


@dataclass(frozen=True, kw_only=True)
class RuleLine:
    """What one exit rule closed: whole positions, or parts where it asked for a share."""

    rule: str
    exits: int
    contracts: int
    pnl_dollars: float
    mean_dollars: float
    """Of one exit."""
    won: int
    win_rate: float
    """Won / exits."""


@dataclass(frozen=True, kw_only=True)
class GroupLine:
    """One underlying and direction."""

    underlying: str
    spread_type: str
    opened: int
    closed: int
    """Trades: positions closed whole."""
    open: int
    pnl_dollars: float
    """Realised, closed parts of open positions included."""
    won: int
    win_rate: float | None
    """Won / closed."""


@dataclass(frozen=True, kw_only=True)
class CreditStatistics:
    """What positions were sold for."""

    positions: int
    contracts: int
    received_dollars: float
    """Before fees."""
    average_credit: float | None
    """Per share: received / (contracts x 100)."""


def holdings_of(history: AccountHistory) -> tuple[Holding, ...]:
    """Return every position with what was closed of it."""
    parts: dict[str, list[ClosedPart]] = defaultdict(list)
    for part in history.parts:
        parts[part.entry_order_id].append(part)
    return tuple(
        Holding(position=position, parts=tuple(parts[position.entry_order_id])) for position in history.positions
    )


def trades_since(holdings: Iterable[Holding], begins: str) -> tuple[Holding, ...]:
    """Return the trades that ended at or after an instant, in that order."""
    ended = [one for one in holdings if one.left == 0 and one.parts[-1].closed_at >= begins]
    return tuple(sorted(ended, key=lambda one: (one.parts[-1].closed_at, one.position.entry_order_id)))


def statistics(trades: Sequence[Holding]) -> TradeStatistics:
    """Return what trades brought together."""
    profits = [trade.pnl_dollars for trade in trades]
    number, won = len(trades), sum(profit > 0 for profit in profits)
    gross_profit = dollars(profit for profit in profits if profit > 0)
    gross_loss = dollars(-profit for profit in profits if profit < 0)
    return TradeStatistics(
        trades=number,
        won=won,
        pnl_dollars=dollars(profits),
        gross_profit_dollars=gross_profit,
        gross_loss_dollars=gross_loss,
        mean_dollars=dollars(profits) / number if trades else None,
        win_rate=won / number if trades else None,
        win_rate_95=wilson_interval(won, number) if trades else None,
        profit_factor=gross_profit / gross_loss if gross_loss else None,
        best=_named(max(trades, key=_pnl)) if trades else None,
        worst=_named(min(trades, key=_pnl)) if trades else None,
    )


def by_rule(parts: Iterable[ClosedPart]) -> tuple[RuleLine, ...]:
    """Return a line for each rule that closed something, in the order of their names."""
    found: dict[str, list[ClosedPart]] = defaultdict(list)
    for part in parts:
        found[part.rule].append(part)
    return tuple(_rule_line(rule, found[rule]) for rule in sorted(found))


def by_group(holdings: Iterable[Holding], begins: str) -> tuple[GroupLine, ...]:
    """Return a line for each underlying and direction that was held at or after an instant, in the order of names."""
    found: dict[tuple[str, str], list[Holding]] = defaultdict(list)
    for one in holdings:
        if one.left or one.parts[-1].closed_at >= begins:
            found[one.position.underlying, one.position.spread_type].append(one)
    return tuple(_group_line(*names, found[names], begins) for names in sorted(found))


def credit_statistics(positions: Sequence[HeldPosition]) -> CreditStatistics:
    """Return what positions were sold for."""
    contracts = sum(position.contracts for position in positions)
    received = dollars(
        fill.credit * SHARES_PER_CONTRACT * fill.contracts for position in positions for fill in position.fills
    )
    return CreditStatistics(
        positions=len(positions),
        contracts=contracts,
        received_dollars=received,
        average_credit=received / (contracts * SHARES_PER_CONTRACT) if contracts else None,
    )


def wilson_interval(won: int, trades: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share p = won / n, n > 0 (Wilson 1927, JASA 22:209).

    (p + z²/2n ± z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n), which holds for few trades too.
    """
    share, z_squared = won / trades, _Z_95**2 / trades
    middle = share + z_squared / 2
    half = _Z_95 * math.sqrt(share * (1 - share) / trades + z_squared / (4 * trades))
    # The ends of 0 and 1 come out a binary fraction outside.
    return max(0.0, (middle - half) / (1 + z_squared)), min(1.0, (middle + half) / (1 + z_squared))


def dollars(amounts: Iterable[float]) -> float:
    """Return the sum of amounts that are whole cents, to the cent."""
    return sum(round(amount * 100) for amount in amounts) / 100


def _rule_line(rule: str, parts: Sequence[ClosedPart]) -> RuleLine:
    total, won = dollars(part.pnl_dollars for part in parts), sum(part.pnl_dollars > 0 for part in parts)
    return RuleLine(
        rule=rule,
        exits=len(parts),
        contracts=sum(part.contracts for part in parts),
        pnl_dollars=total,
        mean_dollars=total / len(parts),
        won=won,
        win_rate=won / len(parts),
    )


def _group_line(underlying: str, spread_type: str, members: Sequence[Holding], begins: str) -> GroupLine:
    trades = trades_since(members, begins)
    won = sum(trade.pnl_dollars > 0 for trade in trades)
    return GroupLine(
        underlying=underlying,
        spread_type=spread_type,
        opened=sum(one.position.opened_at >= begins for one in members),
        closed=len(trades),
        open=sum(one.left > 0 for one in members),
        pnl_dollars=dollars(part.pnl_dollars for one in members for part in one.parts if part.closed_at >= begins),
        won=won,
        win_rate=won / len(trades) if trades else None,
    )


def _pnl(trade: Holding) -> float:
    return trade.pnl_dollars


def _named(trade: Holding) -> NamedTrade:
    return NamedTrade(
        label=trade.position.label,
        rules=trade.rules,
        closed_at=trade.parts[-1].closed_at,
        pnl_dollars=trade.pnl_dollars,
    )
