"""The screen's rules as tables: what rejects a contract, what rejects a pair, what makes a score."""

import dataclasses
import datetime as dt

import numpy as np
import pytest
from builders import AS_OF, EXPIRATION, RATE, SPOT, make_chain, make_snapshot
from pydantic import ValidationError
from screen_builders import first_row, put_chain, snapshot_of

from mahler_agents import pricing
from mahler_agents.clock import NEW_YORK
from mahler_agents.market.snapshot import Exposure
from mahler_agents.screen import ScoreWeights, ScreenParams, screen
from mahler_agents.types import MarketRegime, SpreadType

GREEKS = ("delta", "gamma", "theta_per_day", "vega_per_vol_point")
FACTS = ("implied_volatility", *GREEKS)


CONTRACTS = {
    # what changes in the short leg's row -> the reason
    "multiplier 10": ({"multiplier": 10}, "adjusted"),
    "multiplier unknown": ({"multiplier": np.nan}, "adjusted"),
    "no strike": ({"strike": np.nan}, "impossible_contract"),
    "negative strike": ({"strike": -530.0}, "impossible_contract"),
    "strike beyond symbols": ({"strike": 100_000.0}, "impossible_contract"),
    "no expiration": ({"expiration": np.datetime64("NaT")}, "impossible_contract"),
    "29 days": ({"expiration": np.datetime64(AS_OF.date()) + 29}, "dte"),
    "46 days": ({"expiration": np.datetime64(AS_OF.date()) + 46}, "dte"),
    "at the money": ({"strike": SPOT}, "not_out_of_the_money"),
    "in the money": ({"strike": 600.0}, "not_out_of_the_money"),
    "a call's symbol": ({"symbol": "SPY260417C00530000"}, "symbol_mismatch"),
    "another strike's symbol": ({"symbol": "SPY260417P00531000"}, "symbol_mismatch"),
    "another date's symbol": ({"symbol": "SPY260418P00530000"}, "symbol_mismatch"),
    "another root": ({"symbol": "QQQ260417P00530000"}, "symbol_mismatch"),
    "an adjusted root": ({"symbol": "SP1260417P00530000"}, "symbol_mismatch"),
    "no symbol": ({"symbol": ""}, "symbol_mismatch"),
    "bid missing": ({"bid": np.nan}, "no_quote"),
    "ask missing": ({"ask": np.nan}, "no_quote"),
    "no ask": ({"bid": 0.0, "ask": 0.0}, "no_quote"),
    "negative bid": ({"bid": -0.01}, "impossible_quote"),
    "negative ask": ({"bid": -0.02, "ask": -0.01}, "impossible_quote"),
    "infinite ask": ({"ask": np.inf}, "impossible_quote"),
    "a put worth its strike": ({"bid": 529.0, "ask": 531.0}, "impossible_quote"),
    "crossed": ({"bid": 1.02, "ask": 1.00}, "crossed"),
    "stale": ({"quote_age_seconds": 1201.0}, "stale_quote"),
    "of unknown age": ({"quote_age_seconds": np.nan}, "stale_quote"),
    "from the future": ({"quote_age_seconds": -1201.0}, "stale_quote"),
    "open interest 49": ({"open_interest": 49}, "open_interest"),
    "open interest unknown": ({"open_interest": np.nan}, "open_interest"),
    "open interest infinite": ({"open_interest": np.inf}, "open_interest"),
    "no volume": ({"volume": 0}, "volume"),
    "volume unknown": ({"volume": np.nan}, "volume"),
    "bid-ask 12.1 %": ({"bid": 0.9395, "ask": 1.0605}, "bid_ask"),
    "zero bid": ({"bid": 0.0}, "bid_ask"),
    "first of several wins": ({"open_interest": 0, "bid": 2.0, "multiplier": 1}, "adjusted"),
}


@pytest.mark.parametrize(("changes", "reason"), CONTRACTS.values(), ids=CONTRACTS)
def test_a_contract_that_breaks_a_rule_is_rejected_by_its_name(changes, reason):
    candidates, report = screen(snapshot_of(first_row(put_chain(), **changes)))
    assert candidates == ()
    assert report.rejected_contracts == {reason: 1}
    assert (report.contracts, report.eligible_contracts, report.pairs) == (2, 1, 0)


