"""Below all stages: the texts by which a spread is known, alike in the stages and in the record."""


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
