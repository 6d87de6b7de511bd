"""Command line, `mahler trace tail`: one thing that was recorded in, one line out."""

from typing import TYPE_CHECKING, Any

from mahler_agents.text import cents, count, per_share, plain, small_dollars, words

if TYPE_CHECKING:
    from mahler_agents.record.following import Happening


def happening_line(one: "Happening") -> str:
    """Return the line: UTC time of day, run, candidate, what happened."""
    time = one.at[11:23] if one.at else ""
    where = [plain(one.run_id or ""), f"[{one.rank}]" if one.rank else ""]
    return f"{time:<12}  {' '.join(filter(None, where)):<19}  {plain(_SAID[one.kind](one))}"


def _run_started(one: "Happening") -> str:
    synthetic = " (SYNTHETIC)" if one.facts["synthetic"] else ""
    return f"run started: market {one.facts['market']}{synthetic}, model {one.facts['model']}"


def _run_ended(one: "Happening") -> str:
    return f"run {one.facts['status']}" + (f": {one.facts['error']}" if one.facts["error"] else "")


def _call_started(one: "Happening") -> str:
    return f"{one.facts['role']} asks {one.facts['model']}, attempt {one.facts['attempt']}"


def _call_ended(one: "Happening") -> str:
    facts = one.facts
    told = [
        str(facts["outcome"]),
        f"HTTP {facts['http_status']}" if facts["http_status"] else "",
        _tokens(facts),
        small_dollars(facts["cost_dollars"]) if facts["cost_dollars"] is not None else "cost unknown",
        facts["error"] or "",
    ]
    return f"{facts['role']} attempt {facts['attempt']}: {', '.join(filter(None, told))}"


def _tokens(facts: dict[str, Any]) -> str:
    if facts["prompt_tokens"] is None:
        return "tokens unknown"
    return f"{facts['prompt_tokens']:,} + {facts['completion_tokens'] or 0:,} tokens"


def _node(one: "Happening") -> str:
    detail = f": {one.facts['detail']}" if one.facts["detail"] else ""
    return f"{one.facts['name']} {one.facts['status']} after {one.facts['milliseconds']:,.1f} ms{detail}"


def _event(one: "Happening") -> str:
    level = "" if one.facts["level"] == "info" else f"{one.facts['level']}: "
    return f"{level}{one.facts['code']}: {one.facts['message']}"


def _order(one: "Happening") -> str:
    asked = f"{count(one.facts['contracts'], 'spread')} at {per_share(one.facts['limit_credit'])} or better"
    codes = (one.facts["rule"], one.facts["reason"])
    why = "".join(f", {words(code)}" for code in codes if code and code != one.facts["state"])
    return f"{one.facts['purpose']} order {one.facts['id']}: {one.facts['state']} ({asked}{why})"


def _fill(one: "Happening") -> str:
    sold = f"{count(one.facts['contracts'], 'spread')} at {per_share(one.facts['credit'])}"
    return f"{one.facts['purpose']} filled: {sold}, fees {cents(one.facts['fees'])}"


def _decision(one: "Happening") -> str:
    return f"{one.spread}: {one.facts['decision']} ({one.facts['reason']})"


_SAID = {
    "run_started": _run_started,
    "run_ended": _run_ended,
    "call_started": _call_started,
    "call_ended": _call_ended,
    "node": _node,
    "event": _event,
    "order": _order,
    "fill": _fill,
    "decision": _decision,
}
