"""A server between a desk and a fake Alpaca, which changes some of the answers: for what no fake can be set to say."""

import json
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from mahler_agents.testing.fake_alpaca import FakeAlpaca

Change = Callable[[Any], Any] | int
"""Of an answer's JSON, or a status that is answered with a page instead."""


@contextmanager
def between(fake: FakeAlpaca, changes: Mapping[str, Change]) -> Generator[str]:
    """Yield the address of a server that answers as a fake does, but for the answers at some paths.

    It asks with the fake's own keys, whatever it is asked with.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            change = changes.get(urlsplit(self.path).path)
            status, content = (change, b"<html>gone</html>") if isinstance(change, int) else _asked(fake, self.path)
            if callable(change):
                content = json.dumps(change(json.loads(content))).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield f"http://127.0.0.1:{http.server_address[1]}"
        finally:
            http.shutdown()


def _asked(fake: FakeAlpaca, path: str) -> tuple[int, bytes]:
    keys = {"APCA-API-KEY-ID": "APCA_API_KEY_ID", "APCA-API-SECRET-KEY": "APCA_API_SECRET_KEY"}
    connection = HTTPConnection(urlsplit(fake.url).netloc, timeout=30)
    try:
        connection.request("GET", path, headers={header: fake.environ[name] for header, name in keys.items()})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
