"""Stage 4, LLM calls: the embedded model, served by llama.cpp on loopback, so that it is called as any provider is."""

import atexit
import http.client
import importlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from mahler_agents.errors import ConfigError

CONTEXT_PER_SLOT = 3072
"""Tokens of one role's messages and reply."""


class EmbeddedServer:
    """A context manager: llama.cpp's OpenAI-compatible server inside this process, with a slot per role.

    A slot keeps what its role's last request began with, so that system text and worked examples are read once.
    """

    def __init__(self, model_path: Path, roles: Sequence[str]) -> None:
        if not model_path.is_file():
            raise ConfigError(f"{model_path}: no such model file")
        self.model_path = model_path
        self.slots = {role: slot for slot, role in enumerate(roles)}
        """Role to the number of its slot."""
        self._server: Any = None

    @property
    def model(self) -> str:
        """The model's name: its file's, without the folder, which is nobody's business in a record."""
        return self.model_path.stem

    @property
    def base_url(self) -> str:
        """Where `ChatOpenAI` reaches it."""
        return f"{self._address}/v1"

    @property
    def _address(self) -> str:
        if self._server is None:
            raise RuntimeError("the embedded server is not running; enter its context first")
        return str(self._server.listening_address)

    def __enter__(self) -> Self:
        """Load the model and start to listen (about half a second for the embedded one).

        Raises ConfigError if xllamacpp is missing or cannot load the file.
        """
        try:
            xllamacpp: Any = importlib.import_module("xllamacpp")
        except ImportError as error:
            raise ConfigError(
                "the embedded model's server is missing; run `pip install 'mahler-agents[local]'`"
            ) from error
        try:
            self._server = xllamacpp.Server(self._params(xllamacpp))
        except RuntimeError as error:
            raise ConfigError(f"{self.model_path}: llama.cpp cannot load this model file") from error
        # A server that is still up when the interpreter is torn down crashes the process.
        atexit.register(self.close)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.close()

    def close(self) -> None:
        """Stop the server, once nothing is in flight; close the clients first."""
        if self._server is None:
            return
        # The destructor holds the GIL and waits for every request in flight, which no longer proceeds: a deadlock.
        # A request ends by itself (max_tokens) or when its client hangs up, so wait for that, outside the destructor.
        while self._busy():
            time.sleep(0.02)
        self._server = None
        atexit.unregister(self.close)

    def _busy(self) -> bool:
        # Not urllib, which would ask the proxy of the environment.
        connection = http.client.HTTPConnection(urlsplit(self._address).netloc, timeout=10)
        try:
            connection.request("GET", "/slots")
            return any(slot["is_processing"] for slot in json.load(connection.getresponse()))
        finally:
            connection.close()

    def _params(self, xllamacpp: Any) -> Any:
        params = xllamacpp.CommonParams()
        params.model.path = str(self.model_path)
        params.model_alias = {self.model}
        params.n_parallel = max(1, len(self.slots))
        params.n_ctx = CONTEXT_PER_SLOT * params.n_parallel
        # Half of the cores: on a busy machine llama.cpp's spinning threads wait for each other, ten times slower.
        params.cpuparams.n_threads = max(1, (os.cpu_count() or 1) // 2)
        params.warmup = False
        params.verbosity = 0  # llama.cpp's own switch; at 0 not even a failed load prints
        params.ui = False
        return params
