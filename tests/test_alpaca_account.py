"""Alpaca's account and positions: who can trade spreads, what is held, how legs that expired were settled."""

import datetime as dt
from typing import Any

import pytest
from alpaca_answers import an_account, an_activity
from builders import EXPIRATION
from trading_builders import a_spread

from mahler_agents.errors import BrokerError, ConfigError
from mahler_agents.execution import Expiry, LegSettlement, Settlement
from mahler_agents.execution.alpaca.account import account_of, check_can_trade, positions_of
from mahler_agents.execution.alpaca.answers import Answer
from mahler_agents.execution.alpaca.settling import leg_ends, settlement_of
from mahler_agents.market import calendar
from mahler_agents.market.snapshot import Account

SPREAD = a_spread()
CLOSE = calendar.session_close(EXPIRATION)
DUE = {SPREAD.short_symbol: CLOSE, SPREAD.long_symbol: CLOSE}


def answer(raw: dict[str, Any]) -> Answer:
    return Answer.of(raw, "the account")


def test_an_account_has_its_number_and_the_buying_power_for_options() -> None:
    assert account_of(answer(an_account())) == Account(
        account_id="PA3TESTACCT", equity=100_004.12, cash=100_379.12, buying_power=98_379.12
    )


@pytest.mark.parametrize("name", ["account_number", "equity", "cash", "options_buying_power"])
def test_what_an_account_does_not_tell_is_named(name: str) -> None:
    raw = an_account()
    del raw[name]
    with pytest.raises(BrokerError, match=f"the account has no `{name}`"):
        account_of(answer(raw))


def test_an_account_of_level_three_that_nobody_has_blocked_can_trade() -> None:
    check_can_trade(answer(an_account()))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"options_trading_level": 2}, "its options level is 2, and they need 3; raise it in Alpaca's dashboard"),
        ({"options_trading_level": "0"}, "its options level is 0"),
        ({"trading_blocked": True}, r"it is blocked from trading \(`trading_blocked`\)"),
        ({"account_blocked": True}, r"it is blocked \(`account_blocked`\)"),
        ({"trade_suspended_by_user": True}, "it is suspended by its owner"),
        ({"status": "ACCOUNT_CLOSED"}, "its status is ACCOUNT_CLOSED, not ACTIVE"),
        ({"currency": "EUR"}, "is kept in EUR"),
    ],
)
def test_an_account_that_cannot_trade_spreads_is_refused_with_its_number_and_the_reason(
    raw: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=f"^the Alpaca account PA3TESTACCT .*{told}"):
        check_can_trade(answer(an_account(**raw)))


@pytest.mark.parametrize(
    "name",
    ["status", "currency", "trading_blocked", "account_blocked", "trade_suspended_by_user", "options_trading_level"],
)
def test_whether_an_account_can_trade_is_never_assumed(name: str) -> None:
    raw = an_account()
    del raw[name]
    with pytest.raises(BrokerError, match=f"the account has no `{name}`"):
        check_can_trade(answer(raw))


def test_positions_are_signed_and_a_fraction_of_a_share_counts_as_one() -> None:
    raw = [
        {"symbol": SPREAD.short_symbol, "qty": "-2", "side": "short"},
        {"symbol": SPREAD.long_symbol, "qty": "2", "side": "long"},
        {"symbol": "SPY", "qty": "0.25", "side": "long"},
        {"symbol": "QQQ", "qty": "100", "side": "short"},
    ]
    assert positions_of(Answer.each(raw, "the positions")) == {
        SPREAD.short_symbol: -2,
        SPREAD.long_symbol: 2,
        "SPY": 1,
        "QQQ": -100,
    }


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"symbol": "SPY", "qty": "-2", "side": "long"}, "long -2: that is no position"),
        ({"symbol": "SPY", "qty": "2", "side": "both"}, "both 2: that is no position"),
        ({"symbol": "SPY", "side": "long"}, "the position in SPY has no `qty`"),
        ({"qty": "2", "side": "long"}, "the positions has no `symbol`"),
    ],
)
def test_a_position_that_contradicts_itself_or_lacks_a_fact_is_refused(raw: dict[str, Any], told: str) -> None:
    with pytest.raises(BrokerError, match=told):
        positions_of(Answer.each([raw], "the positions"))


# --- Settlements ------------------------------------------------------------------------------------------------------


def settled(price: float | None, *activities: dict[str, Any]) -> dict[str, LegSettlement]:
    ends = leg_ends(Answer.each(list(activities), "activities"), DUE)
    return {end.symbol: leg for end in ends if (leg := settlement_of(end, price)) is not None}


def both(short: str, long: str, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    date = EXPIRATION.isoformat()
    return an_activity(short, SPREAD.short_symbol, date, **more), an_activity(long, SPREAD.long_symbol, date, **more)


def test_legs_that_expired_are_worth_nothing_whether_or_not_the_close_is_known() -> None:
    for price in (None, 551.25):
        settlement = Settlement.of(SPREAD, settled(price, *both("OPEXP", "OPEXP")))
        assert settlement == Settlement(at=CLOSE, underlying_price=price, debit=0.0, expiry=Expiry.WORTHLESS)


@pytest.mark.parametrize(
    ("long", "price", "debit", "expiry"),
    [("OPEXP", 537.5, 2.5, Expiry.BETWEEN_STRIKES), ("OPEXC", 530.0, 5.0, Expiry.IN_THE_MONEY)],
)
def test_legs_that_were_assigned_or_exercised_are_worth_what_the_close_says(
    long: str, price: float, debit: float, expiry: Expiry
) -> None:
    settlement = Settlement.of(SPREAD, settled(price, *both("OPASN", long)))
    assert settlement == Settlement(at=CLOSE, underlying_price=price, debit=debit, expiry=expiry)


def test_a_close_that_is_not_known_settles_nothing_that_changed_hands() -> None:
    assert settled(None, *both("OPASN", "OPEXC")) == {}


def test_an_activity_that_was_taken_back_or_is_of_another_leg_settles_nothing() -> None:
    assert settled(540.0, *both("OPEXP", "OPEXP", status="canceled")) == {}
    other = a_spread("QQQ").short_symbol
    assert settled(540.0, an_activity("OPEXP", other, EXPIRATION.isoformat())) == {}


def test_a_leg_that_was_assigned_before_it_expired_is_worth_what_the_close_of_that_day_says() -> None:
    early = calendar.previous_session(EXPIRATION)
    leg = settled(530.0, an_activity("OPASN", SPREAD.short_symbol, early.isoformat()))[SPREAD.short_symbol]
    assert (leg.at, leg.dollars_per_share) == (calendar.session_close(early), 10.0)


def test_contracts_of_one_leg_that_left_on_different_days_have_no_one_price() -> None:
    early = calendar.previous_session(EXPIRATION).isoformat()
    short = SPREAD.short_symbol
    assert settled(530.0, an_activity("OPASN", short, early), an_activity("OPEXP", short, EXPIRATION.isoformat())) == {}


def test_an_activity_dated_on_the_weekend_after_is_of_the_expirations_close() -> None:
    saturday = EXPIRATION + dt.timedelta(days=1)
    leg = settled(None, an_activity("OPEXP", SPREAD.short_symbol, saturday.isoformat()))[SPREAD.short_symbol]
    assert leg.at == CLOSE


def test_an_activity_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(BrokerError, match="told an activity `FILL` where OPEXP, OPASN, OPEXC were asked for"):
        settled(None, an_activity("FILL", SPREAD.short_symbol, EXPIRATION.isoformat()))
