"""Summary: a record and a New York date in, what the day brought out (`DaySummary`), and the lines that say it."""

from mahler_agents.summary.day import DaySummary
from mahler_agents.summary.lines import summary_lines
from mahler_agents.summary.read import chosen_account, day_summary, last_day

__all__ = ["DaySummary", "chosen_account", "day_summary", "last_day", "summary_lines"]
