"""Stage 8, execute: what the ledger holds and what the broker says in, every difference in words out; pure.

An order whose end is not known may have filled or not, so each leg has a lowest and a highest number of contracts that
the ledger can account for. Only what lies outside is a difference. A leg that has expired is none: the broker removes
it in its own time.
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from mahler_agents.errors import InputError
from mahler_agents.execution.paper_account import settles_at
from mahler_agents.market.occ import parse_symbol
from mahler_agents.types import Frozen, Reason

_ROOT = re.compile(r"[A-Z]+")


class Kind(StrEnum):
    """What a difference is."""

    EXTERNAL = "external"
    """The broker holds what is not the ledger's: nothing is opened in its underlying, and it is never traded."""
    MISSING = "missing"
    """A leg of ours is not at the broker, or not all of it: what is left may be naked."""
    ORDER = "order"
    """An order works at the broker that the ledger does not know of."""


class Open(NamedTuple):
    """Contracts of a spread: open, or still to be filled of a pending order."""

    short_symbol: str
    long_symbol: str
    contracts: int
    label: str
    """The spread as a trader says it."""


class Holdings(Frozen):
    """What the ledger holds in one moment."""

    positions: tuple[Open, ...] = ()
    entering: tuple[Open, ...] = ()
    """What pending entries may still fill."""
    closing: tuple[Open, ...] = ()
    """What pending exits may still close."""
    pending_orders: frozenset[str] = frozenset()
    """Ids of the orders whose end is not known."""


class Range(NamedTuple):
    """How many contracts of one symbol the ledger can account for; negative is short."""

    low: int
    booked: int
    high: int


class Difference(Frozen):
    """Something in which the broker's account differs from the ledger."""

    kind: Kind
    item: str
    """Symbol; the broker's id of an order."""
    underlying: str | None = None
    """Nothing is opened in it; None for orders."""
    in_ledger: int | None = None
    """Contracts; negative is short. None for orders."""
    at_broker: int | None = None
    spreads: tuple[str, ...] = ()
    """Open positions that have this leg, as a trader says them."""
    text: str

    @property
    def lacking(self) -> int:
        """Contracts of our leg that the broker does not hold."""
        ours, theirs = self.in_ledger or 0, self.at_broker or 0
        return abs(ours) - min(abs(ours), abs(theirs) if _same_side(ours, theirs) else 0)

    @property
    def reason(self) -> Reason | None:
        """Why nothing is opened in its underlying; None if it forbids nothing."""
        return BARRED_BY.get(self.kind)


class Explained(Frozen):
    """A symbol of which the two have not the same number, and need not have."""

    symbol: str
    in_ledger: int
    at_broker: int
    text: str


BARRED_BY: Mapping[Kind, Reason] = {Kind.EXTERNAL: Reason.EXTERNAL_POSITION, Kind.MISSING: Reason.BROKEN_LEG}
"""Why nothing is opened in the underlying of a difference; of orders, nothing is forbidden."""


def ranges(holdings: Sequence[Holdings]) -> Mapping[str, Range]:
    """Return by symbol what the ledger can account for: all that any of its readings can.

    Two readings, one from before the broker was asked and one from after, hold whatever another process did meanwhile.
    """
    symbols = {symbol for one in holdings for symbol in _symbols(one)}
    each = [_ranges_of(one) for one in holdings]
    none = Range(0, 0, 0)
    return {
        symbol: Range(
            min(one.get(symbol, none).low for one in each),
            each[-1].get(symbol, none).booked,
            max(one.get(symbol, none).high for one in each),
        )
        for symbol in sorted(symbols)
    }


def compare(
    holdings: Sequence[Holdings], held: Mapping[str, int], *, at: dt.datetime
) -> tuple[tuple[Difference, ...], tuple[Explained, ...]]:
    """Return what differs between the ledger and what the broker holds (symbol to signed quantity), and what seems to.

    By symbol, in order.
    """
    known = ranges(holdings)
    labels = _labels(holdings)
    differences: list[Difference] = []
    explained: list[Explained] = []
    for symbol in sorted({*known, *(symbol for symbol, quantity in held.items() if quantity)}):
        ours, theirs = known.get(symbol, Range(0, 0, 0)), held.get(symbol, 0)
        if ours.low <= theirs <= ours.high:
            if theirs != ours.booked:
                told = "an order whose end is not known explains it"
                explained.append(_explained(symbol, ours, theirs, told))
        elif _expired(symbol, at):
            explained.append(_explained(symbol, ours, theirs, "it has expired, and is settled in the next passes"))
        else:
            differences += _differing(symbol, ours, theirs, labels.get(symbol, ()))
    return tuple(differences), tuple(explained)


