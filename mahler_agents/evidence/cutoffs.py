"""Evidence: what a model may remember; a dated table of knowledge cutoffs in, a model's own out."""

import datetime as dt
import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, kw_only=True)
class Cutoff:
    """The last day of which a model can know anything by heart."""

    model: str
    """Its name, or the beginning of it."""
    cutoff: dt.date
    date: dt.date
    """When that was read."""
    source: str


def load_cutoffs() -> tuple[Cutoff, ...]:
    """Return the package's table."""
    text = resources.files("mahler_agents.evidence").joinpath("cutoffs.toml").read_text("utf-8")
    return tuple(Cutoff(**entry) for entry in tomllib.loads(text)["model"])


def cutoff_of(model: str, table: tuple[Cutoff, ...]) -> dt.date | None:
    """Return a model's cutoff, by the longest name in the table that its own begins with; None if it is unknown."""
    name = model.rsplit("/", 1)[-1].lower()
    fitting = [one for one in table if name == one.model or name.startswith(f"{one.model}-")]
    return max(fitting, key=lambda one: len(one.model)).cutoff if fitting else None
