"""Small hand-built chains, snapshots and candidates for tests; every figure is made up and follows from arguments."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np

from mahler_agents import pricing
from mahler_agents.analysts import Terms
from mahler_agents.exits import ExitParams
from mahler_agents.market.snapshot import (
    Account,
    Bars,
    Chain,
    Exposure,
    Headline,
    MarketData,
    Snapshot,
    VolatilityHistory,
    chain_from_columns,
)
from mahler_agents.screen import Candidate, LegFacts, ScoreParts
from mahler_agents.types import Quote, Spread, SpreadQuote, SpreadType

AS_OF = dt.datetime(2026, 3, 16, 14, 0, tzinfo=dt.UTC)
"""Monday, 10:00 in New York."""
EXPIRATION = dt.date(2026, 4, 17)
"""32 days after `AS_OF`."""
SPOT = 560.0
RATE = 0.04
HALF_SPREAD = 0.02
TERMS = Terms(exits=ExitParams(), commission_per_contract_and_leg=1.0)
"""The house's own exit policy and fees."""


def occ_symbol(underlying: str, expiration: dt.date, strike: float, *, is_put: bool) -> str:
    """Return the OCC symbol of a contract, e.g. `SPY260417P00540000`."""
    return f"{underlying}{expiration:%y%m%d}{'P' if is_put else 'C'}{round(strike * 1000):08d}"


def smile(strike: float, spot: float, level: float) -> float:
    """Return an implied volatility that rises by 0.6 points for each percent that the strike lies below spot."""
    return max(level + 0.6 * (1 - strike / spot), 0.05)


def make_chain(
    underlying: str = "SPY",
    *,
    spot: float = SPOT,
    as_of: dt.datetime = AS_OF,
    expirations: Sequence[dt.date] = (EXPIRATION,),
    strikes: Sequence[float] | None = None,
    volatility: float = 0.18,
    rate: float = RATE,
    **columns: Any,
) -> Chain:
    """Return puts and calls at every strike and expiration, priced on a smile; `columns` replaces whole columns."""
    ladder = np.arange(0.80, 1.2001, 0.01) * spot if strikes is None else np.asarray(strikes, dtype=float)
    rows = [
        (expiration, round(float(strike), 0) if strikes is None else float(strike), is_put)
        for expiration in expirations
        for strike in ladder
        for is_put in (True, False)
    ]
    expiration = np.array([row[0] for row in rows], dtype="datetime64[D]")
    strike = np.array([row[1] for row in rows])
    is_put = np.array([row[2] for row in rows])
    implied = np.array([smile(one, spot, volatility) for one in strike])
    years = pricing.years_to_expiry(as_of, expiration)
    greeks = pricing.value(is_put=is_put, spot=spot, strike=strike, years=years, rate=rate, volatility=implied)
    mid = np.round(greeks.price, 2)
    values = {
        "symbol": [occ_symbol(underlying, *row[:2], is_put=row[2]) for row in rows],
        "is_put": is_put,
        "expiration": expiration,
        "strike": strike,
        "bid": np.maximum(mid - HALF_SPREAD, 0.0),
        "ask": mid + HALF_SPREAD,
        "quote_age_seconds": np.zeros(len(rows)),
        "volume": np.full(len(rows), 500.0),
        "open_interest": np.full(len(rows), 2000.0),
        "multiplier": np.full(len(rows), 100.0),
        "implied_volatility": implied,
        "delta": greeks.delta,
        "gamma": greeks.gamma,
        "theta_per_day": greeks.theta_per_day,
        "vega_per_vol_point": greeks.vega_per_vol_point,
    }
    return chain_from_columns(underlying, spot, values | columns)


def make_bars(days: int = 260, *, spot: float = SPOT, as_of: dt.datetime = AS_OF, seed: int = 7) -> Bars:
    """Return weekday bars of a seeded random walk that ends at `spot` the day before `as_of`."""
    rng = np.random.default_rng(seed)
    path = np.cumsum(rng.normal(0.0003, 0.009, days))
    close = spot * np.exp(path - path[-1]) if days else np.empty(0)
    last = np.datetime64(as_of.date(), "D")
    return Bars(
        date=np.busday_offset(last, np.arange(-days, 0), roll="forward"),
        open=close * 0.999,
        high=close * 1.006,
        low=close * 0.993,
        close=close,
        volume=np.full(days, 5e7),
    )


def make_volatility_history(days: int = 400, *, as_of: dt.datetime = AS_OF, seed: int = 11) -> VolatilityHistory:
    """Return implied volatilities between 10 % and 30 %, one a weekday."""
    rng = np.random.default_rng(seed)
    last = np.datetime64(as_of.date(), "D")
    return VolatilityHistory(
        date=np.busday_offset(last, np.arange(-days, 0), roll="forward"),
        implied_volatility=rng.uniform(0.10, 0.30, days),
    )


