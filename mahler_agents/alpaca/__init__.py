"""Below stage 1, Alpaca: settings, keys and a careful way to its API, shared by the market and the broker.

`mahler_agents.alpaca.api.AlpacaApi` is imported from its module, where it is used: alpaca-py takes half a second.
"""

from mahler_agents.alpaca.credentials import Credentials, find_credentials
from mahler_agents.alpaca.errors import AlpacaRefused, AlpacaUnsure
from mahler_agents.alpaca.settings import AlpacaSettings, alpaca_settings

__all__ = [
    "AlpacaRefused",
    "AlpacaSettings",
    "AlpacaUnsure",
    "Credentials",
    "alpaca_settings",
    "find_credentials",
]
