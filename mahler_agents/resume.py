"""Scan, resumed: the rows of a run whose process died in, all that the scan needs to go on with it out.

What the run had begun with is read from the record, and nothing of it from the market or the desk: snapshot, choices,
prompts, and every call that ended. What is the desk's own must be what it was, or the run is not resumed.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mahler_agents.analysts import Analyst
from mahler_agents.choices import ScanChoices
from mahler_agents.clock import NEW_YORK, new_york_text
from mahler_agents.errors import InputError
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.past import PastCall
from mahler_agents.llm.prompts import Prompt, parse_prompt
from mahler_agents.llm.router import Past
from mahler_agents.llm.transport import is_loopback
from mahler_agents.market import calendar
from mahler_agents.market.archive import unpack
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.record.abandoned import left_of, unended_scans
from mahler_agents.record.queries import Reader
from mahler_agents.record.replays import OriginalRows, Row, read_original
from mahler_agents.replay.original import original_of
from mahler_agents.risk import BreakerDecision, SizeMultiplier, Sizing
from mahler_agents.types import Frozen
from mahler_agents.version import __version__

FRESH_FOR = dt.timedelta(minutes=10)
"""How long after its snapshot a run may still trade on it."""


class AtWorkError(InputError):
    """The run may be at work in another process."""


class Resumption(Frozen):
    """How a scan came to be resumed."""

    served: int
    """LLM calls that had ended by then: none of them was made again."""
    stale: str | None
    """Why nothing more was opened; None if that went on as well."""
    kept: tuple[str, ...]
    """What the run was begun with and the desk now has otherwise: the run's own held."""


