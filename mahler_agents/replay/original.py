"""Replay: the rows of a recorded run in, what was asked and said in it out, in the types in which it was."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pydantic import ValidationError

from mahler_agents.analysts import fund_manager as manager
from mahler_agents.analysts.base import Analyst, Brief, Opinion
from mahler_agents.analysts.debate import Argument, is_turn, turns
from mahler_agents.analysts.grounding import Grounding
from mahler_agents.analysts.roles import Roles, roles_of
from mahler_agents.errors import InputError
from mahler_agents.llm.failures import Failure, FailureKind
from mahler_agents.llm.past import RecordedAttempt, RecordedQuestion
from mahler_agents.llm.prompts import Prompt, parse_prompt
from mahler_agents.llm.replies import explain
from mahler_agents.record.replays import OriginalRows, Row
from mahler_agents.wording import spread_label

Outcome: TypeAlias = Opinion | Argument | manager.Verdict | Failure
"""What an advisor's node ended with."""


@dataclass(frozen=True, kw_only=True)
class OriginalCandidate:
    """A reviewed candidate; advisors are by node: `greeks`, `bull_1`, `fund_manager`."""

    row: Row
    label: str
    """The spread as a trader says it."""
    briefs: Mapping[str, Brief]
    outcomes: Mapping[str, Outcome]
    unreadable: Mapping[str, str]
    """Nodes that ended and cannot be asked again, and why."""
    unfinished: Sequence[str]
    """Nodes that made calls and did not end: the process died."""

    @property
    def id(self) -> str:
        """The candidate's id."""
        return self.row["id"]


@dataclass(frozen=True, kw_only=True)
class Original:
    """A recorded run."""

    run: Row
    config: Mapping[str, Any]
    panel: Mapping[str, Analyst]
    """By name."""
    rounds: int
    """Of the debate."""
    prompts: Mapping[str, Prompt]
    """By role, as they were."""
    candidates: tuple[OriginalCandidate, ...]
    calls: tuple[Row, ...]

    @property
    def roles(self) -> Roles:
        """What each role that a model played reads and must write."""
        return roles_of(self.panel.values(), self.rounds)

    @property
    def nodes(self) -> list[str]:
        """Every node that asks a model, in the order of the graph."""
        return [*self.panel, *(turn.name for turn in turns(self.rounds)), manager.NAME]

    def questions(self) -> dict[str, RecordedQuestion]:
        """Return every question by span, those included that did not end."""
        attempts: dict[str, list[Row]] = defaultdict(list)
        for row in self.calls:
            attempts[row["span_id"]].append(row)
        return {
            f"{candidate.id}.{node}": _question(candidate, node, attempts.get(f"{candidate.id}.{node}", ()))
            for candidate in self.candidates
            for node in (*candidate.outcomes, *candidate.unfinished)
        }


def _question(candidate: OriginalCandidate, node: str, rows: Sequence[Row]) -> RecordedQuestion:
    outcome = candidate.outcomes.get(node)
    return question_of(
        f"{node} of {candidate.label}",
        rows,
        ended=outcome is not None,
        failure=outcome if isinstance(outcome, Failure) else None,
    )


def question_of(whose: str, rows: Sequence[Row], *, ended: bool, failure: Failure | None) -> RecordedQuestion:
    """Return one question of its calls; attempts that never ended are left out, and those after them move up."""
    attempts: dict[int, RecordedAttempt] = {}
    abandoned = 0
    for row in rows:
        if row["outcome"] is None:
            abandoned += 1
            continue
        attempts[row["attempt"] - abandoned] = RecordedAttempt(
            model=row["model"],
            prompt_hash=row["prompt_hash"],
            brief_hash=row["brief_hash"],
            request=row["request"],
            outcome=row["outcome"],
            http_status=row["http_status"],
            response=row["response"],
            error=row["error"],
        )
    return RecordedQuestion(whose=whose, attempts=attempts, abandoned=abandoned, ended=ended, failure=failure)


def role_of(node: str) -> str:
    """Return the role that a node plays: a debater's is the same in each of its turns."""
    return node.rpartition("_")[0] if is_turn(node) else node


