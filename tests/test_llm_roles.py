"""Models per role: what is chosen where, who is asked, and that it is on record, to the letter."""

import asyncio
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from desks import rows, scan

from mahler_agents.desk import Desk
from mahler_agents.errors import ConfigError, InputError
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.roles import choose_models, parse_model_for
from mahler_agents.testing.scripted import ScriptedModel

ROLES = {"greeks", "technical", "sentiment", "volatility", "fund_manager"}


def named(model: ScriptedModel, name: str) -> Endpoint:
    """Return a scripted model's endpoint under another name."""
    return Endpoint(model=name, base_url=model.endpoint.base_url, api_key="scripted-key", transport=model)


def test_each_role_asks_its_own_model_or_that_of_its_kind_or_the_desks(tmp_path: Path) -> None:
    model = ScriptedModel.always(confidence=0.8)
    names = {"fund_manager": "large", "analyst": "small", "greeks": "own"}
    chosen = {role: named(model, name) for role, name in names.items()}
    database = tmp_path / "desk.db"
    result = scan(database, named(model, "never-asked"), model_for=chosen)
    asked = {(request.role, request.body["model"]) for request in model.requests}
    assert asked == {
        ("greeks", "own"),
        ("technical", "small"),
        ("sentiment", "small"),
        ("volatility", "small"),
        ("fund_manager", "large"),
    }
    assert set(result.model.split(", ")) == {"own", "small", "large"}
    with sqlite3.connect(database) as connection:
        calls = connection.execute("SELECT role, model, resolved_model, system_fingerprint, request FROM llm_calls")
        recorded = calls.fetchall()
        (config,) = connection.execute("SELECT config FROM runs").fetchone()
    connection.close()
    assert {(role, of_model) for role, of_model, *_ in recorded} == asked
    assert {(resolved, fingerprint) for _, _, resolved, fingerprint, _ in recorded} == {("scripted-1", "fp_scripted")}
    for _, of_model, _, _, request in recorded:
        body = json.loads(request)
        assert body["model"] == of_model
        assert isinstance(body["temperature"], float)
        assert isinstance(body["max_completion_tokens"], int)
    models = json.loads(config)["models"]
    assert {role: described["model"] for role, described in models.items()} == dict(asked)
    assert "scripted-key" not in config
    assert all(row[0] for row in rows(database, "prompts"))


class Counting(ScriptedModel):
    """Replies after a moment, and counts how many wait for it at once."""

    now = most = asked = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Reply."""
        self.asked += 1
        self.now += 1
        self.most = max(self.now, self.most)
        await asyncio.sleep(1)
        try:
            return await super().handle_async_request(request)
        finally:
            self.now -= 1


def test_one_provider_has_one_gate_whichever_of_its_models_is_asked(tmp_path: Path) -> None:
    model = Counting.always()
    scan(
        tmp_path / "desk.db",
        named(model, "one"),
        model_for={"greeks": named(model, "two"), "fund_manager": named(model, "three")},
        call_limits=CallLimits(max_in_flight=3),
    )
    assert model.most == 3


def test_the_embedded_model_answers_one_call_at_a_time_whatever_providers_may_do(tmp_path: Path) -> None:
    model = Counting.always()
    embedded = replace(named(model, "tiny"), slots={})
    scan(tmp_path / "desk.db", embedded, call_limits=CallLimits(max_in_flight=3))
    assert (model.most, model.asked > 4) == (1, True)


def test_a_budget_is_of_the_whole_scan_and_what_it_refuses_is_told(tmp_path: Path) -> None:
    model = ScriptedModel.always(confidence=0.8)
    result = scan(
        tmp_path / "desk.db",
        named(model, "one"),
        model_for={"greeks": named(model, "two")},
        budget=ScanBudget(max_calls=6),
    )
    assert len(model.requests) == result.spent.calls == 6
    assert result.spent.dollars is None
    refused = [failed for review in result.reviews for failed in review.failures if failed.kind == "budget"]
    reviews = len(result.reviews)
    unheard = [failed for review in result.reviews for failed in review.failures if failed.kind == "no_quorum"]
    answered = sum(len(review.opinions) + (review.verdict is not None) for review in result.reviews)
    assert answered + len(refused) + len(unheard) == 5 * reviews
    assert answered == 6


def test_the_variable_chooses_too_and_the_option_goes_before_it() -> None:
    environ = {"MAHLER_MODEL_FOR": "fund_manager=openai:a, greeks=openai:b"}
    chosen = choose_models("local", {"greeks": "openai:c"}, environ)
    assert {role: str(one) for role, one in chosen.by_role.items()} == {
        "fund_manager": "openai:a",
        "greeks": "openai:c",
    }
    assert chosen.has_toy
    assert choose_models("none", {}, environ).by_role == {}


@pytest.mark.parametrize(
    ("model_for", "words"),
    [
        ({"macro": "openai:a"}, "--model-for macro=...: no such role; use one of: analyst, fund_manager, greeks"),
        ({"greeks": "gpt-4"}, "unknown model `gpt-4`"),
        ({"greeks": "none"}, "--model-for greeks=none"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_before_anything_runs(model_for: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        Desk(model="openai:m", model_for=model_for, environ={})
    assert words in str(caught.value)


def test_rules_only_is_said_of_the_whole_desk() -> None:
    with pytest.raises(InputError, match="--model none asks nobody"):
        Desk(model="none", model_for={"greeks": "openai:a"}, environ={})


@pytest.mark.parametrize("part", ["greeks", "=openai:a", "greeks="])
def test_what_is_not_role_and_model_is_refused(part: str) -> None:
    with pytest.raises(InputError, match="use ROLE=MODEL"):
        parse_model_for([part])


def test_a_limit_in_dollars_needs_the_price_of_every_model_before_anything_runs(tmp_path: Path) -> None:
    budget = ScanBudget(max_dollars=1)

    async def opened(model: str) -> None:
        environ = {"OPENAI_API_KEY": "sk-canary-4711"}
        async with Desk(model=model, database=tmp_path / "desk.db", budget=budget, environ=environ):
            pass

    asyncio.run(opened("openai:gpt-4o-mini"))
    with pytest.raises(ConfigError, match=r"price of `gpt-x` at api\.openai\.com is unknown"):
        asyncio.run(opened("openai:gpt-x"))
