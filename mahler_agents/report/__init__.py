"""Report: the record in, what an account earned and why out; figures are pure, drawing is apart in `plot`."""

from mahler_agents.record.accounts import only_account
from mahler_agents.report.account import AccountReport, account_report, read_report
from mahler_agents.report.span import Span

__all__ = ["AccountReport", "Span", "account_report", "only_account", "read_report"]
