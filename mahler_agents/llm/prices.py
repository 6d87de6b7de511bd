"""Stage 4, LLM calls: what tokens cost, from dated tables; a price that is not in them is unknown, which is not 0."""

import datetime as dt
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from mahler_agents.errors import ConfigError
from mahler_agents.llm.replies import explain
from mahler_agents.types import Frozen

_MILLION = 1_000_000
Dollars = Annotated[float, Field(ge=0)]


class Price(Frozen):
    """What a model's tokens cost, in US dollars per million at list price."""

    input: Dollars
    output: Dollars

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the dollars of so many tokens."""
        return (self.input * prompt_tokens + self.output * completion_tokens) / _MILLION


FREE = Price(input=0, output=0)
"""What the embedded model costs: it runs on this machine."""


class PriceEntry(Price):
    """A line of a price table."""

    provider: str
    """Host of the base URL."""
    model: str
    date: dt.date
    """When it was read."""
    source: str


class _PriceFile(Frozen):
    price: tuple[PriceEntry, ...] = ()


Prices: TypeAlias = Mapping[tuple[str, str], Price]
"""Provider and model to price."""


def load_prices(environ: Mapping[str, str]) -> Prices:
    """Return the package's prices, and before them those of the file that MAHLER_PRICES names.

    Raises ConfigError, with the place, if that file cannot be read as prices.
    """
    packaged = resources.files("mahler_agents.llm").joinpath("prices.toml").read_text("utf-8")
    prices = _parsed(packaged, "prices.toml")
    if own := environ.get("MAHLER_PRICES"):
        try:
            text = Path(own).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"MAHLER_PRICES: {own} cannot be read: {error}") from error
        prices |= _parsed(text, own)
    return prices


def price_of(prices: Prices, *, base_url: str, model: str) -> Price | None:
    """Return what a model's tokens cost at a provider, None if that is unknown."""
    return prices.get((urlsplit(base_url).hostname or "", model))


def _parsed(text: str, place: str) -> dict[tuple[str, str], Price]:
    try:
        found = _PriceFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{place}: not TOML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{place}: {explain(error)}") from error
    return {(price.provider, price.model): price for price in found.price}
