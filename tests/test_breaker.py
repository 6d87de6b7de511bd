"""The circuit breaker: every rule at its numbers, the strictest wins, halts end in time, nothing is forgotten."""

import datetime as dt
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.record import connect, open_database
from mahler_agents.regime import Regime, RegimeParams, RegimeUnknown
from mahler_agents.risk import BreakerBook, BreakerDecision, CloseShare, size_multiplier
from mahler_agents.risk.breaker import (
    BreakerFacts,
    BreakerState,
    Deposit,
    EquityPoint,
    Halt,
    Rule,
    evaluate,
)
from mahler_agents.types import Environment, MarketRegime, Reason

WEDNESDAY = dt.datetime(2026, 3, 18, 14, 0, tzinfo=dt.UTC)
TUESDAY_CLOSE = dt.datetime(2026, 3, 17, 20, 0, tzinfo=dt.UTC)
FRIDAY_CLOSE = dt.datetime(2026, 3, 13, 20, 0, tzinfo=dt.UTC)
LONG_AGO = dt.datetime(2026, 1, 5, 20, 0, tzinfo=dt.UTC)
EQUITY = 100_000.0


def decided(
    *,
    day: float = 0.0,
    week: float = 0.0,
    drawdown: float = 0.0,
    vix: float | None = 15.0,
    equity: float = EQUITY,
    at: dt.datetime = WEDNESDAY,
    halts: tuple[Halt, ...] = (),
    resumed: Halt | None = None,
    deposits: tuple[Deposit, ...] = (),
) -> BreakerDecision:
    """Decide on an equity that lies these losses (fractions) below the points compared with."""

    def before(at: dt.datetime, loss: float) -> EquityPoint:
        return EquityPoint(at=at, equity=equity / (1 - loss))

    facts = BreakerFacts(
        at=at,
        equity=equity,
        previous_close=before(TUESDAY_CLOSE, day),
        last_week_close=before(FRIDAY_CLOSE, week),
        vix=vix,
        deposits=deposits,
    )
    return evaluate(facts, BreakerState(peak=before(LONG_AGO, drawdown), halts=halts, resumed=resumed))


NONE, QUARTER, HALF, ALL = CloseShare
RULES = {
    "nothing": ({}, 1.0, NONE, ()),
    "day 0.99 %": ({"day": 0.0099}, 1.0, NONE, ()),
    "day 1 %": ({"day": 0.01}, 1.0, NONE, ()),
    "day 1.5 %": ({"day": 0.015}, 0.5, NONE, ()),
    "day 2 %": ({"day": 0.02}, 0.0, NONE, ("day_loss_halt",)),
    "week 2.9 %": ({"week": 0.029}, 1.0, NONE, ()),
    "week 3 %": ({"week": 0.03}, 0.5, NONE, ()),
    "week 5 %": ({"week": 0.05}, 0.0, HALF, ("week_loss_halt",)),
    "drawdown 9.9 %": ({"drawdown": 0.099}, 1.0, NONE, ()),
    "drawdown 10 %": ({"drawdown": 0.10}, 0.25, QUARTER, ()),
    "drawdown 15 %": ({"drawdown": 0.15}, 0.0, ALL, ("drawdown_halt",)),
    "VIX 20": ({"vix": 20.0}, 1.0, NONE, ()),
    "VIX 30": ({"vix": 30.0}, 0.5, NONE, ()),
    "VIX 40": ({"vix": 40.0}, 0.25, NONE, ()),
    "VIX 50": ({"vix": 50.0}, 0.0, NONE, ("vix_halt",)),
    "day -2.3 % with week -5.1 %": ({"day": 0.023, "week": 0.051}, 0.0, HALF, ("day_loss_halt", "week_loss_halt")),
    "halves do not multiply": ({"day": 0.015, "week": 0.03, "vix": 30.0}, 0.5, NONE, ()),
    "the strictest of each": ({"day": 0.02, "drawdown": 0.10}, 0.0, QUARTER, ("day_loss_halt",)),
    "half is more than the worst quarter": ({"week": 0.05, "drawdown": 0.10}, 0.0, HALF, ("week_loss_halt",)),
    "no VIX": ({"vix": None}, 1.0, NONE, ()),
}


