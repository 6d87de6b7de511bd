"""Venue: the market and the broker of a desk, chosen by name, and the one way to Alpaca that both share."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mahler_agents.alpaca import alpaca_settings, find_credentials
from mahler_agents.alpaca.raw import RawTape
from mahler_agents.clock import Clock
from mahler_agents.config import DeskConfig
from mahler_agents.errors import ConfigError, InputError
from mahler_agents.execution import Broker, PaperBroker
from mahler_agents.execution.alpaca import check_quotes_are_of, without_commission
from mahler_agents.market.open import open_market
from mahler_agents.market.recorded import RecordedMarket
from mahler_agents.market.snapshot import Market
from mahler_agents.market.watched import Quoted, WatchedMarket
from mahler_agents.record import open_database
from mahler_agents.record.location import database_path, rerun_database
from mahler_agents.redaction import Redactor
from mahler_agents.remote_clock import VARIABLE, RemoteClock
from mahler_agents.scan_parts import Tapes
from mahler_agents.screen import ScreenParams
from mahler_agents.tape import Tape
from mahler_agents.types import Environment

if TYPE_CHECKING:
    from mahler_agents.alpaca.api import AlpacaApi

BROKERS = ("paper", "alpaca")


class Venue:
    """Where a desk's prices are from and where its orders go."""

    def __init__(
        self,
        *,
        market: str | Market,
        broker: str,
        seed: int | None,
        keep_raw: bool,
        config: DeskConfig,
        clock: Clock,
        environ: Mapping[str, str],
    ) -> None:
        """Choose them; nothing is opened yet.

        Raises `InputError` for a choice that does not exist, and `ConfigError` without keys for `alpaca`.
        """
        if broker not in BROKERS:
            raise InputError(f"unknown broker `{broker}`; use one of: {', '.join(BROKERS)}")
        if keep_raw and market != "alpaca":
            raise InputError("raw answers are kept of the market alpaca only: no other has a server that gives any")
        self.config = config
        """As the broker charges."""
        self.tapes = Tapes(quotes=Tape[Quoted](), raw=None)
        self._broker = broker
        self._keep_raw = keep_raw
        self._clock = clock
        self._environ = environ
        self._alpaca: AlpacaApi | None = None
        self.market: Market = (
            open_market(market, seed=seed, alpaca=self._alpaca_market, variables=environ)
            if isinstance(market, str)
            else market
        )
        if broker == "alpaca":
            check_quotes_are_of(self.market, self._alpaca_api().settings)
            self.config = without_commission(config)

    @property
    def watched(self) -> Market:
        """The market, with every quote that is asked of it put on tape."""
        return WatchedMarket(self.market, self.tapes.quotes)

    @property
    def rerun_of(self) -> str | None:
        """The recorded run that a scan here runs again; None on every other market."""
        return self.market.rerun_of if isinstance(self.market, RecordedMarket) else None

    def screening(self, params: ScreenParams) -> ScreenParams:
        """Return the params with the market's own limit on a quote's age, unless they set one."""
        if "max_quote_age_seconds" in params.model_fields_set:
            return params
        return params.model_copy(update={"max_quote_age_seconds": self.market.max_quote_age_seconds})

    def database(self, given: Path | None) -> Path:
        """Return the record's file: the given one, or what the environment or the choices name."""
        if isinstance(self.market, RecordedMarket):
            return rerun_database(given, self.market.world, self._broker)
        live = self.config.environment is Environment.LIVE
        return database_path(given, self.market.name, self._broker, self._environ, live=live)

    def open(self, opening: ExitStack, database: Path) -> Broker:
        """Connect, and open the record and the broker; an account that cannot trade spreads leaves no record.

        To be called in a thread without an event loop. Raises `ConfigError`, `RecordError` or `BrokerError`.
        """
        if self._alpaca is not None:
            opening.enter_context(self._alpaca).connect()
        if self._broker == "alpaca":
            from mahler_agents.execution.alpaca.broker import AlpacaBroker

            broker = asyncio.run(AlpacaBroker.open(self._alpaca_api(), self.market, self._clock))
            open_database(database, create=True)
            return broker
        open_database(database, create=True)
        paper = PaperBroker(
            database,
            self.watched,
            concession=self.config.entry_concession,
            commission=self.config.commission_per_contract_and_leg,
        )
        return opening.enter_context(paper)

    def _alpaca_market(self) -> Market:
        from mahler_agents.market.alpaca import AlpacaMarket  # alpaca-py takes half a second

        api = self._alpaca_api()
        # The keys are known by now, wherever they were found.
        raw = RawTape(Redactor.of(self._environ)) if self._keep_raw else None
        self.tapes = replace(self.tapes, raw=raw)
        return AlpacaMarket(api, self._clock, tape=raw)

    def _alpaca_api(self) -> "AlpacaApi":
        """Return the one way to Alpaca, which the market and the broker share: its limits are the account's."""
        from mahler_agents.alpaca.api import AlpacaApi

        if self._alpaca is None:
            settings = alpaca_settings(self._environ, self.config.environment)
            if isinstance(self._clock, RemoteClock) and not settings.loopback:
                raise ConfigError(
                    f"{VARIABLE} is the clock of a fake Alpaca, and MAHLER_ALPACA_URL names none: unset the one or set"
                    " the other"
                )
            self._alpaca = AlpacaApi(settings, find_credentials(self._environ), self._clock)
        return self._alpaca
