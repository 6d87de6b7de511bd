"""Answers of Alpaca's trading API, field by field as its documentation shows them: for tests of their reading."""

from typing import Any

from trading_builders import a_spread

from mahler_agents.types import Spread

ORDER_ID = "SPY-20260417-P-540-535-0123456789abcdef.1"
BROKER_ORDER_ID = "83f37e9f-6b1f-49ed-8fc6-3e6af716323f"


def an_order(
    status: str = "new",
    *,
    spread: Spread | None = None,
    opens: bool = True,
    qty: int = 4,
    filled: int = 0,
    short: str = "1.05",
    long: str = "0.10",
    **more: Any,
) -> dict[str, Any]:
    """Return a multi-leg order; `short` and `long` are the legs' mean prices of what has filled."""
    spread = spread or a_spread()
    sides = ("sell", "buy") if opens else ("buy", "sell")
    how = "open" if opens else "close"
    legs = [
        _a_leg(symbol, side, f"{side}_to_{how}", status, qty, filled, price)
        for symbol, side, price in zip((spread.short_symbol, spread.long_symbol), sides, (short, long), strict=True)
    ]
    net = float(long) - float(short) if opens else float(short) - float(long)
    parent = {
        "client_order_id": ORDER_ID,
        "symbol": "",
        "side": "",
        "qty": str(qty),
        "filled_qty": str(filled),
        "filled_avg_price": f"{net:.4f}" if filled else None,
        "type": "limit",
        "limit_price": "-0.89" if opens else "1.2",
        "legs": legs,
    }
    return _shared(BROKER_ORDER_ID, status, filled) | parent | more


def an_account(**more: Any) -> dict[str, Any]:
    """Return an account that can trade spreads."""
    return {
        "id": "1d9eed04-be39-4e01-9b84-a48ac5bbafcf",
        "account_number": "PA3TESTACCT",
        "status": "ACTIVE",
        "currency": "USD",
        "cash": "100379.12",
        "equity": "100004.12",
        "options_buying_power": "98379.12",
        "options_trading_level": 3,
        "trading_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
    } | more


def an_activity(kind: str, symbol: str, date: str, **more: Any) -> dict[str, Any]:
    """Return what an option event left in the account's activities."""
    return {
        "id": f"20260417000000000::{kind}-{symbol}",
        "activity_type": kind,
        "date": date,
        "net_amount": "0",
        "description": "Option event",
        "symbol": symbol,
        "qty": "-2",
        "status": "executed",
    } | more


def _a_leg(  # noqa: PLR0917 - in the order in which a trader says them
    symbol: str, side: str, intent: str, status: str, qty: int, filled: int, price: str
) -> dict[str, Any]:
    own = {
        "client_order_id": f"leg-{symbol}",
        "symbol": symbol,
        "side": side,
        "position_intent": intent,
        "ratio_qty": "1",
        "qty": str(qty),
        "filled_qty": str(filled),
        "filled_avg_price": price if filled else None,
        "type": "",
        "limit_price": None,
        "legs": None,
    }
    return _shared(f"id-{symbol}", status, filled) | own


def _shared(order_id: str, status: str, filled: int) -> dict[str, Any]:
    return {
        "id": order_id,
        "created_at": "2026-03-17T14:03:00.677230742Z",
        "updated_at": "2026-03-17T14:03:05.725139688Z",
        "submitted_at": "2026-03-17T14:03:00.684952901Z",
        "filled_at": "2026-03-17T14:03:04.694Z" if filled else None,
        "order_class": "mleg",
        "time_in_force": "day",
        "status": status,
    }