@pytest.mark.parametrize("case", RULES)
def test_each_rule_does_what_the_house_says_at_its_level(case: str) -> None:
    losses, size, close, halted_by = RULES[case]
    decision = decided(**losses)
    assert (decision.size, decision.close, decision.halted_by) == (size, close, halted_by)
    assert decision.halted is bool(halted_by)


@pytest.mark.parametrize(
    ("losses", "rule", "code"),
    [({"day": 0.01}, Rule.DAY_LOSS, "day_loss_alert"), ({"vix": 20.0}, Rule.VIX, "vix_alert")],
)
def test_an_alert_changes_nothing_and_is_told(losses: dict[str, float], rule: Rule, code: str) -> None:
    decision = decided(**losses)
    assert decision.state.codes == {rule: code}


LOSSES = st.floats(min_value=-0.1, max_value=0.6)
VIX = st.floats(min_value=8, max_value=90)


@given(
    losses=st.tuples(LOSSES, LOSSES, st.floats(min_value=0, max_value=0.6), VIX),
    worse=st.tuples(*[st.floats(min_value=0, max_value=0.3)] * 3, st.floats(min_value=0, max_value=40)),
)
def test_a_larger_loss_is_never_treated_more_mildly(losses: tuple[float, ...], worse: tuple[float, ...]) -> None:
    def of(day: float, week: float, drawdown: float, vix: float) -> BreakerDecision:
        return decided(day=day, week=week, drawdown=drawdown, vix=vix)

    mild, severe = of(*losses), of(*(one + more for one, more in zip(losses, worse, strict=True)))
    assert severe.size <= mild.size
    assert list(CloseShare).index(severe.close) >= list(CloseShare).index(mild.close)
    assert set(severe.halted_by) >= set(mild.halted_by)


def test_a_deposit_hides_no_loss_and_a_withdrawal_is_none() -> None:
    monday = dt.datetime(2026, 3, 16, 15, 0, tzinfo=dt.UTC)
    points = {"previous_close": EquityPoint(at=TUESDAY_CLOSE, equity=108_000)}
    points["last_week_close"] = EquityPoint(at=FRIDAY_CLOSE, equity=100_000)
    state = BreakerState(peak=EquityPoint(at=LONG_AGO, equity=100_000))
    for dollars, equity in ((10_000, 104_500), (-10_000, 85_500)):
        deposits = (Deposit(at=monday, dollars=dollars),)
        facts = BreakerFacts(at=WEDNESDAY, equity=equity, vix=None, deposits=deposits, **points)
        week = next(one for one in evaluate(facts, state).readings if one.rule is Rule.WEEK_LOSS)
        assert week.observed == pytest.approx(0.05)


def test_the_peak_is_all_time_and_a_deposit_is_no_new_one() -> None:
    assert decided(drawdown=0.08).state.peak.at == LONG_AGO
    assert decided(drawdown=-0.01).state.peak == EquityPoint(at=WEDNESDAY, equity=EQUITY)
    paid_in = (Deposit(at=TUESDAY_CLOSE, dollars=20_000),)
    assert decided(drawdown=0.0, deposits=paid_in).state.peak.at == LONG_AGO


# --- Halts ------------------------------------------------------------------------------------------------------------


def a_halt(rule: Rule, at: dt.datetime, equity: float = EQUITY) -> Halt:
    return Halt(rule=rule, at=at, equity=equity)


ENDS = {
    "a day's halt lasts the day": (Rule.DAY_LOSS, WEDNESDAY, True),
    "and ends with it": (Rule.DAY_LOSS, TUESDAY_CLOSE, False),
    "a week's halt lasts the week": (Rule.WEEK_LOSS, TUESDAY_CLOSE, True),
    "and ends with it too": (Rule.WEEK_LOSS, FRIDAY_CLOSE, False),
}


