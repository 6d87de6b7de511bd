"""Command line, `mahler report`: an account's figures in, lines for people out."""

from collections.abc import Iterator, Sequence

from mahler_agents.cli.table import Column, table_lines
from mahler_agents.report import AccountReport
from mahler_agents.report.daily import DailyCheck
from mahler_agents.report.equity import Drawdown, Reconciliation, Unrealised
from mahler_agents.report.trades import GroupLine, NamedTrade, RuleLine, TradeStatistics
from mahler_agents.text import cents, count, hung, instant, percent, plain, words
from mahler_agents.wording import SYNTHETIC_MARKET

_MARGIN = 13
_DIRECTIONS = {"bull_put": "put spreads", "bear_call": "call spreads"}

_Notes = Iterator[tuple[str, str]]
"""A note for the margin, and what it is a note of."""


def report_lines(report: AccountReport, width: int | None) -> Iterator[str]:
    """Yield the report's lines, wrapped to `width` columns if that is given."""
    if report.synthetic:
        yield SYNTHETIC_MARKET
    for note, text in _notes(report):
        yield from _noted(note, text, width)
    if report.by_rule:
        yield ""
        yield from table_lines(_rule_columns(report.by_rule), width)
    if report.by_group:
        yield ""
        yield from table_lines(_group_columns(report.by_group), width)


def _notes(report: AccountReport) -> _Notes:
    yield "account", plain(report.account_id)
    yield "positions", f"{report.opened:,} opened, {report.closed:,} closed, {report.open:,} open at the end"
    if report.credit.average_credit is not None:
        sold = f"{cents(report.credit.received_dollars)} received for {count(report.credit.contracts, 'contract')}"
        yield "credit", f"{report.credit.average_credit:.3f} per share on average; {sold}"
    yield "realised", f"{cents(report.realised_dollars)} after {cents(report.fees_dollars)} of fees"
    yield from _trades(report.trades)
    yield from _daily(report.daily_check)
    yield from _fall(report)
    yield from _reconciled(report.reconciliation)


def _trades(made: TradeStatistics) -> _Notes:
    if made.mean_dollars is None or made.win_rate is None or made.win_rate_95 is None:
        yield "trades", "none closed: no win rate, no profit factor"
        return
    low, high = made.win_rate_95
    interval = f"95 % interval {percent(low)} to {percent(high)}"
    yield "win rate", f"{percent(made.win_rate, 1)}, {made.won:,} of {count(made.trades, 'trade')} ({interval})"
    of_both = f"won {cents(made.gross_profit_dollars)}, lost {cents(made.gross_loss_dollars)}"
    factor = "none, since no trade lost" if made.profit_factor is None else f"{made.profit_factor:.2f}"
    yield "profit factor", f"{factor}: {of_both}, of {count(made.trades, 'trade')}"
    yield "per trade", f"{cents(made.mean_dollars)} on average"
    if made.best is not None and made.worst is not None:
        yield "best", _named(made.best)
        if made.trades > 1:
            yield "worst", _named(made.worst)


def _named(trade: NamedTrade) -> str:
    rules = ", ".join(map(words, trade.rules))
    return f"{cents(trade.pnl_dollars)}: {plain(trade.label)} ({rules}, {instant(trade.closed_at)})"


def _daily(check: DailyCheck) -> _Notes:
    if not check.trades:
        return
    if not check.compared:
        yield "daily close", f"no shadow of the {count(check.trades, 'trade')} has ended by a check at the daily close"
        return
    followed = f"{check.compared:,} of {count(check.trades, 'trade')}, which realised {cents(check.realised_dollars)}"
    yield "daily close", f"{cents(check.daily_close_dollars)} if checked at the close only: shadows of {followed}"
    yield "", f"{cents(check.every_pass_dollars)} of the same shadows, checked at every pass"
    yield "", f"{check.same_rule:,} closed by the same rule as the trade"


