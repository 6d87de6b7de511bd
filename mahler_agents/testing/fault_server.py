"""For tests and users: an HTTP server on loopback that speaks chat completions and fails as its script says.

python -m mahler_agents.testing.fault_server --script 'greeks=timeout' --script 'rate_limited,ok'
"""

import asyncio
import contextlib
import signal
import socket
import struct
from collections import Counter
from collections.abc import Collection
from http import HTTPStatus
from types import TracebackType
from typing import Self

import click

from mahler_agents.errors import InputError
from mahler_agents.llm.models import Endpoint
from mahler_agents.testing.faults import FAULTS, parse_script
from mahler_agents.testing.scripted import (
    MODEL,
    RequestBook,
    Script,
    ScriptedReply,
    ScriptedRequest,
    favourable,
    http_error,
)

KEY = "fault-server-key"
_HOST = "127.0.0.1"


class FaultServer:
    """A server for as long as its context; it belongs to the event loop that entered it.

    It takes its own key only, and every model unless `models` names those that exist.
    """

    def __init__(self, script: Script = favourable, *, port: int = 0, models: Collection[str] | None = None) -> None:
        self.script = script
        """What it does; may be changed between requests."""
        self.received = 0
        """HTTP requests that came, malformed ones too."""
        self._port = port
        self._models = models
        self._book = RequestBook()
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def requests(self) -> list[ScriptedRequest]:
        """The well-formed requests, in order."""
        return self._book.requests

    @property
    def base_url(self) -> str:
        """What OPENAI_BASE_URL must be."""
        return f"http://{_HOST}:{self._port}/v1"

    @property
    def environ(self) -> dict[str, str]:
        """The variables that point a desk at it."""
        return {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": KEY}

    def endpoint(self, model: str = MODEL, *, api_key: str = KEY) -> Endpoint:
        """Return the endpoint through which a `ChatClient` asks it."""
        return Endpoint(model=model, base_url=self.base_url, api_key=api_key)

    async def __aenter__(self) -> Self:
        """Listen; a port of 0 is any free one."""
        self._server = await asyncio.start_server(self._serve, _HOST, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up on everyone and stop listening."""
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def wait(self) -> None:
        """Serve until cancelled."""
        await self._server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._connections.add(task)
        try:
            # A client that hangs up is what half of the faults are for, and one that speaks no HTTP has no reply.
            with contextlib.suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; return whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.rstrip("\r\n").split("\r\n")
        method, path, _ = request_line.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        content = await reader.readexactly(int(headers.get("content-length", "0")))
        self.received += 1
        behaviour = self._behaviour(method, path, headers, content)
        if isinstance(behaviour, Exception):
            _reset(writer)
            return False
        return await _send(behaviour, reader, writer)

    def _behaviour(self, method: str, path: str, headers: dict[str, str], content: bytes) -> ScriptedReply | Exception:
        if headers.get("authorization", f"Bearer {KEY}") != f"Bearer {KEY}":
            return http_error(401, "Incorrect API key provided", code="invalid_api_key")
        read = self._book.read(method, path, headers, content)
        if isinstance(read, ScriptedReply):
            return read
        model = read.body["model"]
        if self._models is not None and model not in self._models:
            return http_error(404, f"The model `{model}` does not exist", code="model_not_found")
        return self.script(read)


async def _send(behaviour: ScriptedReply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    if behaviour.delay is None:
        await reader.read(1)  # until the client hangs up
        return False
    await asyncio.sleep(behaviour.delay)
    body = behaviour.body.encode("utf-8", "replace")
    headers = {"content-type": "application/json", **behaviour.headers, "content-length": str(len(body))}
    lines = [
        f"HTTP/1.1 {behaviour.status} {_phrase(behaviour.status)}",
        *(f"{name}: {headers[name]}" for name in headers),
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    if behaviour.reset_after is not None:
        writer.write(body[: behaviour.reset_after])
        await writer.drain()
        _reset(writer)
        return False
    step = 1 if behaviour.pace else max(1, len(body))
    for start in range(0, len(body), step):
        writer.write(body[start : start + step])
        await writer.drain()
        await asyncio.sleep(behaviour.pace)
    return True


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection as a crashed peer does: with a reset instead of an end."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


@click.command()
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Where it listens; 0 is any free port.")
@click.option("--script", "parts", multiple=True, metavar="[ROLE=]FAULT[,FAULT...]", help="Attempts and their faults.")
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="A model that exists; by default every one does."
)
def main(*, port: int, parts: tuple[str, ...], models: tuple[str, ...]) -> None:
    """Serve chat completions that fail as told, until Ctrl-C or `kill`; then say who asked how often.

    A question's first attempt meets the first fault, the next one the second; the last one stays.
    """
    try:
        script = parse_script(parts)
    except InputError as error:
        raise click.UsageError(str(error)) from error
    server = FaultServer(script, port=port, models=models or None)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve_users(server))
    asked = Counter(request.role for request in server.requests)
    click.echo(f"requests: {server.received}" + "".join(f"; {role}: {number}" for role, number in asked.items()))


async def _serve_users(server: FaultServer) -> None:
    serving = asyncio.current_task()
    assert serving is not None  # noqa: S101 - this is a coroutine
    for number in (signal.SIGINT, signal.SIGTERM):
        # Asked for, since a server that a script starts in the background inherits that SIGINT is ignored.
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    async with server:
        for name, value in server.environ.items():
            click.echo(f"export {name}={value}")
        click.echo("# then: mahler scan --model openai:any")
        click.echo(f"# faults: {', '.join(FAULTS)}")
        await server.wait()


if __name__ == "__main__":
    main()
