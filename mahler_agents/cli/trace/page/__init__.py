"""Command line, `mahler trace export`: a recorded run in, one HTML page out that needs nothing else.

Everything that a model, a headline or a provider wrote is escaped by the template engine, and the page's own policy
allows no script, no form and no request, so that nothing in it could act even if it were not.
"""

import base64
import hashlib
import json
from functools import partial
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mahler_agents.cli.trace.page.payoff import payoff_of
from mahler_agents.cli.trace.page.timeline import timeline_of
from mahler_agents.cli.trace.sums import calls_of
from mahler_agents.record.chats import messages_of, reply_of
from mahler_agents.record.trace_rows import RunTrace
from mahler_agents.telling import phrases
from mahler_agents.telling.risk_lines import run_risk_lines
from mahler_agents.text import cents, count, counts, dollars, instant, per_share, percent, plain, visible, words
from mahler_agents.wording import strike_text

_FILTERS: dict[str, Any] = {
    one.__name__: one
    for one in (
        *(cents, counts, dollars, instant, per_share, percent, plain, visible, words, strike_text),
        *(messages_of, reply_of),
    )
} | {"pretty": partial(json.dumps, indent=2, ensure_ascii=False)}


def render(trace: RunTrace) -> str:
    """Return the page of a run as HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(_FILTERS)
    style = _part("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    reviewed = [candidate for candidate in trace.candidates if candidate.reviewed]
    return environment.from_string(_part("page.html")).render(
        trace=trace,
        run=trace.run,
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 - our own file, with nothing filled in
        phrases=phrases,
        count=count,
        calls=calls_of(trace),
        risk=list(run_risk_lines(trace.run)),
        timeline=timeline_of(trace),
        reviewed=[(candidate, payoff_of(candidate)) for candidate in reviewed],
        ranked_out=len(trace.candidates) - len(reviewed),
    )


def _part(name: str) -> str:
    return (resources.files(__package__ or "") / name).read_text(encoding="utf-8")
