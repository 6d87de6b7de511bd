"""OCC symbols: written and read back, and refused when malformed."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.errors import InputError
from mahler_agents.market.occ import ContractTerms, format_symbol, parse_symbol


def test_a_known_symbol_is_written_and_read() -> None:
    terms = ContractTerms("SPY", dt.date(2026, 4, 17), "put", 540.0)
    assert format_symbol(*terms) == "SPY260417P00540000"
    assert parse_symbol("SPY260417P00540000") == terms


@given(
    root=st.from_regex(r"[A-Z][A-Z0-9]{0,5}", fullmatch=True).filter(str.isascii),
    expiration=st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31)),
    right=st.sampled_from(["put", "call"]),
    thousandths=st.integers(1, 99_999_999),
)
def test_every_symbol_says_what_it_was_written_from(root, expiration, right, thousandths) -> None:
    symbol = format_symbol(root, expiration, right, thousandths / 1000)
    assert parse_symbol(symbol) == (root, expiration, right, thousandths / 1000)


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "SPY",
        "spy260417P00540000",
        "SPY260417X00540000",
        "SPY260431P00540000",  # April has 30 days
        "SPY260417P0054000",
        "SPY260417P005400000",
        "SPY260417P00000000",
        "SPY   260417P00540000",
        "SPY260417P00540000\n",
        "SPY260417P0054000\u0660",  # an Arabic digit
        "260417P00540000",
    ],
)
def test_a_malformed_symbol_is_refused(malformed: str) -> None:
    with pytest.raises(InputError, match="is not an OCC option symbol"):
        parse_symbol(malformed)


@pytest.mark.parametrize("strike", [0.0, -5.0, 540.00049, 100_000.0, float("nan"), float("inf")])
def test_a_strike_that_a_symbol_cannot_hold_is_refused(strike: float) -> None:
    with pytest.raises(InputError, match="strike"):
        format_symbol("SPY", dt.date(2026, 4, 17), "put", strike)


def test_a_root_or_a_year_that_a_symbol_cannot_hold_is_refused() -> None:
    with pytest.raises(InputError, match="root"):
        format_symbol("TOOLONG", dt.date(2026, 4, 17), "put", 540.0)
    with pytest.raises(InputError, match="2000 to 2099"):
        format_symbol("SPY", dt.date(1999, 4, 17), "put", 540.0)
