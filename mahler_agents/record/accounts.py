"""Record: one account's history out, as frozen rows: positions, closings, equity, deposits, shadows; plain sqlite3.

Instants are text in UTC, as everywhere in the record. Every tuple is oldest first.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mahler_agents.errors import InputError, UnknownIdError
from mahler_agents.record.queries import Reader
from mahler_agents.wording import spread_label


@dataclass(frozen=True, kw_only=True)
class EntryFill:
    """Contracts that an entry sold at one credit per share; fees in dollars."""

    entry_order_id: str
    at: str
    contracts: int
    credit: float
    fees: float


@dataclass(frozen=True, kw_only=True)
class HeldPosition:
    """A position that was opened, whatever became of it."""

    entry_order_id: str
    underlying: str
    spread_type: str
    expiration: str
    short_strike: float
    long_strike: float
    opened_at: str
    fills: tuple[EntryFill, ...] = ()

    @property
    def contracts(self) -> int:
        """As opened."""
        return sum(fill.contracts for fill in self.fills)

    @property
    def label(self) -> str:
        """The spread as a trader says it."""
        return spread_label(
            underlying=self.underlying,
            spread_type=self.spread_type,
            short_strike=self.short_strike,
            long_strike=self.long_strike,
            expiration=self.expiration,
        )


@dataclass(frozen=True, kw_only=True)
class ClosedPart:
    """Contracts of a position that were closed together: all of them, or a part."""

    entry_order_id: str
    rule: str
    contracts: int
    closed_at: str
    fees: float
    """Dollars: of the exit, and these contracts' share of the entry's."""
    pnl_dollars: float
    """After `fees`."""


@dataclass(frozen=True, kw_only=True)
class RecordedEquity:
    """The account's equity as a scan or a monitor pass recorded it, dollars."""

    at: str
    equity: float


@dataclass(frozen=True, kw_only=True)
class PaidIn:
    """Dollars deposited; below zero: taken out."""

    at: str
    dollars: float


@dataclass(frozen=True, kw_only=True)
class ShadowEnds:
    """How the shadow of a traded candidate ended, dollars of one contract after fees; None where it has not yet."""

    entry_order_id: str
    exit_at: str | None
    """By the rules, checked at every pass."""
    exit_pnl_dollars: float | None
    daily_exit_at: str | None
    """By the rules, checked at the sessions' closes only."""
    daily_exit_rule: str | None
    daily_exit_pnl_dollars: float | None


@dataclass(frozen=True, kw_only=True)
class LastMark:
    """When a position was last marked, and what it cost to close then, at mid per share."""

    entry_order_id: str
    at: str
    mid_cost: float


@dataclass(frozen=True, kw_only=True)
class AccountHistory:
    """All that one account did."""

    account_id: str
    synthetic: bool
    """True if any figure is of a made-up market."""
    positions: tuple[HeldPosition, ...]
    parts: tuple[ClosedPart, ...]
    equity: tuple[RecordedEquity, ...]
    deposits: tuple[PaidIn, ...]
    shadows: tuple[ShadowEnds, ...]
    """Of candidates that were traded."""


