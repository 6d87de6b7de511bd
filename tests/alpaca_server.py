"""A loopback server that answers as told, one answer a request: for what no fake of a whole broker need know."""

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """One answer: a status and a body, or a connection that ends without, or a byte now and then."""

    status: int = 200
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)
    """Beside or in place of the body's length; an empty value leaves one out."""
    hang_up: bool = False
    drip: bool = False

    def headers_of(self, body: bytes) -> list[tuple[str, str]]:
        """Return the headers that are sent with the body."""
        return [(name, value) for name, value in ({"Content-Length": str(len(body))} | self.headers).items() if value]


@dataclass
class Server:
    """Where it listens, and what it was asked."""

    url: str = ""
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers of each request, in order."""


@contextmanager
def serving(answers: Sequence[Answer]) -> Generator[Server]:
    """Serve the answers in order, the last one again and again."""
    left, server, stop = list(answers), Server(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.asked.append((self.command, self.path, dict(self.headers)))
            answer = left.pop(0) if len(left) > 1 else left[0]
            if answer.hang_up:
                self.close_connection = True
                return
            body = answer.body.encode()
            self.send_response(answer.status)
            for name, value in answer.headers_of(body):
                self.send_header(name, value)
            self.end_headers()
            if answer.drip:
                self._drip()
            self.wfile.write(body)

        def _drip(self) -> None:
            # Until the client hangs up, which it must, or the test is over.
            while not stop.wait(0.02):
                self.wfile.write(b" ")
            self.close_connection = True

        do_GET = do_POST = do_DELETE = _any  # noqa: N815 - as the library calls them

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}).start()
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        try:
            yield server
        finally:
            stop.set()
            http.shutdown()


def elapsed() -> float:
    """Return seconds on a clock that never goes back."""
    return time.perf_counter()
