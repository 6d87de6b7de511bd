"""Stage 8, execute: whose money a desk trades: environment, account and host, and the user's word that it is meant."""

from mahler_agents.config import DeskConfig
from mahler_agents.errors import ConfigError
from mahler_agents.execution.broker import Broker
from mahler_agents.types import Environment, Frozen
from mahler_agents.wording import EMBEDDED, identity_text, is_real_money

__all__ = ["EMBEDDED", "Identity", "live_phrase", "refuse_unconfirmed"]


class Identity(Frozen):
    """Where a desk trades: told when it starts, and stored in its runs."""

    environment: Environment
    broker: str
    account_id: str
    host: str
    """A host's name, or `embedded`."""

    @classmethod
    def of(cls, broker: Broker, environment: Environment) -> "Identity":
        """Return where a desk on a broker trades."""
        return cls(environment=environment, broker=broker.name, account_id=broker.account_id, host=broker.host)

    @property
    def real_money(self) -> bool:
        """Whether its orders can lose somebody's money."""
        return is_real_money(environment=self.environment, host=self.host)

    @property
    def text(self) -> str:
        """All of it in one line."""
        return identity_text(**self.model_dump(mode="json"))


def live_phrase(account_id: str) -> str:
    """Return what a user has to write for an account to be traded live."""
    return f"trade real money in account {account_id}"


def refuse_unconfirmed(identity: Identity, config: DeskConfig) -> None:
    """Raise `ConfigError` if real money would be traded, and the user has not written that this account's is meant.

    The embedded broker needs no word: live rules on it are a rehearsal.
    """
    phrase = live_phrase(identity.account_id)
    if identity.real_money and config.live_confirmation != phrase:
        said = "is not set" if config.live_confirmation is None else "says something else"
        raise ConfigError(
            f"account {identity.account_id} at {identity.host} is real money, and your confirmation {said}: set"
            f" MAHLER_LIVE_CONFIRMATION={phrase!r} (or DeskConfig.live_confirmation) if that is what you want"
        )
