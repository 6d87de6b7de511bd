"""Below stage 1, Alpaca: environment variables in, `AlpacaSettings` out: hosts, feeds and how often to ask."""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field

from mahler_agents.errors import ConfigError
from mahler_agents.types import Environment, Frozen

PAPER_HOST = "https://paper-api.alpaca.markets"
LIVE_HOST = "https://api.alpaca.markets"
DATA_HOST = "https://data.alpaca.markets"
CBOE_VIX = "https://cdn.cboe.com/api/global/delayed_quotes/quotes/_VIX.json"
"""Cboe's own delayed quote of its index (15 minutes late), which its pages show."""

OptionFeed = Literal["indicative", "opra"]
StockFeed = Literal["iex", "sip"]
T = TypeVar("T", bound=str)


class AlpacaSettings(Frozen):
    """Where Alpaca is, which feeds are asked for, and how often; no key is in it."""

    environment: Environment
    trading_url: str
    data_url: str
    vix_url: str | None
    """Where the VIX index is quoted; None: it is not asked for, and absent."""
    option_feed: OptionFeed = "indicative"
    """`indicative` is free and 15 minutes late; `opra` needs a subscription."""
    stock_feed: StockFeed = "iex"
    """`iex` is free and one exchange's trades; `sip` is all of them and needs a subscription."""
    requests_per_minute: Annotated[int, Field(ge=10, le=10_000)] = 200
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 10.0
    """From sending a request to the last byte of its answer."""

    @property
    def loopback(self) -> bool:
        """True if the server is one on this machine, such as the fake Alpaca."""
        return _is_loopback(self.trading_url)


def alpaca_settings(environ: Mapping[str, str], environment: Environment) -> AlpacaSettings:
    """Return the settings that the `MAHLER_ALPACA_...` variables name.

    `MAHLER_ALPACA_URL` points trading, data and VIX at one server on this machine, for paper only;
    `MAHLER_ALPACA_OPTION_FEED` is `indicative` or `opra`, `MAHLER_ALPACA_STOCK_FEED` `iex` or `sip`,
    `MAHLER_ALPACA_VIX` `cboe` or `none`, `MAHLER_ALPACA_REQUESTS_PER_MINUTE` 10 to 10,000. Raises `ConfigError` for
    anything else.
    """
    trading = LIVE_HOST if environment is Environment.LIVE else PAPER_HOST
    urls = {"trading_url": trading, "data_url": DATA_HOST, "vix_url": CBOE_VIX}
    if url := environ.get("MAHLER_ALPACA_URL", "").rstrip("/"):
        _check_local(url, environment)
        urls = {"trading_url": url, "data_url": url, "vix_url": url + urlsplit(CBOE_VIX).path}
    vix_url = urls.pop("vix_url") if _choice(environ, "MAHLER_ALPACA_VIX", ("cboe", "none")) == "cboe" else None
    option_feeds: tuple[OptionFeed, ...] = ("indicative", "opra")
    stock_feeds: tuple[StockFeed, ...] = ("iex", "sip")
    return AlpacaSettings(
        environment=environment,
        trading_url=urls["trading_url"],
        data_url=urls["data_url"],
        vix_url=vix_url,
        option_feed=_choice(environ, "MAHLER_ALPACA_OPTION_FEED", option_feeds),
        stock_feed=_choice(environ, "MAHLER_ALPACA_STOCK_FEED", stock_feeds),
        requests_per_minute=_requests(environ.get("MAHLER_ALPACA_REQUESTS_PER_MINUTE") or "200"),
    )


def _choice(environ: Mapping[str, str], name: str, choices: tuple[T, ...]) -> T:
    value = environ.get(name) or choices[0]
    found = next((choice for choice in choices if choice == value), None)
    if found is None:
        raise ConfigError(f"{name}={value!r}: use {' or '.join(choices)}")
    return found


def _requests(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 10 <= int(text) <= 10_000:
        raise ConfigError(f"MAHLER_ALPACA_REQUESTS_PER_MINUTE={text!r}: use a whole number from 10 to 10000")
    return int(text)


def _check_local(url: str, environment: Environment) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or parts.path or not _is_loopback(url):
        raise ConfigError(f"MAHLER_ALPACA_URL={url!r}: only a server on this machine, such as http://127.0.0.1:8765")
    if environment is Environment.LIVE:
        raise ConfigError(f"MAHLER_ALPACA_URL={url!r} is for paper trading: unset it, or set MAHLER_ENVIRONMENT=paper")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
