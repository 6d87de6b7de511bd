"""Clock of a fake Alpaca: its address in, the simulated time of its world out; and the clock that settings ask for."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from mahler_agents.clock import Clock, SystemClock
from mahler_agents.errors import ConfigError, JobError

VARIABLE = "MAHLER_CLOCK_URL"
_TIMEOUT_SECONDS = 30.0
_KEPT_SECONDS = 0.05


class RemoteClock:
    """The simulated clock of a server on this machine: it stands still, and to wait is to move it on.

    A time is kept for a twentieth of a second, so that whoever asks again and again asks the server now and then.
    """

    flows = False

    def __init__(self, url: str) -> None:
        """Name the server; raises `ConfigError` unless it is on this machine."""
        self.url = url
        self._address = _local(url)
        self._real = SystemClock()
        self._now: dt.datetime | None = None
        self._asked = 0.0

    def now(self) -> dt.datetime:
        """Return the server's instant, UTC; raises `JobError` if it does not answer."""
        if self._now is None or self._real.seconds() - self._asked > _KEPT_SECONDS:
            self._tell(self._ask("GET"))
        assert self._now is not None  # noqa: S101 - it was just told
        return self._now

    async def sleep_until(self, instant: dt.datetime) -> None:
        """Move the server on to `instant`, unless it is past; raises `JobError` if it does not answer."""
        import asyncio  # this and HTTP below: 60 ms, for which verbs that have no such clock do not wait

        self._tell(await asyncio.to_thread(self._ask, "POST", {"at_least": instant.isoformat()}))

    def seconds(self) -> float:
        """Return simulated seconds: work takes none."""
        return self.now().timestamp()

    def _tell(self, answer: Any) -> None:
        told = dt.datetime.fromisoformat(answer["now"])
        self._now = told if self._now is None else max(self._now, told)  # answers may come in another order
        self._asked = self._real.seconds()

    def _ask(self, method: str, body: Any = None) -> Any:
        from http.client import HTTPConnection, HTTPException

        # A connection each time: a clock is asked from many threads, and by the children of a process that forks.
        connection = HTTPConnection(self._address.hostname or "", self._address.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, "/_fake/clock", body=None if body is None else json.dumps(body))
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise JobError(f"{VARIABLE}={self.url}: the clock answered {response.status} {response.reason}")
            return json.loads(content)
        except (OSError, HTTPException, ValueError) as error:
            raise JobError(f"{VARIABLE}={self.url}: no clock answers there: {error!r}") from error
        finally:
            connection.close()


def clock_from(environ: Mapping[str, str]) -> Clock:
    """Return the clock of the server that MAHLER_CLOCK_URL names, else the machine's.

    Raises `ConfigError` for a server that is not on this machine: a simulated time must never come from elsewhere.
    """
    url = environ.get(VARIABLE, "").strip()
    return RemoteClock(url) if url else SystemClock()


def _local(url: str) -> SplitResult:
    from ipaddress import ip_address

    address = urlsplit(url)
    try:
        here = address.hostname == "localhost" or ip_address(address.hostname or "").is_loopback
        port = address.port
    except ValueError:
        here, port = False, None
    if address.scheme != "http" or not here or port is None:
        raise ConfigError(f"{VARIABLE}={url}: the clock of a fake Alpaca is at http://127.0.0.1:PORT")
    return address
