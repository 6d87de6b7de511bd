"""Stage 7, size: the account's equity, its past and the VIX in, what the circuit breaker allows out; pure.

Rules only ever take away: the strictest of all wins on size, on what to close and on the halt, and is applied once. A
halt stops entries, never exits.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.types import Frozen

RESUME_AFTER_SESSIONS = 3
"""A drawdown halt ends in the third session after its own, or later."""
RESUME_ABOVE = 1.01
"""And only with the equity at least this much of the equity at the halt."""

_ROUNDING = 1e-12  # 98,000 of 100,000 must be a loss of 2 %, whatever binary fractions make of it


class Rule(StrEnum):
    """What the breaker watches."""

    DAY_LOSS = "day_loss"
    """Loss since the previous close, as a fraction of it."""
    WEEK_LOSS = "week_loss"
    """Loss since the last week's final close, as a fraction of it."""
    DRAWDOWN = "drawdown"
    """Fall from the all-time peak of equity, as a fraction of it."""
    VIX = "vix"
    """The VIX index, points."""


class CloseShare(StrEnum):
    """How much of the open positions a rule asks to close, the least first."""

    NONE = "none"
    WORST_QUARTER = "worst_quarter"
    """The quarter of the positions with the largest unrealised losses."""
    HALF = "half"
    """Half of each position's contracts, rounded up."""
    ALL = "all"


class Step(Frozen):
    """One level of a rule and what it does."""

    level: float
    code: str
    """Reason code, e.g. `day_loss_half_size`."""
    size: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Multiplier of every new trade's size; 0 is a halt."""
    close: CloseShare = CloseShare.NONE


STEPS: Mapping[Rule, tuple[Step, ...]] = {
    Rule.DAY_LOSS: (
        Step(level=0.01, code="day_loss_alert"),
        Step(level=0.015, code="day_loss_half_size", size=0.5),
        Step(level=0.02, code="day_loss_halt", size=0),
    ),
    Rule.WEEK_LOSS: (
        Step(level=0.03, code="week_loss_half_size", size=0.5),
        Step(level=0.05, code="week_loss_halt", size=0, close=CloseShare.HALF),
    ),
    Rule.DRAWDOWN: (
        Step(level=0.10, code="drawdown_quarter_size", size=0.25, close=CloseShare.WORST_QUARTER),
        Step(level=0.15, code="drawdown_halt", size=0, close=CloseShare.ALL),
    ),
    Rule.VIX: (
        Step(level=20, code="vix_alert"),
        Step(level=30, code="vix_half_size", size=0.5),
        Step(level=40, code="vix_quarter_size", size=0.25),
        Step(level=50, code="vix_halt", size=0),
    ),
}
"""The rules of the house, mildest step first."""

_RESUMED = Step(level=0.15, code="drawdown_resumed", size=0.25)
"""After a halt has ended, until the drawdown is below its level: small, and nothing is closed a second time."""


class EquityPoint(Frozen):
    """The account's equity at an instant, dollars."""

    at: AwareDatetime
    equity: float


class Deposit(Frozen):
    """Money paid in (negative: taken out), dollars: neither gain nor loss."""

    at: AwareDatetime
    dollars: float


class Halt(Frozen):
    """A halt in force: which rule began it, when, and at what equity."""

    rule: Rule
    at: AwareDatetime
    equity: float


class BreakerState(Frozen):
    """What the breaker remembers from one evaluation to the next; persisted."""

    peak: EquityPoint
    """All-time."""
    halts: tuple[Halt, ...] = ()
    """One a rule at most; the VIX rule has none, since it holds while the VIX does."""
    resumed: Halt | None = None
    """The drawdown halt that has ended while the drawdown has not: below its equity the desk halts again."""
    codes: Mapping[Rule, str] = {}
    """The step of each rule when it was last evaluated; absent where no level was reached."""
    asked: Mapping[str, AwareDatetime] = {}
    """Code of a step that closes a share -> when it last asked for it."""


class BreakerFacts(Frozen):
    """What one evaluation reads."""

    at: AwareDatetime
    equity: float
    previous_close: EquityPoint | None
    """None if no equity is known before: the rule is then not evaluated."""
    last_week_close: EquityPoint | None
    vix: Annotated[float, Field(gt=0)] | None
    deposits: tuple[Deposit, ...] = ()
    """Since the earliest of the points compared with, or longer."""