def underlying_of(symbol: str) -> str:
    """Return the underlying of a position at a broker: of an option, adjusted ones too; else the symbol itself."""
    try:
        root = parse_symbol(symbol).underlying
    except InputError:
        return symbol
    letters = _ROOT.match(root)
    return letters.group() if letters else root


def _differing(symbol: str, ours: Range, theirs: int, spreads: tuple[str, ...]) -> list[Difference]:
    """Return what is missing of our leg, what is there beyond it, or both: a leg that has turned into its opposite."""
    expected = ours.low if theirs < ours.low else ours.high
    kept = theirs if _same_side(expected, theirs) else 0

    def difference(kind: Kind, text: str) -> Difference:
        return Difference(
            kind=kind,
            item=symbol,
            underlying=underlying_of(symbol),
            in_ledger=ours.booked,
            at_broker=theirs,
            spreads=spreads,
            text=text,
        )

    found: list[Difference] = []
    if abs(kept) < abs(expected):
        found.append(difference(Kind.MISSING, _missing(symbol, expected, kept, spreads)))
    if theirs and (kept == 0 or abs(theirs) > abs(expected)):
        beyond = theirs - (expected if kept else 0)
        found.append(difference(Kind.EXTERNAL, _external(symbol, beyond, expected if kept else 0)))
    return found


def _missing(symbol: str, expected: int, kept: int, spreads: tuple[str, ...]) -> str:
    of = f" of {', '.join(spreads)}" if spreads else ""
    return (
        f"{symbol}{of}: the ledger holds {_side(expected)}, the broker {_side(kept)}. The other leg may be open without"
        " it: look at the account, and trade there what puts it right (assigned early, closed by hand, or a lost fill?)"
    )


def _external(symbol: str, beyond: int, expected: int) -> str:
    is_share = underlying_of(symbol) == symbol
    ours = f" beyond the ledger's {_side(expected)}" if expected else ""
    what = f"{'long' if beyond > 0 else 'short'} {abs(beyond):,} {'shares' if is_share else 'contracts'}"
    hint = " (shares come from an assignment, or were traded by hand)" if is_share else ""
    return (
        f"{symbol}: the broker holds {what}{ours} that the desk did not trade{hint}: it leaves them alone, and opens"
        f" nothing in {underlying_of(symbol)} until they are gone"
    )


def _explained(symbol: str, ours: Range, theirs: int, why: str) -> Explained:
    told = f"{symbol}: the ledger holds {_side(ours.booked)}, the broker {_side(theirs)}; {why}"
    return Explained(symbol=symbol, in_ledger=ours.booked, at_broker=theirs, text=told)


def _side(quantity: int) -> str:
    return f"{abs(quantity):,} {'short' if quantity < 0 else 'long'}" if quantity else "none"


def _same_side(one: int, other: int) -> bool:
    return one * other > 0


def _expired(symbol: str, at: dt.datetime) -> bool:
    try:
        return settles_at(symbol, by=at) is not None
    except InputError:  # shares, or what else an account may hold
        return False


def _symbols(holdings: Holdings) -> set[str]:
    every: Iterable[Open] = (*holdings.positions, *holdings.entering, *holdings.closing)
    return {symbol for one in every for symbol in (one.short_symbol, one.long_symbol)}


def _labels(holdings: Sequence[Holdings]) -> Mapping[str, tuple[str, ...]]:
    labels: dict[str, dict[str, None]] = defaultdict(dict)
    for one in (position for each in holdings for position in each.positions):
        for symbol in (one.short_symbol, one.long_symbol):
            labels[symbol][one.label] = None
    return {symbol: tuple(found) for symbol, found in labels.items()}


def _ranges_of(holdings: Holdings) -> Mapping[str, Range]:
    booked: dict[str, int] = defaultdict(int)
    down: dict[str, int] = defaultdict(int)
    up: dict[str, int] = defaultdict(int)
    for one in holdings.positions:
        booked[one.short_symbol] -= one.contracts
        booked[one.long_symbol] += one.contracts
    for one in holdings.entering:
        down[one.short_symbol] += one.contracts
        up[one.long_symbol] += one.contracts
    for one in holdings.closing:
        up[one.short_symbol] += one.contracts
        down[one.long_symbol] += one.contracts
    return {
        symbol: Range(booked[symbol] - down[symbol], booked[symbol], booked[symbol] + up[symbol])
        for symbol in _symbols(holdings)
    }
