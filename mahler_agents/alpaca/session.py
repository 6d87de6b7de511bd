"""Below stage 1, Alpaca: the HTTP session below its clients: one a thread, and every request ends in time."""

import threading
import weakref
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection as PlainConnection
from urllib3.connection import HTTPSConnection as TlsConnection

SYNTHETIC_HEADER = "X-Synthetic"
"""With it a server says that its figures are made up, and whose they are, as in `sample-22`."""

_thread = threading.local()


class TookTooLongError(requests.RequestException):
    """The answer had not ended when the time for it was over."""


class ThreadSession(requests.Session):
    """Looks like one session and is one for each thread, since `requests` sessions are not safe among threads.

    A request ends within `timeout_seconds`, a server that sends a byte now and then included: the time-outs of
    `requests` are for a single read, so the connection is shut down at the end.
    """

    def __init__(self, timeout_seconds: float, *, proxies_from_environment: bool) -> None:
        super().__init__()
        self._timeout_seconds = timeout_seconds
        self._proxies_from_environment = proxies_from_environment
        self._sessions: weakref.WeakKeyDictionary[threading.Thread, requests.Session] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self.synthetic: str | None = None
        """What the header `X-Synthetic` of an answer said; None until one has it."""

    def request(self, method: str, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """Send one request in this thread's own session."""
        sockets = _sockets()
        over = threading.Event()

        def end() -> None:
            over.set()
            _shut_down(sockets)

        timer = threading.Timer(self._timeout_seconds, end)
        timer.daemon = True
        timer.start()
        try:
            response = self._of_this_thread().request(method, url, *args, timeout=self._timeout_seconds, **options)
        except requests.RequestException:
            if over.is_set():
                raise TookTooLongError from None
            raise
        finally:
            timer.cancel()
        if over.is_set():  # a body of no stated length then looks whole, cut short as it is
            raise TookTooLongError
        if response.is_redirect:  # the clients would take it for an answer without a body
            raise requests.TooManyRedirects
        if (hear := getattr(_thread, "hear", None)) is not None:
            hear(response)
        self.synthetic = response.headers.get(SYNTHETIC_HEADER) or self.synthetic
        return response

    def close(self) -> None:
        """Close the sessions of all threads."""
        with self._lock:
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()
        super().close()

    def _of_this_thread(self) -> requests.Session:
        with self._lock:
            session = self._sessions.get(threading.current_thread())
            if session is None:
                session = self._sessions[threading.current_thread()] = requests.Session()
                session.trust_env = self._proxies_from_environment
                for scheme in ("http://", "https://"):
                    session.mount(scheme, _TrackedAdapter())
            return session


@contextmanager
def heard_by(hear: Callable[[requests.Response], None] | None) -> Generator[None]:
    """Let `hear` have every whole answer to what this thread asks inside the block, whatever its status."""
    _thread.hear = hear
    try:
        yield
    finally:
        _thread.hear = None


def _sockets() -> weakref.WeakSet[socket]:
    """Return this thread's sockets, which connections add when they connect.

    Not the connections: one whose answer ends with the connection lets go of its socket before the answer is read.
    """
    sockets: weakref.WeakSet[socket] | None = getattr(_thread, "sockets", None)
    if sockets is None:
        sockets = _thread.sockets = weakref.WeakSet()
    return sockets


def _shut_down(sockets: Iterable[socket]) -> None:
    for one in list(sockets):
        with suppress(OSError):  # closed meanwhile
            one.shutdown(SHUT_RDWR)


class _Plain(PlainConnection):
    def connect(self) -> None:
        super().connect()
        _sockets().add(self.sock)


class _Tls(TlsConnection):
    def connect(self) -> None:
        super().connect()
        _sockets().add(self.sock)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain  # pyright: ignore[reportAssignmentType] - urllib3 itself assigns one like it


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls  # pyright: ignore[reportAssignmentType]


class _TrackedAdapter(HTTPAdapter):
    """Connects so that a request that takes too long can be ended from another thread."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        pools: dict[str, type[HTTPConnectionPool]] = {"http": _PlainPool, "https": _TlsPool}
        self.poolmanager.pool_classes_by_scheme = pools  # pyright: ignore[reportAttributeAccessIssue]
