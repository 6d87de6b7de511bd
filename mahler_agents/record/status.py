"""Record: one account's status out: what is in force, what is open, what ran last and what waits; never a broker."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from typing import Any

from mahler_agents.clock import NEW_YORK, utc_text
from mahler_agents.record.accounts import AccountReader
from mahler_agents.record.equity_points import highest, last_week_close, previous_close
from mahler_agents.record.exposures import ENDED_ORDERS, exposure_rows
from mahler_agents.record.reading import only, read_row
from mahler_agents.record.rows import PositionRow
from mahler_agents.record.safety import SafetyReader
from mahler_agents.record.slots import Heartbeat, SlotRow, slot_row
from mahler_agents.record.status_rows import (
    AccountStatus,
    BreakerStatus,
    Change,
    HeatStatus,
    Origin,
    PendingStatus,
    PositionStatus,
    Pulse,
    ScanStatus,
    SchedulerStatus,
    Status,
    UnfinishedRun,
)
from mahler_agents.record.trace_rows import EventRow
from mahler_agents.units import CONTRACT_MULTIPLIER

STALE_AFTER = dt.timedelta(minutes=3)
"""A daemon says every minute that it is alive; after so long without a word it is taken for dead."""
LIVE_MARKETS = ("alpaca",)
"""Markets that are of now: with any other the record's last instant is its present."""
_LOOKED_AT = 5_000
"""Of the newest events, among which those of the day are sought: no index has their times."""

_SCANS = "FROM runs WHERE account_id = ? AND kind = 'scan' AND NOT retrospective"
_NEWEST = "ORDER BY started_at DESC, rowid DESC LIMIT 1"
_PENDING = f"""
    SELECT orders.*, (SELECT COALESCE(SUM(fills.contracts), 0) FROM fills
            WHERE fills.client_order_id = orders.client_order_id) AS filled,
        (SELECT order_attempts.limit_credit FROM order_attempts
            WHERE order_attempts.client_order_id = orders.client_order_id ORDER BY number DESC LIMIT 1) AS asked
    FROM orders WHERE account_id = ? AND state NOT IN {ENDED_ORDERS} ORDER BY decided_at, client_order_id
"""
_LAST_SLOTS = """
    SELECT slots.*, MAX(due_at) FROM slots WHERE status NOT IN ('running', 'retrying') GROUP BY job ORDER BY due_at
"""


