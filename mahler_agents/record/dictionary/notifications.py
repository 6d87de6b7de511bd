"""Record: the meaning of the tables of notifications."""

from mahler_agents.record.dictionary.entry import Entry

ENTRIES = {
    "notifications": Entry(
        row="Something that the user was to be told, once.",
        columns={
            "id": "counts up",
            "key": "what it tells of: run and spread, exit, change of the breaker; told once, whoever sees it first",
            "kind": "`trade_placed`, `trade_skipped`, `exit`, `breaker`, `refused`, `alert`, `job_failed`,"
            " `scan_summary` or `day_summary`",
            "severity": "`info`, `success`, `warning` or `failure`",
            "at": "when it was taken, by the desk's clock",
            "title": "its first line",
            "notice": "JSON: all of it, before any channel's form",
            "status": "`pending`, `sent` (through every channel), `given_up` (one did not answer for a day) or"
            " `suppressed`: over the number that an hour may hold",
            "unsent": "how many suppressed ones it tells of",
            "told_in": "of a suppressed one: the notification that says how many there were",
        },
    ),
    "notification_deliveries": Entry(
        row="A notification on its way through one channel.",
        columns={
            "notification_id": "what is sent",
            "channel": "scheme and place in the settings, e.g. `discord-1`",
            "status": "`pending`, `sent` or `given_up`",
            "attempts": "times that it was tried",
            "at": "of the last attempt",
            "error": "why that failed",
            "leased_until": "until then one process has it in hand",
        },
    ),
    "notification_channels": Entry(
        row="A channel that has been used.",
        columns={
            "channel": "scheme and place in the settings",
            "down_since": "since when it does not answer; null if it does",
            "error": "what it said last",
        },
    ),
}
