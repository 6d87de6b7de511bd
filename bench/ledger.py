"""(k) The order ledger on this disk: intents committed a second, and whole orders, with synchronous FULL."""

import asyncio
import datetime as dt
import os
import tempfile
from pathlib import Path
from time import perf_counter

from bench.reviews import Recorded, ground
from mahler_agents.execution import OrderState, OrderTicket, OrderUpdate, client_order_id
from mahler_agents.exits import ExitParams

ORDERS = 400


def run() -> dict[str, float]:
    """Return how many intents a second the ledger commits, and whole orders: intent, attempt, end."""
    return asyncio.run(_run())


async def _run() -> dict[str, float]:
    on = await ground()
    with tempfile.TemporaryDirectory() as folder, Recorded(Path(folder) / "bench.db", on) as recorded:
        ledger, _ = recorded.books("bench")
        candidate = on.candidates[0]
        candidate_id = recorded.candidate(candidate, 1)
        await recorded.recording.flush()  # orders refer to the candidate's row
        canceled = OrderUpdate(state=OrderState.CANCELED, broker_order_id="bench")
        decided_at = on.snapshot.as_of + dt.timedelta(minutes=3)
        tickets = [
            OrderTicket(
                client_order_id=client_order_id(
                    account_id="bench", slot=f"{number}", spread=candidate.spread, purpose="entry", attempt=1
                ),
                account_id="bench",
                slot=f"{number}",
                candidate_id=candidate_id,
                spread=candidate.spread,
                contracts=1,
                limit_credit=0.5,
                decided_at=decided_at,
                exit_params=ExitParams(),
            )
            for number in range(ORDERS)
        ]
        intents = booked = 0.0
        for ticket in tickets:
            since = perf_counter()
            ledger.reserve(lambda *_, ticket=ticket: (None, ticket), slot=ticket.slot)
            intents += perf_counter() - since
            since = perf_counter()
            attempt = ledger.attempt(ticket, limit_credit=0.5, at=decided_at)
            ledger.book(attempt, canceled, over=True)
            booked += perf_counter() - since
        synced = _synced(Path(folder) / "bare")
    return {
        "intents_per_second": round(ORDERS / intents),
        "orders_per_second": round(ORDERS / (intents + booked)),
        "bare_fsyncs_per_second": round(ORDERS / synced),
    }


def _synced(path: Path) -> float:
    """Return the seconds that as many bare writes of 4 KB take that the disk has confirmed."""
    since = perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(ORDERS):
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
    return perf_counter() - since
