"""Reductions: the share of each position that the circuit breaker closes, and when it asks for one."""

import datetime as dt
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.risk import CloseShare
from mahler_agents.risk.breaker import (
    Ask,
    BreakerDecision,
    BreakerFacts,
    BreakerState,
    EquityPoint,
    Rule,
    evaluate,
)
from mahler_agents.risk.reductions import Holding, reductions

AT = dt.datetime(2026, 3, 18, 14, 0, tzinfo=dt.UTC)
NONE, QUARTER, HALF, ALL = CloseShare


def holdings(*contracts: int, profits: Sequence[float | None] = ()) -> list[Holding]:
    padded = [*profits, *[0.0] * (len(contracts) - len(profits))]
    return [
        Holding(entry_order_id=f"p{index}", contracts=number, profit_dollars=profit)
        for index, (number, profit) in enumerate(zip(contracts, padded, strict=True))
    ]


def kept(close: CloseShare, held: Sequence[Holding]) -> Mapping[str, int]:
    found = reductions(Ask(code="test", close=close), held, AT)
    return {one.entry_order_id: one.keep for one in found}


@pytest.mark.parametrize(("contracts", "keep"), [(10, 5), (5, 2), (4, 2), (3, 1), (2, 1), (1, 0)])
def test_half_of_a_position_is_rounded_up_to_whole_contracts(contracts: int, keep: int) -> None:
    assert kept(HALF, holdings(contracts)) == {"p0": keep}


@pytest.mark.parametrize(
    ("profits", "closed"),
    [
        ([-50.0], {"p0"}),
        ([-50.0, -90.0], {"p1"}),
        ([-50.0, -90.0, 20.0, 10.0], {"p1"}),
        ([-50.0, -90.0, 20.0, 10.0, -95.0], {"p1", "p4"}),
        ([50.0, 90.0, 20.0, 10.0], {"p3"}),  # the worst quarter of winners is a quarter too
        ([-10.0, -10.0, 0.0, 0.0], {"p0"}),
        ([None, 5.0, None, 9.0], {"p1"}),  # a loss that is not known is not assumed
        ([None], {"p0"}),
    ],
)
def test_the_worst_quarter_is_of_positions_by_their_loss_in_dollars_rounded_up(
    profits: list[float | None], closed: set[str]
) -> None:
    assert kept(QUARTER, holdings(*[3] * len(profits), profits=profits)) == dict.fromkeys(closed, 0)


def test_all_is_all_and_nothing_is_nothing() -> None:
    assert kept(ALL, holdings(10, 1)) == {"p0": 0, "p1": 0}
    assert kept(NONE, holdings(10, 1)) == {}


HELD = st.lists(st.tuples(st.integers(0, 40), st.none() | st.floats(-5_000, 5_000)), max_size=12).map(
    lambda drawn: holdings(*[one for one, _ in drawn], profits=[one for _, one in drawn])
)


@given(held=HELD, close=st.sampled_from(CloseShare))
def test_a_reduction_keeps_no_more_than_is_open_and_names_only_what_it_takes_from(
    held: list[Holding], close: CloseShare
) -> None:
    contracts = {one.entry_order_id: one.contracts for one in held}
    found = kept(close, held)
    assert all(0 <= keep < contracts[order_id] for order_id, keep in found.items())
    assert found.keys() <= {order_id for order_id, number in contracts.items() if number}


@given(held=HELD)
def test_a_stricter_share_never_keeps_more(held: list[Holding]) -> None:
    contracts = {one.entry_order_id: one.contracts for one in held}
    kept_by = [sum((contracts | kept(close, held)).values()) for close in (NONE, HALF, ALL)]
    assert kept_by == sorted(kept_by, reverse=True)
    assert sum(contracts.values()) - kept_by[1] >= sum(contracts.values()) / 2


# --- When a share is asked for ----------------------------------------------------------------------------------------


class Account:
    """An account whose equity moves, with the breaker's memory carried from one evaluation to the next."""

    def __init__(self) -> None:
        self.state: BreakerState | None = None

    def at(self, when: str, equity: float, *, day: float = 100_000, week: float = 100_000) -> BreakerDecision:
        facts = BreakerFacts(
            at=dt.datetime.fromisoformat(f"{when}:00+00:00"),
            equity=equity,
            previous_close=EquityPoint(at=AT - dt.timedelta(days=1), equity=day),
            last_week_close=EquityPoint(at=AT - dt.timedelta(days=5), equity=week),
            vix=None,
        )
        # As the record does: what is not persisted is forgotten.
        before = self.state and BreakerState.model_validate_json(self.state.model_dump_json())
        decision = evaluate(facts, before)
        self.state = decision.state
        return decision


def asked(decision: BreakerDecision) -> tuple[str, CloseShare] | None:
    return None if decision.ask is None else (decision.ask.code, decision.ask.close)


