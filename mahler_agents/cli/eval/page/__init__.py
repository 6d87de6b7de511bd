"""Command line, `mahler eval compare --html`: a comparison in, one HTML page out that needs nothing else.

Every number on it is a `data` element: its `value` is that of the JSON document to the last digit, its `id` the place
there. Names are escaped; the page's own policy allows no script, no form and no request.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from mahler_agents.cli.eval.page.plots import differences_of, forecasts_of, reliability_of
from mahler_agents.cli.eval.text import SYNTHETIC, TOY, cost_text, errors_text, number, p_text, signed
from mahler_agents.evaluation.comparison import Comparison
from mahler_agents.text import plain, words

_LOOKS: Mapping[str, Callable[[Any], str]] = {
    "count": lambda one: f"{one:,}",
    "score": number,
    "signed": signed,
    "p": p_text,
    "cost": cost_text,
}
"""How a kind of number looks."""


def render(found: Comparison) -> str:
    """Return the page of a comparison."""
    document = found.model_dump(mode="json")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update({"plain": plain, "words": words, "errors_text": errors_text})
    style = _text("mahler_agents.cli.trace.page", "page.css") + _text(__name__, "page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.from_string(_text(__name__, "page.html")).render(
        found=found,
        at=partial(_number, document),
        differences=differences_of(found),
        forecasts=forecasts_of(found),
        reliability=reliability_of(found),
        toy=TOY,
        synthetic=SYNTHETIC,
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 - our own files, with nothing filled in
    )


def _number(document: Mapping[str, Any], place: str, kind: str) -> Markup:
    """Return the number at a place of the document as an element, or a dash where there is none."""
    found: Any = document
    for step in place.split("."):
        found = found[int(step)] if isinstance(found, list) else found[step]
    if found is None:
        return Markup("-")
    return Markup('<data id="{}" value="{}">{}</data>').format(place, repr(found), escape(_LOOKS[kind](found)))


def _text(package: str, name: str) -> str:
    return (resources.files(package) / name).read_text(encoding="utf-8")
