"""A market of chosen quotes, spreads on it and tickets for them: for tests of orders, ledger and embedded broker."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

from builders import AS_OF, EXPIRATION, make_snapshot, occ_symbol

from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import MarketError
from mahler_agents.execution import (
    Broker,
    ClosingTicket,
    Execution,
    Ledger,
    OrderTicket,
    Position,
    Trading,
    at_once,
    client_order_id,
    execute,
)
from mahler_agents.exits import ExitParams
from mahler_agents.market.snapshot import Dividend, Snapshot
from mahler_agents.record import connect
from mahler_agents.types import Quote, Spread, SpreadQuote, SpreadType

DECIDED_AT = AS_OF + dt.timedelta(minutes=3)
LATER = DECIDED_AT + dt.timedelta(hours=1)

Side = tuple[float, float]
"""Bid and ask, dollars per share."""


class QuotedMarket:
    """Options quoted as the test says, the same at every instant unless it moves them; what is not said is absent."""

    name = "quoted"
    world = "quoted-test"
    live = False
    max_quote_age_seconds = 1200.0
    synthetic = True

    def __init__(self, sides: Mapping[str, Side] | None = None) -> None:
        self.sides = dict(sides or {})
        self.coming_dividends: dict[str, tuple[Dividend, ...]] = {}
        self.underlyings: dict[str, float] = {}
        self.priced: list[tuple[tuple[str, ...], dt.datetime]] = []
        self.later: list[tuple[dt.datetime, Mapping[str, Side]]] = []
        self.asked: list[tuple[tuple[str, ...], dt.datetime]] = []
        self.down = False
        self.vix_points: float | None = None

    def default_as_of(self) -> dt.datetime:
        return AS_OF

    def instant_of(self, date: dt.date) -> dt.datetime:
        return dt.datetime.combine(date, AS_OF.timetz())

    async def snapshot(self, as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
        return make_snapshot(underlyings, as_of=as_of)

    async def quotes(self, symbols: Sequence[str], at: dt.datetime) -> Mapping[str, Quote]:
        if self.down:
            raise MarketError("the market is down")
        self.asked.append((tuple(symbols), at))
        sides = dict(self.sides)
        for since, moved in sorted(self.later, key=lambda one: one[0]):
            sides |= moved if since <= at else {}
        return {
            symbol: Quote(bid=sides[symbol][0], ask=sides[symbol][1], at=at) for symbol in symbols if symbol in sides
        }

    async def dividends(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, tuple[Dividend, ...]]:
        date = at.astimezone(NEW_YORK).date()
        return {
            name: tuple(one for one in self.coming_dividends[name] if one.ex_date > date)
            for name in underlyings
            if name in self.coming_dividends
        }

    async def prices(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, float]:
        self.priced.append((tuple(underlyings), at))
        return {name: self.underlyings[name] for name in underlyings if name in self.underlyings}

    async def vix(self, at: dt.datetime) -> float | None:  # noqa: ARG002 - the protocol's argument
        return self.vix_points

    def quote(self, spread: Spread, *, short: Side, long: Side) -> None:
        """Quote both legs of a spread from now on."""
        self.sides[spread.short_symbol], self.sides[spread.long_symbol] = short, long

    def quote_from(self, at: dt.datetime, spread: Spread, *, short: Side, long: Side) -> None:
        """Quote both legs of a spread otherwise from an instant on."""
        self.later.append((at, {spread.short_symbol: short, spread.long_symbol: long}))

    def unquote(self, *symbols: str) -> None:
        """Quote these options no longer."""
        for symbol in symbols:
            del self.sides[symbol]


def a_spread(
    underlying: str = "SPY",
    *,
    spread_type: SpreadType = SpreadType.BULL_PUT,
    short: float = 540.0,
    width: float = 5.0,
    expiration: dt.date = EXPIRATION,
) -> Spread:
    is_put = spread_type is SpreadType.BULL_PUT
    long = short - width if is_put else short + width
    return Spread(
        underlying=underlying,
        spread_type=spread_type,
        expiration=expiration,
        short_strike=short,
        long_strike=long,
        short_symbol=occ_symbol(underlying, expiration, short, is_put=is_put),
        long_symbol=occ_symbol(underlying, expiration, long, is_put=is_put),
    )


def a_spread_quote(short: Side, long: Side) -> SpreadQuote:
    short_quote, long_quote = (Quote(bid=bid, ask=ask, at=DECIDED_AT) for bid, ask in (short, long))
    return SpreadQuote(short=short_quote, long=long_quote)


def a_ticket(
    spread: Spread | None = None,
    *,
    contracts: int = 4,
    limit_credit: float = 0.80,
    slot: str = "scan-1",
    account_id: str = "paper-quoted-test",
    candidate_id: str = "run.1",
    attempt: int = 1,
    decided_at: dt.datetime = DECIDED_AT,
) -> OrderTicket:
    spread = spread or a_spread()
    order_id = client_order_id(account_id=account_id, slot=slot, spread=spread, purpose="entry", attempt=attempt)
    return OrderTicket(
        client_order_id=order_id,
        account_id=account_id,
        slot=slot,
        candidate_id=candidate_id,
        spread=spread,
        contracts=contracts,
        limit_credit=limit_credit,
        decided_at=decided_at,
        exit_params=ExitParams(),
    )


def a_closing_ticket(
    position: Position,
    *,
    limit_debit: float,
    slot: str = "monitor-1",
    contracts: int | None = None,
    account_id: str = "paper-quoted-test",
    decided_at: dt.datetime = LATER,
) -> ClosingTicket:
    order_id = client_order_id(account_id=account_id, slot=slot, spread=position.spread, purpose="exit", attempt=1)
    return ClosingTicket(
        client_order_id=order_id,
        account_id=account_id,
        slot=slot,
        entry_order_id=position.entry_order_id,
        spread=position.spread,
        contracts=contracts or position.contracts,
        limit_debit=limit_debit,
        rule="profit_target",
        decided_at=decided_at,
    )


def trading_on(market: QuotedMarket, broker: Broker, ledger: Ledger) -> Trading:
    return Trading(
        market=market,
        broker=broker,
        ledger=ledger,
        wait=at_once,
        concession=0.66,
        grace=dt.timedelta(seconds=10),
    )


async def executed(ticket: OrderTicket, trading: Trading) -> Execution:
    """Work one ticket whose intent is committed; raises what kept it from its end."""
    [ended] = [ended async for _, ended in execute([ticket], trading)]
    if not isinstance(ended, Execution):
        raise ended
    return ended


def record_candidates(database: Path, *candidate_ids: str, run_id: str = "run", as_of: str = "2026-03-16") -> None:
    """Record a run and its candidates, so that orders have what they refer to."""
    columns = {
        "kind": "scan",
        "slot": run_id,
        "status": "done",
        "as_of": f"{as_of}T14:00:00.000Z",
        "decision_at": f"{as_of}T14:03:00.000Z",
        "started_at": f"{as_of}T14:00:00.000Z",
        "environment": "paper",
        "market": "quoted",
        "source": "hand-built",
        "synthetic": 1,
        "broker": "paper",
        "account_id": "paper-quoted-test",
        "model": "none",
        "toy_model": 0,
        "version": "0",
        "config": "{}",
    }
    connection = connect(database)
    names = ", ".join(columns)
    connection.execute(f"INSERT INTO runs (id, {names}) VALUES (?{', ?' * len(columns)})", (run_id, *columns.values()))
    for rank, candidate_id in enumerate(candidate_ids, 1):
        connection.execute(
            "INSERT INTO candidates (id, run_id, rank, underlying, spread_type, expiration, short_strike, long_strike,"
            " dte, credit, score, reviewed, facts) VALUES (?, ?, ?, 'SPY', 'bull_put', '2026-04-17', 540, 535, 32, 1.0,"
            " 0.5, 1, '{}')",
            (candidate_id, run_id, rank),
        )
    connection.close()
