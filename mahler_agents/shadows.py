"""Stage 9, monitor: shadows, every reviewed candidate as if it had been traded, followed to its exit.

Traded or not (vetoed, unsized, unfilled, over the scan's number), each is entered at the decision time's quotes and
closed by the same rules as a position: what the advice was worth can be judged without looking only at what it let by.
"""

import datetime as dt
import sqlite3
from collections.abc import Iterable

from mahler_agents.clock import utc_text
from mahler_agents.execution.orders import LEGS, closing_debit, round_down_to_cent
from mahler_agents.execution.rows import spread_of, spread_row
from mahler_agents.execution.settlement import Expiry, Settlement
from mahler_agents.exits import ExitParams, ExitRule, Mark, decide
from mahler_agents.record.durable import DurableBook, insert
from mahler_agents.types import CONTRACT_MULTIPLIER, Frozen, Spread, SpreadQuote


class Shadow(Frozen):
    """A candidate that is followed, one contract of it."""

    candidate_id: str
    spread: Spread
    entry_credit: float
    """Per share, after conceding as an entry order would, in whole cents."""
    exit_params: ExitParams
    """The policy that held when it was entered, as its trade's."""
    exited: bool
    """The exit policy, checked at every pass, has closed it."""
    daily_exited: bool
    """The exit policy, checked at the sessions' closes only, has closed it."""


class ShadowExit(Frozen):
    """How a shadow was closed."""

    candidate_id: str
    daily: bool
    """True for the check at the sessions' closes."""
    rule: ExitRule | Expiry
    at: dt.datetime
    debit: float
    """Paid per share: at the natural side, or what the expiration settled it at."""
    pnl_dollars: float
    """Of one contract, after the fees of entry and exit; an expiration has none."""


class ShadowBook(DurableBook):
    """The shadows of one account; methods block for the length of a commit, and raise `RecordError`."""

    def enter(
        self, candidate_id: str, spread: Spread, *, entry_credit: float, at: dt.datetime, exit_params: ExitParams
    ) -> None:
        """Begin to follow a candidate at a credit of the decision time, under the policy that its trade has.

        One that is followed already stays as it is.
        """
        row: dict[str, object] = {
            "candidate_id": candidate_id,
            "account_id": self.account_id,
            **spread_row(spread),
            "entry_credit": entry_credit,
            "entered_at": utc_text(at),
            "exit_params": exit_params.model_dump_json(),
        }
        with self._books.transaction() as connection:
            followed = connection.execute("SELECT 1 FROM shadows WHERE candidate_id = ?", (candidate_id,)).fetchone()
            if followed is None:
                insert(connection, "shadows", row)

    def followed(self, at: dt.datetime) -> tuple[Shadow, ...]:
        """Return the shadows entered by the instant `at` that one of the two checks has not closed, oldest first."""
        with self._books.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM shadows WHERE account_id = ? AND entered_at <= ?"
                " AND (exit_at IS NULL OR daily_exit_at IS NULL) ORDER BY entered_at, candidate_id",
                (self.account_id, utc_text(at)),
            ).fetchall()
        return tuple(_shadow(row) for row in rows)

    def close(self, exits: Iterable[ShadowExit]) -> None:
        """Enter how shadows were closed, in one transaction; one that is closed already stays as it is."""
        with self._books.transaction() as connection:
            for one in exits:
                kind = "daily_exit" if one.daily else "exit"
                connection.execute(
                    f"UPDATE shadows SET {kind}_rule = ?, {kind}_at = ?, {kind}_debit = ?, {kind}_pnl_dollars = ?"
                    f" WHERE candidate_id = ? AND {kind}_at IS NULL",
                    (one.rule.value, utc_text(one.at), one.debit, one.pnl_dollars, one.candidate_id),
                )


def shadow_credit(quote: SpreadQuote, *, width: float, concession: float) -> float | None:
    """Return what an entry that concedes in full would sell the spread for, dollars per share in whole cents.

    None where that is no credit spread: nothing, or the whole width, would be received.
    """
    credit = round_down_to_cent(quote.credit_at(concession))
    return credit if 0 < credit < width else None


def shadow_exits(
    shadow: Shadow, quote: SpreadQuote, *, at: dt.datetime, dte: int, at_close: bool, commission: float
) -> tuple[ShadowExit, ...]:
    """Return how the rules close a shadow at this quote: by the check of every pass, that of the close, or neither.

    `commission` is in dollars per contract and leg; `at_close` says that this pass is the session's last.
    """
    decision = decide(entry_credit=shadow.entry_credit, dte=dte, mark=Mark.of(quote, at), params=shadow.exit_params)
    if decision is None:
        return ()
    debit = closing_debit(quote, shadow.spread.width)
    return _exits(shadow, decision.rule, at, debit, fees=2 * LEGS * commission, at_close=at_close)


def shadow_at_expiry(shadow: Shadow, settlement: Settlement, *, commission: float) -> tuple[ShadowExit, ...]:
    """Return how its expiration closes a shadow, for each of the two checks that has not closed it before."""
    fees = LEGS * commission
    return _exits(shadow, settlement.expiry, settlement.at, settlement.debit, fees=fees, at_close=True)


def _exits(
    shadow: Shadow, rule: ExitRule | Expiry, at: dt.datetime, debit: float, *, fees: float, at_close: bool
) -> tuple[ShadowExit, ...]:
    pnl = (shadow.entry_credit - debit) * CONTRACT_MULTIPLIER - fees
    due = [daily for daily in (False, True) if _is_due(shadow, daily=daily, at_close=at_close)]
    return tuple(
        ShadowExit(
            candidate_id=shadow.candidate_id, daily=daily, rule=rule, at=at, debit=debit, pnl_dollars=round(pnl, 2)
        )
        for daily in due
    )


def _is_due(shadow: Shadow, *, daily: bool, at_close: bool) -> bool:
    return at_close and not shadow.daily_exited if daily else not shadow.exited


def _shadow(row: sqlite3.Row) -> Shadow:
    return Shadow(
        candidate_id=row["candidate_id"],
        spread=spread_of(row),
        entry_credit=row["entry_credit"],
        exit_params=ExitParams.model_validate_json(row["exit_params"]),
        exited=row["exit_at"] is not None,
        daily_exited=row["daily_exit_at"] is not None,
    )
