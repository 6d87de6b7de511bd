"""Record: the meaning of the views."""

from mahler_agents.record.dictionary.entry import SPREAD, UNDERLYING, Entry

_ROLE = {"role": "the analyst, `fund_manager`, `bull` or `bear`"}
_PROMPT = {"prompt_hash": "the version of the prompt"}
_RETROSPECTIVE = {"retrospective": "1 if it is of replays, which were asked after the fact: no evidence of advice"}
_SUMS = {
    "prompt_tokens": "of it and of all below it",
    "completion_tokens": "of it and of all below it",
    "cost_dollars": "the known part, at list price; null if none is known",
}

ENTRIES = {
    "run_tree": Entry(
        row="One node of a run: the run, its candidates, their spans, the calls of those. Order by `run_id, place`.",
        columns={
            "run_id": "the run",
            "depth": "0 to 3",
            "place": "sorts the nodes of a run as they came",
            "kind": "`run`, `candidate`, `span` or `call`",
            "id": "of the row in that table",
            "parent_id": "of the node above; null for a run",
            "label": "for people",
            "status": "of a run or span, a candidate's decision, a call's outcome, `unfinished` or `abandoned`",
            "started_at": "when",
            "milliseconds": "how long; null for a candidate and for what did not end",
            **_SUMS,
            "detail": "reason or error",
        },
    ),
    "failed_calls": Entry(
        row="An attempt that gave the role no answer: refused, broken, unusable, or left by a dead process.",
        columns={
            "run_id": "its run",
            **_RETROSPECTIVE,
            "candidate_id": "its candidate",
            **UNDERLYING,
            **_ROLE,
            "model": "as asked for",
            **_PROMPT,
            "attempt": "counts from 1",
            "started_at": "when",
            "outcome": "as in `llm_calls`, `unfinished` or `abandoned`; `replied` if the reply could not be used",
            "http_status": "null if no response came",
            "finish_reason": "the provider's",
            "error": "what broke it",
            "recovered": "1 if another attempt gave the answer",
            "failure_kind": "why the role has no answer; null if it has one",
            "failure_detail": "one line",
            "id": "of the call",
        },
    ),
    "cost_by_prompt": Entry(
        row="What one version of one role's prompt took with one model, in scans or in replays.",
        columns={
            **_ROLE,
            "prompt": "its name",
            **_PROMPT,
            "model": "as asked for",
            **_RETROSPECTIVE,
            "questions": "how often the role was asked",
            "calls": "HTTP attempts that it took",
            "failures": "questions without an answer",
            "prompt_tokens": "the known ones",
            "completion_tokens": "the known ones",
            "cost_dollars": "the known part, at list price; null if none is known",
            "calls_of_unknown_cost": "calls without a cost",
            "ungrounded_share": "of the numbers in the answers, those that the brief does not hold; null without any",
        },
    ),
    "decisions": Entry(
        row="One candidate, never one of a replay: the trade decision, and what became of one contract of it.",
        columns={
            "run_id": "its run",
            "candidate_id": "the candidate",
            "as_of": "the instant of the snapshot",
            "environment": "`paper` or `live`",
            "market": "where the quotes are from",
            "synthetic": "1 if its figures are made up",
            "rank": "1 is the best score",
            "reviewed": "1 if the analysts were asked",
            **SPREAD,
            "credit": "dollars per share at mid",
            "decision": "`traded` or `skipped`",
            "reason": "code of what decided",
            "ai_summary": "the verdict in words",
            "confidence": "of the verdict, 0 to 1",
            "iv_rank": "percentile of implied volatility, 0 to 100",
            "p_profit": "of the verdict, 0 to 1",
            "advice_level": "`high`, `medium`, `low` or `none`",
            "would_veto": "1 if the advice was low and not approved",
            "contracts": "that the limits allowed",
            "shadow_exit_rule": "the rule that closed the candidate's shadow; null while it is followed",
            "shadow_pnl_dollars": "dollars for one contract, after fees; null while it is followed",
        },
    ),
    "groundedness": Entry(
        row="How well one model's answers to one version of a prompt keep to their briefs, in scans or in replays.",
        columns={
            **_ROLE,
            **_PROMPT,
            "model": "the model that the provider says replied",
            **_RETROSPECTIVE,
            "replies": "answers",
            "ungrounded_replies": "those with a number that is not in the brief",
            "numbers": "numbers in them",
            "ungrounded": "those that are not in the brief",
        },
    ),
}
