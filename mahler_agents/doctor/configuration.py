"""Doctor, configuration: which environment, whose clock, which feeds, and whether dated facts are old."""

from mahler_agents.clock import NEW_YORK
from mahler_agents.config import stale_rate
from mahler_agents.doctor.findings import Said, fail, ok, warn
from mahler_agents.doctor.situation import Situation
from mahler_agents.errors import ConfigError, MahlerError
from mahler_agents.remote_clock import VARIABLE, RemoteClock
from mahler_agents.types import Environment

_ENVIRONMENT = ("MAHLER_ENVIRONMENT", "ENVIRONMENT")


def environment(situation: Situation) -> Said:
    """The environment, paper or live, and who says so.

    Fail: it is neither.
    """
    try:
        found = situation.environment
    except ConfigError as error:
        return fail(str(error), fix="set MAHLER_ENVIRONMENT to paper or live, or unset it for paper")
    if situation.config is not None:
        return ok(f"{found} trading ({situation.environment_told_by or 'as the config says'})")
    source = next((name for name in _ENVIRONMENT if situation.environ.get(name)), None)
    if source is None:
        return ok(f"{found} trading, the default: {' and '.join(_ENVIRONMENT)} are unset")
    return ok(f"{found} trading, as {source} says")


def clock(situation: Situation) -> Said:
    """Who tells the desk the time.

    Fail: a fake's clock does not answer, or is used with another Alpaca than a fake.
    """
    fix = f"unset {VARIABLE}, or start `mahler fake-alpaca` and export what it prints"
    try:
        now = situation.now()
    except MahlerError as error:
        return fail(str(error), fix=fix)
    shown = f"{now.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
    if not isinstance(situation.desk_clock, RemoteClock):
        return ok(f"{shown}, by this machine's clock")
    if situation.uses_alpaca and not situation.settings.loopback:
        return fail(f"{VARIABLE} is the clock of a fake Alpaca, and MAHLER_ALPACA_URL names none", fix=fix)
    return ok(f"{shown}, by the clock of the fake Alpaca at {situation.desk_clock.url}")


def alpaca_variables(situation: Situation) -> Said:
    """The variables that say where Alpaca is and which feeds are asked for.

    Fail: one has a value that it cannot have.
    """
    try:
        settings = situation.settings
    except ConfigError as error:
        return fail(str(error), fix="set the variable to one of these, or unset it; docs/alpaca.md lists them all")
    where = f"a server on this machine, {settings.trading_url}" if settings.loopback else "Alpaca's own hosts"
    vix = "no VIX" if settings.vix_url is None else "VIX of Cboe"
    return ok(
        f"{where}; {settings.option_feed} options, {settings.stock_feed} stocks, {vix}, at most"
        f" {settings.requests_per_minute} requests a minute"
    )


def live_rules(situation: Situation) -> Said:
    """What live trading changes.

    Warn: live rules on a broker that has no real money.
    """
    if situation.trades_at_alpaca:
        return ok("live rules and limits; a low confidence without an explicit approval skips a trade")
    return warn(
        "live rules and limits on the embedded broker: a rehearsal, no real money is traded",
        fix="set MAHLER_ENVIRONMENT=paper if that is not what you want",
    )


def is_live(situation: Situation) -> bool:
    """Return whether the environment is live; False if it is not known."""
    try:
        return situation.environment is Environment.LIVE
    except ConfigError:
        return False


def risk_free_rate(situation: Situation) -> Said:
    """The table of risk-free rates.

    Warn: it ends so long ago that the rate may have changed since.
    """
    stale = stale_rate(situation.today())
    if stale is None:
        return ok("the table of risk-free rates covers today")
    return warn(
        stale,
        fix="upgrade mahler-agents; until then greeks are computed with that rate, and each scan says so",
    )
