"""The ledger beside the fake server, as a state machine: scans, passes, deaths, faults and time in any order."""

import datetime as dt
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from alpaca_trials import Trial
from broker_worlds import START
from conftest import at_scale
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mahler_agents.testing.fake_alpaca import FAULTS, FakeAlpaca
from mahler_agents.testing.fake_alpaca.faults import HANGS, OF_AN_ORDER, Fault

ROUTES = ("POST /v2/orders", "DELETE /v2/orders/{}", "GET /v2/orders:by_client_order_id", "GET /v2/orders/{}", "*")
SLOW = HANGS | {Fault.SLOW_DRIP}

deaths = st.none() | st.integers(1, 90)


class LedgerAndServer(RuleBasedStateMachine):
    """At any moment no two orders of one intent are live; whenever it is calm the books are the same, to the cent."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.slot = 0

    @initialize(fill_at=st.sampled_from([0.0, 0.3, 0.5, 0.9]), partial_fills=st.booleans())
    def begin(self, *, fill_at: float, partial_fills: bool) -> None:
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory())) / "trial"
        folder.mkdir()
        fake = self.stack.enter_context(FakeAlpaca(start=START, fill_at=fill_at, partial_fills=partial_fills))
        self.trial = Trial(fake, folder)

    @rule(contracts=st.lists(st.integers(1, 8), min_size=1, max_size=2), dies=deaths, again=st.booleans())
    def scan(self, *, contracts: list[int], dies: int | None, again: bool) -> None:
        self.slot += not again
        self.trial.live(lambda desk: desk.enter(contracts, slot=f"scan-{self.slot}"), die_at=dies)

    @rule(urgent=st.booleans(), dies=deaths)
    def look(self, *, urgent: bool, dies: int | None) -> None:
        self.trial.live(lambda desk: desk.close(urgent=urgent), die_at=dies)

    @rule(fault=st.sampled_from(FAULTS), route=st.sampled_from(ROUTES), times=st.integers(1, 6), skip=st.integers(0, 9))
    def fail(self, fault: str, route: str, times: int, skip: int) -> None:
        route = OF_AN_ORDER.get(Fault(fault), route)
        self.trial.fake.fail(route, fault, times=1 if fault in SLOW else times, skip=skip)

    @rule(seconds=st.sampled_from([1, 30, 300, 6 * 3600, 20 * 3600]))
    def wait(self, seconds: int) -> None:
        self.trial.later(dt.timedelta(seconds=seconds))

    @rule()
    def calm_down(self) -> None:
        self.trial.put_right()

    @invariant()
    def no_two_orders_of_one_intent_are_live(self) -> None:
        assert not hasattr(self, "trial") or self.trial.orders.doubled == []

    def teardown(self) -> None:
        try:
            if hasattr(self, "trial"):
                self.trial.put_right()
                self.trial.make_flat()
        finally:
            self.stack.close()


LedgerAndServer.TestCase.settings = settings(max_examples=at_scale(100), stateful_step_count=12, deadline=None)
TestLedgerAndServer = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")(
    LedgerAndServer.TestCase
)
