"""Below stage 1, Alpaca: answers as they came in, the same without keys and compressed out, for whoever keeps them."""

import datetime as dt
import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mahler_agents.redaction import Redactor
from mahler_agents.tape import Tape

if TYPE_CHECKING:
    import requests


@dataclass(frozen=True, kw_only=True)
class RawAnswer:
    """One answer of a server to a question about the market."""

    method: str
    path: str
    """With its query, without the host: keys go in headers, and are in neither."""
    status: int
    asked_at: dt.datetime
    received_at: dt.datetime
    content_hash: str
    """SHA-256 of the body, 64 hex characters."""
    content: bytes
    """The body, compressed by zlib."""
    size: int
    """Bytes of the body."""


class RawTape(Tape[RawAnswer]):
    """Takes down every answer that it hears, without keys."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def hear(self, response: "requests.Response", asked_at: dt.datetime, received_at: dt.datetime) -> None:
        """Take down one answer."""
        # The same bytes again, also where they are no UTF-8: only keys are taken out.
        text = self._redact(response.content.decode("utf-8", "surrogateescape"))
        body = text.encode("utf-8", "surrogateescape")
        self.tell(
            RawAnswer(
                method=response.request.method or "",
                path=self._redact(response.request.path_url),
                status=response.status_code,
                asked_at=asked_at,
                received_at=received_at,
                content_hash=hashlib.sha256(body).hexdigest(),
                content=zlib.compress(body),
                size=len(body),
            )
        )
