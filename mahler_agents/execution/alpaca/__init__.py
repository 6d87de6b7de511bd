"""Stage 8, execute: Alpaca as a broker; here, what else a desk must be that trades there.

`mahler_agents.execution.alpaca.broker.AlpacaBroker` is imported from its module, where it is used: alpaca-py takes half
a second.
"""

from mahler_agents.alpaca import AlpacaSettings
from mahler_agents.config import DeskConfig
from mahler_agents.errors import InputError
from mahler_agents.market.snapshot import Market


def check_quotes_are_of(market: Market, settings: AlpacaSettings) -> None:
    """Raise `InputError` unless a market quotes what trades at an Alpaca: now, and made up only where all is."""
    if not market.live:
        raise InputError(
            f"the broker alpaca trades now, and the market {market.name} is of another time: use --market alpaca, or"
            " --broker paper for this market"
        )
    if market.synthetic and not settings.loopback:
        raise InputError(f"the quotes of the market {market.name} are made up: no order at Alpaca is priced on them")


def without_commission(config: DeskConfig) -> DeskConfig:
    """Return the config as Alpaca charges: no commission, unless the user has set one (for briefs and shadows)."""
    if "commission_per_contract_and_leg" in config.model_fields_set:
        return config
    return config.model_copy(update={"commission_per_contract_and_leg": 0.0})
