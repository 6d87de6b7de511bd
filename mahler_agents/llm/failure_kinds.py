"""Stage 4, LLM calls: the closed set of ways in which a call fails; light to import, for a trace says their actions."""

from enum import StrEnum


class FailureKind(StrEnum):
    """Why there is no opinion; each kind has one reaction (`RETRYABLE`) and one thing to do (`ACTIONS`)."""

    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    AUTH = "auth"
    MODEL_NOT_FOUND = "model_not_found"
    SERVER_ERROR = "server_error"
    CONNECTION = "connection"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    CONTENT_FILTERED = "content_filtered"
    EMPTY = "empty"
    NOT_JSON = "not_json"
    SCHEMA_VIOLATION = "schema_violation"
    CONTEXT_OVERFLOW = "context_overflow"
    BAD_REQUEST = "bad_request"
    BUDGET = "budget"
    """The scan's limit on calls, tokens or dollars does not allow the call; it was not made."""
    MISSING_FACTS = "missing_facts"
    """The brief lacks what this analyst needs; no call was made."""
    NO_QUORUM = "no_quorum"
    """Fewer than two opinions: the fund manager was not asked."""
    BAD_PROMPT = "bad_prompt"
    """The prompt could not be rendered with this brief; no call was made."""
    INTERNAL = "internal"
    """A defect of ours; the detail names it."""


RETRYABLE = frozenset({FailureKind.TIMEOUT, FailureKind.RATE_LIMITED, FailureKind.SERVER_ERROR, FailureKind.CONNECTION})
"""Kinds that the same request may cure."""

ACTIONS: dict[FailureKind, str] = {
    FailureKind.TIMEOUT: "raise the call's time limit or use a faster model",
    FailureKind.RATE_LIMITED: "lower --requests-per-minute or raise the provider's limit",
    FailureKind.QUOTA: "top up the provider's account",
    FailureKind.AUTH: "check OPENAI_API_KEY and OPENAI_BASE_URL",
    FailureKind.MODEL_NOT_FOUND: "check the name after --model openai:",
    FailureKind.SERVER_ERROR: "try again later; the provider failed",
    FailureKind.CONNECTION: "check the network and OPENAI_BASE_URL",
    FailureKind.REFUSED: "read the reply; the model declined the task",
    FailureKind.TRUNCATED: "raise max_tokens in the prompt's front matter",
    FailureKind.CONTENT_FILTERED: "read the prompt; the provider's filter stopped it",
    FailureKind.EMPTY: "try again; the model wrote nothing",
    FailureKind.NOT_JSON: "read the reply; use a model that keeps to a JSON schema",
    FailureKind.SCHEMA_VIOLATION: "read the reply; use a model that keeps to a JSON schema",
    FailureKind.CONTEXT_OVERFLOW: "shorten the prompt or use a model with a longer context",
    FailureKind.BAD_REQUEST: "read the provider's message; it refused the request as malformed",
    FailureKind.BUDGET: "raise --max-calls, --max-tokens or --max-dollars, or ask a cheaper model",
    FailureKind.MISSING_FACTS: "use a market that has these facts",
    FailureKind.NO_QUORUM: "see the analysts' own failures",
    FailureKind.BAD_PROMPT: "mend the prompt file that the detail names",
    FailureKind.INTERNAL: "report this as a defect",
}
"""What the user should do about each kind."""
