"""The fake Alpaca's control over HTTP: what a forked child or another process uses in place of the fake itself."""

import datetime as dt
import json
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from mahler_agents.errors import InputError, JobError

_TIMEOUT_SECONDS = 30.0


class FakeControl:
    """A fake's clock, faults and books by its address; it holds no connection, so that it may be forked."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def now(self) -> dt.datetime:
        """The simulated instant, UTC."""
        return dt.datetime.fromisoformat(self._ask("GET", "clock")["now"])

    def advance_to(self, instant: dt.datetime) -> None:
        """Move the fake's clock on to an instant; an earlier one changes nothing."""
        self._ask("POST", "clock", {"at_least": instant.isoformat()})

    def fail(self, route: str, fault: str, *, times: int = 1, skip: int = 0) -> None:
        """Script a fault: after `skip` requests of a route (or of any: `*`), the next `times` meet it.

        Raises `InputError` for a fault or a route that does not exist.
        """
        self._ask("POST", "faults", {"route": route, "fault": fault, "times": times, "skip": skip})

    def forget_faults(self) -> None:
        """Forget the faults that have not met their requests yet."""
        self._ask("DELETE", "faults")

    def books(self) -> dict[str, Any]:
        """Return the server's own truth: see `truth.truth_of`."""
        return self._ask("GET", "books")

    def _ask(self, method: str, what: str, body: Any = None) -> Any:
        address = urlsplit(self.url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, f"/_fake/{what}", body=None if body is None else json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as error:
            raise JobError(f"no fake Alpaca answers at {self.url}: {error!r}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise InputError(answer["message"])
        return answer
