"""Verification: a record in, for each thing that a desk should have done a finding out: did it?

Every check is a pure function of the rows; `verify` reads them in one transaction, and changes nothing.
"""

from mahler_agents.verification.finding import Check, Evidence, Finding, Judged, Shown, Verdict
from mahler_agents.verification.registry import CHECKS
from mahler_agents.verification.run import DAYS, Verification, judge, verify

__all__ = [
    "CHECKS",
    "DAYS",
    "Check",
    "Evidence",
    "Finding",
    "Judged",
    "Shown",
    "Verdict",
    "Verification",
    "judge",
    "verify",
]
