"""Record: which versions of each role's prompt were used, when and how often; and the one that a text names."""

from dataclasses import dataclass

from mahler_agents.errors import UnknownIdError
from mahler_agents.record.reading import ReadTransaction, read_row
from mahler_agents.record.rows import GroundednessRow
from mahler_agents.record.runs import begins, prefix_range

_COUNTED_CALLS = 20

_USED = """
    SELECT prompts.hash AS hash, prompts.name AS role, content, MIN(used.at) AS first_used, MAX(used.at) AS last_used,
        COALESCE(SUM(used.kind = 'scan'), 0) AS scans, COALESCE(SUM(used.kind = 'replay'), 0) AS replays,
        COALESCE(SUM(used.kind = 'evaluation'), 0) AS evaluations
    FROM prompts LEFT JOIN (
        SELECT versions.value AS hash, runs.kind AS kind, runs.started_at AS at
        FROM runs, json_each(runs.config, '$.prompts') AS versions
        UNION ALL
        SELECT DISTINCT prompt_hash, 'evaluation', started_at
        FROM evaluation_variants JOIN runs ON runs.id = evaluation_variants.run_id
    ) AS used ON used.hash = prompts.hash
    GROUP BY prompts.hash
    ORDER BY role, first_used IS NULL, first_used, prompts.rowid
"""

_EVALUATED = """
    SELECT role, prompt_hash, COALESCE(results.model, variants.model) AS model, 1 AS retrospective,
        COUNT(*) AS replies, SUM(json_array_length(ungrounded) > 0) AS ungrounded_replies,
        SUM(numbers) AS numbers, SUM(json_array_length(ungrounded)) AS ungrounded
    FROM evaluation_results AS results
        JOIN evaluation_variants AS variants USING (run_id, variant) JOIN evaluations USING (run_id)
    WHERE numbers NOT NULL AND served_from IS NULL
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
"""
"""What was served from another evaluation was heard there."""


@dataclass(frozen=True, kw_only=True)
class PromptVersion:
    """One version of one role's prompt."""

    role: str
    hash: str
    content: str
    first_used: str | None
    """When the first run with it began; None if none did."""
    last_used: str | None
    scans: int
    """Runs that asked with it."""
    replays: int
    evaluations: int


class PromptReader(ReadTransaction):
    """Answers which versions there are."""

    def versions(self, role: str | None = None) -> tuple[PromptVersion, ...]:
        """Return the versions of every role, or of one, in the order of their first use.

        Raises `UnknownIdError` for a role of which there is none.
        """
        found = self._all(PromptVersion, _USED)
        if role is None:
            return found
        of_role = tuple(one for one in found if one.role == role)
        if not of_role:
            known = ", ".join(dict.fromkeys(one.role for one in found)) or "no prompt yet: run `mahler scan` first"
            raise UnknownIdError(f"no prompt of `{role}` in {self.path}; it has: {known}")
        return of_role

    def evaluated(self) -> tuple[GroundednessRow, ...]:
        """Return, for each version and model that evaluations heard, how many numbers were not in the brief."""
        return tuple(read_row(GroundednessRow, row) for row in self._rows(_EVALUATED))

    def content(self, role: str, version: str) -> tuple[str, str]:
        """Return the hash and text of the version that `version` is, or begins.

        Raises `UnknownIdError` if there is none, or more than one.
        """
        rows = self._rows(
            f"SELECT hash, content FROM prompts WHERE name = ? AND {begins('hash')} ORDER BY hash",
            role,
            *prefix_range(version),
        )
        if not rows:
            raise UnknownIdError(
                f"no version `{version}` of {role} in {self.path}; `mahler prompt list` shows what there is"
            )
        if len(rows) > 1:
            named = ", ".join(row["hash"][: len(version) + 6] for row in rows[:3])
            raise UnknownIdError(f"`{role}@{version}` fits {len(rows)} versions ({named}); type more of it")
        return rows[0]["hash"], rows[0]["content"]

    def counted_tokens(self, role: str) -> tuple[str, list[tuple[int, int]]] | None:
        """Return the model of a role's last counted call, and of its last calls the characters and prompt tokens.

        Characters are those of the messages' texts. None if no provider counted any.
        """
        rows = self._rows(
            "SELECT model, prompt_tokens,"
            " (SELECT SUM(LENGTH(value ->> 'content')) FROM json_each(request, '$.messages')) AS characters"
            " FROM llm_calls WHERE role = ? AND prompt_tokens > 0 AND request <> ''"
            f" ORDER BY started_at DESC LIMIT {_COUNTED_CALLS}",
            role,
        )
        if not rows:
            return None
        model = rows[0]["model"]
        return model, [(row["characters"], row["prompt_tokens"]) for row in rows if row["model"] == model]
