"""Doctor, VIX: whether Cboe's quote of the index is had; it is no answer of Alpaca's, and is shown no key."""

from typing import Any
from urllib.parse import urlsplit

import requests

from mahler_agents.alpaca.session import ThreadSession
from mahler_agents.alpaca.settings import AlpacaSettings
from mahler_agents.clock import NEW_YORK
from mahler_agents.doctor.findings import Said, fail, warn
from mahler_agents.doctor.hosts import answered, network_fix, reason
from mahler_agents.doctor.situation import Situation
from mahler_agents.types import Environment

_AGAIN = "try again in a minute; MAHLER_ALPACA_VIX=none leaves the VIX out"


def vix(situation: Situation) -> Said:
    """Whether Cboe's VIX is had, of now.

    Warn: it is not, or is not asked for, so that the VIX rules of the circuit breaker are not evaluated.
    Fail: the same in live trading, which opens nothing then.
    """
    from mahler_agents.market.alpaca.vix import IndexQuote, index_quote

    settings = situation.settings
    if settings.vix_url is None:
        return _without(situation, "the VIX is not asked for: MAHLER_ALPACA_VIX is none", fix="unset MAHLER_ALPACA_VIX")
    host, began = urlsplit(settings.vix_url).netloc, situation.stopwatch()
    try:
        status, answer = _asked(settings, settings.vix_url)
    except requests.RequestException as error:
        why = f"{host}: {reason(error, settings.timeout_seconds)}"
        return _without(situation, why, fix=network_fix(settings))
    seconds = situation.stopwatch() - began
    if answer is None:
        return _without(situation, f"{host} answers HTTP {status}, and no JSON of a VIX", fix=_AGAIN)
    quote = index_quote(answer, "VIX", now=situation.now())
    if not isinstance(quote, IndexQuote):
        return _without(situation, quote, fix=_AGAIN)
    line = answered(host, seconds)
    at = f"{quote.at.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
    return Said(level=line.level, text=f"{line.text}: VIX {quote.level:.2f} of {at}", fix=line.fix)


def _asked(settings: AlpacaSettings, url: str) -> tuple[int, Any]:
    """Return the status and the JSON of an answer, None if it is none."""
    session = ThreadSession(settings.timeout_seconds, proxies_from_environment=not settings.loopback)
    try:
        response = session.request("GET", url, headers={"Accept": "application/json"}, allow_redirects=False)
        return response.status_code, response.json() if response.status_code == 200 else None
    except requests.JSONDecodeError:
        return 200, None
    finally:
        session.close()


def _without(situation: Situation, why: str, *, fix: str) -> Said:
    if situation.environment is Environment.LIVE:
        return fail(f"{why}; live trading opens nothing without it", fix=fix)
    return warn(f"{why}; the VIX rules of the circuit breaker are not evaluated without it", fix=fix)
