"""Processes that die at any step of an order at Alpaca, and faults at any request of it: nothing doubled, nothing lost.

Real HTTP through alpaca-py's own clients, real SIGKILLs: see `deaths` and `alpaca_trials`.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from alpaca_lives import Desk
from alpaca_trials import Trial
from broker_worlds import START
from conftest import SOAK, at_scale

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.testing.fake_alpaca import FAULTS, FakeAlpaca
from mahler_agents.testing.fake_alpaca.faults import HANGS, OF_AN_ORDER, Fault
from mahler_agents.testing.fake_alpaca.orders import Step

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
T = TypeVar("T")

CLOSE = calendar.session_close(START.astimezone(NEW_YORK).date())
AT_THE_END = CLOSE - dt.timedelta(seconds=75)
"""Of the session: an order is sent at 15:59, and the close comes while it is worked."""
GAPS = (
    dt.timedelta(seconds=1),
    dt.timedelta(seconds=45),
    dt.timedelta(minutes=5),
    dt.timedelta(minutes=5),
    dt.timedelta(hours=8),
    dt.timedelta(hours=20),
)
"""How long no process is at work between two: some of them into the evening, some to the next session."""
ROUTES = (
    "POST /v2/orders",
    "POST /v2/orders",
    "DELETE /v2/orders/{}",
    "GET /v2/orders:by_client_order_id",
    "GET /v2/orders/{}",
    "*",
)
SLOW = HANGS | {Fault.SLOW_DRIP}
MOST_STEPS = 100
"""About as many as the longest of these lives has."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """In which world orders are worked, and which."""

    start: dt.datetime = START
    fill_at: float | None = 0.4
    partial_fills: bool = False
    contracts: tuple[int, ...] = (6, 4)
    urgent: bool = False
    gap: dt.timedelta = dt.timedelta(minutes=1)
    """Between the scan and the pass."""

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Scene":
        """Return one that chance chooses."""
        return cls(
            start=_one_of(rng, (START, START, START, AT_THE_END)),
            fill_at=_one_of(rng, (0.0, 0.3, 0.5, 0.9, None)),
            partial_fills=bool(rng.integers(2)),
            contracts=_one_of(rng, ((6, 4), (7,), (1, 3))),
            urgent=bool(rng.integers(2)),
        )

    def world(self) -> FakeAlpaca:
        """Return its server."""
        return FakeAlpaca(start=self.start, fill_at=self.fill_at, partial_fills=self.partial_fills)

    def scan(self, desk: Desk) -> None:
        """Enter its trades."""
        desk.enter(self.contracts)

    def look(self, desk: Desk) -> None:
        """Close whatever is open."""
        desk.close(urgent=self.urgent)


CONCEDING = Scene()
IN_PARTS = Scene(fill_at=0.3, partial_fills=True)
AT_ONCE = Scene(fill_at=0.0, urgent=True)
LIVES = {
    "entries that concede": (CONCEDING, "scan"),
    "exits that concede": (CONCEDING, "pass"),
    "entries in parts": (IN_PARTS, "scan"),
    "exits in parts": (IN_PARTS, "pass"),
    "entries at once": (AT_ONCE, "scan"),
    "stops at once": (AT_ONCE, "pass"),
    "entries up to the close": (Scene(start=AT_THE_END, fill_at=0.9, partial_fills=True), "scan"),
    "exits up to the close": (
        Scene(start=AT_THE_END - dt.timedelta(hours=1), fill_at=0.3, partial_fills=True, gap=dt.timedelta(minutes=59)),
        "pass",
    ),
}
"""Scenes, and which process of theirs dies: at every step in make soak, at each fortieth in make test."""


@pytest.mark.parametrize("name", LIVES)
def test_a_process_killed_at_any_step_is_followed_by_one_that_puts_all_right(tmp_path: Path, name: str) -> None:
    scene, killed = LIVES[name]
    whole = _lived(tmp_path / "whole", scene, killed=killed, step=None)
    assert whole > 10
    for step in range(1, whole + 1) if SOAK else range(1 + len(name), whole + 1, 40):
        _lived(tmp_path / f"{step}", scene, killed=killed, step=step)


def _lived(folder: Path, scene: Scene, *, killed: str, step: int | None) -> int:
    """Let a scan and a pass live, of which one dies at a step, and others follow; return the steps of that one."""
    folder.mkdir()
    with scene.world() as fake:
        trial = Trial(fake, folder)
        lives: dict[str, Callable[[Desk], None]] = {"scan": scene.scan, "pass": scene.look}
        taken: int | None = None
        for name, job in lives.items():
            dies = name == killed
            steps = trial.live(job, die_at=step if dies else None)
            assert (steps is None) == (dies and step is not None)
            taken = steps if dies else taken
            trial.later(scene.gap)
        trial.put_right()
        trial.make_flat()
    return taken or 0


@pytest.mark.parametrize("seed", range(at_scale(1_000)))
def test_processes_that_die_at_random_steps_double_nothing_and_lose_nothing(tmp_path: Path, seed: int) -> None:
    _tried(tmp_path, np.random.default_rng([1, seed]), kills=True, faults=False)


@pytest.mark.parametrize("seed", range(at_scale(1_000)))
def test_faults_at_random_requests_double_nothing_and_lose_nothing(tmp_path: Path, seed: int) -> None:
    _tried(tmp_path, np.random.default_rng([2, seed]), kills=False, faults=True)


@pytest.mark.parametrize("seed", range(at_scale(400)))
def test_kills_and_faults_together_double_nothing_and_lose_nothing(tmp_path: Path, seed: int) -> None:
    _tried(tmp_path, np.random.default_rng([3, seed]), kills=True, faults=True)


def _tried(folder: Path, rng: np.random.Generator, *, kills: bool, faults: bool) -> None:
    """Let a scan and two passes live in a world that chance chooses, and hold the books to each other afterwards."""
    scene = Scene.drawn(rng)
    with scene.world() as fake:
        (folder / "trial").mkdir()
        trial = Trial(fake, folder / "trial")
        for job in (scene.scan, scene.look, scene.look):
            for _ in range(int(rng.integers(1, 4)) if faults else 0):
                _script(fake, rng)
            trial.live(job, die_at=int(rng.integers(1, MOST_STEPS)) if kills else None)
            trial.later(_one_of(rng, GAPS))
        trial.put_right()
        trial.make_flat()


def _script(fake: FakeAlpaca, rng: np.random.Generator) -> None:
    fault = Fault(_one_of(rng, FAULTS))
    route = OF_AN_ORDER.get(fault) or _one_of(rng, ROUTES)
    times = _one_of(rng, (1, 1, 2, 3) if fault in SLOW else (1, 1, 2, 5, 40))
    fake.fail(route, fault.value, times=times, skip=int(rng.integers(0, 12)))


def _one_of(rng: np.random.Generator, choices: tuple[T, ...]) -> T:
    return choices[int(rng.integers(len(choices)))]


@pytest.mark.parametrize("fills", [False, True])
def test_an_order_that_comes_after_it_was_abandoned_is_found_and_is_ours(tmp_path: Path, *, fills: bool) -> None:
    with FakeAlpaca(start=START, fill_at=1.0) as fake:
        (tmp_path / "trial").mkdir()
        trial = Trial(fake, tmp_path / "trial")
        fake.fail("POST /v2/orders", "done_late")
        # Reserved and attempted, with two steps each, and asked for: that the answer comes is the sixth step.
        assert trial.live(lambda desk: desk.enter((3,)), die_at=6) is None
        trial.live(lambda _: None)
        assert trial.rows("SELECT state, reason FROM orders") == [("canceled", "abandoned")]
        assert list(trial.orders) == []
        trial.later(dt.timedelta(minutes=2))
        [came] = trial.orders
        assert came.is_open
        came.script += [Step.FILL] * fills  # when it is looked at
        trial.put_right()
        assert trial.rows("SELECT reason FROM orders") == [("filled" if fills else "abandoned",)]
        assert trial.rows("SELECT contracts FROM positions") == ([(3,)] if fills else [])
        trial.make_flat()


@pytest.mark.parametrize("fills", [False, True])
@pytest.mark.parametrize("refusal", ["401", "403", "422"])
def test_an_order_that_comes_after_its_second_sending_was_refused_is_found_and_is_ours(
    tmp_path: Path, refusal: str, *, fills: bool
) -> None:
    with FakeAlpaca(start=START, fill_at=1.0) as fake:
        (tmp_path / "trial").mkdir()
        trial = Trial(fake, tmp_path / "trial")
        fake.fail("POST /v2/orders", "done_late")
        fake.fail("POST /v2/orders", refusal)
        trial.live(lambda desk: desk.enter((3,)))
        assert trial.rows("SELECT state FROM orders") == [("rejected",)]
        assert list(trial.orders) == []
        trial.later(dt.timedelta(minutes=2))
        [came] = trial.orders
        came.script += [Step.FILL] * fills  # when it is looked at
        trial.put_right()
        assert trial.rows("SELECT reason FROM orders") == [("filled" if fills else "rejected",)]
        assert trial.rows("SELECT contracts FROM positions") == ([(3,)] if fills else [])
        trial.make_flat()


def test_an_order_that_was_refused_at_once_is_not_asked_for_again(tmp_path: Path) -> None:
    def nothing_is_doubted(desk: Desk) -> None:
        assert desk.ledger.doubted(START) == ()

    with FakeAlpaca(start=START) as fake:
        (tmp_path / "trial").mkdir()
        trial = Trial(fake, tmp_path / "trial")
        fake.fail("POST /v2/orders", "422")
        trial.live(lambda desk: desk.enter((3,)))
        assert trial.rows("SELECT state, broker_order_id FROM order_attempts") == [("rejected", "")]
        trial.live(nothing_is_doubted)


@pytest.mark.parametrize("die_at", [None, 6])
def test_an_order_that_is_there_and_not_found_through_the_grace_is_still_one_order(
    tmp_path: Path, die_at: int | None
) -> None:
    with FakeAlpaca(start=START, fill_at=0.3) as fake:
        (tmp_path / "trial").mkdir()
        trial = Trial(fake, tmp_path / "trial")
        fake.fail("POST /v2/orders", "gateway_timeout_after")
        fake.fail("GET /v2/orders:by_client_order_id", "404", times=6 if die_at else 5)
        trial.live(lambda desk: desk.enter((3,)), die_at=die_at)
        trial.live(lambda _: None)
        assert fake.scripted == ()
        trial.put_right()
        assert fake.books()["positions"] != {} or die_at
        trial.make_flat()
