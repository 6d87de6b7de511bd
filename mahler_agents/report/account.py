"""Report: an account's history in, the figures of one span of days out; pure, but for `read_report`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mahler_agents.record.accounts import AccountHistory, AccountReader, LastMark, RecordedEquity
from mahler_agents.report.daily import DailyCheck, daily_check
from mahler_agents.report.equity import Drawdown, Reconciliation, closes_of, drawdown, reconcile, unrealised
from mahler_agents.report.span import Span, until_end
from mahler_agents.report.trades import (
    CreditStatistics,
    GroupLine,
    Holding,
    RuleLine,
    TradeStatistics,
    by_group,
    by_rule,
    credit_statistics,
    dollars,
    holdings_of,
    statistics,
    trades_since,
)


@dataclass(frozen=True, kw_only=True)
class AccountReport:
    """One account over one span of days; profits are dollars after all fees."""

    account_id: str
    synthetic: bool
    """True if any figure is of a made-up market."""
    opened: int
    closed: int
    """Trades: positions closed whole in the span."""
    open: int
    """At the end of the span."""
    realised_dollars: float
    """Of everything closed in the span, parts of open positions included."""
    fees_dollars: float
    """Of what was closed, entry and exit: realised before fees is the sum of both."""
    trades: TradeStatistics
    by_rule: tuple[RuleLine, ...]
    by_group: tuple[GroupLine, ...]
    credit: CreditStatistics
    """Of the positions opened in the span."""
    daily_check: DailyCheck
    drawdown: Drawdown | None
    """In every point that a scan or a monitor pass recorded in the span; None if there is none."""
    drawdown_of_closes: Drawdown | None
    """In the last point of each day."""
    reconciliation: Reconciliation | None
    """From the last point before the span, else the first in it, to the last; None without a point in the span."""


def read_report(reader: AccountReader, account_id: str, span: Span) -> tuple[AccountReport, AccountHistory]:
    """Return the figures of an account, and its history until the end of the span."""
    history = until_end(reader.history(account_id), span)
    ends = ends_of(history.equity, span)
    marks = [reader.last_marks(account_id, point.at) for point in ends or ()]
    return account_report(history, span, marks), history


def ends_of(points: Sequence[RecordedEquity], span: Span) -> tuple[RecordedEquity, RecordedEquity] | None:
    """Return the points between which a span's equity is reconciled; None if there is none in the span.

    The first is the last one before the span: what was open then is a part of its equity. `points` end with the span.
    """
    within = [point for point in points if point.at >= span.begins]
    before = [point for point in points if point.at < span.begins]
    return (before[-1] if before else within[0], within[-1]) if within else None


def account_report(history: AccountHistory, span: Span, marks: Sequence[Mapping[str, LastMark]]) -> AccountReport:
    """Return the figures of a history that ends with the span.

    `marks` are the last ones at the two points of `ends_of`, by entry order id; none if there are no points.
    """
    begins, holdings = span.begins, holdings_of(history)
    parts = [part for part in history.parts if part.closed_at >= begins]
    opened = [position for position in history.positions if position.opened_at >= begins]
    trades = trades_since(holdings, begins)
    points = [point for point in history.equity if point.at >= begins]
    return AccountReport(
        account_id=history.account_id,
        synthetic=history.synthetic,
        opened=len(opened),
        closed=len(trades),
        open=sum(one.left > 0 for one in holdings),
        realised_dollars=dollars(part.pnl_dollars for part in parts),
        fees_dollars=dollars(part.fees for part in parts),
        trades=statistics(trades),
        by_rule=by_rule(parts),
        by_group=by_group(holdings, begins),
        credit=credit_statistics(opened),
        daily_check=daily_check(trades, history.shadows),
        drawdown=drawdown(points, history.deposits),
        drawdown_of_closes=drawdown(closes_of(points), history.deposits),
        reconciliation=_reconciliation(history, span, holdings, marks),
    )


def _reconciliation(
    history: AccountHistory, span: Span, holdings: Sequence[Holding], marks: Sequence[Mapping[str, LastMark]]
) -> Reconciliation | None:
    if (ends := ends_of(history.equity, span)) is None:
        return None
    at_start, at_end = (unrealised(holdings, known, point.at) for point, known in zip(ends, marks, strict=True))
    return reconcile(
        start=ends[0],
        unrealised_at_start=at_start,
        deposits=history.deposits,
        parts=history.parts,
        unrealised=at_end,
        end=ends[1],
    )