def make_headlines(*texts: str, as_of: dt.datetime = AS_OF) -> tuple[Headline, ...]:
    """Return headlines, newest first, the first one an hour and a half before `as_of`."""
    return tuple(
        Headline(at=as_of - dt.timedelta(hours=1.5 + 4 * place), text=text, source="Newswire")
        for place, text in enumerate(texts)
    )


def make_account(*exposures: Exposure, equity: float = 100_000.0) -> Account:
    """Return an account of `equity` dollars that carries these exposures."""
    return Account(account_id="test", equity=equity, cash=equity, buying_power=equity, exposures=exposures)


def make_snapshot(
    underlyings: Sequence[str] = ("SPY",),
    *,
    as_of: dt.datetime = AS_OF,
    spot: float = SPOT,
    headlines: Sequence[str] | None = ("Fed holds rates steady", "Payrolls beat forecasts by 40,000"),
    account: Account | None = None,
    **fields: Any,
) -> Snapshot:
    """Return a snapshot in which every underlying has a chain, bars, volatility history and these headlines."""
    market = {
        name: MarketData(
            chain=make_chain(name, spot=spot, as_of=as_of),
            bars=make_bars(spot=spot, as_of=as_of),
            volatility_history=make_volatility_history(as_of=as_of),
            headlines=None if headlines is None else make_headlines(*headlines, as_of=as_of),
        )
        for name in underlyings
    }
    values: dict[str, Any] = {
        "underlyings": market,
        "vix": 17.5,
        "vix_3_month": 19.0,
        "account": make_account() if account is None else account,
    }
    return Snapshot(
        as_of=as_of, market="test", source="hand-built", synthetic=True, risk_free_rate=RATE, **(values | fields)
    )


def make_candidate(
    snapshot: Snapshot | None = None,
    *,
    underlying: str = "SPY",
    spread_type: SpreadType = SpreadType.BULL_PUT,
    short_strike: float | None = None,
    long_strike: float | None = None,
    rank: int = 1,
) -> Candidate:
    """Return a candidate whose legs are rows of the snapshot's chain: by default |delta| near 0.10, one strike wide.

    Raises `ValueError` if the chain has no such contract.
    """
    snapshot = snapshot or make_snapshot((underlying,))
    chain = snapshot.underlyings[underlying].chain
    is_put = spread_type is SpreadType.BULL_PUT
    if short_strike is None:
        off = np.where(chain.is_put == is_put, np.abs(np.abs(chain.delta) - 0.10), np.inf)
        short_strike = float(chain.strike[np.nanargmin(off)])
    if long_strike is None:
        listed = np.unique(chain.strike[chain.is_put == is_put])
        long_strike = float(listed[int(np.searchsorted(listed, short_strike)) + (-1 if is_put else 1)])
    short, long = (_row(chain, strike, is_put=is_put) for strike in (short_strike, long_strike))
    expiration = chain.expiration[short].astype(dt.date)
    spread = Spread(
        underlying=underlying,
        spread_type=spread_type,
        expiration=expiration,
        short_strike=short_strike,
        long_strike=long_strike,
        short_symbol=str(chain.symbol[short]),
        long_symbol=str(chain.symbol[long]),
    )
    quote = SpreadQuote(short=_quote(chain, short, snapshot.as_of), long=_quote(chain, long, snapshot.as_of))
    return Candidate(
        spread=spread,
        as_of=snapshot.as_of,
        dte=(expiration - snapshot.as_of.date()).days,
        spot=chain.spot,
        short_leg=_leg(chain, short),
        long_leg=_leg(chain, long),
        quote=quote,
        credit=quote.mid_credit,
        score=0.5,
        parts=ScoreParts(iv=0.5, delta=0.8, credit=0.3, ev=0.1),
        rank=rank,
    )


def _row(chain: Chain, strike: float, *, is_put: bool) -> int:
    found = np.flatnonzero((chain.strike == strike) & (chain.is_put == is_put))
    if not len(found):
        raise ValueError(f"the chain of {chain.underlying} has no {'put' if is_put else 'call'} at {strike:g}")
    return int(found[0])


def _quote(chain: Chain, row: int, at: dt.datetime) -> Quote:
    return Quote(bid=float(chain.bid[row]), ask=float(chain.ask[row]), at=at)


def _leg(chain: Chain, row: int) -> LegFacts:
    return LegFacts(**{name: getattr(chain, name)[row].item() for name in LegFacts.model_fields if name != "computed"})
