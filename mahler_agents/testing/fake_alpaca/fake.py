"""The fake Alpaca as a part of a program: it serves for as long as its context, from threads of its own."""

import datetime as dt
import os
import threading
from types import TracebackType
from typing import Any, Self

from mahler_agents.errors import JobError
from mahler_agents.market import calendar
from mahler_agents.market.sample import DEFAULT_AS_OF, DEFAULT_SEED
from mahler_agents.market.sample.paths import simulate_paths
from mahler_agents.testing.fake_alpaca.control import FakeControl
from mahler_agents.testing.fake_alpaca.control_routes import add_fault
from mahler_agents.testing.fake_alpaca.faults import Scripted
from mahler_agents.testing.fake_alpaca.server import HOST, Server
from mahler_agents.testing.fake_alpaca.settings import MarketDataSettings, Settings
from mahler_agents.testing.fake_alpaca.truth import truth_of
from mahler_agents.testing.fake_alpaca.world import World


class FakeAlpaca:
    """An Alpaca of one paper account, over the synthetic sample market.

    It belongs to the process that made it: a forked child uses `FakeControl(fake.url)`.
    """

    def __init__(
        self,
        *,
        seed: int = DEFAULT_SEED,
        start: dt.datetime = DEFAULT_AS_OF,
        cash: float = 100_000.0,
        port: int = 0,
        options_level: int = 3,
        latency_seconds: float = 0.0,
        partial_fills: bool = False,
        commission: float = 0.0,
        fill_at: float | None = None,
        null_greeks: float = 0.0,
        requests_per_minute: int | None = None,
        flow: bool = False,
        market_data: MarketDataSettings | None = None,
    ) -> None:
        """Choose its world (see `Settings`) and its port; 0 is any free one."""
        self.settings = Settings(
            seed=seed,
            start=start,
            cash=cash,
            options_level=options_level,
            latency_seconds=latency_seconds,
            partial_fills=partial_fills,
            commission=commission,
            fill_at=fill_at,
            null_greeks=null_greeks,
            requests_per_minute=requests_per_minute,
            flow=flow,
            market_data=market_data or MarketDataSettings(),
        )
        self._port = port
        self._process = os.getpid()
        self._world = World(self.settings)

    def __enter__(self) -> Self:
        """Listen; raises `JobError` if the port is taken."""
        calendar.load()  # a second, and the paths half of one: here, and not in somebody's first request
        simulate_paths(self.settings.seed)
        try:
            self._server = Server(self._world, self._port)
        except OSError as error:
            raise JobError(f"cannot listen on {HOST}:{self._port}: {error.strerror}; choose another port") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="fake-alpaca", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up on everyone and stop listening."""
        if os.getpid() == self._process:
            self._server.stop()
            self._thread.join()

    @property
    def url(self) -> str:
        """The one address of trading, data and control."""
        return self._server.url

    @property
    def environ(self) -> dict[str, str]:
        """The variables that point a desk at it, its clock included."""
        return {
            "MAHLER_ALPACA_URL": self.url,
            "MAHLER_CLOCK_URL": self.url,
            "APCA_API_KEY_ID": self._world.account_keys.key_id,
            "APCA_API_SECRET_KEY": self._world.account_keys.secret_key,
        }

    @property
    def control(self) -> FakeControl:
        """What may be given to a forked child or to another process."""
        return FakeControl(self.url)

    @property
    def world(self) -> World:
        """Its world: for who holds its lock."""
        if os.getpid() != self._process:
            raise RuntimeError("the fake Alpaca is in the parent process: a forked child uses FakeControl(url)")
        return self._world

    @property
    def now(self) -> dt.datetime:
        """The simulated instant, UTC."""
        with self.world.lock:
            return self.world.now

    def advance_to(self, instant: dt.datetime) -> None:
        """Move its clock on to an instant; an earlier one changes nothing."""
        with self.world.lock:
            self.world.advance_to(instant)

    def fail(self, route: str, fault: str, *, times: int = 1, skip: int = 0) -> None:
        """Script a fault: after `skip` requests of a route (or of any: `*`), the next `times` meet it.

        Raises `InputError` for a fault or a route that does not exist.
        """
        with self.world.lock:
            add_fault(self.world, route=route, fault=fault, times=times, skip=skip)

    def forget_faults(self) -> None:
        """Forget the faults that have not met their requests yet."""
        with self.world.lock:
            self.world.faults.clear()

    def books(self) -> dict[str, Any]:
        """Return the server's own truth: see `truth.truth_of`."""
        with self.world.lock:
            return truth_of(self.world)

    @property
    def scripted(self) -> tuple[Scripted, ...]:
        """The faults that have not met their requests yet."""
        with self.world.lock:
            return tuple(self.world.faults.scripted)
