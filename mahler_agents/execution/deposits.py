"""Stage 8, execute: money into the embedded broker's account or out of it; an amount in, the account after it out.

Neither gain nor loss: the circuit breaker and the report read the same row that is booked here with the cash.
"""

import datetime as dt
from pathlib import Path

from mahler_agents.clock import utc_text
from mahler_agents.errors import InputError
from mahler_agents.execution.paper_account import buying_power_dollars
from mahler_agents.execution.paper_books import PaperBooks
from mahler_agents.record.presence import alone_now
from mahler_agents.types import Frozen

_JUST_AFTER = dt.timedelta(milliseconds=1)
"""The record's smallest step of time: after everything that was compared with so far."""


class Deposited(Frozen):
    """Money that was paid in (below zero: taken out), dollars, and the account after it."""

    account_id: str
    at: dt.datetime
    dollars: float
    cash: float
    buying_power: float


def deposit(path: Path, account_id: str, *, cents: int, at: dt.datetime | None, now: dt.datetime) -> Deposited:
    """Book money paid into an account, and move its cash, in one transaction.

    `at` is when; None: just after the last that the account's record knows. Raises `InputError` for nothing, for more
    than may be taken out, for a time that is not after all that the account has done and seen, or is still to come, and
    while another process or an order is at work on the account: its equity would be of before, its deposits of after.
    """
    if cents == 0:
        raise InputError("nothing is paid in or taken out: name an amount other than 0")
    with alone_now(path) as alone, PaperBooks(path, account_id) as books:
        if not alone:
            raise InputError(f"a scan or a monitor pass is at work on {path}: wait until it has ended")
        return _booked(books, cents, at, now)


def _booked(books: PaperBooks, cents: int, at: dt.datetime | None, now: dt.datetime) -> Deposited:
    latest, (account, working, _) = books.latest(), books.holdings()
    if latest is None:
        raise InputError(f"account {books.account_id} has done nothing yet: run a scan or a monitor pass first")
    at = at or latest + _JUST_AFTER
    if at <= latest:
        raise InputError(f"account {books.account_id} is known as of {utc_text(latest)} already: name a time after it")
    if at > max(now, latest + _JUST_AFTER):
        raise InputError(f"{utc_text(at)} is still to come: book the money when it is there")
    if working:
        raise InputError(f"an order of account {books.account_id} is at work: run a monitor pass first")
    left = round(buying_power_dollars(account, (), 0) + cents / 100, 2)
    if left < 0:
        most = left - cents / 100
        raise InputError(f"{-cents / 100:,.2f} dollars are more than the {most:,.2f} that no position needs")
    books.deposit(cents, at)
    return Deposited(
        account_id=books.account_id,
        at=at,
        dollars=cents / 100,
        cash=(account.cash_cents + cents) / 100,
        buying_power=left,
    )
