"""Stage 9, monitor: a short call, the underlying's price and its dividends in, the risk of early assignment out; pure.

Who holds an American call that is worth no more than its exercise takes the dividend by exercising in the last session
before the ex-date: the writer delivers the shares, and owes the dividend where they were sold short.
"""

import datetime as dt
from collections.abc import Sequence

from mahler_agents.market import calendar
from mahler_agents.market.snapshot import Dividend
from mahler_agents.types import Frozen, Quote, Spread, SpreadType


class AssignmentRisk(Frozen):
    """Why a short call may be assigned before its expiration; dollars per share."""

    ex_date: dt.date
    ex_date_text: str
    dividend: float | None
    """None if only the date is known."""
    in_the_money: float
    time_value: float | None
    """Mid less intrinsic value; None without a quote."""
    next_session: bool
    """This is the last session before the ex-date."""

    @property
    def text(self) -> str:
        """The reason in words."""
        dividend = "of unknown amount" if self.dividend is None else f"of {self.dividend:.2f}"
        value = "not known" if self.time_value is None else f"{self.time_value:.2f}"
        last = ", the next session" if self.next_session else ""
        return (
            f"short call {self.in_the_money:.2f} in the money, time value {value};"
            f" dividend {dividend}, ex-date {self.ex_date_text}{last}"
        )


def assignment_risk(
    spread: Spread, *, spot: float, short: Quote | None, dividends: Sequence[Dividend], today: dt.date
) -> AssignmentRisk | None:
    """Return the risk of a spread's short leg, None if there is none.

    It is a call in the money (by `spot`, dollars per share) with an ex-date within its life, and the dividend is above
    the time value that an exercise gives up. Where one of the two is not known, and in the last session before the
    ex-date, being in the money is enough.
    """
    in_the_money = spot - spread.short_strike
    coming = sorted((one for one in dividends if today < one.ex_date <= spread.expiration), key=lambda one: one.ex_date)
    if spread.spread_type is not SpreadType.BEAR_CALL or in_the_money <= 0 or not coming:
        return None
    time_value = None if short is None else max(0.0, short.mid - in_the_money)
    risks = [_risk(one, in_the_money, time_value, today) for one in coming]
    return next((risk for risk in risks if _pays(risk)), None)


def _risk(dividend: Dividend, in_the_money: float, time_value: float | None, today: dt.date) -> AssignmentRisk:
    return AssignmentRisk(
        ex_date=dividend.ex_date,
        ex_date_text=dividend.date_text,
        dividend=dividend.dollars,
        in_the_money=round(in_the_money, 4),
        time_value=None if time_value is None else round(time_value, 4),
        next_session=calendar.next_session(today) >= dividend.ex_date,
    )


def _pays(risk: AssignmentRisk) -> bool:
    if risk.next_session or risk.dividend is None or risk.time_value is None:
        return True
    return risk.dividend > risk.time_value