class StatusReader(AccountReader, SafetyReader):
    """A reader of an account's status, all of it as of one moment of the record."""

    def status(self, account_id: str | None, now: dt.datetime) -> Status:
        """Return the status of an account, None: of a record that has none yet; `now` is the clock's."""
        account = account_id or ""
        heartbeats = self._all(Heartbeat, "SELECT * FROM heartbeats ORDER BY at DESC")
        origin = only(self._all(Origin, f"SELECT * {_SCANS} {_NEWEST}", account))
        last = self._last_instant(account)
        flows = last is None or bool(heartbeats) or (origin is not None and origin.market in LIVE_MARKETS)
        present = now if flows else dt.datetime.fromisoformat(last or utc_text(now))
        day = self._last_day(present)
        figures, scan = self._account(account), self._last_scan(account)
        check = only(self._rows("SELECT at, error FROM broker_checks WHERE account_id = ?", account))
        return Status(
            path=str(self.path),
            asked_at=utc_text(now),
            present=utc_text(present),
            flows=flows,
            origin=origin,
            trading=self.standing(),
            account=figures,
            heat=self._heat(account, figures, scan),
            positions=tuple(self._positions_of(account, present)),
            breaker=self._breaker(account),
            last_scan=scan,
            scheduler=self._scheduler(heartbeats, now),
            pending=tuple(
                read_row(PendingStatus, row, limit_credit=row["asked"] or row["limit_credit"])
                for row in self._rows(_PENDING, account)
            ),
            unfinished=self._all(
                UnfinishedRun,
                f"SELECT * {_SCANS} AND (status = 'running' OR abandoned_at NOT NULL) ORDER BY started_at, rowid",
                account,
            ),
            broker_checked_at=None if check is None else check["at"],
            broker_error=None if check is None else check["error"],
            differences=tuple(one for one in self.differences() if one.account_id == account),
            day=day.isoformat(),
            warnings=self._warnings(day),
        )

    def _last_instant(self, account: str) -> str | None:
        """Return the last instant of the market at which the account was looked at."""
        sql = (
            "SELECT MAX(at) AS at FROM (SELECT MAX(at) AS at FROM equity WHERE account_id = ?1"
            " UNION ALL SELECT MAX(as_of) FROM runs WHERE account_id = ?1"
            " UNION ALL SELECT MAX(opened_at) FROM positions WHERE account_id = ?1)"
        )
        return self._rows(sql, account)[0]["at"]

    def _last_day(self, present: dt.datetime) -> dt.date:
        """Return the New York date of the newest event, or of the present if there is none."""
        newest = only(self._rows("SELECT at FROM events ORDER BY id DESC LIMIT 1"))
        at = present if newest is None else dt.datetime.fromisoformat(newest["at"])
        return at.astimezone(NEW_YORK).date()

    def _account(self, account: str) -> AccountStatus | None:
        row = only(self._rows("SELECT * FROM equity WHERE account_id = ? ORDER BY at DESC LIMIT 1", account))
        if row is None:
            return None
        at = dt.datetime.fromisoformat(row["at"])
        since = [find(self._connection, account, at) for find in (previous_close, last_week_close)]
        day, week = (self._change(account, row, (one or row)["at"], (one or row)["equity"]) for one in since)
        return AccountStatus(
            at=row["at"],
            equity=row["equity"],
            cash=row["cash"],
            day=day,
            week=week,
            peak=self._fall(account, row),
        )

    def _fall(self, account: str, now: Any) -> Change:
        """Return the change since the peak that the circuit breaker remembers; none if equity is above it."""
        state = only(self._rows("SELECT state FROM breaker_states WHERE account_id = ?", account))
        if state is not None:
            peak = json.loads(state["state"])["peak"]
            at, equity = utc_text(dt.datetime.fromisoformat(peak["at"])), float(peak["equity"])
        else:
            point = highest(self._connection, account) or now
            at, equity = point["at"], point["equity"]
        fall = self._change(account, now, at, equity)
        return fall if fall.dollars < 0 else self._change(account, now, now["at"], now["equity"])

    def _change(self, account: str, now: Any, since_at: str, since: float) -> Change:
        sql = "SELECT COALESCE(SUM(dollars), 0) AS paid FROM deposits WHERE account_id = ? AND at > ? AND at <= ?"
        [row] = self._rows(sql, account, since_at, now["at"])
        base = since + row["paid"]
        gained = round(now["equity"] - base, 2)
        return Change(since_at=since_at, since_equity=since, dollars=gained, share=gained / base if base > 0 else 0.0)

    def _heat(self, account: str, figures: AccountStatus | None, scan: ScanStatus | None) -> HeatStatus:
        risk = {False: 0.0, True: 0.0}
        for row in exposure_rows(self._connection, account):
            width = abs(row["short_strike"] - row["long_strike"])
            risk[bool(row["pending"])] += (width - row["credit"]) * CONTRACT_MULTIPLIER * row["open_contracts"]
        equity = figures.equity if figures is not None and figures.equity > 0 else None
        limit = None if scan is None else self._heat_limit(scan.id)
        total = sum(risk.values())
        return HeatStatus(
            open_dollars=round(risk[False], 2),
            pending_dollars=round(risk[True], 2),
            share=None if equity is None else total / equity,
            limit_share=limit,
            limit_dollars=None if equity is None or limit is None else round(limit * equity, 2),
        )

    def _heat_limit(self, run_id: str) -> float | None:
        sql = "SELECT json_extract(config, '$.limits.max_portfolio_heat_pct') AS share FROM runs WHERE id = ?"
        return self._rows(sql, run_id)[0]["share"]

    def _positions_of(self, account: str, present: dt.datetime) -> Iterator[PositionStatus]:
        held = [one for one in self.open_positions() if one.account_id == account]
        newest = max((one.marked_at for one in held if one.marked_at is not None), default=None)
        today = present.astimezone(NEW_YORK).date()
        for one in held:
            yield PositionStatus(
                **vars(one),
                place=None if one.mid_cost is None else _place(one, one.mid_cost),
                credit_place=_place(one, one.entry_credit),
                dte=(dt.date.fromisoformat(one.expiration) - today).days,
                mark_is_old=one.marked_at is not None and one.marked_at != newest,
            )

    def _breaker(self, account: str) -> BreakerStatus:
        row = only(self._rows("SELECT state FROM breaker_states WHERE account_id = ?", account))
        state: dict[str, Any] = {} if row is None else json.loads(row["state"])
        changed = only(
            self._rows("SELECT * FROM breaker_changes WHERE account_id = ? ORDER BY id DESC LIMIT 1", account)
        )
        halts = {halt["rule"]: utc_text(dt.datetime.fromisoformat(halt["at"])) for halt in state.get("halts", ())}
        codes = [*(f"{rule}_halt" for rule in halts), *state.get("codes", {}).values()]
        return BreakerStatus(
            since=None if changed is None else changed["at"],
            halts=halts,
            steps=tuple(dict.fromkeys(codes)),
            size=1.0 if changed is None else changed["size"],
            close_share="none" if changed is None else changed["close_share"],
        )

    def _last_scan(self, account: str) -> ScanStatus | None:
        row = only(self._rows(f"SELECT * {_SCANS} {_NEWEST}", account))
        if row is None:
            return None
        reviewed = self._rows(
            "SELECT decision, reason, COUNT(*) AS number FROM candidates WHERE run_id = ? AND reviewed"
            " GROUP BY decision, reason ORDER BY number DESC, reason",
            row["id"],
        )
        [failed] = self._rows(
            "SELECT COUNT(*) AS number FROM failures JOIN candidates ON candidates.id = candidate_id WHERE run_id = ?",
            row["id"],
        )
        columns = ("screen", "regime", "breaker", "size_multiplier")
        return read_row(
            ScanStatus,
            row,
            reviewed=sum(one["number"] for one in reviewed),
            traded=sum(one["number"] for one in reviewed if one["decision"] == "traded"),
            skipped={one["reason"]: one["number"] for one in reviewed if one["decision"] == "skipped"},
            failures=failed["number"],
            **{name: None if row[name] is None else json.loads(row[name]) for name in columns},
        )

    def _scheduler(self, heartbeats: Sequence[Heartbeat], now: dt.datetime) -> SchedulerStatus:
        alive = [one for one in heartbeats if _pulse(one, now) is Pulse.ALIVE]
        latest = only(alive) or only(heartbeats)
        today = {
            row["status"]: row["number"]
            for row in self._rows(
                "SELECT status, COUNT(*) AS number FROM slots WHERE due_at >= ? AND due_at < ? GROUP BY status",
                *_bounds(now.astimezone(NEW_YORK).date()),
            )
        }
        return SchedulerStatus(
            pulse=_pulse(latest, now),
            heartbeat=latest,
            last=self._slots(_LAST_SLOTS),
            unended=self._slots("SELECT * FROM slots WHERE status IN ('running', 'retrying') ORDER BY due_at, id"),
            missed=today.get("missed", 0),
            failed=today.get("failed", 0),
        )

    def _slots(self, sql: str) -> tuple[SlotRow, ...]:
        return tuple(map(slot_row, self._rows(sql)))

    def _warnings(self, day: dt.date) -> tuple[EventRow, ...]:
        sql = (
            "SELECT MAX(id) AS latest, MAX(at) AS at, level, code, message, candidate_id"
            " FROM (SELECT * FROM events ORDER BY id DESC LIMIT ?) WHERE level != 'info' AND at >= ? AND at < ?"
            " GROUP BY level, code, message ORDER BY latest DESC"
        )
        return self._all(EventRow, sql, _LOOKED_AT, *_bounds(day))


def _place(one: PositionRow, cost: float) -> float:
    return (cost - one.target_cost) / (one.stop_cost - one.target_cost)


def _pulse(latest: Heartbeat | None, now: dt.datetime) -> Pulse:
    if latest is None:
        return Pulse.NEVER
    if latest.stopped_at is not None:
        return Pulse.STOPPED
    return Pulse.STALE if now - dt.datetime.fromisoformat(latest.at) > STALE_AFTER else Pulse.ALIVE


def _bounds(day: dt.date) -> tuple[str, str]:
    """Return the first instant of a New York date, and the first one after it, as the record writes them."""
    first, after = (dt.datetime.combine(day + dt.timedelta(days=days), dt.time(), NEW_YORK) for days in (0, 1))
    return utc_text(first), utc_text(after)
