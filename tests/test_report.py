"""The report's figures: trades, drawdown and reconciliation, against chosen cases, oracles and random accounts."""

import datetime as dt
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_builders import at, closed, entry, held, history, one_lot, reported
from scipy.stats import binomtest

from mahler_agents.errors import InputError
from mahler_agents.record.accounts import LastMark, PaidIn, RecordedEquity, ShadowEnds
from mahler_agents.report import Span, only_account
from mahler_agents.report.curve import equity_curve
from mahler_agents.report.equity import drawdown, underwater
from mahler_agents.report.trades import wilson_interval

LOTS = (
    one_lot("a", at(9), at(10), 120.0),
    one_lot("b", at(9), at(11), -80.0, rule="stop_loss"),
    one_lot("c", at(10), at(12), 0.0, rule="time_exit", underlying="TLT", spread_type="bear_call"),
    one_lot("d", at(11), at(13), 60.0),
)
FOUR = history([position for position, _ in LOTS], [part for _, part in LOTS])


def test_trades_are_counted_won_and_weighed_after_fees() -> None:
    made = reported(FOUR).trades
    assert (made.trades, made.won, made.pnl_dollars, made.mean_dollars) == (4, 2, 100.0, 25.0)
    assert made.win_rate == 0.5  # nothing won is not won
    assert made.profit_factor == pytest.approx(180 / 80)
    assert made.best is not None
    assert made.worst is not None
    assert (made.best.pnl_dollars, made.worst.pnl_dollars) == (120.0, -80.0)
    assert made.worst.rules == ("stop_loss",)


def test_every_exit_rule_and_every_underlying_and_direction_has_its_line() -> None:
    report = reported(FOUR)
    assert [(line.rule, line.exits, line.pnl_dollars, line.mean_dollars, line.win_rate) for line in report.by_rule] == [
        ("profit_target", 2, 180.0, 90.0, 1.0),
        ("stop_loss", 1, -80.0, -80.0, 0.0),
        ("time_exit", 1, 0.0, 0.0, 0.0),
    ]
    assert [
        (line.underlying, line.spread_type, line.closed, line.won, line.pnl_dollars) for line in report.by_group
    ] == [
        ("SPY", "bull_put", 3, 2, 100.0),
        ("TLT", "bear_call", 1, 0, 0.0),
    ]
    assert report.fees_dollars == 16.0


def test_without_a_trade_nothing_is_divided() -> None:
    for nothing in (history(), history([held("a", entry(at(9), 2, 0.5, 4.0))])):
        report = reported(nothing)
        assert (report.closed, report.realised_dollars, report.by_rule) == (0, 0.0, ())
        assert report.trades.win_rate is report.trades.profit_factor is report.trades.mean_dollars is None
        assert report.drawdown is report.reconciliation is None


def test_one_trade_that_was_won_has_no_profit_factor() -> None:
    position, part = LOTS[0]
    made = reported(history([position], [part])).trades
    assert (made.trades, made.win_rate, made.profit_factor) == (1, 1.0, None)
    assert made.best == made.worst


def test_a_position_closed_in_parts_is_one_trade_and_as_many_exits() -> None:
    position = held("a", entry(at(9), 3, 0.5, 6.0))
    half = closed("a", at(10), 40.0, contracts=2, rule="breaker_close_half")
    rest = closed("a", at(11), -10.0)
    partly = reported(history([position], [half]))
    assert (partly.closed, partly.open, partly.realised_dollars) == (0, 1, 40.0)
    whole = reported(history([position], [half, rest]))
    assert (whole.closed, whole.open, whole.realised_dollars) == (1, 0, 30.0)
    assert whole.trades.best is not None
    assert whole.trades.best.rules == ("breaker_close_half", "profit_target")
    assert [(line.rule, line.contracts) for line in whole.by_rule] == [("breaker_close_half", 2), ("profit_target", 1)]


def test_the_average_credit_is_weighted_by_contracts() -> None:
    positions = [held("a", entry(at(9), 1, 0.3, 2.0)), held("b", entry(at(9), 2, 0.5, 2.0), entry(at(9), 1, 0.4, 2.0))]
    credit = reported(history(positions)).credit
    assert (credit.positions, credit.contracts, credit.received_dollars) == (2, 4, 170.0)
    assert credit.average_credit == pytest.approx(0.425)


