"""Stage 8, execute: Alpaca's account and positions in, ours out, and why an account cannot trade spreads; pure."""

import math
from collections.abc import Mapping

from mahler_agents.errors import BrokerError, ConfigError
from mahler_agents.execution.alpaca.answers import Answer
from mahler_agents.market.snapshot import Account

SPREADS_LEVEL = 3
"""Options level of spreads (docs.alpaca.markets, Options Trading: Trading Levels)."""

BLOCKS = {
    "account_blocked": "blocked",
    "trading_blocked": "blocked from trading",
    "trade_suspended_by_user": "suspended by its owner: Alpaca's dashboard lifts that",
}
"""Flags of an account that cannot trade, and what each means."""


def account_of(answer: Answer) -> Account:
    """Return the account, marked by Alpaca; its buying power is that for options."""
    return Account(
        account_id=answer.text("account_number"),
        equity=float(answer.number("equity")),
        cash=float(answer.number("cash")),
        buying_power=float(answer.number("options_buying_power")),
    )


def check_can_trade(answer: Answer) -> None:
    """Raise `ConfigError` if an account cannot trade spreads, with the reason and what lifts it."""
    number, status, currency = (answer.text(name) for name in ("account_number", "status", "currency"))
    if status != "ACTIVE":
        raise ConfigError(f"the Alpaca account {number} cannot trade: its status is {status}, not ACTIVE")
    for name, meaning in BLOCKS.items():
        if answer.flag(name):
            raise ConfigError(f"the Alpaca account {number} cannot trade: it is {meaning} (`{name}`)")
    level = answer.whole("options_trading_level")
    if level < SPREADS_LEVEL:
        raise ConfigError(
            f"the Alpaca account {number} cannot trade spreads: its options level is {level}, and they need"
            f" {SPREADS_LEVEL}; raise it in Alpaca's dashboard, under Account > Configure"
        )
    if currency != "USD":
        raise ConfigError(f"the Alpaca account {number} is kept in {currency}: the desk counts in US dollars")


def positions_of(answers: tuple[Answer, ...]) -> Mapping[str, int]:
    """Return what is held by symbol, negative if short; a fraction of a share counts as one."""
    held: dict[str, int] = {}
    for answer in answers:
        position = answer.named(f"the position in {answer.text('symbol')}")
        quantity, side = position.number("qty"), position.text("side")
        signs = {"long": 1, "short": -1}
        # Alpaca signs the quantity of a short position too: a long one below zero contradicts itself.
        if side not in signs or (side == "long" and quantity < 0):
            raise BrokerError(f"Alpaca's answer about {position.what} is {side} {quantity}: that is no position")
        held[position.text("symbol")] = signs[side] * math.ceil(abs(quantity))
    return held
