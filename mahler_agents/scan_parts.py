"""Scan: what a scan works with, and what it returns."""

import datetime as dt
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mahler_agents.alpaca.raw import RawTape
from mahler_agents.choices import ScanChoices
from mahler_agents.clock import Clock
from mahler_agents.config import DeskConfig
from mahler_agents.execution import BrokerCheck, Identity, Standing, WithTrading
from mahler_agents.exits import ExitPolicy
from mahler_agents.graphs.review import ReviewGraph
from mahler_agents.llm.budget import Spent
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.router import ModelRouter
from mahler_agents.market.snapshot import Account, Snapshot
from mahler_agents.market.watched import Quoted
from mahler_agents.memory import Memory, Pool, Recall
from mahler_agents.recording import Recording
from mahler_agents.regime import Regime, RegimeUnknown
from mahler_agents.resume import Resumption
from mahler_agents.review import Review
from mahler_agents.risk import BreakerBook, BreakerDecision, PortfolioDelta, SizeMultiplier
from mahler_agents.safety import Safety
from mahler_agents.screen import ScreenReport
from mahler_agents.shadows import ShadowBook
from mahler_agents.tape import Tape
from mahler_agents.types import Environment, Frozen


@dataclass(frozen=True, kw_only=True)
class Tapes:
    """Take down what a scan reads of its market beside the snapshot."""

    quotes: Tape[Quoted]
    raw: RawTape | None
    """What the market's server answered, to the letter; None if that is not to be kept."""

    @contextmanager
    def rolling(self) -> Generator[None]:
        """Roll for the length of the block."""
        with self.quotes.rolling(), self.raw.rolling() if self.raw is not None else nullcontext():
            yield

    def keep_with(self, recording: Recording) -> None:
        """Record what was heard, and what will be; the run has its row by now."""
        self.quotes.keep_with(recording.quoted, recording.flush)
        if self.raw is not None:
            self.raw.keep_with(recording.raw_answer)


@dataclass(frozen=True, kw_only=True)
class ScanParts(WithTrading):
    """What a scan works with; the desk puts them together."""

    choices: ScanChoices
    safety: Safety
    breaker: BreakerBook
    shadows: ShadowBook
    graph: ReviewGraph
    prompts: Mapping[str, Prompt]
    llm: ModelRouter | None
    """None: rules only."""
    model: str
    """Name of the model, or of all that are asked, for the record and the user."""
    toy_model: bool
    """True if the model's opinions are for show."""
    clock: Clock

    @property
    def config(self) -> DeskConfig:
        """The settings of the desk."""
        return self.choices.desk

    def recall(self, database: Path, snapshot: Snapshot) -> Recall:
        """Return what gives briefs of a snapshot the similar trades that had been closed before it."""
        pool = Pool(
            market=snapshot.market,
            environment=self.config.environment.value,
            synthetic=snapshot.synthetic,
            toy_model=self.toy_model,
        )
        return partial(Memory(database).recalled, pool=pool, as_of=snapshot.as_of)


class Stopwatch:
    """Tells how long the stages of a scan took."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._since = clock.seconds()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Say that a stage has ended, and the next begun."""
        now = self._clock.seconds()
        self._laps[stage], self._since = now - self._since, now

    def read(self) -> Mapping[str, float]:
        """Return the seconds of each stage, in order, and of all together as `whole`."""
        return {stage: round(took, 3) for stage, took in self._laps.items()} | {
            "whole": round(self._clock.seconds() - self._began, 3)
        }


class ScanResult(Frozen):
    """What a scan found, heard, decided and did."""

    run_id: str
    slot: str
    database: Path
    as_of: dt.datetime
    decision_at: dt.datetime
    environment: Environment
    market: str
    source: str
    synthetic: bool
    """True if the market's figures are made up."""
    missing: Mapping[str, str]
    """Parts that the market does not have, and why."""
    broker: str
    identity: Identity
    trading: Standing
    """The trading state when the scan ended."""
    broker_check: BrokerCheck
    """The ledger held against the broker's account, before anything was decided."""
    model: str
    toy_model: bool
    account_before: Account
    account_after: Account
    exit_policy: ExitPolicy
    """Under which trades are entered; what was open before keeps its own thresholds."""
    delta_before: PortfolioDelta
    delta_after: PortfolioDelta
    """At the snapshot's prices, like the one before."""
    regime: Regime | RegimeUnknown
    """Chooses the weights of the screen's score."""
    breaker: BreakerDecision
    multiplier: SizeMultiplier
    """Of every size of this scan."""
    report: ScreenReport
    reviews: tuple[Review, ...]
    """In rank order."""
    ranked_out: int
    """Candidates that passed the screen and were not reviewed."""
    spent: Spent
    """What the LLM calls took."""
    seconds: Mapping[str, float]
    """How long each stage took, by the desk's clock, in order; the last is the whole scan."""
    resumed: Resumption | None = None
    """How, if this is the end of a scan whose process had died."""
    unfinished: tuple[str, ...] = ()
    """Scans of this account that their process left and nobody has resumed, oldest first."""

    @property
    def failed(self) -> tuple[str, ...]:
        """What kept the scan from doing all it should have on the trading side, one line each."""
        of_reviews = (f"{one.error}; the other candidates are not affected" for one in self.reviews if one.error)
        return (*of_reviews, *self.broker_check.failed)
