"""Report: trades and their shadows in, what the same rules would have brought if checked at the daily close; pure.

The exit rules come from a backtest on daily marks, while positions are checked at every monitor pass. The shadow of
each candidate is followed both ways, from one entry price, so that the two checks differ in nothing else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mahler_agents.record.accounts import ShadowEnds
from mahler_agents.report.trades import Holding, dollars


@dataclass(frozen=True, kw_only=True)
class DailyCheck:
    """Trades beside what became of their shadows, dollars after fees at the trades' own contracts."""

    trades: int
    compared: int
    """Trades whose shadow has ended both ways; only these are in the sums."""
    realised_dollars: float
    every_pass_dollars: float
    """Of the shadows, checked at every pass: apart from the realised by the entry's price alone."""
    daily_close_dollars: float
    """Of the shadows, checked at the sessions' closes only."""
    same_rule: int
    """Trades that the daily check closes by the rule that closed them."""


def daily_check(trades: Sequence[Holding], shadows: Iterable[ShadowEnds]) -> DailyCheck:
    """Return the trades beside their shadows."""
    ends = {shadow.entry_order_id: shadow for shadow in shadows}
    realised: list[float] = []
    every_pass: list[float] = []
    daily: list[float] = []
    same = 0
    for trade in trades:
        shadow = ends.get(trade.position.entry_order_id)
        if shadow is None or shadow.exit_pnl_dollars is None or shadow.daily_exit_pnl_dollars is None:
            continue
        realised.append(trade.pnl_dollars)
        every_pass.append(shadow.exit_pnl_dollars * trade.position.contracts)
        daily.append(shadow.daily_exit_pnl_dollars * trade.position.contracts)
        same += trade.rules == (shadow.daily_exit_rule,)
    return DailyCheck(
        trades=len(trades),
        compared=len(realised),
        realised_dollars=dollars(realised),
        every_pass_dollars=dollars(every_pass),
        daily_close_dollars=dollars(daily),
        same_rule=same,
    )
