"""Stage 7, size: the breaker's memory in the record: equity and deposits out, state and every change in.

One account's; methods block for the length of a commit: call them in a thread.
"""

import datetime as dt
import sqlite3
from collections.abc import Mapping

from mahler_agents.clock import utc_text
from mahler_agents.record.durable import DurableBook, insert
from mahler_agents.record.equity_points import highest, last_week_close, previous_close
from mahler_agents.risk import reduction_rows
from mahler_agents.risk.breaker import (
    BreakerDecision,
    BreakerFacts,
    BreakerState,
    Deposit,
    EquityPoint,
    Rule,
    evaluate,
)
from mahler_agents.risk.reductions import Reduction, reductions


class BreakerBook(DurableBook):
    """Evaluates the circuit breaker of one account and keeps what it must remember; raises `RecordError`."""

    def evaluate(self, *, equity: float, at: dt.datetime, vix: float | None) -> BreakerDecision:
        """Evaluate the rules on the account's equity at an instant, and commit what changed with its reason code.

        What is to be closed by it is committed in the same transaction, so that no share is lost or taken twice; its
        losses are those of the last marks in the record.

        The previous close is the last equity recorded before the New York day of `at`, last week's final close the last
        one before its Monday; of a younger account, the first one recorded.
        """
        with self._books.transaction() as connection:
            before = self._state(connection)
            facts = BreakerFacts(
                at=at,
                equity=equity,
                previous_close=_point(previous_close(connection, self.account_id, at)),
                last_week_close=_point(last_week_close(connection, self.account_id, at)),
                vix=vix,
                deposits=self._deposits(connection),
            )
            decision = evaluate(facts, before)
            self._keep(connection, facts, before, decision)
            if decision.ask is not None:
                held = reduction_rows.holdings(connection, self.account_id, at)
                reduction_rows.add(connection, self.account_id, reductions(decision.ask, held, at))
        return decision

    def halted_after(self, at: dt.datetime) -> tuple[str, ...]:
        """Return the rules that have halted the account after an instant, and still do."""
        with self._books.reading() as connection:
            state = self._state(connection)
        return () if state is None else tuple(halt.rule.value for halt in state.halts if halt.at > at)

    def standing(self) -> Mapping[str, Reduction]:
        """Return what may stay of each open position that has more: by entry order id, the strictest that was asked."""
        with self._books.reading() as connection:
            return reduction_rows.standing(connection, self.account_id)

    def _state(self, connection: sqlite3.Connection) -> BreakerState | None:
        row = connection.execute("SELECT state FROM breaker_states WHERE account_id = ?", (self.account_id,)).fetchone()
        if row is not None:
            return BreakerState.model_validate_json(row["state"])
        # A record of a version without the breaker has a peak all the same.
        peak = _point(highest(connection, self.account_id))
        return None if peak is None else BreakerState(peak=peak)

    def _deposits(self, connection: sqlite3.Connection) -> tuple[Deposit, ...]:
        rows = connection.execute("SELECT at, dollars FROM deposits WHERE account_id = ?", (self.account_id,))
        return tuple(Deposit(at=dt.datetime.fromisoformat(row["at"]), dollars=row["dollars"]) for row in rows)

    def _keep(
        self,
        connection: sqlite3.Connection,
        facts: BreakerFacts,
        before: BreakerState | None,
        decision: BreakerDecision,
    ) -> None:
        if decision.state != before:
            connection.execute(
                "INSERT INTO breaker_states (account_id, state) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET state = excluded.state",
                (self.account_id, decision.state.model_dump_json()),
            )
        shared: dict[str, object] = {
            "account_id": self.account_id,
            "at": utc_text(facts.at),
            "equity": facts.equity,
            "size": decision.size,
            "close_share": decision.close.value,
        }
        observed = {reading.rule: reading.observed for reading in decision.readings}
        for rule, code in _changes(before, decision.state).items():
            row = {"rule": rule.value, "code": code, "observed": observed[rule], **shared}
            insert(connection, "breaker_changes", row)


def _changes(before: BreakerState | None, after: BreakerState) -> Mapping[Rule, str]:
    """Return the rules whose step or halt is another than before, and what it is now."""
    then, now = ({} if before is None else _standing(before)), _standing(after)
    return {rule: now.get(rule, f"{rule.value}_normal") for rule in Rule if then.get(rule) != now.get(rule)}


def _standing(state: BreakerState) -> Mapping[Rule, str]:
    return {**state.codes, **{halt.rule: f"{halt.rule.value}_halt" for halt in state.halts}}


def _point(row: sqlite3.Row | None) -> EquityPoint | None:
    return None if row is None else EquityPoint(at=dt.datetime.fromisoformat(row["at"]), equity=row["equity"])
