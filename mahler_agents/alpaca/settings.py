"""Below stage 1, Alpaca: environment variables in, `AlpacaSettings` out: hosts, feeds and how often to ask."""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError

from mahler_agents.allowed import what_to_use
from mahler_agents.errors import ConfigError
from mahler_agents.types import Environment, Frozen

PAPER_HOST = "https://paper-api.alpaca.markets"
LIVE_HOST = "https://api.alpaca.markets"
DATA_HOST = "https://data.alpaca.markets"
CBOE_VIX = "https://cdn.cboe.com/api/global/delayed_quotes/quotes/_VIX.json"
"""Cboe's own delayed quote of its index (15 minutes late), which its pages show."""

OptionFeed = Literal["indicative", "opra"]
StockFeed = Literal["iex", "sip"]


class AlpacaSettings(Frozen):
    """Where Alpaca is, which feeds are asked for, and how often; no key is in it."""

    environment: Environment
    trading_url: str
    data_url: str
    vix_url: str | None
    """Where the VIX index is quoted; None: it is not asked for, and absent."""
    option_feed: OptionFeed = "indicative"
    stock_feed: StockFeed = "iex"
    requests_per_minute: int = 200
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 10.0
    """From sending a request to the last byte of its answer."""

    @property
    def loopback(self) -> bool:
        """True if the server is one on this machine, such as the fake Alpaca."""
        return _is_loopback(self.trading_url)


PREFIX = "MAHLER_ALPACA_"
"""Of the variables that a user chooses with; a field of `AlpacaChoices`, in capitals, follows."""


def _without_slash(url: str) -> str:
    return _local(url.rstrip("/"))


class AlpacaChoices(Frozen):
    """What a user chooses about Alpaca; the keys are elsewhere."""

    url: Annotated[str, AfterValidator(_without_slash)] | None = None
    """A fake Alpaca on this machine, in place of trading, data and VIX; for paper trading only."""
    option_feed: OptionFeed = "indicative"
    """`indicative` is free and 15 minutes late; `opra` needs a subscription."""
    stock_feed: StockFeed = "iex"
    """`iex` is free and one exchange's trades; `sip` is all of them and needs a subscription."""
    vix: Literal["cboe", "none"] = "cboe"
    """Where the VIX index is read; `none`: it is not asked for, and absent."""
    requests_per_minute: Annotated[int, Field(ge=10, le=10_000)] = 200
    """What the account may ask in a minute, orders included."""

    def settings(self, environment: Environment) -> AlpacaSettings:
        """Return what they come to; raises `ConfigError` for a fake one in the live environment."""
        trading = LIVE_HOST if environment is Environment.LIVE else PAPER_HOST
        urls = {"trading_url": trading, "data_url": DATA_HOST, "vix_url": CBOE_VIX}
        if self.url:
            if environment is Environment.LIVE:
                raise ConfigError(
                    f"{PREFIX}URL={self.url!r} is for paper trading: unset it, or set MAHLER_ENVIRONMENT=paper"
                )
            urls = {"trading_url": self.url, "data_url": self.url, "vix_url": self.url + urlsplit(CBOE_VIX).path}
        return AlpacaSettings(
            environment=environment,
            trading_url=urls["trading_url"],
            data_url=urls["data_url"],
            vix_url=urls["vix_url"] if self.vix == "cboe" else None,
            option_feed=self.option_feed,
            stock_feed=self.stock_feed,
            requests_per_minute=self.requests_per_minute,
        )


def alpaca_settings(environ: Mapping[str, str], environment: Environment) -> AlpacaSettings:
    """Return the settings that the `MAHLER_ALPACA_...` variables name, each a field of `AlpacaChoices`.

    Raises `ConfigError` for anything else.
    """
    fields = AlpacaChoices.model_fields
    given = {name: value for name in fields if (value := environ.get(PREFIX + name.upper()))}
    try:
        return AlpacaChoices.model_validate(given).settings(environment)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        instead = what_to_use(error, fields[name].rebuild_annotation())
        raise ConfigError(f"{PREFIX}{name.upper()}={given[name]!r}: {instead}") from None


def _local(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or parts.path or not _is_loopback(url):
        raise ValueError("only a server on this machine, such as http://127.0.0.1:8765")
    return url


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