BAD_FIGURES = {
    # column -> what a bad figure in it leads to: a rejection, or the facts that are computed instead
    "strike": {np.nan: "impossible_contract", np.inf: "impossible_contract", -np.inf: "impossible_contract"}
    | {
        -1.0: "impossible_contract",
        0.0: "impossible_contract",
        1e300: "impossible_contract",
        1e-300: "symbol_mismatch",
    },
    "bid": {np.nan: "no_quote", np.inf: "impossible_quote", -np.inf: "impossible_quote", -1.0: "impossible_quote"}
    | {0.0: "bid_ask", 1e300: "impossible_quote", 1e-300: "bid_ask"},
    "ask": {np.nan: "no_quote", np.inf: "impossible_quote", -np.inf: "impossible_quote", -1.0: "impossible_quote"}
    | {0.0: "no_quote", 1e300: "impossible_quote", 1e-300: "crossed"},
    "quote_age_seconds": dict.fromkeys((np.nan, np.inf, -np.inf, 1e300, -1e300), "stale_quote"),
    "volume": dict.fromkeys((np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300, 1e-300), "volume"),
    "open_interest": dict.fromkeys((np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300, 1e-300), "open_interest"),
    "multiplier": dict.fromkeys((np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300, 1e-300), "adjusted"),
    "implied_volatility": dict.fromkeys((np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300, 1e-300), "computed"),
    "delta": dict.fromkeys((np.nan, np.inf, -np.inf, -1.5, 0.0, 1e300, -1e300), "computed"),
    "gamma": dict.fromkeys((np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300), "computed"),
    "theta_per_day": dict.fromkeys((np.nan, np.inf, -np.inf, 0.0, 1e300, -1e300), "computed"),
    "vega_per_vol_point": dict.fromkeys((np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300), "computed"),
}
BAD_ROWS = [(column, bad, outcome) for column, figures in BAD_FIGURES.items() for bad, outcome in figures.items()]


@pytest.mark.parametrize(("column", "bad", "outcome"), BAD_ROWS)
def test_a_bad_figure_in_any_column_is_a_rejection_by_name_or_computed_never_traded_on(column, bad, outcome):
    candidates, report = screen(snapshot_of(first_row(put_chain(), **{column: bad})), ScreenParams(max_short_delta=0.5))
    if outcome != "computed":
        assert (candidates, report.rejected_contracts) == ((), {outcome: 1})
        assert all(miss.text for miss in report.nearest_misses)
        return
    (candidate,) = candidates
    sound = {"implied_volatility": (0.05, 0.5), "delta": (-0.5, -0.05), "gamma": (1e-4, 0.1)}
    sound |= {"theta_per_day": (-1, -0.01), "vega_per_vol_point": (0.01, 2)}
    low, high = sound[column]
    assert candidate.short_leg.computed == (column,)
    assert low < getattr(candidate.short_leg, column) < high


def test_the_table_of_bad_figures_has_every_column_of_numbers():
    numbers = {name for name, column in vars(put_chain()).items() if getattr(column, "dtype", None) == np.float64}
    assert BAD_FIGURES.keys() == numbers


ALLOWED = {
    "as it is": {},
    "locked": {"bid": 1.00, "ask": 1.00},
    "bid-ask of 12 % to the cent": {"bid": 0.94, "ask": 1.06},
    "open interest 50": {"open_interest": 50},
    "volume 1": {"volume": 1},
    "20 minutes old": {"quote_age_seconds": 1200},
    "a second ahead of the snapshot": {"quote_age_seconds": -1.0},
    "short |delta| 0.05": {"delta": -0.05},
    "short |delta| 0.15": {"delta": -0.15},
}


@pytest.mark.parametrize("changes", ALLOWED.values(), ids=ALLOWED)
def test_a_limit_that_is_met_exactly_is_met(changes):
    assert len(screen(snapshot_of(first_row(put_chain(), **changes)))[0]) == 1


def test_a_zero_bid_with_a_positive_ask_is_a_quote():
    params = ScreenParams(max_bid_ask_to_mid=2.0)
    chain = put_chain()
    bid = chain.bid.copy()
    bid[1] = 0.0
    (candidate,), report = screen(snapshot_of(dataclasses.replace(chain, bid=bid)), params)
    assert candidate.long_leg.bid == 0
    assert report.rejected_contracts == {}