def test_a_span_of_days_holds_what_was_opened_and_what_was_closed_in_it() -> None:
    report = reported(FOUR, Span(first=dt.date(2026, 3, 10), last=dt.date(2026, 3, 11)))
    assert (report.opened, report.closed, report.open) == (2, 2, 2)
    assert report.realised_dollars == 40.0
    before = reported(FOUR, Span(last=dt.date(2026, 3, 9)))
    after = reported(FOUR, Span(first=dt.date(2026, 3, 12)))
    assert before.realised_dollars + report.realised_dollars + after.realised_dollars == 100.0


def test_the_days_are_those_of_new_york() -> None:
    late = history([held("a", entry(at(10, hour=1), 1, 0.5, 2.0))])  # 21:00 of the 9th
    assert reported(late, Span(last=dt.date(2026, 3, 9))).opened == 1
    assert reported(late, Span(first=dt.date(2026, 3, 10))).opened == 0


def test_trades_stand_beside_their_shadows_at_the_daily_close() -> None:
    shadows = [
        ShadowEnds(
            entry_order_id="a",
            exit_at=at(10),
            exit_pnl_dollars=118.0,
            daily_exit_at=at(11, hour=20),
            daily_exit_rule="profit_target",
            daily_exit_pnl_dollars=130.0,
        ),
        ShadowEnds(
            entry_order_id="b",
            exit_at=at(11),
            exit_pnl_dollars=-80.0,
            daily_exit_at=None,
            daily_exit_rule=None,
            daily_exit_pnl_dollars=None,
        ),
    ]
    of = history(FOUR.positions, FOUR.parts, shadows=shadows)
    check = reported(of).daily_check
    assert (check.trades, check.compared, check.same_rule) == (4, 1, 1)
    assert (check.realised_dollars, check.every_pass_dollars, check.daily_close_dollars) == (120.0, 118.0, 130.0)
    # On the 10th nobody knew how the daily check would end.
    assert reported(of, Span(last=dt.date(2026, 3, 10))).daily_check.compared == 0


@given(st.integers(1, 300).flatmap(lambda trades: st.tuples(st.integers(0, trades), st.just(trades))))
def test_the_win_rates_interval_is_wilsons(case: tuple[int, int]) -> None:
    oracle = binomtest(*case).proportion_ci(confidence_level=0.95, method="wilson")
    assert wilson_interval(*case) == pytest.approx((oracle.low, oracle.high), abs=1e-6)


EQUITIES = st.lists(st.integers(1_00, 200_000_00), min_size=1, max_size=30)


@given(EQUITIES)
def test_the_drawdown_is_the_largest_of_all_falls(cents: list[int]) -> None:
    points = points_of(cents)
    found = drawdown(points, ())
    assert found is not None
    falls = [1 - later / earlier for place, earlier in enumerate(cents) for later in cents[place:]]
    assert found.share == pytest.approx(max(falls))
    assert found.points == len(points)
    assert max(underwater(points, ())) == found.share


@given(EQUITIES, st.integers(1, 10_000_00), st.data())
def test_what_is_paid_in_is_no_rise_and_hides_no_fall(cents: list[int], paid: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(cents) - 1))
    points = points_of([one + paid * (number >= place) for number, one in enumerate(cents)])
    raised, plain = (
        underwater(points, [PaidIn(at=points[place].at, dollars=paid / 100)]),
        underwater(points_of(cents), ()),
    )
    assert [share > 1e-12 for share in raised] == [share > 1e-12 for share in plain]


def points_of(cents: Sequence[int]) -> list[RecordedEquity]:
    return [RecordedEquity(at=f"{place:04}", equity=one / 100) for place, one in enumerate(cents)]


LOT = st.fixed_dictionaries(
    {
        "fills": st.lists(
            st.tuples(st.integers(1, 7), st.integers(1, 300), st.integers(0, 999)), min_size=1, max_size=3
        ),
        "closed": st.lists(st.integers(1, 9), max_size=3),
        "debit": st.integers(0, 500),
        "mark": st.integers(0, 1000),
    }
)