class AccountReader(Reader):
    """A reader of accounts' histories."""

    def accounts(self) -> tuple[str, ...]:
        """Return the ids of all accounts in the record, in order."""
        rows = self._rows("SELECT account_id FROM runs UNION SELECT account_id FROM equity ORDER BY 1")
        return tuple(row["account_id"] for row in rows)

    def embedded_accounts(self) -> tuple[str, ...]:
        """Return the ids of the embedded broker's accounts, in order."""
        return tuple(row["account_id"] for row in self._rows("SELECT account_id FROM paper_accounts ORDER BY 1"))

    def history(self, account_id: str) -> AccountHistory:
        """Return one account's history. Raises `UnknownIdError` if the record has no such account."""
        if account_id not in (known := self.accounts()):
            raise UnknownIdError(f"no account `{account_id}` in {self.path}: it has {', '.join(known) or 'none'}")
        [made_up] = self._rows("SELECT MAX(synthetic) AS any_run FROM runs WHERE account_id = ?", account_id)
        return AccountHistory(
            account_id=account_id,
            synthetic=bool(made_up["any_run"]),
            positions=self._positions(account_id),
            parts=self._all(ClosedPart, _PARTS, account_id),
            equity=self._all(RecordedEquity, "SELECT * FROM equity WHERE account_id = ? ORDER BY at", account_id),
            deposits=self._all(PaidIn, "SELECT * FROM deposits WHERE account_id = ? ORDER BY at", account_id),
            shadows=self._all(ShadowEnds, _SHADOWS, account_id),
        )

    def closings_since(self, account_id: str, begins: str) -> Mapping[str, int]:
        """Return how many closings each exit rule has made from an instant on, by rule."""
        rows = self._rows(_CLOSINGS, account_id, begins)
        return {row["rule"]: row["closings"] for row in rows}

    def last_marks(self, account_id: str, at: str) -> Mapping[str, LastMark]:
        """Return the last mark at or before an instant of every position that has one, by entry order id."""
        return {mark.entry_order_id: mark for mark in self._all(LastMark, _LAST_MARKS, account_id, at)}

    def _positions(self, account_id: str) -> tuple[HeldPosition, ...]:
        fills: dict[str, list[EntryFill]] = defaultdict(list)
        for fill in self._all(EntryFill, _ENTRY_FILLS, account_id):
            fills[fill.entry_order_id].append(fill)
        held = self._all(HeldPosition, _POSITIONS, account_id)
        return tuple(replace(position, fills=tuple(fills[position.entry_order_id])) for position in held)


def only_account(accounts: Sequence[str], chosen: str | None) -> str | None:
    """Return the account that is meant, None if the record has none; raises `InputError` if it must be chosen."""
    if chosen is None and len(accounts) > 1:
        raise InputError(f"the record has {len(accounts)} accounts: choose one of {', '.join(accounts)} with --account")
    return chosen or (accounts[0] if accounts else None)


_POSITIONS = "SELECT * FROM positions WHERE account_id = ? ORDER BY opened_at, entry_order_id"
_ENTRY_FILLS = """
    SELECT positions.entry_order_id, fills.* FROM fills
    JOIN positions ON positions.entry_order_id = fills.client_order_id
    WHERE positions.account_id = ? ORDER BY fills.client_order_id, fills.number
"""
_PARTS = """
    SELECT outcomes.* FROM outcomes JOIN positions USING (entry_order_id)
    WHERE positions.account_id = ? ORDER BY outcomes.closed_at, outcomes.entry_order_id, outcomes.number
"""
_CLOSINGS = """
    SELECT outcomes.rule, COUNT(*) AS closings FROM outcomes JOIN positions USING (entry_order_id)
    WHERE positions.account_id = ? AND outcomes.closed_at >= ? GROUP BY outcomes.rule ORDER BY outcomes.rule
"""
_SHADOWS = """
    SELECT positions.entry_order_id, shadows.exit_at, shadows.exit_pnl_dollars,
        shadows.daily_exit_at, shadows.daily_exit_rule, shadows.daily_exit_pnl_dollars
    FROM positions JOIN orders ON orders.client_order_id = positions.entry_order_id
    JOIN shadows ON shadows.candidate_id = orders.candidate_id
    WHERE positions.account_id = ? ORDER BY positions.opened_at, positions.entry_order_id
"""
_LAST_MARKS = """
    SELECT entry_order_id, MAX(at) AS at, mid_cost FROM marks JOIN positions USING (entry_order_id)
    WHERE account_id = ? AND at <= ? AND mid_cost NOT NULL GROUP BY entry_order_id
"""  # SQLite takes the other columns of a MAX from the row that has it
