"""Doctor, registry: every check and its place; those that one needs stand before it."""

from mahler_agents.doctor import (
    broker,
    configuration,
    hosts,
    keys,
    machine,
    market,
    model,
    notifications,
    prompts,
    record,
    schedule,
    vix,
)
from mahler_agents.doctor.check import Check, always
from mahler_agents.doctor.findings import Group
from mahler_agents.doctor.situation import Situation


def _alpaca(situation: Situation) -> bool:
    return situation.uses_alpaca


def _trades(situation: Situation) -> bool:
    return situation.trades_at_alpaca


def _real_money(situation: Situation) -> bool:
    return situation.trades_at_alpaca and configuration.is_live(situation)


CHECKS: tuple[Check, ...] = (
    Check(name="environment", group=Group.CONFIGURATION, look=configuration.environment),
    Check(
        name="alpaca-variables",
        group=Group.CONFIGURATION,
        look=configuration.alpaca_variables,
        needs=("environment",),
        applies=_alpaca,
    ),
    Check(name="clock", group=Group.CONFIGURATION, look=configuration.clock, needs=("environment", "alpaca-variables")),
    Check(
        name="live-rules",
        group=Group.CONFIGURATION,
        look=configuration.live_rules,
        needs=("environment",),
        applies=configuration.is_live,
    ),
    Check(name="risk-free-rate", group=Group.CONFIGURATION, look=configuration.risk_free_rate, needs=("clock",)),
    Check(name="alpaca-keys", group=Group.KEYS, look=keys.alpaca_keys, needs=("clock",), applies=_alpaca),
    Check(
        name="trading-host",
        group=Group.BROKER,
        look=hosts.trading_host,
        needs=("alpaca-variables",),
        asks=_alpaca,
        applies=_alpaca,
    ),
    Check(
        name="data-host",
        group=Group.MARKET,
        look=hosts.data_host,
        needs=("alpaca-variables",),
        asks=_alpaca,
        applies=_alpaca,
    ),
    Check(name="market", group=Group.MARKET, look=market.market, needs=("alpaca-keys",)),
    Check(name="account", group=Group.BROKER, look=broker.account, needs=("trading-host", "market"), asks=_alpaca),
    Check(
        name="options-level",
        group=Group.BROKER,
        look=broker.options_level,
        needs=("account",),
        asks=_alpaca,
        applies=_trades,
    ),
    Check(
        name="live-confirmation",
        group=Group.BROKER,
        look=broker.confirmation,
        needs=("account",),
        asks=_alpaca,
        applies=_real_money,
    ),
    Check(name="spread-widths", group=Group.BROKER, look=broker.spread_widths, needs=("account",)),
    Check(name="calendar", group=Group.SCHEDULE, look=schedule.calendar_range, needs=("clock",)),
    Check(
        name="clock-skew",
        group=Group.MARKET,
        look=market.clock_skew,
        needs=("alpaca-keys", "trading-host"),
        asks=_alpaca,
        applies=_alpaca,
    ),
    Check(
        name="session",
        group=Group.MARKET,
        look=market.session,
        needs=("clock-skew", "calendar"),
        asks=_alpaca,
        applies=_alpaca,
    ),
    Check(
        name="option-feed",
        group=Group.MARKET,
        look=market.option_feed,
        needs=("alpaca-keys", "data-host"),
        asks=_alpaca,
        applies=_alpaca,
    ),
    Check(
        name="quote-age",
        group=Group.MARKET,
        look=market.quote_age,
        needs=("option-feed", "calendar"),
        asks=_alpaca,
        applies=_alpaca,
    ),
    Check(
        name="stock-feed",
        group=Group.MARKET,
        look=market.stock_feed,
        needs=("alpaca-keys", "data-host"),
        asks=_alpaca,
        applies=_alpaca,
    ),
    Check(
        name="vix",
        group=Group.MARKET,
        look=vix.vix,
        needs=("alpaca-variables", "calendar"),
        asks=_alpaca,
        applies=_alpaca,
    ),
    Check(name="models", group=Group.MODEL, look=model.choices, needs=("environment",)),
    Check(
        name="embedded-model", group=Group.MODEL, look=model.embedded, needs=("models",), applies=model.asks_embedded
    ),
    Check(
        name="model-answers",
        group=Group.MODEL,
        look=model.reachable,
        needs=("models",),
        asks=always,
        applies=model.asks_provider,
    ),
    Check(name="prompts", group=Group.PROMPTS, look=prompts.prompts, needs=("environment",), applies=prompts.has_panel),
    Check(name="record", group=Group.RECORD, look=record.file, needs=("environment",)),
    Check(name="folder", group=Group.RECORD, look=machine.folder, needs=("environment",)),
    Check(name="record-schema", group=Group.RECORD, look=record.schema, needs=("record",), applies=record.is_there),
    Check(name="record-pages", group=Group.RECORD, look=record.pages, needs=("record",), applies=record.is_there),
    Check(name="record-log", group=Group.RECORD, look=record.wal, needs=("record",), applies=record.is_there),
    Check(name="at-work", group=Group.RECORD, look=record.presence, needs=("record",), applies=record.is_there),
    Check(
        name="record-owner",
        group=Group.RECORD,
        look=record.owner,
        needs=("record-schema", "account"),
        applies=record.is_there,
    ),
    Check(
        name="trading-state",
        group=Group.RECORD,
        look=record.trading_state,
        needs=("record-schema",),
        applies=record.is_there,
    ),
    Check(
        name="runs",
        group=Group.RECORD,
        look=record.unfinished,
        needs=("record-schema", "at-work"),
        applies=record.is_there,
    ),
    Check(
        name="orders",
        group=Group.RECORD,
        look=record.pending_orders,
        needs=("record-schema", "at-work"),
        applies=record.is_there,
    ),
    Check(
        name="scheduler", group=Group.SCHEDULE, look=schedule.heartbeat, needs=("record-schema", "clock", "calendar")
    ),
    Check(name="notifications", group=Group.SCHEDULE, look=notifications.channels, needs=("record-schema",)),
    Check(name="disk", group=Group.MACHINE, look=machine.disk, needs=("folder",)),
    Check(name="time-zones", group=Group.MACHINE, look=machine.time_zones),
    Check(name="python", group=Group.MACHINE, look=machine.python),
    Check(name="packages", group=Group.MACHINE, look=machine.packages),
)