@pytest.mark.parametrize("spot", [np.nan, np.inf, -np.inf, 0.0, -560.0, 1e300])
def test_without_a_price_of_the_underlying_nothing_is_a_leg(spot):
    candidates, report = screen(snapshot_of(dataclasses.replace(put_chain(), spot=spot)))
    assert candidates == ()
    assert report.rejected_contracts == {"no_underlying_price": 2}
    assert [miss.text for miss in report.nearest_misses] == ["no underlying price"]


def test_a_repeated_contract_is_one_leg():
    chain = put_chain((530.0, 525.0, 530.0), mids=(1.00, 0.40, 9.00))
    (candidate,), report = screen(snapshot_of(chain))
    assert candidate.short_leg.bid == 0.99
    assert report.rejected_contracts == {"duplicate_contract": 1}


CALENDAR = {
    # as of (New York date) -> expirations of 30 to 45 days that the exchange really lists
    "a weekly on Thursday for Good Friday": ("2026-02-20", ["2026-03-27", "2026-04-02"]),
    "a monthly on Thursday for Juneteenth": ("2026-05-15", ["2026-06-18", "2026-06-26"]),
    "a quarterly at the end of March on a Tuesday": ("2026-02-20", ["2026-03-31"]),
    "a monthly, a daily and a weekly": ("2026-03-16", ["2026-04-17", "2026-04-20", "2026-04-24"]),
    "a Friday that closes at 13:00": ("2026-10-20", ["2026-11-27"]),
    "the eve of Christmas, closing at 13:00": ("2026-11-16", ["2026-12-24", "2026-12-31"]),
}


@pytest.mark.parametrize(("on", "listed"), CALENDAR.values(), ids=CALENDAR)
def test_weeklies_quarterlies_and_days_moved_by_holidays_are_expirations_like_any_other(on, listed):
    as_of = dt.datetime.combine(dt.date.fromisoformat(on), dt.time(10), NEW_YORK)
    expirations = [dt.date.fromisoformat(one) for one in listed]
    chain = make_chain(as_of=as_of, expirations=expirations)
    snapshot = dataclasses.replace(snapshot_of(chain), as_of=as_of)
    candidates, report = screen(snapshot, ScreenParams(max_listed=1000))
    assert {one.spread.expiration for one in candidates} == set(expirations)
    assert {one.dte for one in candidates} == {(one - as_of.date()).days for one in expirations}
    assert "dte" not in report.rejected_contracts


def test_a_scan_on_a_half_day_screens_as_on_any_other():
    as_of = dt.datetime(2026, 11, 27, 12, 59, tzinfo=NEW_YORK)
    chain = make_chain(as_of=as_of, expirations=(dt.date(2026, 12, 31),))
    assert screen(dataclasses.replace(snapshot_of(chain), as_of=as_of))[0]


@pytest.mark.parametrize("root", ["SPY1", "SPY2", "SPYX", "1SPY", "spy"])
@pytest.mark.parametrize("multiplier", [100.0, np.nan])
def test_an_adjusted_root_is_no_leg_whatever_its_multiplier_says(root, multiplier):
    chain = first_row(put_chain(), multiplier=multiplier)
    symbols = chain.symbol.astype("U32")
    symbols[0] = f"{root}260417P00530000"
    candidates, report = screen(snapshot_of(dataclasses.replace(chain, symbol=symbols)))
    assert candidates == ()
    assert report.rejected_contracts == {"symbol_mismatch" if multiplier == 100 else "adjusted": 1}


def test_an_empty_chain_is_screened_to_nothing():
    candidates, report = screen(snapshot_of(make_chain(strikes=())))
    assert (candidates, report.contracts, report.nearest_misses) == ((), 0, ())


PAIRS = {
    # (short mid, long mid) five dollars apart -> the reason; None: it passes
    "ten percent to the cent": ((0.90, 0.40), None),
    "below ten percent": ((0.89, 0.40), "credit"),
    "no credit": ((0.40, 0.40), "credit_not_positive"),
    "a debit": ((0.40, 0.90), "credit_not_positive"),
    "the whole width": ((5.40, 0.40), "credit_not_below_width"),
    "more than the width": ((6.00, 0.40), "credit_not_below_width"),
}


