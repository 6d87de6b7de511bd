"""Evaluation: rows of stored briefs in, cases in their types out: a brief, and what became of its trade."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from mahler_agents.analysts import ANALYSTS
from mahler_agents.analysts.base import Brief
from mahler_agents.analysts.panel import QUORUM, PanelBrief
from mahler_agents.analysts.roles import Roles, roles_of
from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import InputError
from mahler_agents.record.cases import CaseRow
from mahler_agents.replay.original import read_brief

SHOWN = 8
"""Characters of a hash that are shown."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A stored brief on which its role can be asked again."""

    id: str
    """The brief's hash."""
    role: str
    brief: Brief
    as_of: dt.datetime
    underlying: str
    market: str
    synthetic: bool
    failure: str | None
    """Kind of the failure that a scan met on it."""
    pnl_dollars: float | None
    """Of one contract under the exit policy, after fees; None if it is not known."""
    tags: tuple[str, ...]
    run_id: str | None = None
    """The scan that wrote the brief; None of a case that was added."""

    @property
    def date(self) -> dt.date:
        """The New York date of its facts: cases of one date move together, so that they are resampled together."""
        return self.as_of.astimezone(NEW_YORK).date()

    @property
    def profit(self) -> bool | None:
        """Whether the trade ended above 0 after fees; None if that is not known."""
        return None if self.pnl_dollars is None else self.pnl_dollars > 0


def panel_roles() -> Roles:
    """Return what each role of the panel reads and must write, the debate's included."""
    return roles_of(ANALYSTS, 1)


def role_named(name: str) -> str:
    """Return a role's name. Raises `InputError` for one that the panel does not have."""
    roles = panel_roles()
    if name not in roles:
        raise InputError(f"no role `{name}`; use one of: {', '.join(roles)}")
    return name


def read_cases(rows: Iterable[CaseRow]) -> tuple[list[Case], list[str]]:
    """Return the cases of rows, and for each that cannot be read, one line that says why."""
    roles = panel_roles()
    cases: list[Case] = []
    unreadable: list[str] = []
    for row in rows:
        if row.role not in roles:
            unreadable.append(f"case {row.brief_hash[:SHOWN]}: its role `{row.role}` is not of this panel")
            continue
        brief = read_brief(roles[row.role][0], row.content, row.brief_hash)
        why = brief if isinstance(brief, str) else unanswerable(row.role, brief)
        if isinstance(brief, str) or why is not None:
            unreadable.append(f"case {row.brief_hash[:SHOWN]}: {why}")
        else:
            cases.append(_case(row, brief))
    return cases, unreadable


def unanswerable(role: str, brief: Brief) -> str | None:
    """Return what a brief lacks, so that its role would not be asked; None if it lacks nothing."""
    if missing := brief.missing():
        return f"{role} is not asked without {', '.join(missing)}"
    if isinstance(brief, PanelBrief) and len(brief.opinions) < QUORUM:
        return f"{role} is not asked on fewer than {QUORUM} opinions"
    return None


def _case(row: CaseRow, brief: Brief) -> Case:
    return Case(
        id=row.brief_hash,
        role=row.role,
        brief=brief,
        as_of=dt.datetime.fromisoformat(row.as_of),
        underlying=row.underlying,
        market=row.market,
        synthetic=row.synthetic,
        failure=row.failure,
        pnl_dollars=row.pnl_dollars,
        tags=row.tags,
        run_id=row.run_id,
    )
