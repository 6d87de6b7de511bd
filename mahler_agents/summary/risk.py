"""Summary: what an account did in, the regime, the breaker and the trading state at the day's end out; pure."""

from mahler_agents.record.conduct_rows import BreakerChange, Conduct, TradingChange
from mahler_agents.record.trace_rows import RunRow
from mahler_agents.summary.day import Risk
from mahler_agents.text import instant, percent, words
from mahler_agents.wording import multiplier_text, regime_text, regime_unknown_text

_NORMAL = "_normal"
_HALT = "_halt"


def day_risk(conduct: Conduct) -> Risk:
    """Return what was said of the day's risk; the market's is that of its last scan that came so far."""
    scanned = next((run for run in reversed(conduct.runs) if run.breaker is not None), None)
    in_force = {change.rule: change.code for change in conduct.breaker}
    standing = tuple(code for code in in_force.values() if not code.endswith(_NORMAL))
    state = conduct.trading[-1] if conduct.trading else None
    return Risk(
        vix=None if scanned is None else _vix(scanned),
        regime=None if scanned is None else _regime(scanned),
        multiplier=None if scanned is None else _multiplier(scanned),
        breaker=standing,
        breaker_changes=tuple(_changed(one) for one in conduct.breaker if one.at >= conduct.begins),
        trading="ACTIVE" if state is None else _trading(state),
        halted=(state is not None and state.state == "halted") or any(code.endswith(_HALT) for code in standing),
        trading_changes=tuple(_trading(one) for one in conduct.trading if one.at >= conduct.begins),
    )


def _vix(run: RunRow) -> float | None:
    readings = (run.breaker or {}).get("readings", ())
    return next((one["observed"] for one in readings if one["rule"] == "vix"), None)


def _regime(run: RunRow) -> str | None:
    regime = run.regime
    if regime is None:
        return None
    if not regime["known"]:
        return regime_unknown_text(regime["reason"])
    name = regime["regime"]
    return regime_text(regime=name, probability=regime["probabilities"][name], past_rows=regime["past_rows"])


def _multiplier(run: RunRow) -> str | None:
    parts = run.size_multiplier
    if parts is None:
        return None
    return multiplier_text(risk=parts["risk"], regime=parts["regime"], bypassed=parts["bypassed"])


def _changed(change: BreakerChange) -> str:
    if change.observed is None:
        saw = "unknown"
    else:
        saw = f"{change.observed:.2f}" if change.rule == "vix" else percent(change.observed, 2)
    return f"{instant(change.at)} {words(change.code)} ({saw})"


def _trading(change: TradingChange) -> str:
    by = f" by {change.by}" if change.by else ""
    reason = f": {change.reason}" if change.reason else ""
    return f"{change.state.upper()} since {instant(change.at)}{by}{reason}"
