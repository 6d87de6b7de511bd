"""Groundedness: a number that stands in the brief passes however it is quoted, any other is flagged."""

import datetime as dt
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from builders import TERMS, make_candidate, make_snapshot
from conftest import at_scale
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mahler_agents.analysts import ANALYSTS
from mahler_agents.analysts.grounding import grounding

FACTS: dict[str, Any] = {
    "spread": "SPY 515/510 put spread, 2026-04-17",
    "expiration": "2026-04-17",
    "dte": 32,
    "credit": 0.36,
    "credit_pct_of_width": 12.0,
    "max_loss_dollars": 264.0,
    "break_even_probability": 0.72,
    "net_delta": 1.31,
    "net_vega_per_vol_point": -4.87,
    "short_leg_delta": -0.082,
    "iv_percentile": 87.0,
    "momentum_20_pct": -5.2,
    "sma_20": 582.74,
    "equity_dollars": 98450,
    "iv_term_ratio": 1.07,
    "atm_iv_90_day_pct": None,
    "headlines": [{"age_hours": 3.5, "source": "Wire", "text": "Index falls 2.5% in 3 days; 40,000 jobs since May 3"}],
}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("A credit of 0.36, or .36, or 0.4, or $0.36.", 4),
        ("The stop risks a loss of $264, i.e. -264 or -$264.00.", 3),
        ("A probability of 0.72, 72% or 72 percent.", 3),
        ("12 % of the width, a share of 0.12.", 2),
        ("Vega of -4.87; volatility costs 4.9, nearly 5, a point.", 3),
        ("An 8-delta put, delta 0.08, 8.2 delta.", 3),
        ("Momentum −5.2 %: it fell 5.2 %, or 5 per cent.", 3),
        ("Equity of 98,450, $98.5k or 98 thousand dollars.", 3),
        ("SMA20 at 582.74, a 20-day average of 583, the SMA 20.", 4),
        ("In the 87th percentile, and 1st of the 2nd kind.", 1),
        ("Expires April 17, 2026, on 17 Apr, 2026-04-17 or 4/17/2026.", 4),
        ("With 32 DTE it lies in 30-45 DTE and 30 to 45 days.", 3),
        ("Strikes 515/510, 515-510.", 4),
        ("A ratio of 1.07 is 107 %.", 2),
        ("Down 2.5 % in 3 days, -2.5%, with 40k jobs, since May 3, 3.5 hours ago.", 6),
        ("The S&P 500 and VIX3M say nothing.", 0),
        ("My confidence of 0.61 (61 %).", 2),
    ],
)
def test_a_fact_of_the_brief_is_grounded_however_it_is_quoted(text: str, numbers: int) -> None:
    found = grounding(text, FACTS, stated=[0.61])
    assert found.ungrounded == ()
    assert found.numbers == numbers


@pytest.mark.parametrize(
    ("text", "ungrounded"),
    [
        ("Credit of 0.45 for 12 % of the width, 13 DTE.", ("0.45", "13 DTE")),
        ("A delta of -1.31.", ("-1.31",)),
        ("A vega of +4.87.", ("+4.87",)),
        ("A probability of 0.72 %.", ("0.72 %",)),
        ("Delta 0 and a credit of 0.0.", ("0", "0.0")),
        ("A credit of 0.362.", ("0.362",)),
        ("It expires on April 18, or 2025-04-17.", ("April 18", "2025-04-17")),
        ("Outside of 33-45 DTE.", ("33-45 DTE",)),
        ("Equity of 100k, or 98,300.", ("100k", "98,300")),
        ("The 50-day average.", ("50",)),
        ("My confidence is 0.55.", ("0.55",)),
    ],
)
def test_any_other_number_is_told_as_it_was_written(text: str, ungrounded: tuple[str, ...]) -> None:
    assert grounding(text, FACTS, stated=[0.61]).ungrounded == ungrounded


