"""Doctor, situation: the choices of a desk in, the parts that the checks look at out, each made when it is first asked.

Nothing of a desk is opened by it: the record is not made or migrated, no embedded server starts, nothing is ordered.
"""

import datetime as dt
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo

from mahler_agents.alpaca import AlpacaSettings, Credentials, alpaca_settings, find_credentials
from mahler_agents.analysts import ANALYSTS, Analyst
from mahler_agents.analysts.roles import Roles, load_prompts, roles_of
from mahler_agents.clock import NEW_YORK, Clock, SystemClock
from mahler_agents.config import DeskConfig, config_from
from mahler_agents.errors import ConfigError, InputError
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.roles import RoleModels, choose_models
from mahler_agents.market.snapshot import Market
from mahler_agents.notify.settings import NotifySettings
from mahler_agents.record.location import database_path
from mahler_agents.record.presence import somebody_at_work
from mahler_agents.remote_clock import clock_from
from mahler_agents.risk import RiskLimits
from mahler_agents.screen import ScreenParams
from mahler_agents.types import Environment

if TYPE_CHECKING:
    from mahler_agents.doctor.answers import AlpacaAnswers

BROKERS = ("paper", "alpaca")
PATIENCE_SECONDS = 15.0
_SHARE = 0.8
"""Of the time for a check, what one request may take: why there was no answer is told then."""


