"""Telling: where a desk trades, its trading state and what differs at the broker, in words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mahler_agents.telling.risk_lines import RiskLine
from mahler_agents.text import plain

if TYPE_CHECKING:
    from mahler_agents.execution import BrokerCheck, Identity
    from mahler_agents.record.trading_state import Standing


def start_lines(identity: "Identity", trading: "Standing") -> Iterator[RiskLine]:
    """Yield where a desk trades and, unless it may trade as ever, its trading state."""
    yield RiskLine("desk", plain(identity.text), alarming=identity.real_money)
    yield from trading_lines(trading)


def trading_lines(trading: "Standing") -> Iterator[RiskLine]:
    """Yield the trading state, if it keeps anything from being opened."""
    if not trading.active:
        yield RiskLine("trading", f"{plain(trading.text)}; nothing is opened, exits go on", alarming=True)


def check_lines(check: "BrokerCheck") -> Iterator[RiskLine]:
    """Yield what differs at the broker, one line each."""
    for line in check.failed:
        yield RiskLine("broker", plain(line), alarming=True)
    for one in check.differences:
        yield RiskLine(one.kind.value, plain(one.text), alarming=True)
    for one in check.explained:
        yield RiskLine("explained", plain(one.text))
