"""Doctor: a desk's choices in, what is wrong around it out, each with what to do; it trades nothing and writes nothing.

`Situation` is what is looked at, `CHECKS` who looks, `diagnose` runs them all.
"""

from mahler_agents.doctor.check import Check
from mahler_agents.doctor.findings import Diagnosis, Finding, Group, Level
from mahler_agents.doctor.registry import CHECKS
from mahler_agents.doctor.runner import diagnose
from mahler_agents.doctor.situation import Situation

__all__ = ["CHECKS", "Check", "Diagnosis", "Finding", "Group", "Level", "Situation", "diagnose"]
