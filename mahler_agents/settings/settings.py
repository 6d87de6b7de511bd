"""Settings: what options, variables and `mahler.toml` tell comes in, one frozen value and a desk's arguments go out.

An option goes before a variable, a variable before the file, the file before the default, key by key. To add a section,
add a field whose type is a frozen model: its keys, variables, comments, documentation and checks are made from it.
"""

import os
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mahler_agents.alpaca.settings import AlpacaChoices
from mahler_agents.config import DeskConfig, DeskRules
from mahler_agents.errors import ConfigError
from mahler_agents.exits import ExitParams, ExitPolicy
from mahler_agents.exits.policy import FIXED
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.models import FORMS, is_form
from mahler_agents.logs import LogSettings
from mahler_agents.market.open import EXISTING, is_market
from mahler_agents.notify.settings import NotifySettings
from mahler_agents.regime import RegimeParams
from mahler_agents.risk import RiskLimits
from mahler_agents.schedule import ScheduleSettings
from mahler_agents.screen import ScreenParams
from mahler_agents.settings.file import read_file
from mahler_agents.settings.keys import Key, keys_of
from mahler_agents.settings.sources import Origin, Tellings, Told, of_file, of_options, of_variables
from mahler_agents.types import Environment

DEFAULT = Origin(kind="default", text="default")
LIVE_DEFAULT = Origin(kind="default", text="default (live)")

_SOURCES: ContextVar[tuple[PydanticBaseSettingsSource, ...]] = ContextVar("sources", default=())
"""What `Settings.load` hands to pydantic-settings."""

_READ_BY_THE_DESK = ("db", "model", "model_for", "models", "prices")
"""Keys that the desk reads as their variables, whatever told them; so it does those of the section alpaca."""


def _market(text: str) -> str:
    if not is_market(text):
        raise ValueError(f"unknown market {text!r}: use one of {EXISTING}")
    return text


def _model(text: str) -> str:
    if text != "auto" and not is_form(text):
        raise ValueError(f"unknown model `{text}`; use one of: {FORMS}")
    return text


Model = Annotated[str, AfterValidator(_model)]