def test_a_day_of_minus_2_3_percent_in_a_week_of_minus_5_1_percent_halts_and_closes_half() -> None:
    decision = Account().at("2026-03-18T14:00", 94_900, day=94_900 / (1 - 0.023))
    assert decision.halted_by == ("day_loss_halt", "week_loss_halt")
    assert asked(decision) == ("week_loss_halt", HALF)


def test_the_half_of_a_week_is_asked_for_once_however_the_loss_swings_around_5_percent() -> None:
    account = Account()
    equities = (95_100, 95_000, 95_200, 94_900, 96_000, 93_000)
    asks = [
        asked(account.at(f"2026-03-18T14:{5 * index:02}", equity, day=equity)) for index, equity in enumerate(equities)
    ]
    assert asks == [None, ("week_loss_halt", HALF), None, None, None, None]
    assert asked(account.at("2026-03-20T19:55", 93_000, day=93_000)) is None
    assert asked(account.at("2026-03-23T14:00", 92_000, day=92_000, week=93_000)) is None
    # Another week, another half.
    assert asked(account.at("2026-03-24T14:00", 92_100, day=92_100, week=97_000)) == ("week_loss_halt", HALF)


def test_the_worst_quarter_is_asked_for_once_until_there_is_a_new_peak() -> None:
    account = Account()

    def step(when: str, equity: float) -> tuple[str, CloseShare] | None:
        return asked(account.at(when, equity, day=equity, week=equity))

    assert step("2026-03-02T14:00", 100_000) is None
    assert step("2026-03-18T14:00", 90_000) == ("drawdown_quarter_size", QUARTER)
    assert step("2026-03-18T14:05", 90_500) is None
    assert step("2026-03-18T14:10", 89_000) is None
    assert step("2026-04-18T14:00", 99_999) is None
    assert step("2026-04-19T14:00", 89_000) is None
    assert step("2026-05-18T14:00", 101_000) is None
    assert step("2026-06-18T14:00", 90_000) == ("drawdown_quarter_size", QUARTER)


def test_a_drawdown_halt_asks_for_everything_as_long_as_it_lasts_and_for_nothing_afterwards() -> None:
    account = Account()

    def step(when: str, equity: float) -> tuple[str, CloseShare] | None:
        return asked(account.at(when, equity, day=equity, week=equity))

    assert step("2026-03-02T14:00", 100_000) is None
    assert step("2026-03-18T14:00", 85_000) == ("drawdown_halt", ALL)
    assert step("2026-03-18T14:05", 86_000) == ("drawdown_halt", ALL)
    # Three sessions later and 1 % up it has ended: what is opened since, small, is left alone, also below 15 %.
    assert step("2026-03-23T14:00", 86_000) is None
    assert step("2026-03-23T14:05", 88_000) is None
    assert step("2026-03-23T14:10", 84_000) == ("drawdown_halt", ALL)


def test_of_two_shares_asked_for_at_once_the_stricter_one_is_taken_and_the_milder_never_follows() -> None:
    account = Account()
    account.at("2026-03-02T14:00", 100_000)
    assert asked(account.at("2026-03-18T14:00", 90_000, day=90_000, week=100_000)) == ("week_loss_halt", HALF)
    assert asked(account.at("2026-03-18T14:05", 89_900, day=90_000, week=100_000)) is None


def test_the_quarter_after_the_half_is_another_share() -> None:
    account = Account()
    account.at("2026-03-02T14:00", 100_000)
    assert asked(account.at("2026-03-18T14:00", 94_000, day=94_000)) == ("week_loss_halt", HALF)
    assert asked(account.at("2026-03-18T14:05", 90_000, day=90_000)) == ("drawdown_quarter_size", QUARTER)


@given(
    equities=st.lists(st.floats(70_000, 120_000), min_size=1, max_size=40),
    minutes=st.integers(5, 600),
)
def test_no_share_but_that_of_a_drawdown_halt_is_asked_for_twice_in_a_week(equities: list[float], minutes: int) -> None:
    account, asks = Account(), []
    begin = dt.datetime(2026, 3, 16, 14, 0)  # noqa: DTZ001 - a text of UTC
    for index, equity in enumerate(equities):
        when = begin + index * dt.timedelta(minutes=minutes)
        decision = account.at(f"{when:%Y-%m-%dT%H:%M}", equity, day=equity)
        if decision.ask is not None:
            asks.append((when.isocalendar()[:2], decision.ask.code, decision.state.peak.at))
        if Rule.DRAWDOWN in {halt.rule for halt in decision.state.halts}:
            assert asked(decision) == ("drawdown_halt", ALL)
    weekly = [(week, code) for week, code, _ in asks if code == "week_loss_halt"]
    quarters = [(code, peak) for _, code, peak in asks if code == "drawdown_quarter_size"]
    assert len(set(weekly)) == len(weekly)
    assert len(set(quarters)) == len(quarters)
