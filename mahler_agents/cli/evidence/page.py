"""Command line, `mahler evidence --html`: the JSON document in, one HTML page out that needs nothing else.

Every number on it is a `data` element: its `value` is the document's number to the last digit, its `id` the place in
the document. Names that a record holds are escaped; the page's own policy allows no script, no form and no request.
"""

import base64
import hashlib
import math
from collections.abc import Callable
from functools import partial
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from mahler_agents.evidence.plot import draw
from mahler_agents.evidence.report import Evidence, PoolReport
from mahler_agents.text import cents, percent, plain, words

FORMATS: dict[str, Callable[[float], str]] = {
    "count": lambda one: f"{one:,}",
    "cents": cents,
    "percent": lambda one: percent(one, 1),
    "points": lambda one: f"{round(100 * one, 2) + 0.0:+.2f}",
    "score": lambda one: f"{one:.4f}",
    "two": lambda one: f"{one:.2f}",
    "times": lambda one: f"{math.exp(one):.2f}",
    "plain": lambda one: f"{one:g}",
}
"""What a kind of number looks like; `data-kind` names it."""
_STYLE = """
body { max-width: 92rem; }
h3 { margin: 1.4rem 0 .3rem; }
table { font-size: .82rem; }
th { vertical-align: bottom; white-space: normal; }
td.said { min-width: 9em; }
img { max-width: 100%; }
"""
"""What this page's wide tables need beyond the style of all pages."""


def render(document: dict[str, Any], reports: tuple[PoolReport, ...]) -> str:
    """Return the page of a document; `reports` are what it was made of, in the same order."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update({"plain": plain, "words": words})
    style = (resources.files("mahler_agents.cli.trace.page") / "page.css").read_text(encoding="utf-8") + _STYLE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = (resources.files(__package__ or "") / "page.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        document=document,
        parts=_parts(document),
        pictures=_pictures(reports),
        number=partial(_number, document),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 - our own file, with nothing filled in
    )


def _parts(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the page shows one after another: each pool, and what was set apart from it."""
    parts: list[dict[str, Any]] = []
    for place, pool in enumerate(document["pools"]):
        parts.append({"pool": pool, "place": f"pools.{place}.evidence", "found": pool["evidence"], "apart": False})
        if pool["remembered"] is not None:
            parts.append(
                {"pool": pool, "place": f"pools.{place}.remembered", "found": pool["remembered"], "apart": True}
            )
    return parts


def _pictures(reports: tuple[PoolReport, ...]) -> dict[str, str]:
    """Return each part's picture, as the address of an image that is in the page itself."""
    found: dict[str, str] = {}
    for place, report in enumerate(reports):
        for name, evidence in (("evidence", report.evidence), ("remembered", report.remembered)):
            if evidence is not None:
                found[f"pools.{place}.{name}"] = _picture(report.name, evidence)
    return found


def _picture(name: str, evidence: Evidence) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(draw(name, evidence, 'svg')).decode()}"


def _number(document: dict[str, Any], place: str, kind: str) -> Markup:
    """Return the number at a place of the document as an element, or a dash where there is none."""
    found: Any = document
    for step in place.split("."):
        if found is None:
            return Markup("-")
        found = found[int(step)] if isinstance(found, list) else found[step]
    if found is None:
        return Markup("-")
    text = escape(FORMATS[kind](found))
    return Markup('<data id="{}" value="{}" data-kind="{}">{}</data>').format(place, repr(found), kind, text)