class Reading(Frozen):
    """What one rule saw."""

    rule: Rule
    observed: float | None
    """In the rule's own unit, a gain negative; None if it could not be evaluated."""
    step: Step | None = None
    """The strictest level reached."""


class Ask(Frozen):
    """A share of what is open to be closed now."""

    code: str
    """Of the step that asks, e.g. `week_loss_halt`."""
    close: CloseShare


class BreakerDecision(Frozen):
    """What the breaker allows, and why."""

    readings: tuple[Reading, ...]
    """One a rule."""
    halted_by: tuple[str, ...]
    """Codes of the rules that halt the desk."""
    size: Annotated[float, Field(ge=0, le=1)]
    """Multiplier of new trades' sizes, the least of all rules; 0 while halted."""
    close: CloseShare
    """The most that a rule's level asks for, of what is open, whether or not it has been closed already."""
    ask: Ask | None = None
    """What this evaluation asks for and none before it has; None if nothing, or nothing more."""
    state: BreakerState

    @property
    def halted(self) -> bool:
        """Whether nothing may be opened; exits go on."""
        return bool(self.halted_by)

    @property
    def vix_evaluated(self) -> bool:
        """Whether there was a VIX."""
        return all(reading.observed is not None for reading in self.readings if reading.rule is Rule.VIX)


def evaluate(facts: BreakerFacts, state: BreakerState | None) -> BreakerDecision:
    """Return what the rules say of the facts, given what the last evaluation remembered (None: there was none)."""
    before = state or BreakerState(peak=EquityPoint(at=facts.at, equity=facts.equity))
    peak = _peak(facts, before.peak)
    in_force, resumed = _halts_still_in_force(facts, before)
    readings = (
        _reading(Rule.DAY_LOSS, _loss(facts, facts.previous_close)),
        _reading(Rule.WEEK_LOSS, _loss(facts, facts.last_week_close)),
        _drawdown_reading(_loss(facts, peak), facts, resumed),
        _reading(Rule.VIX, facts.vix),
    )
    halts = {halt.rule: halt for halt in in_force}
    for reading in readings:
        if reading.step is not None and reading.step.size == 0 and reading.rule is not Rule.VIX:
            halts.setdefault(reading.rule, Halt(rule=reading.rule, at=facts.at, equity=facts.equity))
    steps = [reading.step for reading in readings if reading.step is not None]
    halted_by = dict.fromkeys([f"{rule.value}_halt" for rule in halts] + [one.code for one in steps if one.size == 0])
    drawdown = next(reading for reading in readings if reading.rule is Rule.DRAWDOWN)
    ask, asked = _asks(readings, halts, peak, facts.at, before.asked)
    return BreakerDecision(
        readings=readings,
        halted_by=tuple(halted_by),
        size=0.0 if halted_by else min([one.size for one in steps], default=1.0),
        close=max([one.close for one in steps], key=_CLOSES.index, default=CloseShare.NONE),
        ask=ask,
        state=BreakerState(
            peak=peak,
            halts=tuple(halts.values()),
            resumed=resumed if drawdown.step is _RESUMED else None,
            codes=_codes(readings, before),
            asked=asked,
        ),
    )


_CLOSES = tuple(CloseShare)


def _asks(
    readings: tuple[Reading, ...],
    halts: Mapping[Rule, Halt],
    peak: EquityPoint,
    at: AwareDatetime,
    before: Mapping[str, AwareDatetime],
) -> tuple[Ask | None, Mapping[str, AwareDatetime]]:
    """Return the strictest share that has not been asked for yet, and when each was.

    A halt's share is asked for once a halt, so a week's once a week; another step's once until there is a new peak. So
    a loss that swings around a level closes nothing twice. A step takes the milder ones of its rule with it. While a
    drawdown halt is in force everything is asked for again: also what turns out to be open later.
    """
    due: list[Step] = []
    asked = dict(before)
    for reading in readings:
        reached = (
            [] if reading.step is None else [one for one in STEPS[reading.rule] if one.level <= reading.step.level]
        )
        for step in reached:
            halt = halts.get(reading.rule) if step.size == 0 else None
            since = halt.at if halt is not None else peak.at
            if step.close is CloseShare.NONE or (step.code in asked and asked[step.code] >= since):
                continue
            asked[step.code] = at
            if step == reading.step:
                due.append(step)
    if Rule.DRAWDOWN in halts:
        due = [one for one in STEPS[Rule.DRAWDOWN] if one.close is CloseShare.ALL]
    strictest = max(due, key=lambda one: _CLOSES.index(one.close), default=None)
    return (None if strictest is None else Ask(code=strictest.code, close=strictest.close)), asked