def _fall(report: AccountReport) -> _Notes:
    if report.drawdown is None or report.drawdown_of_closes is None:
        yield "equity", "none recorded in these days: no drawdown, nothing to reconcile"
        return
    yield "drawdown", _drawdown(report.drawdown, "scans and monitor passes")
    yield "", _drawdown(report.drawdown_of_closes, "last points of a day")


def _drawdown(fall: Drawdown, of_what: str) -> str:
    points = f"of {count(fall.points, 'point')}: {of_what}"
    if fall.share <= 0:
        return f"none, {points}"
    when = f"{instant(fall.peak_at)} to {instant(fall.trough_at)}"
    return f"{percent(fall.share, 2)}, {cents(fall.dollars)}, {when} ({points})"


def _reconciled(books: Reconciliation | None) -> _Notes:
    if books is None:
        return
    first, last = books.start, books.end
    change = f" ({percent(last.equity / first.equity - 1, 2)})" if first.equity > 0 else ""
    yield "equity", f"{cents(first.equity)} at {instant(first.at)}, {cents(last.equity)} at {instant(last.at)}{change}"
    carried = books.unrealised_at_start.dollars
    less_carried = f" - unrealised at the start {cents(carried)}" if carried else ""
    paid_in, made = cents(books.deposits_dollars), cents(books.realised_dollars)
    summed = f"start {cents(first.equity)} + deposits {paid_in} + realised {made}"
    summed += f" + unrealised {cents(books.unrealised.dollars)}{less_carried}"
    yield "books", f"{summed} = {cents(books.expected_dollars)}"
    if books.difference_dollars:
        yield "", f"DIFFERENCE: the recorded equity is {cents(books.difference_dollars)} from that"
    else:
        yield "", "the recorded equity to the cent"
    for when, marked in (("start", books.unrealised_at_start), ("end", books.unrealised)):
        if gaps := _gaps(marked):
            yield "", f"at the {when}, {gaps}"


def _gaps(marked: Unrealised) -> str:
    gaps: list[str] = []
    if marked.marked_before:
        gaps.append(f"{count(marked.marked_before, 'open position')} had no mark then: counted at the last one")
    if marked.unmarked:
        gaps.append(f"{count(marked.unmarked, 'open position')} never had a mark: not counted")
    return "; ".join(gaps)


def _rule_columns(lines: Sequence[RuleLine]) -> list[Column]:
    return [
        Column(heading="closed by", cells=[words(line.rule) for line in lines]),
        Column(heading="exits", cells=[f"{line.exits:,}" for line in lines], right=True),
        Column(heading="contracts", cells=[f"{line.contracts:,}" for line in lines], right=True, droppable=1),
        Column(heading="P&L", cells=[cents(line.pnl_dollars) for line in lines], right=True),
        Column(heading="mean", cells=[cents(line.mean_dollars) for line in lines], right=True),
        Column(heading="won", cells=[f"{line.won:,}" for line in lines], right=True, droppable=2),
        Column(heading="win rate", cells=[percent(line.win_rate) for line in lines], right=True),
    ]


def _group_columns(lines: Sequence[GroupLine]) -> list[Column]:
    return [
        Column(heading="held", cells=[plain(line.underlying) for line in lines]),
        Column(
            heading="direction",
            cells=[_DIRECTIONS.get(line.spread_type, words(line.spread_type)) for line in lines],
        ),
        Column(heading="opened", cells=[f"{line.opened:,}" for line in lines], right=True),
        Column(heading="closed", cells=[f"{line.closed:,}" for line in lines], right=True),
        Column(heading="open", cells=[f"{line.open:,}" for line in lines], right=True),
        Column(heading="P&L", cells=[cents(line.pnl_dollars) for line in lines], right=True),
        Column(heading="won", cells=[f"{line.won:,}" for line in lines], right=True, droppable=1),
        Column(
            heading="win rate",
            cells=["none closed" if line.win_rate is None else percent(line.win_rate) for line in lines],
            right=True,
        ),
    ]


def _noted(note: str, text: str, width: int | None) -> list[str]:
    """Return text beside a margin with its note."""
    return hung(text, width, head=note.ljust(_MARGIN + 1), least=2 * _MARGIN)