@dataclass(frozen=True, kw_only=True)
class LeftRun:
    """A scan that its process left."""

    run: Row
    choices: ScanChoices
    snapshot: Snapshot
    """With the account as it was."""
    prompts: Mapping[str, Prompt]
    past: Past
    sizings: Mapping[str, Row]
    """By candidate."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run["id"]

    @property
    def decision_at(self) -> dt.datetime:
        """When its orders were to be decided."""
        return dt.datetime.fromisoformat(self.run["decision_at"])

    @property
    def risk(self) -> tuple[BreakerDecision, SizeMultiplier] | None:
        """What the circuit breaker had decided, None if it had not been asked."""
        if self.run["breaker"] is None:
            return None
        decided = BreakerDecision.model_validate_json(self.run["breaker"])
        return decided, SizeMultiplier.model_validate_json(self.run["size_multiplier"])

    def resumption(self, *, stale: str | None, desk: ScanChoices) -> Resumption:
        """Return how the run comes to be resumed by a desk that would begin with other choices, perhaps, now."""
        then = self.choices
        settings = ("exits", "limits", "screen", "regime", "budget")
        prompts = [
            f"prompt {role} {version[:8]} (now {desk.prompts[role][:8]})"
            for role, version in then.prompts.items()
            if desk.prompts.get(role, version) != version
        ]
        return Resumption(
            served=sum(len(question.attempts) for question in self.past.questions.values()),
            stale=stale,
            kept=(*(name for name in settings if getattr(then, name) != getattr(desk, name)), *prompts),
        )

    def sizing(self, candidate_id: str, multiplier: SizeMultiplier) -> Sizing | None:
        """Return how a candidate had been sized, None if its turn had not come."""
        row = self.sizings.get(candidate_id)
        if row is None:
            return None
        fields = {name: value for name, value in row.items() if name != "candidate_id"}
        return Sizing.model_validate(
            {**fields, "constraints": json.loads(row["constraints"]), "multiplier": multiplier}
        )


def left_run(path: Path, account_id: str, text: str | None) -> str | None:
    """Return the id of the run to resume: the one that `text` names, or the last that was left; None if none was.

    Raises `UnknownIdError` if there is no such run, `InputError` if it was not left, or is none of the account's scans.
    """
    left = unended_scans(path, account_id)
    if text is None:
        return left[-1] if left else None
    with Reader(path) as reader:
        run = reader.trace(reader.run_id(text)).run
    if run.kind != "scan":
        raise InputError(f"run {run.id} is a {run.kind}: only scans are resumed")
    if run.account_id != account_id:
        raise InputError(
            f"run {run.id} is of account {run.account_id}, this desk's is {account_id}: resume it with the options of"
            " its scan"
        )
    if run.id not in left:
        raise InputError(f"run {run.id} is {run.status}: its process did not leave it, and there is nothing to resume")
    return run.id


def read_left(path: Path, run_id: str, *, panel: Sequence[Analyst], prompts: Mapping[str, Prompt]) -> LeftRun:
    """Return a run that was left, in its types.

    `prompts` are the desk's: they stand in for what the process had not come to record, if the version is the same.
    Raises `InputError` if the run was made by another version, or with prompts that are nowhere.
    """
    rows = read_original(path, run_id)
    if rows.run["version"] != __version__:
        raise InputError(
            f"run {run_id} was begun by version {rows.run['version']}, this is {__version__}: it is not resumed, since"
            " the two would mix"
        )
    choices = ScanChoices.read(rows.run["config"])
    content, sizings = left_of(path, run_id)
    if content is None:
        raise InputError(f"run {run_id}: its snapshot is gone from the record: it cannot be resumed")
    return LeftRun(
        run=rows.run,
        choices=choices,
        snapshot=unpack(content),
        prompts={role: _prompt(role, version, rows, prompts) for role, version in choices.prompts.items()},
        past=_past(rows, panel) if choices.prompts else Past(),
        sizings={row["candidate_id"]: row for row in sizings},
    )


def refuse_another(
    left: LeftRun, desk: ScanChoices, *, own: Mapping[str, str], endpoints: Mapping[str, Endpoint]
) -> None:
    """Raise `InputError` if the desk is another than the run's: account, mode, settings, panel or models.

    `own` is what the run's row says of the desk, by column; `desk` what a scan would begin with now.
    """
    run, then = left.run, left.choices
    differing = [f"{name} {run[name]} (now {value})" for name, value in own.items() if run[name] != value]
    settings = {
        name: (getattr(then.desk, name), value) for name, value in desk.desk if getattr(then.desk, name) != value
    }
    differing += [f"{name} {was} (now {now})" for name, (was, now) in settings.items()]
    if then.panel != desk.panel:
        differing.append(f"the analysts {', '.join(then.panel)} (now {', '.join(desk.panel)})")
    if then.models.keys() != desk.models.keys():
        differing.append(f"models for {', '.join(then.models) or 'nobody'} (now {', '.join(desk.models) or 'nobody'})")
    else:
        differing += [
            f"{then.models[role]['model']} at {then.models[role]['base_url']} as {role}"
            f" (now {endpoint.model} at {endpoint.base_url})"
            for role, endpoint in endpoints.items()
            if not _same_model(then.models[role], endpoint)
        ]
    if differing:
        raise InputError(
            f"run {run['id']} was begun with {'; '.join(differing)}: resume it with the options of its scan"
        )


def staleness(left: LeftRun, *, now: dt.datetime, traded: dt.datetime | None, halted: Sequence[str] = ()) -> str | None:
    """Return why nothing may be opened on the run's snapshot any more, None if something may.

    `now` is the instant at which the run is resumed, `traded` the last one at which the account traded or moved money,
    `halted` the rules of the circuit breaker that have halted it after the snapshot.
    """
    as_of = left.snapshot.as_of
    if now < as_of:
        raise InputError(
            f"run {left.id} read the market of {new_york_text(as_of)}: it cannot be resumed before,"
            f" {new_york_text(now)}"
        )
    if traded is not None and traded > as_of:
        return (
            f"the account has traded or moved money as of {new_york_text(traded)}, after the snapshot of"
            f" {new_york_text(as_of)}"
        )
    if halted:
        return f"the circuit breaker has halted since the snapshot of {new_york_text(as_of)}: {', '.join(halted)}"
    if now > as_of and not _in_session(now):
        return f"{new_york_text(now)} is outside the session of the snapshot of {new_york_text(as_of)}"
    if now - as_of > FRESH_FOR:
        minutes = FRESH_FOR // dt.timedelta(minutes=1)
        return f"the snapshot of {new_york_text(as_of)} is more than {minutes} minutes old, {new_york_text(now)}"
    return None


def _in_session(now: dt.datetime) -> bool:
    date = now.astimezone(NEW_YORK).date()
    if not calendar.is_session(date):
        return False
    hours = calendar.session(date)
    return hours.open <= now < hours.close


def _prompt(role: str, version: str, rows: OriginalRows, prompts: Mapping[str, Prompt]) -> Prompt:
    """Return a prompt as it was: the desk's if that is the version, since a failure names its file, or the record's."""
    own = prompts.get(role)
    if own is not None and own.content_hash == version:
        return own
    if version in rows.prompts:
        return parse_prompt(rows.prompts[version], path=f"prompts/{role}.md")
    raise InputError(
        f"run {rows.run['id']} was begun with the prompt {role} {version[:8]}, which is neither in the record nor the"
        " desk's: it cannot be resumed"
    )


def _same_model(then: Mapping[str, str], endpoint: Endpoint) -> bool:
    """Return whether a role asks whom it had asked; the embedded server has another port each time."""
    same_place = then["base_url"] == endpoint.base_url or (endpoint.slots is not None and is_loopback(then["base_url"]))
    return then["model"] == endpoint.model and same_place


def _past(rows: OriginalRows, panel: Sequence[Analyst]) -> Past:
    return Past(questions=original_of(rows, panel).questions(), calls=tuple(map(_call, rows.calls)))


def _call(row: Row) -> PastCall:
    counted = (row["prompt_tokens"], row["completion_tokens"])
    known = (int(counted[0]), int(counted[1])) if None not in counted else None
    free = row["outcome"] == "http_error" or (row["error"] or "").startswith(("ConnectError", "ConnectTimeout"))
    return PastCall(
        model=row["model"],
        request=row["request"],
        used=known or ((0, 0) if free else None),
        dollars=row["cost_dollars"],
    )
