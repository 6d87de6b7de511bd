"""Record: the meaning of the tables of evaluations."""

from mahler_agents.record.dictionary.entry import CANDIDATE, TOKENS, Entry

_RUN = {"run_id": "the evaluation, which is a run of kind `evaluation`"}
_BRIEF = {"brief_hash": "the case: a brief on record"}
_VARIANT = {"variant": "`A`, `B`, ... in the order in which they were named"}

ENTRIES = {
    "candidate_briefs": Entry(
        row="A brief that was written of a candidate, whether or not a model was asked; none in older records.",
        columns={**CANDIDATE, **_BRIEF},
    ),
    "added_cases": Entry(
        row="A case that no scan of this record heard: added from a file or imported.",
        columns={
            **_BRIEF,
            "as_of": "the instant of its facts",
            "market": "where they are from, as it was said",
            "synthetic": "1 if they are made up",
            "pnl_dollars": "dollars of one contract, after fees; null is unknown",
            "exit_rule": "the rule that closed it; null is unknown",
            "added_at": "when it came",
        },
    ),
    "case_tags": Entry(row="A word that a user gave a case.", columns={**_BRIEF, "tag": "the word"}),
    "evaluations": Entry(
        row="Variants of one role's prompt and model, asked on the same cases, in retrospect.",
        columns={
            **_RUN,
            "spec_hash": "SHA-256 of variants, cases and repeats: the same again goes on with what is unfinished",
            "role": "the analyst, `fund_manager`, `bull` or `bear`",
            "cases": "the query that chose them",
            "repeats": "how often each variant was asked on each case",
        },
    ),
    "evaluation_variants": Entry(
        row="One prompt version with one model.",
        columns={
            **_RUN,
            **_VARIANT,
            "prompt_hash": "the version of the prompt",
            "model": "as asked for",
            "base_url": "where it was asked; `embedded` for a model file of this machine",
            "toy_model": "1 if the model's opinions are for show",
        },
    ),
    "evaluation_cases": Entry(row="A case on which every variant is asked.", columns={**_RUN, **_BRIEF}),
    "evaluation_results": Entry(
        row="What came of one variant on one case, once; its calls are in `llm_calls` under the span"
        " `RUN.VARIANT.CASE.REPEAT.ROLE`.",
        columns={
            **_RUN,
            **_VARIANT,
            **_BRIEF,
            "repeat": "counts from 1",
            "request_hash": "SHA-256 of the first request's model and body: the same is not asked twice",
            "reply": "JSON: what the model wrote, valid; null if it failed",
            "failure_kind": "why there is none",
            "failure_detail": "one line",
            "attempts": "HTTP requests that it took",
            "repaired": "1 if the model had to be shown its error",
            **TOKENS,
            "cost_dollars": "of all attempts, at list price; null is unknown",
            "milliseconds": "from sending a request to the last byte of its response, all attempts",
            "numbers": "numbers in the summary",
            "ungrounded": "JSON list: those of them that the brief does not hold, as they were written",
            "model": "the model that the provider says replied",
            "served_from": "the evaluation that had asked the same before; null if it was asked",
        },
    ),
}
