"""Shared by all tests: how many examples a property takes, and no way out of this machine."""

import os
import signal
import socket
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from mahler_agents.errors import ConfigError
from mahler_agents.record import migrating
from mahler_agents.record.database import connect, open_database
from mahler_agents.record.migrations import MIGRATIONS

# A job in a shell's background is started with SIGINT ignored, and so would be every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

SOAK = bool(os.environ.get("MAHLER_SOAK"))
_LONG = frozenset(
    {
        *("e2e", "faults", "properties"),
        *("test_docs_commands.py", "test_cli_main.py", "test_studio.py", "test_evaluation_run.py", "test_scheduler.py"),
        *("test_volatility_history.py", "test_cli_simulate.py", "test_cli_report.py", "test_verification.py"),
    }
)
"""Folders and files of tests that take long."""
_LONGEST = ("test_simulate.py", "test_advice_never_moves_a_trade.py", "test_daemon.py")
"""Those that take longest; they come before all."""

settings.register_profile(
    "house",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("house")


def at_scale(count: int) -> int:
    """Return `count` in `make soak` and a twentieth of it in `make test`."""
    return count if SOAK else max(1, count // 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left alone with one of them at the end.

    With xdist this is so only with `--no-loadscope-reorder`: else the files of most tests come first.
    """
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    if item.path.name in _LONGEST:
        return 0
    return 1 if "model" in item.keywords or {item.path.name, item.path.parent.name} & _LONG else 2


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """Return the embedded model's file; without it, or its server, a test of it fails instead of passing unseen."""
    from mahler_agents.llm.install import embedded_model_path

    if find_spec("xllamacpp") is None:
        pytest.fail("the embedded model's server is missing: pip install 'mahler-agents[local]', or -m 'not model'")
    try:
        return embedded_model_path()
    except ConfigError as error:
        pytest.fail(f"{error}; or leave its tests out with -m 'not model'")


@pytest.fixture(autouse=True, scope="session")
def _a_new_record_is_a_copy(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Let the migrations make one new record, and every other new one of this process be its copy.

    They take a tenth of a second, and the tests make thousands. Older files, and processes of their own, migrate.
    """
    made = open_database(tmp_path_factory.mktemp("new") / "new.db", create=True)
    migrate = migrating.migrate

    def copied(
        connection: sqlite3.Connection,
        path: Path,
        migrations: Sequence[migrating.Named],
        *,
        first: str,
        keep_copy: bool,
    ) -> None:
        if migrations is not MIGRATIONS or first != MIGRATIONS[0][0]:
            migrate(connection, path, migrations, first=first, keep_copy=keep_copy)
            return
        with closing(connect(made, read_only=True)) as template:
            template.backup(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrating, "migrate", copied)
        yield


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that would leave this machine, and hide the user's own settings."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            raise AssertionError(f"a test tried to reach {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setenv("TERM", "xterm-256color")  # what tests of the terminal are about, whatever CI's is
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "MAHLER_CONFIG",
        "MAHLER_MODEL",
        "MAHLER_MODEL_FOR",
        "MAHLER_PRICES",
        "MAHLER_REQUESTS_PER_MINUTE",
        "MAHLER_DEBATE_ROUNDS",
        "MAHLER_DB",
        "MAHLER_ENVIRONMENT",
        "MAHLER_EXITS",
        "MAHLER_CLOCK_URL",
        "ENVIRONMENT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "LANGSMITH_TRACING",
        "LANGCHAIN_TRACING_V2",
        "NO_COLOR",
        "FORCE_COLOR",
        "COLUMNS",
    ):
        monkeypatch.delenv(name, raising=False)
