"""Record: one table or view in words, and the words of columns that several have."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A table or view: what a row is, and what each column holds."""

    row: str
    columns: dict[str, str]


UNDERLYING = {"underlying": "symbol of the ETF"}
SPREAD = {
    **UNDERLYING,
    "spread_type": "`bull_put` or `bear_call`",
    "expiration": "exchange date",
    "short_strike": "dollars per share",
    "long_strike": "dollars per share",
}
LEGS = {"short_symbol": "OCC symbol of the short leg", "long_symbol": "OCC symbol of the long leg"}
ACCOUNT = {"account_id": "the broker's account"}
EXIT_PARAMS = {"exit_params": "JSON: the exit policy of the entry"}
TOKENS = {
    "prompt_tokens": "as the provider counts them; null is unknown",
    "completion_tokens": "as the provider counts them; null is unknown",
}
GROUNDING = {
    "numbers": "numbers in the text; null in records older than the count",
    "ungrounded": "JSON list: those of them that the brief does not hold, as they were written",
}
SOURCES = {
    "brief_hash": "the facts that it read",
    "prompt_hash": "the version of the prompt",
}
CANDIDATE = {"candidate_id": "the candidate that it is about"}
CONFIDENCE = {
    "confidence": "conviction to take the trade, 0 to 1",
    "p_profit": "probability that the trade ends above 0 after fees, 0 to 1; it alone is scored",
}
