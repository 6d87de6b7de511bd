"""Conformance: the worlds that every test runs in; a real paper account only where it was asked for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from broker_worlds import ALL, MOVING, REAL, World


@pytest.fixture(params=ALL)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Give a broker whose orders must not trade: one world may be a real account."""
    with ALL[request.param](tmp_path) as one:
        yield one


@pytest.fixture(params=MOVING)
def moving(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Give a broker whose time the test moves, and whose orders may trade."""
    with MOVING[request.param](tmp_path) as one:
        yield one


@pytest.fixture(params=MOVING)
def in_parts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Give a broker that fills orders in parts."""
    with MOVING[request.param](tmp_path, partial_fills=True) as one:
        yield one


@pytest.fixture(autouse=True)
def _way_out(_loopback_only: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a suite that was asked to trade at Alpaca reach it."""
    if REAL:
        monkeypatch.undo()
