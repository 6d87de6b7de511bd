"""Doctor, market: the clocks, the session, the feeds that the account may have, and how old their quotes are now."""

import datetime as dt
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from mahler_agents.alpaca import AlpacaRefused, AlpacaUnsure
from mahler_agents.clock import NEW_YORK
from mahler_agents.doctor.findings import Said, fail, ok, warn
from mahler_agents.doctor.situation import Situation
from mahler_agents.errors import InputError
from mahler_agents.market import calendar

_WARNED_SKEW_SECONDS = 10.0
_FEW_FRESH = 0.5
"""Share of fresh quotes below which the screen will find little."""


def market(situation: Situation) -> Said:
    """The market: whether its file can be read, and how old its quotes may be.

    Fail: the file of a csv market cannot be used.
    """
    try:
        found = situation.opened_market
    except InputError as error:
        return fail(str(error), fix="mend the file, or name another after csv:")
    limit = f"a quote counts for {situation.screening.max_quote_age_seconds:,.0f} s"
    if situation.uses_alpaca:
        feed = f"the {situation.settings.option_feed} feed of options"
        fake = ", of a fake Alpaca: synthetic" if situation.settings.loopback else ""
        return ok(f"what Alpaca shows of now{fake}; on {feed} {limit}")
    kind = "the synthetic market: no figure in it is real" if found.synthetic else f"past days, {found.world}"
    return ok(f"{kind}; {limit}")


async def clock_skew(situation: Situation) -> Said:
    """The desk's clock against Alpaca's.

    Warn: they differ by more than 10 s.
    Fail: they differ by more than 30 s: nothing is scanned then; or Alpaca's cannot be read.
    """
    from mahler_agents.market.alpaca.chain import SKEW_SECONDS
    from mahler_agents.market.alpaca.figures import instant

    try:
        told = await situation.alpaca.clock()
    except (AlpacaRefused, AlpacaUnsure) as error:
        return refused(error, "the clock")
    theirs = instant(told.fields.get("timestamp"))
    if theirs is None:
        return fail(
            f"Alpaca's clock says {told.fields.get('timestamp')!r}, which is no time",
            fix="try again in a minute; https://status.alpaca.markets says whether Alpaca is out",
        )
    seconds = (told.ours - theirs).total_seconds()
    side = "ahead of" if seconds > 0 else "behind"
    shown = f"the desk's clock is {abs(seconds):,.1f} s {side} Alpaca's; the limit is {SKEW_SECONDS:.0f} s"
    fix = "set this machine's clock by the network's time, as with `timedatectl set-ntp true`"
    if abs(seconds) > SKEW_SECONDS:
        return fail(shown, fix=fix)
    return warn(shown, fix=fix) if abs(seconds) > _WARNED_SKEW_SECONDS else ok(shown)


async def session(situation: Situation) -> Said:
    """Whether the exchange is open, by the calendar here and by Alpaca.

    Warn: they do not agree.
    """
    told, now = (await situation.alpaca.clock()).fields, situation.now()
    hours = session_now(now)
    if told.get("is_open") is not (hours is not None):
        theirs = "open" if told.get("is_open") else "closed"
        return warn(
            f"Alpaca says that the exchange is {theirs} now, and the calendar here says otherwise",
            fix="upgrade mahler-agents, or exchange_calendars; nothing is scanned while Alpaca says closed",
        )
    if hours is None:
        return ok(f"the exchange is closed; it opens {next_open(now)}")
    return ok(f"the exchange is open until {hours.close.astimezone(NEW_YORK):%H:%M} New York, Alpaca agrees")


def session_now(now: dt.datetime) -> calendar.Session | None:
    """Return the session that is under way, None while the exchange is closed."""
    date = now.astimezone(NEW_YORK).date()
    if not calendar.is_session(date):
        return None
    hours = calendar.session(date)
    return hours if hours.open <= now < hours.close else None


def next_open(now: dt.datetime) -> str:
    """Return when the exchange opens next, in New York's time."""
    date = now.astimezone(NEW_YORK).date()
    today = calendar.session(date) if calendar.is_session(date) else None
    opens = today.open if today is not None and now < today.open else calendar.session(calendar.next_session(date)).open
    return f"{opens.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"


