"""The fake Alpaca's server: HTTP/1.1 on loopback, a thread a connection, and what fails on the way."""

import contextlib
import json
import os
import socket
import struct
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from mahler_agents.testing.fake_alpaca.faults import ANSWERS, DONE_FIRST, HANGS, RESETS, Fault
from mahler_agents.testing.fake_alpaca.http import RefusedError, Request, Response, Route, failure
from mahler_agents.testing.fake_alpaca.limits import Limit
from mahler_agents.testing.fake_alpaca.routing import all_routes, find_route
from mahler_agents.testing.fake_alpaca.venue import ARRIVES_AFTER
from mahler_agents.testing.fake_alpaca.world import World

HOST = "127.0.0.1"
_DRIP_SECONDS = 0.02
_BACKLOG = 128


class Server(ThreadingHTTPServer):
    """The listening socket, and every connection that is open."""

    daemon_threads = True
    block_on_close = False  # its connections are hung up on; none of their threads can hold the process up
    request_queue_size = _BACKLOG

    def __init__(self, world: World, port: int) -> None:
        self.world = world
        self.stopping = threading.Event()
        self.routes = all_routes()
        self.limit = Limit(world.settings.requests_per_minute)
        self._answered = 0
        self._open: set[socket.socket] = set()
        super().__init__((HOST, port), Connection)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.server_address[1]}"

    def next_request_id(self) -> str:
        """Return an id that no other answer has; the world's lock must be held."""
        self._answered += 1
        return sha256(f"{self.world.seed}-{self._answered}".encode()).hexdigest()[:32]

    def stop(self) -> None:
        """Hang up on everyone and stop listening."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up, which half of the faults are for; of anything else, its traceback."""
        import sys

        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Connection(BaseHTTPRequestHandler):
    """One client's connection: request after request, until one of both hangs up."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet

    def _serve(self) -> None:
        sent = self.headers.get("Content-Length") or "0"
        if not sent.isdigit():
            self.send_error(400)
            return
        length = int(sent)
        content = self.rfile.read(length)
        url = urlsplit(self.path)
        params = parse_qs(url.query, keep_blank_values=True)
        server = cast("Server", self.server)
        found = find_route(server.routes, self.command, url.path)
        if found is None or not found.route.control:
            server.stopping.wait(server.world.settings.latency_seconds)
        fault = None
        with server.world.lock:
            server.world.flow()
            headers = {"X-Request-ID": server.next_request_id(), "X-Synthetic": server.world.market.world}
            is_free = found is not None and (found.route.control or found.route.keyless)
            response = None if is_free else self._refusal(server, headers)
            if response is None and found is None:
                response = failure(404, 40410000, "endpoint not found.")
            elif response is None and found is not None:
                request = Request(
                    method=self.command, path=url.path, params=params, body=_json(content), args=found.args
                )
                fault = None if found.route.control else server.world.faults.meet(found.route.name)
                response = answer(found.route, request, server.world, fault)
        self._send(response, headers, fault)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - names of the library

    def _refusal(self, server: Server, headers: dict[str, str]) -> Response | None:
        """Refuse who has the wrong keys, and who asks too often; tell in `headers` how often one may."""
        refused = server.world.account_keys.refusal(self.headers)
        return refused or server.limit.refusal(server.world.now, headers)

    def _send(self, response: Response | None, headers: dict[str, str], fault: Fault | None) -> None:
        if response is None:
            self._hang_up(reset=fault in RESETS)
            return
        content = response.raw
        if content is None:
            content = b"" if response.json is None else json.dumps(response.json, allow_nan=False).encode()
        self.send_response(response.status)
        for name, value in {**headers, **response.headers}.items():
            self.send_header(name, value)
        if content:
            self.send_header("Content-Type", response.content_type)
        if response.status != 204:
            self.send_header("Content-Length", str(len(content) + (fault is Fault.SLOW_DRIP)))
        self.end_headers()
        if fault is Fault.SLOW_DRIP:
            self._drip(content)
            return
        self.wfile.write(content)

    def _drip(self, content: bytes) -> None:
        """Send a byte at a time, and never the last one."""
        stopping = cast("Server", self.server).stopping
        for place in range(len(content)):
            self.wfile.write(content[place : place + 1])
            self.wfile.flush()
            if stopping.wait(_DRIP_SECONDS):
                break
        self._hang_up(reset=False)

    def _hang_up(self, *, reset: bool) -> None:
        """Answer nothing: reset the connection as a crashed peer does, or wait until one of both ends it."""
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
            return
        with contextlib.suppress(OSError):
            self.connection.recv(1)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log nothing."""


def answer(route: Route, request: Request, world: World, fault: Fault | None) -> Response | None:
    """Return what a route answers while a fault meets it; None is no answer at all."""
    if fault is None:
        return _handled(route, request, world)
    if fault is Fault.DONE_LATE:
        world.on_the_way.append((world.now + ARRIVES_AFTER, lambda: _handled(route, request, world)))
        return ANSWERS[fault]
    if fault in DONE_FIRST:
        world.faults.meeting = fault
        try:
            response = _handled(route, request, world)
        finally:
            world.faults.meeting = None
    else:
        response = None
    return None if fault in HANGS | RESETS else ANSWERS.get(fault, response)


def _handled(route: Route, request: Request, world: World) -> Response:
    try:
        return route.handler(request, world)
    except RefusedError as error:
        return error.response


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode("utf-8", "replace")  # no object: whoever needs one refuses it