@pytest.mark.parametrize(("mids", "reason"), PAIRS.values(), ids=PAIRS)
def test_a_pair_is_judged_by_its_credit_at_mid(mids, reason):
    candidates, report = screen(snapshot_of(put_chain(mids=mids)))
    assert report.pairs == 1
    assert report.rejected_pairs == ({reason: 1} if reason else {})
    assert len(candidates) == report.passed == (0 if reason else 1)


@pytest.mark.parametrize(("long", "pairs"), [(528.5, 0), (528.0, 1), (520.0, 1), (519.5, 0), (535.0, 0)])
def test_the_long_put_is_two_to_ten_dollars_below_the_short_one(long, pairs):
    assert screen(snapshot_of(put_chain((530.0, long))))[1].pairs == pairs


def test_the_long_call_is_above_the_short_one():
    candidates, _ = screen(make_snapshot())
    calls = [one.spread for one in candidates if one.spread.spread_type is SpreadType.BEAR_CALL]
    assert calls
    assert all(SPOT < spread.short_strike < spread.long_strike for spread in calls)


@pytest.mark.parametrize(
    ("changed", "passes"),
    [
        ({}, False),
        ({"spread_type": SpreadType.BEAR_CALL}, True),
        ({"underlying": "QQQ"}, True),
        ({"expiration": dt.date(2026, 4, 24)}, True),
        ({"pending": True}, False),
    ],
)
def test_a_duplicate_is_of_the_same_underlying_type_and_expiration(changed, passes):
    exposure = Exposure(
        **{"underlying": "SPY", "spread_type": SpreadType.BULL_PUT, "expiration": EXPIRATION, "contracts": 1}
        | {"max_loss_dollars": 400.0, "pending": False}
        | changed
    )
    candidates, report = screen(snapshot_of(put_chain(), exposures=(exposure,)))
    assert bool(candidates) is passes
    assert report.rejected_pairs == ({} if passes else {"duplicate_position": 1})
    assert len(screen(snapshot_of(put_chain(), exposures=(exposure,)), open_exposures=())[0]) == 1


def test_what_the_source_lacks_is_computed_from_the_mid_and_named():
    given = put_chain((530.0, 520.0), mids=(3.00, 1.40), delta=np.nan)
    chain = dataclasses.replace(given, **{name: np.full(2, np.nan) for name in FACTS})
    (candidate,), _ = screen(snapshot_of(chain), ScreenParams(max_short_delta=0.30))
    contract = {"is_put": True, "spot": SPOT, "strike": 530.0, "rate": RATE}
    contract["years"] = pricing.years_to_expiry(AS_OF, EXPIRATION)
    leg = candidate.short_leg
    assert leg.computed == FACTS
    assert pricing.price(volatility=leg.implied_volatility, **contract) == pytest.approx(3.00, abs=1e-12)
    values = pricing.value(volatility=leg.implied_volatility, **contract)
    assert [getattr(leg, name) for name in GREEKS] == pytest.approx([float(getattr(values, name)) for name in GREEKS])


@pytest.mark.parametrize("unknown", [np.nan, 0.0, 0.10, -1.5, np.inf])
def test_a_delta_that_is_missing_zero_or_of_the_wrong_sign_is_computed_never_zero(unknown):
    chain = first_row(put_chain(), delta=unknown)
    _, report = screen(snapshot_of(chain), ScreenParams(min_short_delta=0.0, max_short_delta=1.0))
    (candidate,), _ = screen(snapshot_of(chain), ScreenParams(min_short_delta=0.01, max_short_delta=0.5))
    assert report.pairs == 1
    assert candidate.short_leg.computed == ("delta",)
    assert -0.5 < candidate.short_leg.delta < -0.05


@pytest.mark.parametrize("volatility", [np.nan, 0.0, -0.2, 11.0])
def test_a_volatility_that_the_source_lacks_is_the_mids(volatility):
    (candidate,), _ = screen(snapshot_of(first_row(put_chain(), implied_volatility=volatility)))
    assert candidate.short_leg.computed == ("implied_volatility",)
    assert 0.05 < candidate.short_leg.implied_volatility < 0.5