def _requirements(package: str) -> Sequence[str]:
    return metadata.requires(package) or ()


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, kw_only=True)
class Situation:
    """A desk as its user chose it, looked at from outside; a context manager around what it opens to ask.

    The choices are those of `Desk`, under the same names. Raises `InputError` for a market or broker that there is not.
    Every property raises what a desk would raise of the same choice: the check of that part tells it, and those that
    need the part are skipped.
    """

    market: str = "sample"
    broker: str = "paper"
    model: str | Endpoint = "auto"
    model_for: Mapping[str, str | Endpoint] | None = None
    database: Path | None = None
    prompts: Path | None = None
    config: DeskConfig | None = None
    """None: what the environment's variables say."""
    environment_told_by: str | None = None
    """Who says in which environment a given `config` is."""
    limits: RiskLimits | None = None
    screen_params: ScreenParams | None = None
    budget: ScanBudget = field(default_factory=ScanBudget)
    analysts: Sequence[Analyst] = ANALYSTS
    seed: int | None = None
    clock: Clock | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    folder: Path | None = None
    """Where a `.env` file may be; None: the working folder."""
    notify: NotifySettings = field(default_factory=NotifySettings)
    """Where the user is told what happens."""
    offline: bool = False
    """Ask nobody: neither Alpaca nor Cboe nor a model."""
    patience_seconds: float = PATIENCE_SECONDS
    """How long one check may take."""
    stopwatch: Callable[[], float] = field(default_factory=lambda: SystemClock().seconds)
    free_bytes: Callable[[Path], int] = _free_bytes
    zone: Callable[[str], dt.tzinfo] = ZoneInfo
    python: tuple[int, ...] = sys.version_info[:3]
    requirements: Callable[[str], Sequence[str]] = _requirements

    def __post_init__(self) -> None:
        """Refuse a choice that there is not."""
        if self.broker not in BROKERS:
            raise InputError(f"unknown broker `{self.broker}`; use one of: {', '.join(BROKERS)}")
        name, _, argument = self.market.partition(":")
        if name == "recorded":
            raise InputError(
                "a recorded market has been scanned already: `mahler doctor` is for sample, csv and alpaca"
            )
        if name not in {"sample", "csv", "alpaca"} or bool(argument) is not (name == "csv"):
            raise InputError(f"unknown market {self.market!r}: use one of sample, csv:PATH, alpaca")
        if self.broker == "alpaca" and name != "alpaca":
            raise InputError(
                f"the broker alpaca trades now, and the market {name} is of another time: use --market alpaca, or"
                " --broker paper for this market"
            )
        if self.seed is not None and name != "sample":
            raise InputError("a seed is for the sample market only")

    @classmethod
    def of_desk(cls, arguments: Mapping[str, Any], **more: Any) -> Self:
        """Return the situation of a desk that is made of these arguments; what nobody looks at is left out."""
        looked_at = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in arguments.items() if name in looked_at}, **more)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections to Alpaca, if there are any."""
        if "alpaca" in vars(self):
            self.alpaca.close()

    @property
    def uses_alpaca(self) -> bool:
        """Whether the desk asks Alpaca for anything."""
        return self.market == "alpaca"

    @property
    def trades_at_alpaca(self) -> bool:
        """Whether its orders go there."""
        return self.broker == "alpaca"

    @cached_property
    def desk_config(self) -> DeskConfig:
        """The desk's settings. Raises `ConfigError` for an environment that there is not."""
        return self.config or config_from(self.environ)

    @property
    def environment(self) -> Environment:
        """Paper or live."""
        return self.desk_config.environment

    @cached_property
    def desk_limits(self) -> RiskLimits:
        """The limits on risk."""
        return self.limits or (RiskLimits.live() if self.environment is Environment.LIVE else RiskLimits())

    @cached_property
    def desk_clock(self) -> Clock:
        """What tells the desk the time. Raises `ConfigError` for a clock that is not on this machine."""
        return self.clock or clock_from(self.environ)

    def now(self) -> dt.datetime:
        """Return the desk's present instant. Raises `JobError` if a fake's clock does not answer."""
        return self.desk_clock.now()

    def today(self) -> dt.date:
        """Return its date in New York."""
        return self.now().astimezone(NEW_YORK).date()

    @cached_property
    def record(self) -> Path:
        """The record's file, which need not be there."""
        live = self.environment is Environment.LIVE
        name = self.market.partition(":")[0]
        return database_path(self.database, name, self.broker, self.environ, live=live)

    @cached_property
    def somebody_at_work(self) -> bool:
        """Whether a process is at work on the record; asked once: two who ask at once take each other for one."""
        return somebody_at_work(self.record)

    @cached_property
    def opened_market(self) -> Market:
        """The market. Raises `InputError` for a file that cannot be used, and as `alpaca` does."""
        if self.uses_alpaca:
            return self.alpaca.market
        from mahler_agents.market.open import open_market

        return open_market(self.market, seed=self.seed, variables=self.environ)

    @property
    def screening(self) -> ScreenParams:
        """What the screen asks of a spread, with the market's own limit on a quote's age unless another is set."""
        params = self.screen_params or ScreenParams()
        if "max_quote_age_seconds" in params.model_fields_set:
            return params
        return params.model_copy(update={"max_quote_age_seconds": self.opened_market.max_quote_age_seconds})

    @cached_property
    def settings(self) -> AlpacaSettings:
        """Where Alpaca is and what is asked of it. Raises `ConfigError`."""
        found = alpaca_settings(self.environ, self.environment)
        return found.model_copy(update={"timeout_seconds": min(found.timeout_seconds, _SHARE * self.patience_seconds)})

    @cached_property
    def credentials(self) -> Credentials:
        """Alpaca's keys. Raises `ConfigError` if there are none."""
        return find_credentials(self.environ, folder=self.folder)

    @cached_property
    def alpaca(self) -> "AlpacaAnswers":
        """What Alpaca answers. Raises `ConfigError` for keys of the other environment."""
        from mahler_agents.doctor.answers import AlpacaAnswers  # alpaca-py takes half a second

        return AlpacaAnswers(self.settings, self.credentials, self.desk_clock, self.stopwatch)

    @cached_property
    def panel(self) -> Roles:
        """What each role of the desk reads and must write."""
        return roles_of(self.analysts, self.desk_config.debate_rounds)

    @cached_property
    def panel_prompts(self) -> Mapping[str, Prompt]:
        """The prompts; those of the package in place of a folder's that cannot be used, which is told elsewhere."""
        debate = self.desk_config.debate_rounds > 0
        try:
            return load_prompts(self.panel, self.prompts, debate=debate)
        except ConfigError:
            return load_prompts(self.panel, None, debate=debate)

    @cached_property
    def models(self) -> RoleModels:
        """Which model each role asks. Raises `InputError` or `ConfigError` for one that there is not."""
        return choose_models(self.model, self.model_for or {}, self.environ)
