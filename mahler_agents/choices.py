"""Scan: what the user chose for a run in, how the record keeps it out, and back: a run is resumed as it was begun."""

import json
from collections.abc import Mapping
from typing import Any, Self

from mahler_agents.config import DeskConfig
from mahler_agents.exits import ExitPolicy
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.prompts import Prompt
from mahler_agents.record.writer import as_json
from mahler_agents.regime import RegimeParams
from mahler_agents.risk import RiskLimits
from mahler_agents.screen import ScreenParams
from mahler_agents.types import Frozen, Spread


class ScanChoices(Frozen):
    """All that a scan's outcome depends on beside the snapshot, the clock and the models themselves."""

    desk: DeskConfig
    exits: ExitPolicy
    limits: RiskLimits
    screen: ScreenParams
    regime: RegimeParams
    panel: tuple[str, ...]
    """The analysts, in order."""
    only: str | None = None
    """The one underlying whose candidates are reviewed; None: every one's."""
    review_only: Spread | None = None
    """The one spread that is reviewed, and by which nothing is opened: asked for by `Desk.review`."""
    prompts: Mapping[str, str] = {}
    """Role to the version of its prompt; empty if no model is asked."""
    budget: ScanBudget | None = None
    """None if no model is asked."""
    models: Mapping[str, Mapping[str, str]] = {}
    """Role to its endpoint as the record names it."""

    @classmethod
    def of_models(
        cls, endpoints: Mapping[str, Endpoint], prompts: Mapping[str, Prompt], budget: ScanBudget, **choices: Any
    ) -> Self:
        """Return the choices of a scan that asks these models, or none."""
        return cls(
            prompts={role: prompt.content_hash for role, prompt in prompts.items()},
            budget=budget if endpoints else None,
            models={role: endpoint.described for role, endpoint in endpoints.items()},
            **choices,
        )

    @property
    def recorded(self) -> str:
        """The choices as a run's `config`."""
        return as_json(self.model_dump(mode="json"))

    @classmethod
    def read(cls, config: str) -> Self:
        """Return the choices that a run's `config` holds; raises `ValueError` if another version wrote it."""
        return cls.model_validate(json.loads(config))