async def option_feed(situation: Situation) -> Said:
    """Whether the account may have the option feed that is asked for: a chain is.

    Warn: it answers, and shows no contract that the screen would read.
    Fail: the feed is refused or does not answer.
    """
    feed, underlying = situation.settings.option_feed, situation.desk_config.universe[0]
    try:
        chain = await situation.alpaca.chain(underlying, situation.today())
    except (AlpacaRefused, AlpacaUnsure) as error:
        return refused(error, f"the {feed} feed of options", unset=feed == "opra" and "MAHLER_ALPACA_OPTION_FEED")
    if not chain:
        return warn(
            f"the {feed} feed of options answers, and lists no contract of {underlying} 30 to 45 days out",
            fix="try again in the session; if it stays so ask Alpaca's support",
        )
    return ok(f"the {feed} feed of options answers: {len(chain):,} contracts of {underlying} 30 to 45 days out")


async def stock_feed(situation: Situation) -> Said:
    """Whether the account may have the stock feed that is asked for.

    Fail: the feed is refused or does not answer.
    """
    feed, underlying = situation.settings.stock_feed, situation.desk_config.universe[0]
    try:
        told = await situation.alpaca.shares(underlying)
    except (AlpacaRefused, AlpacaUnsure) as error:
        return refused(error, f"the {feed} feed of stocks", unset=feed == "sip" and "MAHLER_ALPACA_STOCK_FEED")
    seen = "with a quote" if told.get("latestQuote") else "without a quote"
    return ok(f"the {feed} feed of stocks answers: {underlying} {seen}")


async def quote_age(situation: Situation) -> Said:
    """How old the quotes of options are now, against the limit of the feed; while the exchange is open.

    Warn: fewer than half of them are fresh enough.
    Fail: none is.
    """
    now, limit = situation.now(), situation.screening.max_quote_age_seconds
    feed = situation.settings.option_feed
    if session_now(now) is None:
        return ok(f"quotes of the {feed} feed count for {limit:,.0f} s; ask again in the session, {next_open(now)}")
    chain = await situation.alpaca.chain(situation.desk_config.universe[0], situation.today())
    ages = _ages(chain, now)
    if not ages:
        return fail(f"no contract of the {feed} feed has a quote with a time", fix=_OTHER_FEED[feed])
    fresh = sum(age <= limit for age in ages)
    shown = (
        f"{fresh:,} of {len(ages):,} quotes of the {feed} feed are at most {limit:,.0f} s old, the limit of that feed;"
        f" half of all are at most {median(ages):,.0f} s"
    )
    if fresh == 0:
        return fail(shown, fix=_OTHER_FEED[feed])
    return ok(shown) if fresh >= _FEW_FRESH * len(ages) else warn(shown, fix=_OTHER_FEED[feed])


_OTHER_FEED = {
    "indicative": "nothing would pass the screen: see https://status.alpaca.markets; MAHLER_ALPACA_OPTION_FEED=opra is"
    " the feed in real time, with a subscription",
    "opra": "stale quotes do not pass the screen: see https://status.alpaca.markets, and look at this machine's clock",
}


def _ages(chain: Mapping[str, Any], now: dt.datetime) -> Sequence[float]:
    from mahler_agents.market.alpaca.figures import instant, part

    made = (instant(part(told, "latestQuote").get("t")) for told in chain.values())
    return [max(0.0, (now - at).total_seconds()) for at in made if at is not None]


def refused(error: AlpacaRefused | AlpacaUnsure, what: str, *, unset: str | bool = False) -> Said:
    """Return the line of a question that Alpaca did not answer; `unset` is the variable that asks for too much."""
    if isinstance(error, AlpacaRefused) and unset:
        return fail(
            f"the account may not have {what}: {error.message} (HTTP {error.status})",
            fix=f"subscribe to it in Alpaca's dashboard, or unset {unset} for the free feed",
        )
    if isinstance(error, AlpacaRefused):
        return fail(
            f"Alpaca refuses {what}: {error.message} (HTTP {error.status})",
            fix="look at the keys: those of an account that is closed or were replaced are refused",
        )
    return fail(str(error), fix="try again in a minute; https://status.alpaca.markets says whether Alpaca is out")
