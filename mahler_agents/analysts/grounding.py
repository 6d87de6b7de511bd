"""Stage 3, opinion: what an advisor wrote and the facts it was shown come in; the numbers that stand in neither go out.

It flags and never edits. It compares figures, not meanings: a vega of the brief that is quoted as a theta stands in the
brief, and passes; a figure from a worked example, from memory or from arithmetic does not, and is flagged.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mahler_agents.types import Frozen

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<month>(?i:{'|'.join(_MONTHS)})[a-z]*\.?)"
_DATES = tuple(
    re.compile(rf"(?<![\w-]){pattern}(?![\w-])")
    for pattern in (
        r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})",
        r"(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})/(?P<year>[0-9]{4})",
        rf"{_MONTH} (?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?(?:,? (?P<year>[0-9]{{4}}))?",
        rf"(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)? {_MONTH}(?:,? (?P<year>[0-9]{{4}}))?",
    )
)
_DAYS_RANGE = re.compile(
    r"(?<![\w.-])(?P<least>[0-9]{1,4}) ?(?:-|to) ?(?P<most>[0-9]{1,4})[ -]?(?:DTE|days?)\b", re.IGNORECASE
)
_INDEX_NAME = re.compile(r"S&P[ -]?500|Russell[ -]?2000|Nasdaq[ -]?100", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?<![\w.])(?<![A-Za-z]-)(?:(?<![\w)%])(?P<sign>[-+]))?[$€£]?"
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)?(?P<decimals>(?:(?<=[0-9])|(?<![0-9]))\.[0-9]+)?"
    r"(?(whole)|(?(decimals)|(?!)))"  # at least one of the two
    r"(?: ?(?P<scale>k|thousand|m|mn|million|bn|b|billion)(?![A-Za-z]))?"
    r"(?:[ -]?(?P<percent>%|(?:percent|per cent|pct)\b)|[ -]?(?P<delta>delta\b)"
    r"|(?:th|st|nd|rd)(?=[ -]percentile)|x|[ -]?DTE)?"
    r"(?![A-Za-z_0-9])",
    re.IGNORECASE,
)
_SCALES = {"k": 3, "thousand": 3, "m": 6, "mn": 6, "million": 6, "b": 9, "bn": 9, "billion": 9}
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
_PERIOD_IN_NAME = re.compile(r"(?<=_)[0-9]+(?=_|$)")
_PERCENT_NAME = re.compile(r"_pct(_|$)|percentile|rank")
_LARGEST_FRACTION = 2
"""Up to here a fact without a unit may be a share, which a text may quote in percent: 0.72, or a ratio of 1.07."""


class Grounding(Frozen):
    """The numbers of one text, counted, and those that its brief does not hold."""

    numbers: int
    """Numbers, dates and ranges found."""
    ungrounded: tuple[str, ...] = ()
    """As they were written, in the text's order."""


def grounding(text: str, facts: Mapping[str, Any], *, stated: Iterable[float] = ()) -> Grounding:
    """Return the numbers of `text` that stand neither in `facts` nor among what its writer `stated` in other fields.

    `facts` are the fields of the brief that the prompt shows. A number stands in them if it is one of them rounded to
    the digits that were written (at least one significant digit), as percent for a fraction or the reverse, with any
    sign where none is written, with thousands separators, currency or `k`; a date, if its day is that of a fact's; a
    range of days, if `dte` lies in it; a figure of a field's name (`sma_20`), exactly. Names (`SMA20`, `S&P 500`) and
    ordinals count as words.
    """
    known = _Facts.of(facts)
    known.figures += [_Figure(value=Decimal(str(abs(one))), sign="") for one in stated]
    found = list(_tokens(text))
    return Grounding(
        numbers=len(found), ungrounded=tuple(one.written for one in found if not known.hold(one, facts.get("dte")))
    )


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """A number without its sign, wherever it stands."""

    value: Decimal
    sign: str
    """`-`, `+` or empty: not written, or of no meaning."""
    percent: bool = False
    delta: bool = False
    """Written before the word: deltas are quoted as shares and in hundredths."""
    units: Sequence[Decimal] = ()
    """Places to which a text may have rounded: that of the last digit written, and for 440 also the tens."""

    def quotes(self, fact: "_Figure") -> bool:
        """Return whether this figure of a text is that fact."""
        if self.sign and fact.sign and self.sign != fact.sign:
            return False
        return any(self._rounds(value) for value in self._readings(fact))

    def _readings(self, fact: "_Figure") -> Iterator[Decimal]:
        """Yield the fact in the scales in which the text may have quoted it."""
        is_share = fact.value <= _LARGEST_FRACTION and not fact.percent
        if self.percent and is_share:
            yield fact.value * 100
            return
        yield fact.value
        if fact.percent and not self.percent:
            yield fact.value / 100
        if self.delta and is_share:
            yield fact.value * 100

    def _rounds(self, value: Decimal) -> bool:
        if value == self.value:
            return True
        # A rounding that leaves no digit of the fact says nothing of it: 0.04 is no ground for "0" or "0.0".
        return any(unit.adjusted() <= value.adjusted() and 2 * abs(value - self.value) <= unit for unit in self.units)


