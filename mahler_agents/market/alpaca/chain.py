"""Below Alpaca's market, chain: raw option snapshots and contracts in, a chain out, no contract lost to a null.

A snapshot's greeks and volatility may be absent, null, or null one by one: what is missing is NaN, and the screen
computes it. Theta is told a day and vega a volatility point, as a `Chain` has them.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mahler_agents.errors import InputError
from mahler_agents.market.alpaca.figures import dates, instant, number, numbers, part, session_of
from mahler_agents.market.occ import parse_symbol
from mahler_agents.market.snapshot import Chain, Floats, chain_from_columns
from mahler_agents.types import CONTRACT_MULTIPLIER

SKEW_SECONDS = 30.0
"""Two machines' clocks are never the same: a quote may be this much after our own, and no clock further off is used."""

_GREEKS = {"delta": "delta", "gamma": "gamma", "theta": "theta_per_day", "vega": "vega_per_vol_point"}
_STANDARD = str(CONTRACT_MULTIPLIER)
_KNOWN = ("symbol", "is_put", "expiration", "strike", "quoted_at", "volume")
_TOLD = ("bid", "ask", "open_interest", "implied_volatility", *_GREEKS.values())
"""Columns that hold what was told, whatever that is, until they are made numbers."""


@dataclass(frozen=True, kw_only=True)
class RawChain:
    """One underlying's chain as it was told, and when each quote was made."""

    columns: Mapping[str, Sequence[Any]]
    quoted_at: Floats
    """Seconds since 1970; NaN without a quote."""
    adjusted: int
    """Contracts that were left out, since they deliver something else than 100 shares."""
    strange: int
    """Entries that were left out, since their symbol is no option's."""

    def at(self, underlying: str, spot: float, as_of: dt.datetime) -> Chain:
        """Return the chain with the quotes' ages at an instant, at least 0.

        A quote of later than that, by more than clocks differ, has no age and so is never fresh.
        """
        age = as_of.timestamp() - self.quoted_at
        age = np.where(age >= -SKEW_SECONDS, np.maximum(age, 0.0), np.nan)
        return chain_from_columns(underlying, spot, {**self.columns, "quote_age_seconds": age})


def raw_chain(
    underlying: str,
    snapshots: Mapping[str, Any],
    contracts: Mapping[str, Mapping[str, Any]] | None,
    *,
    today: dt.date,
    session_before: dt.date,
) -> RawChain:
    """Return a chain from its snapshots by symbol and from the contracts of the trading host, None if not had.

    Left out are adjusted contracts: those of another root, such as SPY1, and those whose contract says another size.
    Volume is the larger of those of `today` and of `session_before`: a session without a trade has no bar.
    """
    sessions = {today, session_before}
    rows: list[tuple[Any, ...]] = []
    adjusted = strange = 0
    for symbol in sorted(snapshots):
        try:
            terms = parse_symbol(symbol)
        except InputError:
            strange += 1
            continue
        contract = (contracts or {}).get(symbol)
        if terms.underlying != underlying or (contract is not None and not _is_standard(contract)):
            adjusted += 1
            continue
        told = snapshots[symbol]
        quote, greeks = part(told, "latestQuote"), part(told, "greeks")
        quoted_at = instant(quote.get("t"))
        rows.append(
            (
                symbol,
                terms.right == "put",
                terms.expiration,
                terms.strike,
                quoted_at.timestamp() if quoted_at else np.nan,
                _volume(told, sessions),
                quote.get("bp"),
                quote.get("ap"),
                contract.get("open_interest") if contract is not None else None,
                told.get("impliedVolatility") if isinstance(told, dict) else None,
                *(greeks.get(name) for name in _GREEKS),
            )
        )
    names = (*_KNOWN, *_TOLD)
    columns: dict[str, Any] = dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))
    columns |= {name: numbers(columns[name]) for name in _TOLD}
    columns["expiration"] = dates(columns["expiration"])
    quoted_at = np.asarray(columns.pop("quoted_at"), dtype=np.float64)
    columns["multiplier"] = (float(CONTRACT_MULTIPLIER),) * len(rows)
    return RawChain(columns=columns, quoted_at=quoted_at, adjusted=adjusted, strange=strange)


def _is_standard(contract: Mapping[str, Any]) -> bool:
    """Return whether a contract delivers 100 shares, as far as it says: `size` is those, `multiplier` the price's."""
    size, multiplier = contract.get("size"), contract.get("multiplier")
    if size == multiplier == _STANDARD:  # as all but a few say it
        return True
    return all(told is None or number(told) == CONTRACT_MULTIPLIER for told in (size, multiplier))


def _volume(told: Any, sessions: set[dt.date]) -> float:
    most = 0.0
    for bar in (part(told, "dailyBar"), part(told, "prevDailyBar")):
        if bar and session_of(str(bar.get("t"))) in sessions:
            count = number(bar.get("v"))
            most = max(most, count)  # NaN is not
    return most