def _peak(facts: BreakerFacts, before: EquityPoint) -> EquityPoint:
    """Return the all-time peak, this evaluation's equity included; what was paid in since is no rise."""
    if facts.equity >= before.equity + _paid_in(facts, before):
        return EquityPoint(at=facts.at, equity=facts.equity)
    return before


def _paid_in(facts: BreakerFacts, since: EquityPoint | Halt) -> float:
    return sum(deposit.dollars for deposit in facts.deposits if since.at < deposit.at <= facts.at)


def _loss(facts: BreakerFacts, since: EquityPoint | None) -> float | None:
    """Return the loss since a point as a fraction of its equity and what was paid in since; a gain is negative."""
    if since is None:
        return None
    base = since.equity + _paid_in(facts, since)
    return 1 - facts.equity / base if base > 0 else 1.0


def _reading(rule: Rule, observed: float | None) -> Reading:
    reached = [] if observed is None else [step for step in STEPS[rule] if observed >= step.level - _ROUNDING]
    return Reading(rule=rule, observed=observed, step=reached[-1] if reached else None)


def _drawdown_reading(observed: float | None, facts: BreakerFacts, resumed: Halt | None) -> Reading:
    """Return the drawdown's reading; a halt that has ended begins again only below the equity at which it began."""
    reading = _reading(Rule.DRAWDOWN, observed)
    if resumed is None or reading.step is None or reading.step.size > 0:
        return reading
    fell_again = facts.equity - _paid_in(facts, resumed) < resumed.equity
    return reading if fell_again else reading.model_copy(update={"step": _RESUMED})


def _halts_still_in_force(facts: BreakerFacts, state: BreakerState) -> tuple[tuple[Halt, ...], Halt | None]:
    """Return the halts that go on, and the drawdown halt that has ended, now or before."""
    going_on = tuple(halt for halt in state.halts if _GOES_ON[halt.rule](halt, facts))
    ended = next((halt for halt in state.halts if halt.rule is Rule.DRAWDOWN and halt not in going_on), None)
    return going_on, ended or state.resumed


def _same_day(halt: Halt, facts: BreakerFacts) -> bool:
    return _date(halt.at) == _date(facts.at)


def _same_week(halt: Halt, facts: BreakerFacts) -> bool:
    return _date(halt.at).isocalendar()[:2] == _date(facts.at).isocalendar()[:2]


def _not_recovered(halt: Halt, facts: BreakerFacts) -> bool:
    since = calendar.sessions(_date(halt.at) + dt.timedelta(days=1), _date(facts.at))
    regained = facts.equity - _paid_in(facts, halt) >= halt.equity * RESUME_ABOVE - 1e-9
    return len(since) < RESUME_AFTER_SESSIONS or not regained


_GOES_ON: Mapping[Rule, Callable[[Halt, BreakerFacts], bool]] = {
    Rule.DAY_LOSS: _same_day,
    Rule.WEEK_LOSS: _same_week,
    Rule.DRAWDOWN: _not_recovered,
}
"""A day's halt lasts the day, a week's the week, a drawdown's until it has recovered."""


def _codes(readings: tuple[Reading, ...], before: BreakerState) -> Mapping[Rule, str]:
    """Return each rule's step; of a rule that could not be evaluated, the one it had."""
    codes = {reading.rule: reading.step.code for reading in readings if reading.step is not None}
    unread = {reading.rule for reading in readings if reading.observed is None}
    return {rule: code for rule, code in before.codes.items() if rule in unread} | codes


def _date(instant: dt.datetime) -> dt.date:
    return instant.astimezone(NEW_YORK).date()
