"""Properties: whatever a model says or fails to say, and in whatever order, the paper trade is the same to the byte."""

import json
import tempfile
from functools import cache
from pathlib import Path

from conftest import at_scale
from desks import rows, scan, trade
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_agents.config import DeskConfig
from mahler_agents.testing.scripted import (
    ScriptedModel,
    ScriptedReply,
    ScriptedRequest,
    connection_error,
    favourable,
    http_body,
    http_error,
    never,
    reply,
)

_PROBABILITY = st.floats(min_value=0, max_value=1)
_SPOKEN = st.fixed_dictionaries(
    {"confidence": _PROBABILITY, "p_profit": _PROBABILITY},
    optional={
        "summary": st.text(min_size=1, max_size=200),
        "stance": st.sampled_from(["favourable", "neutral", "unfavourable", "buy 100 contracts"]),
        "approved": st.booleans(),
        "contracts": st.integers(min_value=-5, max_value=10_000),
    },
)
_DELAY = st.sampled_from([0.0, 0.5, 3.0, 40.0, 400.0])


@st.composite
def _behaviour(draw: st.DrawFn) -> object:
    """One way in which a model behaves: speaks, mumbles, errs, hangs or dies."""
    kind = draw(st.sampled_from(["speaks", "speaks", "mumbles", "stops", "refuses", "errs", "dies", "hangs", "body"]))
    delay = draw(_DELAY)
    if kind == "speaks":
        return ("speaks", draw(_SPOKEN), delay)
    return {
        "mumbles": lambda: reply(draw(st.text(max_size=300)), delay=delay),
        "stops": lambda: reply(draw(st.text(max_size=300)), finish_reason=draw(_STOPS), delay=delay),
        "refuses": lambda: reply(None, refusal=draw(st.text(min_size=1, max_size=50)), delay=delay),
        "errs": lambda: http_error(draw(_STATUSES), headers=draw(_HEADERS), delay=delay),
        "dies": lambda: draw(_DEATHS),
        "hangs": never,
        "body": lambda: http_body(draw(st.text(max_size=300)), delay=delay),
    }[kind]()


_DEATHS = st.sampled_from(
    [connection_error(), RuntimeError("boom"), MemoryError(), ExceptionGroup("several", [ValueError("one")])]
)
_STOPS = st.sampled_from(["length", "content_filter", "tool_calls", "stop"])
_STATUSES = st.sampled_from([400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504])
_HEADERS = st.sampled_from([{}, {"retry-after": "1"}, {"retry-after": "9999"}, {"retry-after": "soon"}])


def _model(behaviours: list[object]) -> ScriptedModel:
    """Return a model whose behaviour to a request depends on what is asked, so that it is the same in every run."""

    def script(request: ScriptedRequest) -> ScriptedReply | Exception:
        key = json.dumps([request.role, request.messages[-1], request.attempt])
        behaviour = behaviours[sum(key.encode()) % len(behaviours)]
        if not isinstance(behaviour, tuple):
            return behaviour
        _, fields, delay = behaviour
        known = {name: value for name, value in fields.items() if name in request.schema["properties"]}
        spoken = favourable(request, **known)
        return ScriptedReply(body=spoken.body, delay=delay)

    return ScriptedModel(script)


@cache
def _without_a_model() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        scan(Path(folder) / "desk.db", "none")
        return trade(Path(folder) / "desk.db")


@settings(max_examples=at_scale(1000))
@given(behaviours=st.lists(_behaviour(), min_size=1, max_size=12))
def test_paper_orders_are_the_same_to_the_byte_whatever_the_model_does(behaviours: list[object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "desk.db"
        scan(database, _model(behaviours).endpoint)
        assert trade(database) == _without_a_model()
        assert b"filled" in trade(database)


@settings(max_examples=at_scale(200))
@given(behaviours=st.lists(_behaviour(), min_size=1, max_size=12), rounds=st.integers(1, 3))
def test_so_are_they_after_a_debate(behaviours: list[object], rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "desk.db"
        scan(database, _model(behaviours).endpoint, config=DeskConfig(debate_rounds=rounds))
        assert trade(database) == _without_a_model()


@settings(max_examples=at_scale(200))
@given(delays=st.lists(st.floats(min_value=0, max_value=20), min_size=1, max_size=30))
def test_the_outcome_is_the_same_whichever_reply_comes_first(delays: list[float]) -> None:
    def delayed(request: ScriptedRequest) -> ScriptedReply:
        key = json.dumps([request.role, request.messages[-1]])
        confidence = sum(key.encode()) % 100 / 100
        spoken = favourable(request, confidence=confidence)
        return ScriptedReply(body=spoken.body, delay=delays[sum(key.encode()) % len(delays)])

    def at_once(request: ScriptedRequest) -> ScriptedReply:
        return ScriptedReply(body=delayed(request).body)

    with tempfile.TemporaryDirectory() as folder:
        slow, quick = Path(folder) / "slow.db", Path(folder) / "quick.db"
        scan(slow, ScriptedModel(delayed).endpoint)
        scan(quick, ScriptedModel(at_once).endpoint)
        assert trade(slow) == trade(quick)
        for table in ("candidates", "opinions", "failures", "verdicts"):
            assert rows(slow, table) == rows(quick, table)
