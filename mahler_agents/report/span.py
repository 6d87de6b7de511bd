"""Report: an account's history in, what of it lies in a span of days out; pure."""

import datetime as dt
from dataclasses import dataclass, replace

from mahler_agents.clock import NEW_YORK, utc_text
from mahler_agents.record.accounts import AccountHistory, HeldPosition, ShadowEnds

_BEFORE_ALL, _AFTER_ALL = "", "9999"  # instants are ISO text, whose order is that of time


@dataclass(frozen=True, kw_only=True)
class Span:
    """Days of New York, both included; None where there is no bound."""

    first: dt.date | None = None
    last: dt.date | None = None

    @property
    def begins(self) -> str:
        """The first instant, as the record writes it."""
        return _BEFORE_ALL if self.first is None else _midnight(self.first)

    @property
    def ends(self) -> str:
        """The first instant after the span."""
        return _AFTER_ALL if self.last is None else _midnight(self.last + dt.timedelta(days=1))


def until_end(history: AccountHistory, span: Span) -> AccountHistory:
    """Return the history as it stood at the end of the span."""
    ends = span.ends
    positions = (_until(position, ends) for position in history.positions)
    return replace(
        history,
        positions=tuple(position for position in positions if position.fills),
        parts=tuple(part for part in history.parts if part.closed_at < ends),
        equity=tuple(point for point in history.equity if point.at < ends),
        deposits=tuple(one for one in history.deposits if one.at < ends),
        shadows=tuple(_ended_until(shadow, ends) for shadow in history.shadows),
    )


def day_of(instant: str) -> dt.date:
    """Return the New York date of an instant of the record."""
    return dt.datetime.fromisoformat(instant).astimezone(NEW_YORK).date()


def _until(position: HeldPosition, ends: str) -> HeldPosition:
    return replace(position, fills=tuple(fill for fill in position.fills if fill.at < ends))


def _ended_until(shadow: ShadowEnds, ends: str) -> ShadowEnds:
    """Return a shadow without the ends that came later."""
    if shadow.exit_at is not None and shadow.exit_at >= ends:
        shadow = replace(shadow, exit_at=None, exit_pnl_dollars=None)
    if shadow.daily_exit_at is not None and shadow.daily_exit_at >= ends:
        shadow = replace(shadow, daily_exit_at=None, daily_exit_rule=None, daily_exit_pnl_dollars=None)
    return shadow


def _midnight(date: dt.date) -> str:
    return utc_text(dt.datetime.combine(date, dt.time(), NEW_YORK))
