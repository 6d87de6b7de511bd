"""Telling: how a run's regime, circuit breaker, size multiplier and portfolio delta are said.

From plain mappings, as the stages' types dump them and the record keeps them: a scan and its trace say the same words.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mahler_agents.record.trace_rows import RunRow
from mahler_agents.text import dollars, listed, percent, plain, words
from mahler_agents.wording import multiplier_text, regime_text, regime_unknown_text


class RiskLine(NamedTuple):
    """One line: a note for the margin, empty where the line goes on with the one before it."""

    note: str
    text: str
    alarming: bool = False


def run_risk_lines(run: RunRow) -> Iterator[RiskLine]:
    """Yield all that a recorded run knew of its risk."""
    if run.regime is not None:
        yield regime_line(run.regime)
    if run.breaker is not None:
        yield from breaker_lines(run.breaker)
    if run.size_multiplier is not None:
        yield multiplier_line(run.size_multiplier)
    if run.portfolio_delta is not None:
        yield from delta_lines(**run.portfolio_delta)


def regime_line(regime: Mapping[str, Any]) -> RiskLine:
    """Return the market's regime, or why it is unknown."""
    if not regime["known"]:
        return RiskLine("regime", plain(regime_unknown_text(regime["reason"])))
    name = regime["regime"]
    said = regime_text(regime=name, probability=regime["probabilities"][name], past_rows=regime["past_rows"])
    return RiskLine("regime", plain(said))


def breaker_lines(breaker: Mapping[str, Any]) -> Iterator[RiskLine]:
    """Yield what tripped the circuit breaker and what every rule saw, then what it asks to close."""
    readings = breaker["readings"]
    tripped = [*breaker["halted_by"], *(one["step"]["code"] for one in readings if one["step"])]
    how = "HALTED" if breaker["halted_by"] else "tripped"
    told = f"{how} by {listed(dict.fromkeys(tripped))}" if tripped else "normal"
    seen = ", ".join(_reading(reading["rule"], reading["observed"]) for reading in readings)
    yield RiskLine("breaker", plain(f"{told}: {seen}"), alarming=bool(tripped))
    ask = breaker.get("ask")  # absent in a run of an older version
    if ask is not None:
        asked = f"{plain(ask['code'])} asks to close: {words(ask['close'])}; monitor passes do, until it is done"
        yield RiskLine("", asked, alarming=True)


def _reading(rule: str, observed: float | None) -> str:
    if rule == "vix":
        return "no VIX: VIX rules not evaluated" if observed is None else f"VIX {observed:.2f}"
    if observed is None:
        return f"{words(rule)} not known yet"
    return f"{words(rule)} {percent(observed + 0.0, 2)}"


def multiplier_line(multiplier: Mapping[str, Any]) -> RiskLine:
    """Return the size multiplier with its parts."""
    parts = {name: multiplier[name] for name in ("risk", "regime", "bypassed")}
    return RiskLine("", multiplier_text(**parts))


def delta_lines(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> Iterator[RiskLine]:
    """Yield the portfolio's delta before and after, what it is made of, and each holding that it leaves out."""
    latest = after or before
    both = f"before {_delta(before)}" + (f", after {_delta(after)}" if after else "")
    yield RiskLine("delta", f"{both}, for each 1 % that SPY rises", alarming=bool(latest["unknown"]))
    parts = [
        f"{plain(one['underlying'])} {dollars(one['dollars_per_pct'])} (beta {_beta(one['beta'])})"
        for one in latest["by_underlying"]
    ]
    if parts:
        yield RiskLine("", f"of which {', '.join(parts)}" if len(parts) > 1 else f"all in {parts[0]}")
    for missing in latest["unknown"]:
        yield RiskLine("", f"not counted: {plain(missing)}", alarming=True)


def _delta(delta: Mapping[str, Any]) -> str:
    total, share = delta["dollars_per_pct"], delta["share_of_equity"]
    if total is None:
        return "unknown"
    of_equity = "" if share is None else f" ({percent(share + 0.0, 2)} of equity)"
    return f"{dollars(total + 0.0)}{of_equity}{' of what is known' if delta['unknown'] else ''}"


def _beta(beta: Mapping[str, Any]) -> str:
    origin = "the house's" if beta["days"] is None else f"of {beta['days']:,} days"
    return f"{beta['value']:.2f}, {origin}"
