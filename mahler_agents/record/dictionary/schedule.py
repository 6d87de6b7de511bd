"""Record: the meaning of the schedule's tables."""

from mahler_agents.record.dictionary.entry import Entry

ENTRIES = {
    "slots": Entry(
        row="A time at which a job was due, and what became of it. One process claims it; it runs once.",
        columns={
            "id": "counts up",
            "job": "`scan`, `monitor` or `summary`",
            "slot": "its name: job and New York time, e.g. `scan-2026-03-17T10:00`; a scheduled run's `slot`",
            "due_at": "when it was due",
            "status": "`running`, `retrying` (it failed before it had begun), `done`, `failed` or `missed`",
            "owner": "the process that claimed it, `host:pid`; null of a missed one, and of one that failed with nobody"
            " left to end it",
            "attempts": "times that it was begun",
            "claimed_at": "when it was last begun",
            "lease_until": "until then no other process takes a running slot over, unless its owner is known to be"
            " dead; of a retrying one when it is tried again",
            "ended_at": "when it ended",
            "run_id": "the run of a scan; null of other jobs, and of a scan that never began",
            "detail": "why it failed or was missed",
        },
    ),
    "heartbeats": Entry(
        row="A daemon (`mahler run`), and when it was last alive.",
        columns={
            "owner": "`host:pid`",
            "version": "of the package",
            "started_at": "when it started",
            "at": "its last sign of life",
            "stopped_at": "when it stopped as it should; null while it runs, and for one that died",
            "doing": "the slots at work; null if none",
            "next_job": "the next slot",
            "next_at": "and when that is due",
        },
    ),
}
