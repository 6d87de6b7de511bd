"""Record: what every table, view and column means; a test holds it against the schema, docs/record.md is made from it.

A migration that adds a column adds its meaning here, in the module of its group.
"""

from mahler_agents.record.dictionary import accounts, advice, evaluations, notifications, orders, runs, schedule, views
from mahler_agents.record.dictionary.entry import Entry

TABLES: dict[str, dict[str, Entry]] = {
    "Runs": runs.ENTRIES,
    "Advice": advice.ENTRIES,
    "Orders and positions": orders.ENTRIES,
    "Accounts": accounts.ENTRIES,
    "Schedule": schedule.ENTRIES,
    "Notifications": notifications.ENTRIES,
    "Cases and evaluations": evaluations.ENTRIES,
}
"""Group to its tables, by name, in the order in which a reader meets them."""

VIEWS: dict[str, Entry] = views.ENTRIES
"""The views, by name."""
