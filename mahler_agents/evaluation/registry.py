"""Evaluation: `module:function` of a user's, or an installed package's entry point, in, scorers out."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from mahler_agents.errors import ConfigError
from mahler_agents.evaluation.heard import Heard
from mahler_agents.evaluation.scorers import BUILT_IN, OfAnswer, Score, Scorer

GROUP = "mahler_agents.scorers"
"""Of the entry points in which installed packages register theirs."""


def scorers(named: Sequence[str] = ()) -> tuple[Scorer, ...]:
    """Return the built-in scorers, those of installed packages, and those that are named as `module:function`.

    A name may be that of a `Scorer` or of a function, which scores answers, more being better. Modules are looked for
    in the working folder, too. Raises `ConfigError` for one that cannot be had, or has the name of another.
    """
    found = list(BUILT_IN)
    for point in entry_points(group=GROUP):
        _add(found, _loaded(point.value), point.name, point.value)
    for text in named:
        _add(found, _loaded(text), text.rpartition(":")[2], text)
    return tuple(found)


def _add(found: list[Scorer], loaded: Any, name: str, text: str) -> None:
    if not isinstance(loaded, Scorer) and not callable(loaded):
        raise ConfigError(f"--scorer {text}: it is neither a function nor a Scorer")
    scorer = (
        loaded if isinstance(loaded, Scorer) else Scorer(name=name, better="higher", of_answer=_checked(loaded, text))
    )
    if scorer.name in {one.name for one in found}:
        raise ConfigError(f"--scorer {text}: there is a scorer `{scorer.name}`; name it otherwise")
    found.append(scorer)


def _loaded(text: str) -> Any:
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise ConfigError(f"--scorer {text}: use MODULE:FUNCTION, such as my_scorers:mentions_theta")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ConfigError(f"--scorer {text}: cannot be had: {' '.join(str(error).split())}") from error


def _checked(function: Any, text: str) -> OfAnswer:
    """Return a user's function; what it raises, or returns that is no score, ends the work and says where."""

    def score(heard: Heard) -> Score | None:
        try:
            found = function(heard)
        except Exception as error:
            raise ConfigError(f"--scorer {text}: case {heard.case.id[:8]}: {type(error).__name__}: {error}") from error
        if found is not None and not isinstance(found, Score):
            raise ConfigError(f"--scorer {text}: it returned {type(found).__name__}; return a Score or None")
        return found

    return score