def test_a_figure_of_a_worked_example_is_flagged_and_one_of_another_fact_is_not() -> None:
    """What the check can catch, and what it cannot: it compares figures, not what they are figures of."""
    assert grounding("A theta of 1.94.", FACTS).ungrounded == ("1.94",)
    vega_as_theta = "A theta of -4.87."
    assert grounding(vega_as_theta, FACTS).ungrounded == ()


def test_a_fact_that_is_absent_or_no_number_grounds_nothing() -> None:
    facts = {"vix": None, "rate": float("nan"), "is_open": True}
    assert grounding("VIX 1, rate 0", facts).ungrounded == ("1", "0")


BRIEFS = [
    analyst.brief(snapshot, make_candidate(snapshot), TERMS).facts()
    for snapshot in [make_snapshot(headlines=("Index falls 2.5% in 3 days", "Payrolls beat forecasts by 40,000"))]
    for analyst in ANALYSTS
]


def numbers_of(facts: dict[str, Any]) -> list[float]:
    return [value for value in facts.values() if isinstance(value, int | float)]


@settings(max_examples=at_scale(4000))
@given(data=st.data(), facts=st.sampled_from(BRIEFS))
def test_numbers_of_a_brief_rounded_to_fewer_digits_are_grounded(data: st.DataObject, facts: dict[str, Any]) -> None:
    quoted: list[str] = []
    for value in data.draw(st.lists(st.sampled_from(numbers_of(facts)), min_size=1, max_size=5)):
        number = Decimal(str(value))
        least = min(0, -number.adjusted()) if number else 0
        digits = data.draw(st.integers(least, max(least, -int(number.as_tuple().exponent), -number.adjusted())))
        rounded = number.quantize(Decimal(1).scaleb(-max(0, digits)), rounding=ROUND_HALF_EVEN)
        assume(rounded != 0 or number == 0)
        quoted.append(data.draw(st.sampled_from([f"{rounded:,}", f"{abs(rounded)}", f"${abs(rounded):,}"])))
    assert grounding(f"Quoting {', and '.join(quoted)}.", facts).ungrounded == ()


@settings(max_examples=at_scale(4000))
@given(
    value=st.decimals(min_value=3, max_value=9_999, places=2),
    moved=st.decimals(min_value=Decimal("0.01"), max_value=900, places=2),
    places=st.integers(0, 2),
)
def test_a_number_moved_by_more_than_its_rounding_is_not(value: Decimal, moved: Decimal, places: int) -> None:
    quoted = (value + moved).quantize(Decimal(1).scaleb(-places))
    units = Decimal(1).scaleb(-places)
    if places == 0:  # whole tens may be rounded to tens
        digits = str(quoted).rstrip("0")
        units = Decimal(1).scaleb(len(str(quoted)) - len(digits)) if len(digits) > 1 else Decimal(1)
    assume(abs(quoted - value) * 2 > units)
    assert grounding(f"About {quoted}.", {"price": float(value)}).ungrounded == (str(quoted),)


@settings(max_examples=at_scale(4000))
@given(text=st.text(max_size=600) | st.text(alphabet="0123456789.,-/% kmst&Apr", max_size=600), value=st.floats())
def test_no_text_and_no_fact_is_too_odd_to_be_looked_at(text: str, value: float) -> None:
    found = grounding(text, {"text": text, "value": value, "dte": 32}, stated=[0.5])
    assert len(found.ungrounded) <= found.numbers


@given(
    day=st.dates(dt.date(2020, 1, 1), dt.date(2030, 12, 31)), form=st.sampled_from(["%B %d, %Y", "%d %b", "%Y-%m-%d"])
)
def test_a_date_is_grounded_in_its_own_day_only(day: dt.date, form: str) -> None:
    text = f"It ends on {day:{form}}."
    assert grounding(text, {"expiration": day.isoformat()}).ungrounded == ()
    other = day + dt.timedelta(days=1)
    assert len(grounding(text, {"expiration": other.isoformat()}).ungrounded) == 1
