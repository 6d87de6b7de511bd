"""Evidence: what was advised beside what came of it; the types of a case, and the columns that the analysis reads."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Advised:
    """The fund manager's verdict on a case, recorded before its order was decided."""

    confidence: float
    """Conviction to take the trade, 0 to 1."""
    p_profit: float
    """Probability that the trade ends above 0 after fees."""
    approved: bool
    contracts: int
    """How many it would trade."""
    model: str
    """The model that the provider says replied."""
    prompt_hash: str


class Opinion(NamedTuple):
    """One analyst's forecast of a case."""

    confidence: float
    p_profit: float
    model: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """A reviewed candidate whose 21-DTE date has passed, one contract of it; traded or not."""

    candidate_id: str
    run_id: str
    entry_date: dt.date
    """New York date of the snapshot."""
    rank: int
    """1 is the best score of its scan."""
    traded: bool
    underlying: str
    short_delta: float | None
    """|delta| of the short leg as screened; None if the record does not hold it."""
    simulated_p_profit: float | None
    """Simulated P(profit) under the exit policy at the brief's implied volatility; None if a figure is missing."""
    regime: str | None
    contracts: int | None
    """That the rules allowed; None if it was not sized."""
    max_loss_dollars: float
    """Of one contract: what its P&L is held against in sizes."""
    pnl_dollars: float
    """Of one contract after fees, at its exit by the rules."""
    exit_date: dt.date
    """When its outcome was known."""
    advice: Advised | None
    """None where no verdict came: neither an approval nor a veto."""
    opinions: Mapping[str, Opinion] = field(default_factory=dict[str, Opinion])
    """Analyst -> its forecast, which the fund manager read."""
    debaters: frozenset[str] = frozenset()
    """Models that argued for and against it, which the fund manager read, too."""

    @property
    def models(self) -> set[str]:
        """The models that advised, by themselves or by what the fund manager read of them."""
        own = set() if self.advice is None else {self.advice.model}
        return own | {one.model for one in self.opinions.values()} | self.debaters


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Advised cases as arrays of one length, by entry date, within a date by scan and rank."""

    day: Numbers
    """Entry date, as a proleptic ordinal."""
    exit_day: Numbers
    scan: Numbers
    """Equal for the cases of one scan."""
    rank: Numbers
    traded: Truths
    pnl: Floats
    """Dollars of one contract after fees."""
    confidence: Floats
    p_profit: Floats
    approved: Truths
    short_delta: Floats
    """NaN where unknown."""
    simulated: Floats
    """Simulated P(profit); NaN where unknown."""
    contracts: Floats
    """That the rules allowed; NaN if it was not sized."""
    advised_contracts: Floats
    max_loss: Floats

    def __len__(self) -> int:
        return self.day.size

    @property
    def won(self) -> Floats:
        """1 where P&L is above 0."""
        return (self.pnl > 0).astype(np.float64)

    @property
    def week(self) -> Numbers:
        """Weeks, Monday to Sunday, since the first case's."""
        # Ordinal 1 was a Monday.
        weeks = (self.day - 1) // 7
        return weeks - weeks[0] if weeks.size else weeks

    def where(self, chosen: Truths | Numbers) -> "Columns":
        """Return the cases that are chosen, in the same order."""
        return Columns(**{one.name: getattr(self, one.name)[chosen] for one in fields(self)})

    @classmethod
    def of(cls, cases: Iterable[Case]) -> "Columns":
        """Return the columns of those cases that have advice, in the order of `in_order`."""
        ordered = in_order(cases)
        advised = [(case, case.advice) for case in ordered if case.advice is not None]
        runs = {run: number for number, run in enumerate(dict.fromkeys(case.run_id for case in ordered))}
        return cls(
            day=_whole([case.entry_date.toordinal() for case in ordered]),
            exit_day=_whole([case.exit_date.toordinal() for case in ordered]),
            scan=_whole([runs[case.run_id] for case in ordered]),
            rank=_whole([case.rank for case in ordered]),
            traded=np.array([case.traded for case in ordered], dtype=bool),
            pnl=_real([case.pnl_dollars for case in ordered]),
            confidence=_real([advice.confidence for _, advice in advised]),
            p_profit=_real([advice.p_profit for _, advice in advised]),
            approved=np.array([advice.approved for _, advice in advised], dtype=bool),
            short_delta=_real([case.short_delta for case in ordered]),
            simulated=_real([case.simulated_p_profit for case in ordered]),
            contracts=_real([case.contracts for case in ordered]),
            advised_contracts=_real([advice.contracts for _, advice in advised]),
            max_loss=_real([case.max_loss_dollars for case in ordered]),
        )


def in_order(cases: Iterable[Case]) -> tuple[Case, ...]:
    """Return the cases that have advice, by entry date, within a date by scan and rank."""
    advised = (case for case in cases if case.advice is not None)
    return tuple(sorted(advised, key=lambda case: (case.entry_date, case.run_id, case.rank)))


def _whole(values: Sequence[int]) -> Numbers:
    return np.array(values, dtype=np.int64)


def _real(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if one is None else one for one in values], dtype=np.float64)
