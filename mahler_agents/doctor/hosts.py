"""Doctor, hosts: whether the servers that a desk asks are reached, and how fast; no key is shown to them."""

from urllib.parse import urlsplit

import requests

from mahler_agents.alpaca.session import ThreadSession
from mahler_agents.alpaca.settings import AlpacaSettings
from mahler_agents.doctor.findings import Said, fail, ok, warn
from mahler_agents.doctor.situation import Situation

SLOW_SECONDS = 2.0
"""An answer that takes longer is told: a scan asks some fifty times."""


def trading_host(situation: Situation) -> Said:
    """Whether Alpaca's trading host is reached, and how fast.

    Warn: its answer takes more than 2 s.
    Fail: it does not resolve, cannot be reached, or answers with an error of its own.
    """
    settings = situation.settings
    return _reached(situation, settings, f"{settings.trading_url}/v2/clock")


def data_host(situation: Situation) -> Said:
    """Whether Alpaca's market data host is reached, and how fast.

    Warn: its answer takes more than 2 s.
    Fail: it does not resolve, cannot be reached, or answers with an error of its own.
    """
    settings = situation.settings
    return _reached(situation, settings, f"{settings.data_url}/v2/stocks/snapshots?symbols=SPY")


def _reached(situation: Situation, settings: AlpacaSettings, url: str) -> Said:
    """Ask without keys: that they are asked for is an answer, too."""
    host = urlsplit(url).netloc
    session = ThreadSession(settings.timeout_seconds, proxies_from_environment=not settings.loopback)
    began = situation.stopwatch()
    try:
        status = session.request("GET", url, allow_redirects=False).status_code
    except requests.RequestException as error:
        return fail(f"{host}: {reason(error, settings.timeout_seconds)}", fix=network_fix(settings))
    finally:
        session.close()
    seconds = situation.stopwatch() - began
    if status >= 500:
        return fail(
            f"{host} is reached, and answers HTTP {status}",
            fix="try again in some minutes; https://status.alpaca.markets says whether Alpaca is out",
        )
    return answered(host, seconds)


def answered(host: str, seconds: float) -> Said:
    """Return the line of a host that has answered."""
    if seconds > SLOW_SECONDS:
        return warn(
            f"{host} takes {seconds:.1f} s to answer",
            fix="look at the network between here and there: quotes grow old while a scan waits for them",
        )
    return ok(f"{host} answers in {1000 * seconds:.0f} ms")


def reason(error: requests.RequestException, timeout_seconds: float) -> str:
    """Return why a host gave no answer, in a few words."""
    text = str(error)
    if "NameResolutionError" in text or "getaddrinfo" in text:
        return "the name does not resolve"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not believed"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy that the environment names does not let it through"
    if "Connection refused" in text:
        return "the connection is refused: nothing listens there"
    if isinstance(error, requests.ConnectionError):
        return f"the connection failed ({type(error).__name__})"
    return f"no whole answer within {timeout_seconds:g} s"


def network_fix(settings: AlpacaSettings) -> str:
    """Return what to do about a host that cannot be reached."""
    if settings.loopback:
        return "start the server that MAHLER_ALPACA_URL names, such as `mahler fake-alpaca`, or unset the variable"
    return "look at this machine's network, DNS and HTTPS_PROXY; a firewall must let it out to port 443"
