"""Below all stages: what the stages say and the record repeats, in texts, spelled once."""

SYNTHETIC_MARKET = "SYNTHETIC MARKET: every price, quote and headline is made up"
TOY_MODEL = "the embedded model is a toy; its opinions are for show"
BYPASSED = "[bypassed - paper trading]"
"""Beside the regime, which counts for no size in paper trading."""

EMBEDDED = "embedded"
"""The host of a broker that is part of this program: it has no real money."""


def strike_text(strike: float) -> str:
    """Return a strike to the thousandth, as OCC symbols have it, e.g. `540`, `1234.565`."""
    # Six significant digits would make 1,234.565 and 1,234.57 one key.
    return f"{strike:.3f}".rstrip("0").rstrip(".")


def spread_label(
    *, underlying: str, spread_type: str, short_strike: float, long_strike: float, expiration: object
) -> str:
    """Return a spread as a trader says it, e.g. `SPY 540/535 put spread, 2026-04-17`; `expiration` is a date or ISO."""
    right = "put" if spread_type == "bull_put" else "call"
    strikes = f"{strike_text(short_strike)}/{strike_text(long_strike)}"
    return f"{underlying} {strikes} {right} spread, {expiration}"


def regime_text(*, regime: str, probability: float, past_rows: int) -> str:
    """Return the market's regime in words, e.g. `bull_low_vol (probability 0.93, fitted on 1,234 days)`."""
    return f"{regime} (probability {probability:.2f}, fitted on {past_rows:,} days)"


def regime_unknown_text(reason: str) -> str:
    """Return that no regime can be told, and why."""
    return f"unknown: {reason}"


def effective_multiplier(*, risk: float, regime: float, bypassed: bool) -> float:
    """Return the multiplier that counts: the least of its parts, once; `bypassed`, the regime's is none of them."""
    return risk if bypassed else min(risk, regime)


def multiplier_text(*, risk: float, regime: float, bypassed: bool) -> str:
    """Return the size multiplier and its parts, to the letter of the house's log line."""
    value = effective_multiplier(risk=risk, regime=regime, bypassed=bypassed)
    note = f" {BYPASSED}" if bypassed else ""
    return f"Size multiplier: {value:.2f} (risk: {risk:.2f}, regime: {regime:.2f}{note})"


def is_real_money(*, environment: str, host: str) -> bool:
    """Return whether orders can lose somebody's money: live rules on the embedded broker are a rehearsal."""
    return environment == "live" and host != EMBEDDED


def identity_text(*, environment: str, broker: str, account_id: str, host: str) -> str:
    """Return where a desk trades, in one line."""
    rehearsal = environment == "live" and not is_real_money(environment=environment, host=host)
    money = " (live rules, no real money)" if rehearsal else ""
    return f"{environment} trading{money}, account {account_id} at {broker}, host {host}"
