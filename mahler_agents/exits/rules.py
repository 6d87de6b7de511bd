"""Stage 9, monitor: an open spread and its mark in, whether to close it and why out; pure.

Costs to close are in dollars per share: what must be paid to buy the spread back.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from mahler_agents.exits.marks import Mark
from mahler_agents.thresholds import stop_cost, target_cost
from mahler_agents.types import Frozen


class ExitRule(StrEnum):
    """The rules, in the order in which they are checked."""

    STOP_LOSS = "stop_loss"
    PROFIT_TARGET = "profit_target"
    TIME_EXIT = "time_exit"


class ExitParams(Frozen):
    """The thresholds that a position is held to: shares of its filled credit, and days to expiration."""

    profit_target: Annotated[float, Field(gt=0, lt=1)] = 0.65
    """Profit is taken at this share of the credit."""
    stop_loss: Annotated[float, Field(ge=0.5, le=5)] = 1.25
    """The trade is stopped at a loss of this share of the credit."""
    time_exit_dte: Annotated[int, Field(ge=0)] = 21
    """The trade is closed in the first session with this many days left, or fewer."""

    @field_validator("stop_loss", mode="wrap")
    @classmethod
    def _is_a_multiple(cls, value: object, check: ValidatorFunctionWrapHandler) -> float:
        try:
            return check(value)
        except ValidationError:
            raise ValueError(
                f"stop_loss is a multiple of the credit, from 0.5 to 5, not {value}: 0.20 means 20 %, not 200 %"
            ) from None

    @property
    def text(self) -> str:
        """Target and stop in words, e.g. `target 65 %, stop 125 % of the credit`."""
        return (
            f"target {round(100 * self.profit_target, 1):g} %, stop {round(100 * self.stop_loss, 1):g} % of the credit"
        )

    def target_cost(self, entry_credit: float) -> float:
        """Return the cost to close at which profit is taken: 0.175 for a credit of 0.50."""
        return target_cost(entry_credit, self.profit_target)

    def stop_cost(self, entry_credit: float) -> float:
        """Return the cost to close at which the trade is stopped: 1.125 for a credit of 0.50."""
        return stop_cost(entry_credit, self.stop_loss)


class ExitDecision(Frozen):
    """A rule that says close, the threshold that it compares with and what it saw."""

    rule: ExitRule
    threshold: float
    """Cost to close for stop and target, days to expiration for the time exit."""
    observed: float
    """In the threshold's unit."""
    mark: Mark


def decide(*, entry_credit: float, dte: int, mark: Mark, params: ExitParams) -> ExitDecision | None:
    """Return the first rule that is met: stop, then target, then time; None to hold.

    `entry_credit` is the filled credit per share. Without a mark there is nothing to decide on: the caller alerts.
    """
    stop, target = params.stop_cost(entry_credit), params.target_cost(entry_credit)
    if mark.mid_cost >= stop:
        return ExitDecision(rule=ExitRule.STOP_LOSS, threshold=stop, observed=mark.mid_cost, mark=mark)
    if mark.mid_cost <= target:
        return ExitDecision(rule=ExitRule.PROFIT_TARGET, threshold=target, observed=mark.mid_cost, mark=mark)
    if dte <= params.time_exit_dte:
        return ExitDecision(rule=ExitRule.TIME_EXIT, threshold=params.time_exit_dte, observed=dte, mark=mark)
    return None
