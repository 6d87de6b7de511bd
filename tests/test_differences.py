"""The ledger against the broker's account: what counts as a difference, in a table and as properties."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping

import pytest
from builders import AS_OF, EXPIRATION
from conftest import at_scale
from hypothesis import given, settings
from hypothesis import strategies as st
from trading_builders import a_spread

from mahler_agents.execution.differences import Holdings, Kind, Open, compare, ranges, underlying_of
from mahler_agents.types import Spread

SPREAD, OTHER = a_spread(short=540.0), a_spread(short=535.0)
"""The other's short leg is the first's long one: of neighbouring spreads it is both."""
SHORT, LONG = SPREAD.short_symbol, SPREAD.long_symbol
LOWEST = OTHER.long_symbol
CLOSE = dt.datetime.combine(EXPIRATION, dt.time(20, 0), dt.UTC)
BEFORE_THE_CLOSE, AFTER_IT = CLOSE - dt.timedelta(minutes=1), CLOSE
E, M = Kind.EXTERNAL, Kind.MISSING


def of(spread: Spread, contracts: int) -> Open:
    return Open(spread.short_symbol, spread.long_symbol, contracts, spread.label)


def held(*positions: Open, entering: tuple[Open, ...] = (), closing: tuple[Open, ...] = ()) -> Holdings:
    return Holdings(positions=positions, entering=entering, closing=closing)


NOTHING = held()
FOUR = held(of(SPREAD, 4))
NEIGHBOURS = held(of(SPREAD, 4), of(OTHER, 3))
ENTERING = held(entering=(of(SPREAD, 4),))
PART_IN = held(of(SPREAD, 1), entering=(of(SPREAD, 3),))
CLOSING = held(of(SPREAD, 4), closing=(of(SPREAD, 4),))
PART_OUT = held(of(SPREAD, 4), closing=(of(SPREAD, 2),))

TABLE: dict[str, tuple[Holdings, dict[str, int], dt.datetime, list[tuple[Kind, str]], list[str]]] = {
    "nothing and nothing": (NOTHING, {}, AS_OF, [], []),
    "a position that is there": (FOUR, {SHORT: -4, LONG: 4}, AS_OF, [], []),
    "a quantity of zero is nothing": (NOTHING, {SHORT: 0, "SPY": 0}, AS_OF, [], []),
    "neighbours net in the leg that they share": (NEIGHBOURS, {SHORT: -4, LONG: 1, LOWEST: 3}, AS_OF, [], []),
    "the long leg is gone": (FOUR, {SHORT: -4}, AS_OF, [(M, LONG)], []),
    "the short leg is gone, and shares are there: assigned early": (
        FOUR,
        {LONG: 4, "SPY": 400},
        AS_OF,
        [(E, "SPY"), (M, SHORT)],
        [],
    ),
    "a part of a leg is gone": (FOUR, {SHORT: -3, LONG: 4}, AS_OF, [(M, SHORT)], []),
    "both legs are gone": (FOUR, {}, AS_OF, [(M, LONG), (M, SHORT)], []),
    "more than ours": (FOUR, {SHORT: -4, LONG: 6}, AS_OF, [(E, LONG)], []),
    "more of the short leg": (FOUR, {SHORT: -5, LONG: 4}, AS_OF, [(E, SHORT)], []),
    "our leg turned into its opposite": (FOUR, {SHORT: 2, LONG: 4}, AS_OF, [(M, SHORT), (E, SHORT)], []),
    "an option that is not ours": (NOTHING, {SHORT: -1}, AS_OF, [(E, SHORT)], []),
    "shares": (NOTHING, {"TLT": 100}, AS_OF, [(E, "TLT")], []),
    "short shares": (NOTHING, {"TLT": -100}, AS_OF, [(E, "TLT")], []),
    "what is no option and no share": (NOTHING, {"BTC/USD": 1}, AS_OF, [(E, "BTC/USD")], []),
    # An entry whose end is not known
    "a pending entry that has not filled": (ENTERING, {}, AS_OF, [], []),
    "a pending entry that has": (ENTERING, {SHORT: -4, LONG: 4}, AS_OF, [], [LONG, SHORT]),
    "a pending entry that has in part": (ENTERING, {SHORT: -1, LONG: 1}, AS_OF, [], [LONG, SHORT]),
    "a pending entry and a surplus": (ENTERING, {SHORT: -5, LONG: 5}, AS_OF, [(E, LONG), (E, SHORT)], []),
    "a pending entry and the opposite side": (ENTERING, {SHORT: 1}, AS_OF, [(E, SHORT)], []),
    "what a pending entry had filled": (PART_IN, {SHORT: -1, LONG: 1}, AS_OF, [], []),
    "what it filled since": (PART_IN, {SHORT: -4, LONG: 4}, AS_OF, [], [LONG, SHORT]),
    "less than it had filled": (PART_IN, {}, AS_OF, [(M, LONG), (M, SHORT)], []),
    # An exit whose end is not known
    "a pending exit that has not filled": (CLOSING, {SHORT: -4, LONG: 4}, AS_OF, [], []),
    "a pending exit that has": (CLOSING, {}, AS_OF, [], [LONG, SHORT]),
    "a pending exit that has in part": (CLOSING, {SHORT: -1, LONG: 1}, AS_OF, [], [LONG, SHORT]),
    "a pending exit and a surplus": (CLOSING, {SHORT: -5, LONG: 5}, AS_OF, [(E, LONG), (E, SHORT)], []),
    "a pending exit of a part that closed more": (PART_OUT, {SHORT: -1, LONG: 1}, AS_OF, [(M, LONG), (M, SHORT)], []),
    # Expiration
    "gone before the close of the last session": (FOUR, {}, BEFORE_THE_CLOSE, [(M, LONG), (M, SHORT)], []),
    "gone from the close on: it expired": (FOUR, {}, AFTER_IT, [], [LONG, SHORT]),
    "there after the close: not removed yet": (FOUR, {SHORT: -4, LONG: 4}, AFTER_IT, [], []),
    "settled in the ledger, not removed at the broker": (
        NOTHING,
        {SHORT: -4, LONG: 4},
        AFTER_IT + dt.timedelta(days=3),
        [],
        [LONG, SHORT],
    ),
    "shares after expiration: assigned": (NOTHING, {"SPY": 400}, AFTER_IT, [(E, "SPY")], []),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_differs(case: str) -> None:
    holdings, broker, at, expected, seeming = TABLE[case]
    differences, explained = compare((holdings, holdings), broker, at=at)
    assert sorted((one.kind, one.item) for one in differences) == sorted(expected)
    assert sorted(one.symbol for one in explained) == sorted(seeming)
    assert all(one.item in one.text for one in differences)


def test_what_another_process_booked_between_two_readings_is_no_difference() -> None:
    for before, after in ((NOTHING, FOUR), (FOUR, NOTHING), (ENTERING, FOUR), (CLOSING, NOTHING)):
        for broker in ({}, {SHORT: -4, LONG: 4}):
            assert compare((before, after), broker, at=AS_OF)[0] == ()


def test_a_missing_leg_names_the_spread_that_it_is_of() -> None:
    [missing] = compare((FOUR, FOUR), {SHORT: -4}, at=AS_OF)[0]
    assert missing.spreads == (SPREAD.label,)
    assert SPREAD.label in missing.text
    assert (missing.in_ledger, missing.at_broker, missing.underlying) == (4, 0, "SPY")


@pytest.mark.parametrize(
    ("symbol", "underlying"),
    [("SPY260417P00540000", "SPY"), ("SPY1260417P00540000", "SPY"), ("SPY", "SPY"), ("BRK.B", "BRK.B")],
    ids=["option", "adjusted option", "shares", "a class of shares"],
)
def test_the_underlying_of_a_symbol(symbol: str, underlying: str) -> None:
    assert underlying_of(symbol) == underlying


spreads = st.sampled_from([SPREAD, OTHER, a_spread(short=530.0), a_spread("QQQ")])
opens = st.lists(st.builds(of, spreads, st.integers(1, 9)), max_size=4).map(tuple)
holdings = st.builds(Holdings, positions=opens, entering=opens, closing=opens)
accounts = st.dictionaries(st.sampled_from([SHORT, LONG, LOWEST, "SPY", "TLT"]), st.integers(-9, 9))


def at_broker(ledger: Holdings, filled_in: int = 0, filled_out: int = 0) -> Mapping[str, int]:
    """What a broker holds that filled so many contracts of every pending entry and exit."""
    found: Counter[str] = Counter()
    for sign, group, most in (
        (1, ledger.positions, None),
        (1, ledger.entering, filled_in),
        (-1, ledger.closing, filled_out),
    ):
        for one in group:
            contracts = one.contracts if most is None else min(one.contracts, most)
            found[one.short_symbol] -= sign * contracts
            found[one.long_symbol] += sign * contracts
    return found


@settings(max_examples=at_scale(4000))
@given(holdings, st.integers(0, 9), st.integers(0, 9))
def test_however_far_pending_orders_have_filled_nothing_differs(ledger: Holdings, entered: int, left: int) -> None:
    assert compare((ledger, ledger), at_broker(ledger, entered, left), at=AS_OF)[0] == ()


@settings(max_examples=at_scale(4000))
@given(holdings, accounts)
def test_differences_are_what_lies_outside_of_what_the_ledger_can_account_for(
    ledger: Holdings, account: dict[str, int]
) -> None:
    differences, explained = compare((ledger, ledger), account, at=AS_OF)
    outside: set[str] = set()
    for symbol in {*account, *ranges([ledger])}:
        low, _, high = ranges([ledger]).get(symbol, (0, 0, 0))
        if not low <= account.get(symbol, 0) <= high:
            outside.add(symbol)
    assert {one.item for one in differences} == outside
    assert not outside & {one.symbol for one in explained}
    for one in differences:
        assert one.at_broker == account.get(one.item, 0)
        assert one.reason is not None
