"""The fake Alpaca's truth: its books as plain figures, for a test to hold another ledger against."""

from typing import Any

from mahler_agents.testing.fake_alpaca.valuation import equity_cents
from mahler_agents.testing.fake_alpaca.wire import activity_json
from mahler_agents.testing.fake_alpaca.world import World


def truth_of(world: World) -> dict[str, Any]:
    """Return cash, positions, orders with their fills, and activities, also those that are not shown yet.

    `net_cents` is what one unit paid, cents per share, below zero where it received.
    """
    books = world.books
    return {
        "now": world.now.isoformat(),
        "cash_cents": books.cash_cents,
        "equity_cents": equity_cents(world),
        "positions": {symbol: held.count for symbol, held in sorted(books.holdings.items())},
        "orders": [
            {
                "id": order.id,
                "client_order_id": order.client_order_id,
                "status": order.status.value,
                "units": order.units,
                "filled": order.filled,
                "limit_cents": order.limit_cents,
                "at": order.created_at.isoformat(),
                "legs": [{"symbol": leg.symbol, "count": leg.signed_ratio, "intent": leg.intent} for leg in order.legs],
                "fills": [
                    {
                        "units": execution.units,
                        "net_cents": execution.net_cents,
                        "leg_cents": list(execution.leg_cents),
                        "commission_cents": execution.commission_cents,
                        "at": execution.at.isoformat(),
                    }
                    for execution in order.executions
                ],
            }
            for order in books.orders
        ],
        "activities": [activity_json(world, activity) for activity in books.activities],
    }