@pytest.mark.parametrize("case", ENDS)
def test_a_halt_goes_on_when_the_loss_is_made_good_until_its_time_ends(case: str) -> None:
    rule, since, goes_on = ENDS[case]
    decision = decided(halts=(a_halt(rule, since),))
    assert decision.halted is goes_on
    assert decision.size == (0.0 if goes_on else 1.0)


FRIDAY = dt.datetime(2026, 3, 13, 14, 0, tzinfo=dt.UTC)
MONDAY = dt.datetime(2026, 3, 16, 14, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("since", "equity", "halted"),
    [
        (FRIDAY, 101_000, False),  # Monday, Tuesday, Wednesday
        (FRIDAY, 100_999, True),
        (MONDAY, 120_000, True),
    ],
)
def test_a_drawdown_halt_ends_after_3_sessions_and_1_percent_above_its_equity(
    since: dt.datetime, equity: float, *, halted: bool
) -> None:
    decision = decided(equity=equity, drawdown=0.16, halts=(a_halt(Rule.DRAWDOWN, since),))
    assert decision.halted is halted


def test_a_desk_that_resumed_trades_small_closes_nothing_again_and_halts_below_its_old_halt() -> None:
    resumed = decided(equity=101_000, drawdown=0.16, halts=(a_halt(Rule.DRAWDOWN, FRIDAY),))
    assert (resumed.size, resumed.close) == (0.25, CloseShare.NONE)
    kept = resumed.state.resumed
    assert kept is not None
    assert not decided(equity=100_000, drawdown=0.17, resumed=kept).halted
    fell = decided(equity=99_999, drawdown=0.17, resumed=kept)
    assert fell.halted_by == ("drawdown_halt",)
    assert fell.state.halts == (a_halt(Rule.DRAWDOWN, WEDNESDAY, 99_999),)
    assert decided(equity=110_000, drawdown=0.09, resumed=kept).state.resumed is None


# --- The multiplier of a scan -----------------------------------------------------------------------------------------

PAPER, LIVE = Environment
KNOWN = Regime(regime=MarketRegime.BEAR_HIGH_VOL, probabilities={MarketRegime.BEAR_HIGH_VOL: 1.0}, past_rows=250)
UNKNOWN = RegimeUnknown(reason="too few bars")


@pytest.mark.parametrize(
    ("losses", "regime", "environment", "value", "reason"),
    [
        ({}, KNOWN, PAPER, 1.0, Reason.CIRCUIT_BREAKER),
        ({}, KNOWN, LIVE, 0.25, Reason.REGIME),
        ({}, UNKNOWN, PAPER, 1.0, Reason.CIRCUIT_BREAKER),
        ({}, UNKNOWN, LIVE, 0.25, Reason.REGIME),
        ({"day": 0.015}, KNOWN, PAPER, 0.5, Reason.CIRCUIT_BREAKER),
        ({"day": 0.02}, KNOWN, LIVE, 0.0, Reason.HALTED),
        ({"vix": None}, KNOWN, PAPER, 1.0, Reason.CIRCUIT_BREAKER),
        ({"vix": None}, KNOWN, LIVE, 0.0, Reason.NO_VIX),
    ],
)
def test_paper_bypasses_the_regime_and_live_takes_the_less_and_opens_nothing_without_a_vix(
    losses: dict[str, float],
    regime: Regime | RegimeUnknown,
    environment: Environment,
    value: float,
    reason: Reason,
) -> None:
    multiplier = size_multiplier(decided(**losses), regime, RegimeParams(), environment)
    assert (multiplier.value, multiplier.reason) == (value, reason)
    assert multiplier.regime == (1.0 if (regime, environment) == (UNKNOWN, PAPER) else 0.25)


# --- The book ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return open_database(tmp_path / "desk.db", create=True)


@pytest.fixture
def book(database: Path) -> Generator[BreakerBook]:
    with BreakerBook(database, "test") as opened:
        yield opened


