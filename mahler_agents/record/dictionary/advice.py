"""Record: the meaning of the tables of what was asked and said."""

from mahler_agents.record.dictionary.entry import CANDIDATE, CONFIDENCE, GROUNDING, SOURCES, TOKENS, Entry

_MODEL = {"model": "the model that the provider says replied"}

ENTRIES = {
    "prompts": Entry(
        row="One version of one role's prompt.",
        columns={"hash": "its version", "name": "the role", "content": "the file"},
    ),
    "briefs": Entry(
        row="The facts that one role read: the unit of replay.",
        columns={"hash": "of the facts", "role": "who read it", "content": "JSON: the facts"},
    ),
    "llm_calls": Entry(
        row="One HTTP attempt: written before it is sent, completed after it is read. No header is stored.",
        columns={
            "id": "`SPAN.ATTEMPT`",
            "run_id": "its run",
            **CANDIDATE,
            "span_id": "the node that asked; its row in `spans` is written when the node ends",
            "role": "the analyst, `fund_manager`, `bull` or `bear`",
            "attempt": "counts from 1 over retries and the repair",
            "model": "as asked for",
            **SOURCES,
            "request": "the body that was sent; empty once pruned",
            "started_at": "when it was sent",
            "ended_at": "when its body had been read or it failed; null if its process died first",
            "outcome": "`replied`, `http_error`, `broken` (no whole body) or `cancelled` (we gave up waiting)",
            "http_status": "null if no response came",
            "response": "the body that came, errors included; null once pruned",
            "finish_reason": "the provider's, e.g. `stop`, `length`",
            **TOKENS,
            "resolved_model": "the model that the provider says replied",
            "system_fingerprint": "the provider's",
            "error": "what broke it",
            "cost_dollars": "at list price; null is unknown",
            "abandoned_at": "when it was found to have been left by a process that had died",
        },
    ),
    "opinions": Entry(
        row="One analyst's opinion of one candidate.",
        columns={
            **CANDIDATE,
            "analyst": "the role",
            "stance": "`favourable`, `neutral` or `unfavourable`",
            **CONFIDENCE,
            "summary": "in words",
            "details": "JSON: the fields that this analyst adds",
            **SOURCES,
            **_MODEL,
            **GROUNDING,
        },
    ),
    "arguments": Entry(
        row="One turn of the debate between the analysts and the fund manager.",
        columns={
            **CANDIDATE,
            "side": "`bull` or `bear`",
            "round": "counts from 1",
            "strength": "`weak`, `moderate` or `strong`, by its own account",
            "summary": "in words",
            **GROUNDING,
            **SOURCES,
            **_MODEL,
        },
    ),
    "failures": Entry(
        row="A role that gave no opinion, argument or verdict.",
        columns={
            **CANDIDATE,
            "role": "who was asked",
            "kind": "what kind of failure",
            "detail": "one line",
            "retryable": "1 if asking again may help",
            "raw_reply": "what the model wrote, if it wrote anything; null once pruned",
            **SOURCES,
        },
    ),
    "verdicts": Entry(
        row="The fund manager's verdict on one candidate; none of it reaches an order.",
        columns={
            **CANDIDATE,
            "approved": "1 or 0",
            "contracts": "how many it would trade; recorded, never used",
            **CONFIDENCE,
            "summary": "in words",
            **SOURCES,
            **_MODEL,
            **GROUNDING,
        },
    ),
    "advice": Entry(
        row="What the advisory edge made of the verdict.",
        columns={
            **CANDIDATE,
            "level": "`high`, `medium`, `low` or `none`",
            "would_veto": "1 if it was low and not approved",
            "rejected": "1 if the fund manager did not approve",
            "proceed": "0 only in live mode",
            "code": "why",
            "message": "the line that was logged",
            "recorded_at": "when: before the order was decided",
        },
    ),
}