@dataclass(frozen=True, kw_only=True)
class _Token:
    """A number, date or range as a text has it; one of the three is set."""

    written: str
    at: int
    figure: _Figure | None = None
    date: tuple[int | None, int, int] | None = None
    """Year if written, month, day."""
    days: tuple[int, int] | None = None


@dataclass(kw_only=True)
class _Facts:
    """The numbers of a brief."""

    figures: list[_Figure] = field(default_factory=list[_Figure])
    dates: list[tuple[int | None, int, int]] = field(default_factory=list[tuple[int | None, int, int]])

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "_Facts":
        """Return the numbers of a brief's fields: their values, those within their texts and those of their names."""
        known = cls()
        for name, value in facts.items():
            known._add(name, value)
        return known

    def hold(self, token: _Token, dte: object) -> bool:
        """Return whether what was written stands in the facts."""
        if token.date is not None:
            year, *day = token.date
            return any(day == known and year in (None, of) for of, *known in self.dates)
        if token.days is not None:
            return isinstance(dte, int) and token.days[0] <= dte <= token.days[1]
        return token.figure is not None and any(token.figure.quotes(fact) for fact in self.figures)

    def _add(self, name: str, value: object) -> None:
        self.figures += [_Figure(value=Decimal(one), sign="") for one in _PERIOD_IN_NAME.findall(name)]
        if isinstance(value, Mapping):
            for inner, part in value.items():
                self._add(str(inner), part)
        elif isinstance(value, list | tuple):
            for part in value:
                self._add(name, part)
        elif isinstance(value, str):
            self._add_text(value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            # A loss is a negative amount under a name that says so: either sign quotes it.
            sign = "" if "loss" in name else "-" if value < 0 else "+"
            percent = _PERCENT_NAME.search(name) is not None
            self.figures.append(_Figure(value=abs(Decimal(str(value))), sign=sign, percent=percent))

    def _add_text(self, text: str) -> None:
        for token in _tokens(text):
            if token.figure is not None:
                self.figures.append(token.figure)
            elif token.date is not None:
                self.dates.append(token.date)
            elif token.days is not None:
                self.figures += [_Figure(value=Decimal(day), sign="") for day in token.days]


def _tokens(text: str) -> list[_Token]:
    """Return what a text has of numbers, dates and ranges of days, in its order."""
    rest = _INDEX_NAME.sub(lambda name: "x" * len(name[0]), unicodedata.normalize("NFKC", text).translate(_DASHES))
    found: list[_Token] = []
    for pattern in _DATES:
        found += [_Token(written=one[0], at=one.start(), date=_date(one)) for one in pattern.finditer(rest)]
        rest = pattern.sub(lambda date: "x" * len(date[0]), rest)
    for one in _DAYS_RANGE.finditer(rest):
        found.append(_Token(written=one[0], at=one.start(), days=(int(one["least"]), int(one["most"]))))
    rest = _DAYS_RANGE.sub(lambda days: "x" * len(days[0]), rest)
    found += [_Token(written=one[0], at=one.start(), figure=_figure(one)) for one in _NUMBER.finditer(rest)]
    return sorted(found, key=lambda token: token.at)


def _date(match: re.Match[str]) -> tuple[int | None, int, int]:
    month = match["month"]
    number = int(month) if month.isdigit() else 1 + _MONTHS.index(month[:3].lower())
    return (int(match["year"]) if match["year"] else None), number, int(match["day"])


def _figure(match: re.Match[str]) -> _Figure:
    whole, decimals = (match["whole"] or "").replace(",", ""), match["decimals"] or ""
    scale = _SCALES.get((match["scale"] or "").lower(), 0)
    last = 1 - len(decimals) if decimals else 0
    places = [last]
    zeros = len(whole) - len(whole.rstrip("0"))
    if not decimals and len(whole) - zeros >= 2:
        places += range(1, zeros + 1)
    return _Figure(
        value=Decimal(f"{whole}{decimals}").scaleb(scale),
        sign=match["sign"] or "",
        percent=match["percent"] is not None,
        delta=match["delta"] is not None,
        units=[Decimal(1).scaleb(place + scale) for place in places],
    )
