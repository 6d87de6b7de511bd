"""Below stage 1, OCC symbols: the terms of an option in, its symbol out, and back.

`SPY260417P00540000` is root, expiration (yymmdd), right, strike in thousandths of a dollar with eight digits.
Source: Options Clearing Corporation, Options Symbology Initiative; unpadded, as brokers write it.
"""

import datetime as dt
import re
from functools import lru_cache
from typing import Literal, NamedTuple

from mahler_agents.errors import InputError

Right = Literal["put", "call"]

_SYMBOL = re.compile(r"(?P<root>[A-Z][A-Z0-9]{0,5})(?P<date>[0-9]{6})(?P<right>[PC])(?P<strike>[0-9]{8})")
_ROOT = re.compile(r"[A-Z][A-Z0-9]{0,5}")
_LARGEST_STRIKE = 99_999.999
_FIRST_YEAR, _LAST_YEAR = 2000, 2099  # two digits for the year


class ContractTerms(NamedTuple):
    """What an OCC symbol says."""

    underlying: str
    """The root: the underlying's symbol, with a digit appended where the contract is adjusted."""
    expiration: dt.date
    right: Right
    strike: float
    """Dollars per share."""


def format_symbol(underlying: str, expiration: dt.date, right: Right, strike: float) -> str:
    """Return the OCC symbol; `strike` in dollars, to the thousandth.

    Raises `InputError` if the terms cannot be written as a symbol.
    """
    thousandths = round(strike * 1000) if 0 < strike <= _LARGEST_STRIKE else 0
    if not _ROOT.fullmatch(underlying):
        raise InputError(f"{underlying!r} cannot be the root of an option symbol: it takes 1 to 6 capitals or digits")
    if thousandths == 0 or abs(strike * 1000 - thousandths) > 1e-3:
        raise InputError(f"strike {strike!r} cannot be written in an option symbol: it takes whole thousandths")
    if not _FIRST_YEAR <= expiration.year <= _LAST_YEAR:
        raise InputError(f"expiration {expiration} cannot be written in an option symbol: it takes 2000 to 2099")
    return f"{underlying}{expiration:%y%m%d}{right[0].upper()}{thousandths:08d}"


@lru_cache(maxsize=65_536)
def parse_symbol(symbol: str) -> ContractTerms:
    """Return the terms that an OCC symbol says; raises `InputError` if it is malformed."""
    match = _SYMBOL.fullmatch(symbol)
    if match is None or match["strike"] == "00000000":
        raise InputError(f"{symbol!r} is not an OCC option symbol such as SPY260417P00540000")
    digits = match["date"]
    try:
        expiration = dt.date(2000 + int(digits[:2]), int(digits[2:4]), int(digits[4:]))
    except ValueError:
        raise InputError(f"{symbol!r} is not an OCC option symbol: {digits} is no date (yymmdd)") from None
    right: Right = "put" if match["right"] == "P" else "call"
    return ContractTerms(match["root"], expiration, right, int(match["strike"]) / 1000)
