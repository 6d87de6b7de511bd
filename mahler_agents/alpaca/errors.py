"""Below stage 1, Alpaca: its answers as two errors, since there are two reactions: a no, and not knowing."""

from mahler_agents.errors import JobError


class AlpacaRefused(JobError):  # noqa: N818 - said as the broker's protocol says it
    """Alpaca answered no: the request was understood, and nothing was done."""

    def __init__(self, what: str, *, status: int, code: int | None, message: str) -> None:
        """Keep the answer: the HTTP status, Alpaca's own code where it gave one, and its words."""
        number = f", code {code}" if code is not None else ""
        super().__init__(f"Alpaca refused {what}: {message} (HTTP {status}{number})")
        self.status = status
        self.code = code
        self.message = message


class AlpacaUnsure(JobError):  # noqa: N818
    """No answer, or none that says what was done: a request that changes something may have been carried out."""

    def __init__(self, what: str, why: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        """Keep what is known: the HTTP status if there was one, and the wait in seconds that the server asked for."""
        super().__init__(f"no certain answer from Alpaca for {what}: {why}")
        self.why = why
        self.status = status
        self.retry_after = retry_after
