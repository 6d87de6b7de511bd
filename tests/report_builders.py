"""Accounts' histories for tests of the report: positions, closings and equity of chosen figures."""

import datetime as dt
from collections.abc import Mapping, Sequence

from mahler_agents.clock import utc_text
from mahler_agents.record.accounts import (
    AccountHistory,
    ClosedPart,
    EntryFill,
    HeldPosition,
    LastMark,
    PaidIn,
    RecordedEquity,
    ShadowEnds,
)
from mahler_agents.report import AccountReport, Span, account_report
from mahler_agents.report.span import until_end


def at(day: int, hour: int = 15, minute: int = 0) -> str:
    """Return an instant of March 2026 as the record writes it; 15:00 UTC is 11:00 in New York from the 8th on."""
    return utc_text(dt.datetime(2026, 3, day, hour, minute, tzinfo=dt.UTC))


def entry(opened_at: str, contracts: int, credit: float, fees: float) -> EntryFill:
    return EntryFill(entry_order_id="", at=opened_at, contracts=contracts, credit=credit, fees=fees)


def held(name: str, *fills: EntryFill, underlying: str = "SPY", spread_type: str = "bull_put") -> HeldPosition:
    return HeldPosition(
        entry_order_id=name,
        underlying=underlying,
        spread_type=spread_type,
        expiration="2026-04-17",
        short_strike=540.0,
        long_strike=535.0 if spread_type == "bull_put" else 545.0,
        opened_at=fills[0].at,
        fills=fills,
    )


def closed(name: str, closed_at: str, pnl: float, *, contracts: int = 1, rule: str = "profit_target") -> ClosedPart:
    return ClosedPart(
        entry_order_id=name, rule=rule, contracts=contracts, closed_at=closed_at, fees=4.0, pnl_dollars=pnl
    )


def history(
    positions: Sequence[HeldPosition] = (),
    parts: Sequence[ClosedPart] = (),
    equity: Sequence[tuple[str, float]] = (),
    *,
    deposits: Sequence[tuple[str, float]] = (),
    shadows: Sequence[ShadowEnds] = (),
) -> AccountHistory:
    return AccountHistory(
        account_id="paper-test",
        synthetic=True,
        positions=tuple(positions),
        parts=tuple(parts),
        equity=tuple(RecordedEquity(at=when, equity=dollars) for when, dollars in equity),
        deposits=tuple(PaidIn(at=when, dollars=dollars) for when, dollars in deposits),
        shadows=tuple(shadows),
    )


def one_lot(name: str, opened_at: str, closed_at: str, pnl: float, **choices: str) -> tuple[HeldPosition, ClosedPart]:
    """Return a position of one contract and its closing, by `rule` if that is among the choices."""
    rule = choices.pop("rule", "profit_target")
    return held(name, entry(opened_at, 1, 0.5, 2.0), **choices), closed(name, closed_at, pnl, rule=rule)


def reported(
    of: AccountHistory, span: Span | None = None, marks: Sequence[Mapping[str, LastMark]] = ({}, {})
) -> AccountReport:
    """Return the figures of a history; `marks` are those at its first and last point."""
    chosen = span or Span()
    return account_report(until_end(of, chosen), chosen, marks)