def record_equity(database: Path, *points: tuple[str, float], account: str = "test") -> None:
    connection = connect(database)
    rows = [(account, at, equity, equity) for at, equity in points]
    connection.executemany("INSERT INTO equity (account_id, at, equity, cash) VALUES (?, ?, ?, ?)", rows)
    connection.close()


def changes(database: Path) -> list[tuple[str, str]]:
    connection = connect(database)
    found = [tuple(row) for row in connection.execute("SELECT at, code FROM breaker_changes ORDER BY id")]
    connection.close()
    return found


def observed(decision: BreakerDecision) -> dict[str, float | None]:
    return {one.rule.value: one.observed for one in decision.readings}


def test_day_week_and_peak_are_read_from_the_recorded_equity_of_this_account(database: Path, book: BreakerBook) -> None:
    record_equity(
        database,
        ("2026-01-05T20:00:00.000Z", 125_000),
        ("2026-03-13T20:00:00.000Z", 103_000),  # last week's final close
        ("2026-03-16T20:00:00.000Z", 99_000),
        ("2026-03-17T19:55:00.000Z", 90_000),
        ("2026-03-17T20:00:00.000Z", 101_000),  # the previous close
        ("2026-03-18T13:30:00.000Z", 50_000),  # today's own are not compared with
    )
    record_equity(database, ("2026-03-17T20:00:00.000Z", 1e9), account="another")
    seen = observed(book.evaluate(equity=100_000, at=WEDNESDAY, vix=None))
    assert seen == {
        "day_loss": pytest.approx(1 - 100 / 101),
        "week_loss": pytest.approx(1 - 100 / 103),
        "drawdown": pytest.approx(0.20),
        "vix": None,
    }


def test_an_account_that_is_younger_than_the_week_is_compared_with_its_first_equity(
    database: Path, book: BreakerBook
) -> None:
    assert observed(book.evaluate(equity=100_000, at=WEDNESDAY, vix=None))["day_loss"] is None
    record_equity(database, ("2026-03-18T13:30:00.000Z", 102_000))
    seen = book.evaluate(equity=98_000, at=WEDNESDAY, vix=None)
    assert observed(seen)["day_loss"] == observed(seen)["week_loss"] == pytest.approx(1 - 98 / 102)
    assert seen.halted


def test_every_change_is_recorded_once_with_its_code_and_outlives_the_process(database: Path) -> None:
    record_equity(database, ("2026-03-17T20:00:00.000Z", 100_000))
    passes = ((0, 100_000, 15.0), (5, 98_400, None), (10, 98_300, None), (15, 97_900, 31.0), (20, 99_900, None))
    for minutes, equity, vix in passes:
        with BreakerBook(database, "test") as book:
            decision = book.evaluate(equity=equity, at=WEDNESDAY + dt.timedelta(minutes=minutes), vix=vix)
    assert decision.halted  # until the day is over
    assert changes(database) == [
        ("2026-03-18T14:05:00.000Z", "day_loss_half_size"),
        ("2026-03-18T14:15:00.000Z", "day_loss_halt"),
        ("2026-03-18T14:15:00.000Z", "vix_half_size"),
    ]
    with BreakerBook(database, "test") as book:
        book.evaluate(equity=99_900, at=WEDNESDAY + dt.timedelta(days=1), vix=15.0)
    assert [code for _, code in changes(database)[3:]] == ["day_loss_normal", "vix_normal"]


def test_a_deposit_in_the_record_is_no_gain(database: Path, book: BreakerBook) -> None:
    record_equity(database, ("2026-03-17T20:00:00.000Z", 100_000))
    connection = connect(database)
    connection.execute("INSERT INTO deposits VALUES ('test', '2026-03-18T13:00:00.000Z', 50000)")
    connection.close()
    assert observed(book.evaluate(equity=147_000, at=WEDNESDAY, vix=None))["day_loss"] == pytest.approx(0.02)