def original_of(rows: OriginalRows, panel: Sequence[Analyst]) -> Original:
    """Return a recorded run in its types.

    Raises `InputError` if it asked nobody, or asked an analyst that is not of this panel.
    """
    config = json.loads(rows.run["config"])
    if not config.get("prompts"):
        raise InputError(f"run {rows.run['id']} asked no model: there is nothing to replay")
    original = Original(
        run=rows.run,
        config=config,
        panel={one.name: one for one in panel},
        rounds=config.get("desk", {}).get("debate_rounds", 0),
        prompts=_prompts(config["prompts"], rows),
        candidates=(),
        calls=rows.calls,
    )
    if strangers := sorted(original.prompts.keys() - original.roles.keys()):
        raise InputError(f"run {rows.run['id']} asked {', '.join(strangers)}: not of this panel; name it as `panel`")
    candidates = _Candidates(rows, original.roles)
    return replace(original, candidates=tuple(candidates.read(row) for row in rows.candidates))


def _prompts(versions: Mapping[str, str], rows: OriginalRows) -> dict[str, Prompt]:
    """Return the prompts under the paths that the run's own failures name, so that theirs say the same."""
    mark = ": cannot render the prompt: "
    bad = [row for row in rows.failures if row["kind"] == FailureKind.BAD_PROMPT.value and mark in row["detail"]]
    paths = {row["prompt_hash"]: row["detail"].partition(mark)[0] for row in bad}
    return {
        role: parse_prompt(rows.prompts[version], path=paths.get(version, f"prompts/{role}.md"))
        for role, version in versions.items()
        if version in rows.prompts
    }


@dataclass(kw_only=True)
class _Found:
    """What the tables say of one candidate."""

    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    called: dict[str, None] = field(default_factory=dict[str, None])


class _Candidates:
    """Reads the candidates of a run."""

    def __init__(self, rows: OriginalRows, roles: Roles) -> None:
        self._rows = rows
        self._roles = roles
        self._found: dict[str, _Found] = defaultdict(_Found)
        for node, row, outcome in _outcomes(rows):
            self._found[row["candidate_id"]].outcomes[node] = outcome
        for row in rows.calls:
            self._found[row["candidate_id"]].called[row["span_id"].rpartition(".")[2]] = None

    def read(self, row: Row) -> OriginalCandidate:
        """Return one candidate and all that was said of it."""
        found = self._found[row["id"]]
        briefs: dict[str, Brief] = {}
        unreadable: dict[str, str] = {}
        for node, outcome in found.outcomes.items():
            brief = self._brief(role_of(node), outcome.brief_hash)
            if isinstance(brief, str):
                unreadable[node] = brief
            else:
                briefs[node] = brief
        return OriginalCandidate(
            row=row,
            label=spread_label(**{name: row[name] for name in _SPREAD}),
            briefs=briefs,
            outcomes=found.outcomes,
            unreadable=unreadable,
            unfinished=[node for node in found.called if node not in found.outcomes],
        )

    def _brief(self, role: str, version: str | None) -> Brief | str:
        """Return a recorded brief, or why it cannot be read."""
        if version is None:
            return "its brief is not on record"
        row = self._rows.briefs.get(version)
        if row is None:
            return f"its brief {version[:8]} is gone from the record"
        return read_brief(self._roles[role][0], row["content"], version)


def read_brief(kind: type[Brief], content: str, version: str) -> Brief | str:
    """Return the brief that a recorded text is, or why it is none of its version."""
    try:
        brief = kind.model_validate_json(content)
    except ValidationError as error:
        return f"its brief {version[:8]} is not of this version's form: {explain(error)}"
    if brief.content_hash != version:
        return f"its brief {version[:8]} has been changed since it was recorded, or is not of this version's form"
    return brief


_SPREAD = ("underlying", "spread_type", "short_strike", "long_strike", "expiration")


def _outcomes(rows: OriginalRows) -> list[tuple[str, Row, Outcome]]:
    """Return how every node of every candidate ended."""
    found: list[tuple[str, Row, Outcome]] = []
    for row in rows.opinions:
        said = {**_said(row), "details": json.loads(row["details"])}
        found.append((row["analyst"], row, Opinion.model_validate(said)))
    for row in rows.arguments:
        argument = Argument.model_validate(_said(row))
        turn = next(one for one in turns(argument.round) if (one.side, one.round) == (argument.side, argument.round))
        found.append((turn.name, row, argument))
    found += [(manager.NAME, row, manager.Verdict.model_validate(_said(row))) for row in rows.verdicts]
    found += [(row["role"], row, Failure.model_validate(_fields(row))) for row in rows.failures]
    return found


def _said(row: Row) -> dict[str, Any]:
    fields = _fields(row)
    numbers, ungrounded = fields.pop("numbers"), fields.pop("ungrounded")
    if numbers is not None:
        fields["grounding"] = Grounding(numbers=numbers, ungrounded=tuple(json.loads(ungrounded)))
    return fields


def _fields(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "candidate_id"}