@settings(max_examples=200)
@given(st.lists(LOT, max_size=5), st.integers(-5_000_00, 5_000_00))
def test_a_books_equity_reconciles_to_the_cent_and_any_other_shows_its_difference(lots: list[dict], off: int) -> None:
    """Fills of several prices, fees that divide by nothing, closings in parts: the cash account is the oracle."""
    cash, value = 100_000_00, 0.0
    positions, parts, marks = [], [], {}
    for number, lot in enumerate(lots):
        name = f"lot-{number}"
        fills = [entry(at(9), contracts, credit / 100, fees / 100) for contracts, credit, fees in lot["fills"]]
        positions.append(held(name, *fills))
        # Contract by contract, first in first out; each fill's odd cents go to its last contracts.
        cash_of = [(credit * 100 * contracts - fees) * 1.0 for contracts, credit, fees in lot["fills"]]
        cash += int(sum(cash_of))
        left, gone = sum(fill.contracts for fill in fills), 0
        for wanted in lot["closed"]:
            contracts = min(wanted, left)
            if not contracts:
                break
            opened_for = net_of(lot["fills"], gone, gone + contracts)
            paid = lot["debit"] * 100 * contracts
            parts.append(closed(name, at(10), (opened_for - paid) / 100, contracts=contracts))
            cash, left, gone = cash - paid, left - contracts, gone + contracts
        value -= left * lot["mark"] / 2 * 100
        marks[name] = LastMark(entry_order_id=name, at=at(11), mid_cost=lot["mark"] / 200)
    equity = (cash + round(value)) / 100
    for difference in (0, off):
        of = history(positions, parts, [(at(8), 100_000.0), (at(11), equity + difference / 100)])
        books = reported(of, marks=({}, marks)).reconciliation
        assert books is not None
        assert books.difference_dollars == difference / 100
        assert books.unrealised.unmarked == books.unrealised.marked_before == 0


def net_of(fills: Sequence[tuple[int, int, int]], first: int, last: int) -> int:
    """Return what the contracts from `first` to `last` of an order brought less their fees, cents."""
    each: list[int] = []
    for contracts, credit, fees in fills:
        shares = [fees * (place + 1) // contracts - fees * place // contracts for place in range(contracts)]
        each += [credit * 100 - share for share in shares]
    return sum(each[first:last])


def test_deposits_and_what_was_open_before_the_span_are_in_the_books() -> None:
    position = held("a", entry(at(9), 1, 0.5, 2.0))
    of = history(
        [position],
        [closed("a", at(11), 30.0)],
        [(at(9, hour=20), 100_008.0), (at(12), 100_530.0)],
        deposits=[(at(10), 500.0)],
    )
    marks = ({"a": LastMark(entry_order_id="a", at=at(9, hour=20), mid_cost=0.4)}, {})
    books = reported(of, Span(first=dt.date(2026, 3, 10)), marks).reconciliation
    assert books is not None
    assert (books.start.equity, books.unrealised_at_start.dollars) == (100_008.0, 8.0)
    assert (books.deposits_dollars, books.realised_dollars, books.difference_dollars) == (500.0, 30.0, 0.0)


def test_a_position_that_was_not_marked_then_is_named() -> None:
    positions = [held("old", entry(at(9), 1, 0.5, 2.0)), held("never", entry(at(9), 1, 0.5, 2.0))]
    of = history(positions, equity=[(at(8), 100_000.0), (at(12), 100_000.0)])
    marks = ({}, {"old": LastMark(entry_order_id="old", at=at(10), mid_cost=0.4)})
    books = reported(of, marks=marks).reconciliation
    assert books is not None
    assert (books.unrealised.positions, books.unrealised.marked_before, books.unrealised.unmarked) == (2, 1, 1)
    assert books.difference_dollars == -8.0


def test_the_curve_gives_every_day_the_same_room_and_puts_an_exit_at_the_last_point_before_it() -> None:
    points = [(at(9, 15), 100.0), (at(9, 16), 101.0), (at(10, 15), 99.0), (at(13, 15), 98.0)]
    parts = [closed("a", at(10, 15, 30), 1.0), closed("b", at(13, 15), 1.0, rule="stop_loss")]
    curve = equity_curve(history(parts=parts, equity=points), Span())
    assert curve is not None
    assert curve.days == (dt.date(2026, 3, 9), dt.date(2026, 3, 10), dt.date(2026, 3, 13))
    assert curve.place == (0.0, 0.5, 1.0, 2.0)
    assert curve.exits == {"profit_target": (2,), "stop_loss": (3,)}
    assert equity_curve(history(), Span()) is None


def test_an_account_is_chosen_only_where_there_are_several() -> None:
    assert only_account([], None) is None
    assert only_account(["one"], None) == "one"
    assert only_account(["one", "two"], "two") == "two"
    with pytest.raises(InputError, match="choose one of one, two with --account"):
        only_account(["one", "two"], None)