def test_a_contract_without_a_computable_volatility_is_rejected_as_such():
    # Out of the money against the spot but in it against the forward, and quoted below that bound.
    chain = make_chain(strikes=(561.0,))
    call = {name: column[~chain.is_put] for name, column in vars(chain).items() if isinstance(column, np.ndarray)}
    call |= {"bid": np.array([0.30]), "ask": np.array([0.31]), "implied_volatility": np.array([np.nan])}
    _, report = screen(snapshot_of(dataclasses.replace(chain, **call)))
    assert report.rejected_contracts == {"no_implied_volatility": 1}
    assert [miss.text for miss in report.nearest_misses] == ["no implied volatility"]


def test_a_contract_without_computable_greeks_is_rejected_as_such():
    snapshot = dataclasses.replace(snapshot_of(first_row(put_chain(), gamma=np.nan)), risk_free_rate=np.nan)
    assert screen(snapshot)[1].rejected_contracts == {"no_greeks": 1}


# --- score -----------------------------------------------------------------------------------------------------------


def scored(regime=None, **arguments):
    """Return the one candidate of a put spread 5 dollars wide."""
    (candidate,), _ = screen(snapshot_of(put_chain(**arguments)), regime=regime)
    return candidate


SCORES = {
    # (short delta, credit) -> (delta part, credit part, ev part): width 5
    "0.10 and 0.60": ((-0.10, 0.60), (1.0, 0.24, 0.02)),
    "0.05 and 0.50": ((-0.05, 0.50), (0.5, 0.20, 0.05)),
    "0.15 and 0.50": ((-0.15, 0.50), (0.5, 0.20, 0.0)),
    "0.08 and 1.00": ((-0.08, 1.00), (0.8, 0.40, 0.12)),
    "0.12 and 3.00": ((-0.12, 3.00), (0.8, 1.00, 0.48)),
}


@pytest.mark.parametrize(("given", "parts"), SCORES.values(), ids=SCORES)
def test_the_components_of_the_score(given, parts):
    delta, credit = given
    candidate = scored(delta=delta, mids=(0.40 + credit, 0.40))
    found = candidate.parts
    assert found.iv is None
    assert (found.delta, found.credit, found.ev) == pytest.approx(parts)
    assert candidate.score == pytest.approx(sum(parts) / 3)  # the iv's quarter is shared out


@pytest.mark.parametrize(
    ("regime", "score"),
    [
        (None, (1.0 + 0.24 + 0.02) / 3),
        (MarketRegime.BULL_LOW_VOL, (0.20 * 1 + 0.25 * 0.24 + 0.35 * 0.02) / 0.80),
        (MarketRegime.BULL_HIGH_VOL, (0.35 * 1 + 0.20 * 0.24 + 0.20 * 0.02) / 0.75),
        (MarketRegime.BEAR_LOW_VOL, (0.25 * 1 + 0.35 * 0.24 + 0.20 * 0.02) / 0.80),
        (MarketRegime.BEAR_HIGH_VOL, (0.30 * 1 + 0.20 * 0.24 + 0.15 * 0.02) / 0.65),
    ],
)
def test_the_regime_chooses_the_weights(regime, score):
    assert scored(regime, mids=(1.00, 0.40)).score == pytest.approx(score)


@pytest.mark.parametrize("regime", [None, *MarketRegime])
def test_with_a_history_the_iv_percentile_counts_at_its_weight(regime):
    params = ScreenParams()
    weights = params.regime_weights[regime] if regime else params.weights
    candidates, _ = screen(make_snapshot(), regime=regime)
    for candidate in candidates:
        assert candidate.iv_rank is not None
        expected = sum(weight * getattr(candidate.parts, name) for name, weight in weights)
        assert candidate.score == pytest.approx(expected)


def test_weights_that_do_not_add_up_and_ranges_upside_down_are_refused():
    with pytest.raises(ValidationError, match="add up to 1"):
        ScoreWeights(iv=0.5)
    with pytest.raises(ValidationError, match="min_width 10 is above max_width 2"):
        ScreenParams(min_width=10, max_width=2)