class Settings(BaseSettings):
    """All that a user sets; `Settings.load()` reads it."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, protected_namespaces=()
    )

    environment: Environment = Environment.PAPER
    """`paper`, or `live`: other rules and stricter limits."""
    live_confirmation: str | None = None
    """Of a live account with real money: `trade real money in account ID`, typed by its owner; it is refused else."""
    market: Annotated[str, AfterValidator(_market)] = "sample"
    """Where quotes are from: `sample`, `csv:PATH`, `alpaca` or `recorded:RUN`."""
    broker: Literal["paper", "alpaca"] = "paper"
    """Where orders go: the embedded broker, or with the market alpaca your account there."""
    model: Model = "auto"
    """Which model the advisors ask: `auto` (the embedded one), `local`, `local:PATH.gguf`, `openai:NAME` or `none`."""
    model_for: Mapping[str, Model] = {}
    """Another model for `analyst`, `fund_manager` or one analyst, such as `{ fund_manager = "openai:NAME" }`."""
    models: Path | None = None
    """The folder of the embedded model's file, instead of one in the user's data folder."""
    prices: Path | None = None
    """A file of your own prices of models, read before the package's."""
    db: Path | None = None
    """The record, instead of `mahler-MARKET-BROKER.db` in the working folder."""
    prompts: Path | None = None
    """A folder of prompts, instead of the package's."""
    exits: Literal["fixed", "conservative", "neutral", "aggressive"] = FIXED
    """Exits of trades that are opened: at fixed shares of the credit, or scaled with the underlying's volatility."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Of the sample market, and used on no other: another seed is another world."""
    keep_raw: bool = False
    """Record every answer of the market alpaca to the letter; on no other market is there one."""
    desk: DeskRules = DeskRules()
    """How a scan and a pass work."""
    limits: RiskLimits = RiskLimits()
    """The risk (max loss x contracts, pending orders included) as shares of equity: 0.20 is 20 %."""
    exit_params: ExitParams = ExitParams()
    """At which shares of the credit when `exits` is `fixed`; how many days before expiration, always."""
    screen: ScreenParams = ScreenParams()
    """What a spread must be to be a candidate; shares are fractions."""
    regime: RegimeParams = RegimeParams()
    """How the market's regime is told, and what it does to sizes in live trading."""
    budget: ScanBudget = ScanBudget()
    """What the LLM calls of one scan may take."""
    calls: CallLimits = CallLimits()
    """What one LLM call to a provider may take; the embedded model has limits of its own."""
    alpaca: AlpacaChoices = AlpacaChoices()
    """Of the market and the broker alpaca; docs/alpaca.md says where the keys go."""
    schedule: ScheduleSettings = ScheduleSettings()
    """When jobs run and how late they still may; times are New York's (docs/schedule.md)."""
    log: LogSettings = LogSettings()
    """What the scheduler's process logs on standard error; other verbs log if told so by option or variable."""
    notify: NotifySettings = NotifySettings()
    """Who is told what a job did, through which channels: docs/notifications.md."""

    _told: dict[str, Told] = PrivateAttr(default_factory=dict[str, Told])
    _options: dict[str, Told] = PrivateAttr(default_factory=dict[str, Told])
    _configured: dict[str, Told] = PrivateAttr(default_factory=dict[str, Told])
    _given_environ: Mapping[str, str] = PrivateAttr(default_factory=dict[str, str])

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources that `load` has read, and keeps the places of; without it only what is given counts."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings, *_SOURCES.get())

    @classmethod
    def load(
        cls,
        options: Mapping[str, Any] | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        folder: Path = Path(),
    ) -> Self:
        """Return the settings in force in a folder; `options` are dotted keys with what the command line says.

        Raises `ConfigError` or `InputError`, one line with the place, the key and what is allowed.
        """
        keys, file = keys_of(cls), read_file(environ, folder)
        # `--model auto` is another word for what is configured, and if nothing is, for the embedded model.
        given = {name: value for name, value in (options or {}).items() if (name, value) != ("model", "auto")}
        told = of_options(given, keys)
        whole = {name for name, one in told.items() if not isinstance(one.value, dict)}
        layers = [told, of_variables(environ, keys, overruled=whole), of_file(file, keys) if file else {}]
        layers.append(_house(_merged(layers), keys))
        sources = tuple(Tellings(cls, {name: one.value for name, one in layer.items()}) for layer in layers)
        reading = _SOURCES.set(sources)
        try:
            settings = cls()
        except ValidationError as error:
            raise ConfigError(_of_several(error, _merged(layers))) from None
        finally:
            _SOURCES.reset(reading)
        settings._told = _merged(layers)
        settings._options, settings._configured = layers[0], _merged(layers[1:])
        settings._given_environ = environ
        return settings

    def origin(self, name: str) -> Origin:
        """Return where the value of a dotted key is from."""
        return self._told[name].origin if name in self._told else DEFAULT

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables as the desk is to read them: those of the process, and as such what the file tells beside."""
        keys = keys_of(type(self))
        read = {name: one for name, one in self._configured.items() if _is_read_by_the_desk(keys[name])}
        return {**self._given_environ, **{keys[name].variable: _as_variable(one.value) for name, one in read.items()}}

    @property
    def config(self) -> DeskConfig:
        """What a desk is told beside its parts."""
        return DeskConfig(
            **dict(self.desk), environment=self.environment, live_confirmation=self.live_confirmation or None
        )

    @property
    def exit_policy(self) -> ExitPolicy:
        """Exits of the trades that are opened."""
        return ExitPolicy.named(self.exits).model_copy(update={"fixed": self.exit_params})

    def desk_arguments(self, *, rules_only: bool = False, **overrides: Any) -> dict[str, Any]:
        """Return the arguments of a `Desk` on these settings; `rules_only` is one that asks no model, reads no prompt.

        What an option told is an argument; what a variable or the file did is told by `environ` where the desk reads
        variables, so that it means the same from either. A seed and raw answers are of one market each: configured,
        they are left out on another, and as options they are for the desk to refuse.
        """
        option = {name: one.value for name, one in self._options.items()}
        arguments: dict[str, Any] = {
            "market": self.market,
            "broker": self.broker,
            "model": self.model,
            "model_for": option.get("model_for"),
            "database": option.get("db"),
            "prompts": self.prompts,
            "config": self.config,
            "limits": self.limits,
            "screen_params": self.screen,
            "regime_params": self.regime,
            "exit_policy": self.exit_policy,
            "call_limits": self.calls,
            "budget": self.budget,
            "seed": self.seed if self.market == "sample" else option.get("seed"),
            "keep_raw": self.keep_raw if self.market == "alpaca" else bool(option.get("keep_raw")),
            "environ": self.environ,
        }
        if rules_only:
            arguments |= {"model": "none", "model_for": None, "prompts": None, "keep_raw": False}
        return arguments | overrides


def _merged(layers: Sequence[Mapping[str, Told]]) -> dict[str, Told]:
    """Return what is told, the first layer before the others; of a table that several tell, each role's own."""
    merged: dict[str, Told] = {}
    for layer in reversed(layers):
        for name, one in layer.items():
            below = merged.get(name)
            if below is not None and isinstance(one.value, dict):
                both = replace(one.origin, text=f"{one.origin.text} and {below.origin.text}")
                merged[name] = Told(value={**below.value, **one.value}, origin=both)
            else:
                merged[name] = one
    return merged


def _house(told: Mapping[str, Told], keys: Mapping[str, Key]) -> dict[str, Told]:
    """Return the defaults that are not the fields' own: the live profile, and the rest of a table told in part."""
    tables = {keys[name].table for name in told} - {None}
    house = {key.name: Told(value=key.default, origin=DEFAULT) for key in keys.values() if key.table in tables}
    if "environment" in told and told["environment"].value is Environment.LIVE:
        paper = RiskLimits().model_dump()
        live = {name: value for name, value in RiskLimits.live().model_dump().items() if value != paper[name]}
        house |= {f"limits.{name}": Told(value=value, origin=LIVE_DEFAULT) for name, value in live.items()}
    return house


def _of_several(error: ValidationError, told: Mapping[str, Told]) -> str:
    """Return what is wrong with values that are each allowed, and where they stand."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    places = [
        one.origin.text for key, one in told.items() if f"{key}.".startswith(f"{name}.") and one.origin != DEFAULT
    ]
    return f"{', '.join(dict.fromkeys(places))}: {name}: {first['msg'].removeprefix('Value error, ')}"


def _is_read_by_the_desk(key: Key) -> bool:
    return key.name in _READ_BY_THE_DESK or key.section == "alpaca"


def _as_variable(value: Any) -> str:
    return ",".join(f"{role}={model}" for role, model in value.items()) if isinstance(value, dict) else str(value)
