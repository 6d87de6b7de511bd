"""Budgets of a scan: never exceeded however many calls there are at once; every dollar known, or said to be unknown."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from asking import START, question
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.errors import ConfigError
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import Bound, ScanBudget, Spending, Spent
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.failures import Failure, FailureKind
from mahler_agents.llm.prices import FREE, Price, load_prices, price_of
from mahler_agents.llm.prompts import Message
from mahler_agents.testing import virtual_time
from mahler_agents.testing.scripted import (
    CallList,
    Script,
    ScriptedModel,
    connection_error,
    favourable,
    http_body,
    http_error,
    never,
    reply,
)
from mahler_agents.testing.virtual_time import VirtualClock

PRICE = Price(input=2.0, output=8.0)
ONE_CALL = (2.0 * 100 + 8.0 * 40) / 1e6
"""Dollars of a scripted reply: 100 prompt tokens, 40 completion tokens."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What came of several questions at once."""

    answered: int
    refused: list[Failure]
    spent: Spent
    costs: list[float | None]
    """On record, of each attempt."""


def put(
    script: Script,
    budget: ScanBudget | None = None,
    *,
    questions: int = 1,
    price: Price | None = PRICE,
    limits: CallLimits | None = None,
) -> Panel:
    """Put questions at once to a scripted model, in virtual time."""
    spending, log = Spending(budget or ScanBudget()), CallList()

    async def at_once() -> list[Answer | Failure]:  # type: ignore[type-arg]
        clock = VirtualClock(START, asyncio.get_running_loop())
        endpoint = ScriptedModel(script).endpoint
        async with ChatClient(endpoint, clock=clock, log=log, limits=limits, spending=spending, price=price) as client:
            return list(await asyncio.gather(*(question(client, rate=number) for number in range(questions))))

    results = virtual_time.run(at_once())
    failures = [one for one in results if isinstance(one, Failure)]
    return Panel(
        answered=len(results) - len(failures),
        refused=[one for one in failures if one.kind is FailureKind.BUDGET],
        spent=spending.spent,
        costs=[call.cost_dollars for call in log.finished],
    )


def late(one: object) -> object:
    """Reply after a second, so that all calls are in flight together."""
    return replace(favourable(one), delay=1.0)  # type: ignore[arg-type]


def test_the_calls_beyond_the_budget_fail_by_name_and_are_not_made() -> None:
    panel = put(late, ScanBudget(max_calls=3), questions=8)  # type: ignore[arg-type]
    assert (panel.answered, len(panel.refused), panel.spent.calls) == (3, 5, 3)
    assert {one.detail for one in panel.refused} == {"the scan's 3 calls are spent"}
    assert {one.action for one in panel.refused} == {
        "raise --max-calls, --max-tokens or --max-dollars, or ask a cheaper model"
    }
    assert not any(one.retryable for one in panel.refused)


def test_retries_and_repairs_count_as_calls() -> None:
    panel = put(lambda _: http_error(500), ScanBudget(max_calls=2))
    assert panel.spent.calls == 2
    panel = put(lambda _: reply("prose"), ScanBudget(max_calls=1))
    assert (panel.spent.calls, panel.refused[0].raw_reply) == (1, "prose")


@given(
    max_tokens=st.none() | st.integers(0, 20_000),
    max_dollars=st.none() | st.floats(0, 0.02),
    max_calls=st.none() | st.integers(0, 15),
    questions=st.integers(1, 20),
)
def test_whatever_is_in_flight_at_once_no_limit_is_exceeded(
    max_tokens: int | None, max_dollars: float | None, max_calls: int | None, questions: int
) -> None:
    budget = ScanBudget(max_tokens=max_tokens, max_dollars=max_dollars, max_calls=max_calls)
    panel = put(late, budget, questions=questions)  # type: ignore[arg-type]
    spent = panel.spent
    assert panel.answered + len(panel.refused) == questions
    assert spent.calls == panel.answered
    assert max_calls is None or spent.calls <= max_calls
    assert max_tokens is None or spent.prompt_tokens + spent.completion_tokens <= max_tokens
    assert spent.dollars is not None
    assert max_dollars is None or spent.dollars <= max_dollars + 1e-12
    # What is left would not have held the most that one more call may take.
    if panel.refused and max_calls is None and max_dollars is None and max_tokens is not None:
        assert max_tokens - spent.prompt_tokens - spent.completion_tokens < 2_500


def test_a_call_that_does_not_fit_beside_those_in_flight_waits_for_them() -> None:
    # Each may take about 1,300 tokens and takes 140: two at a time, if none of them were waited for.
    panel = put(late, ScanBudget(max_tokens=3_000), questions=8)  # type: ignore[arg-type]
    assert panel.answered == 8


def test_what_is_not_known_to_be_free_counts_as_much_as_it_may_have_been() -> None:
    no_usage = '{"choices": [{"message": {"content": "prose"}, "finish_reason": "stop"}]}'
    limits = CallLimits(max_attempts=1, attempt_seconds=5)
    for script in (lambda _: never(), lambda _: http_body(no_usage)):
        panel = put(
            script, ScanBudget(max_tokens=1_800), questions=2, limits=limits.model_copy(update={"max_in_flight": 1})
        )
        assert len(panel.refused) >= 1
        assert panel.spent.dollars is None
        assert panel.costs[0] is None


@pytest.mark.parametrize(
    ("script", "costs"),
    [
        (favourable, [ONE_CALL]),
        (lambda one: reply("prose") if one.attempt == 1 else favourable(one), [ONE_CALL, ONE_CALL]),
        (lambda one: http_error(500) if one.attempt == 1 else favourable(one), [0.0, ONE_CALL]),
        (lambda one: connection_error() if one.attempt == 1 else favourable(one), [0.0, ONE_CALL]),
    ],
)
def test_each_attempt_has_its_cost_on_record_and_a_scan_their_sum(script: Script, costs: list[float]) -> None:
    panel = put(script)
    assert panel.costs == pytest.approx(costs)
    assert panel.spent.dollars == pytest.approx(sum(costs))


def test_an_unknown_price_is_an_unknown_cost_and_not_nothing() -> None:
    panel = put(favourable, price=None)
    assert (panel.answered, panel.costs, panel.spent.dollars) == (1, [None], None)
    assert put(favourable, price=FREE).spent.dollars == 0


def test_under_a_limit_in_dollars_a_model_without_a_price_is_not_asked() -> None:
    panel = put(favourable, ScanBudget(max_dollars=100), price=None)
    assert panel.spent.calls == 0
    assert "price of this model is unknown" in panel.refused[0].detail


def test_a_bound_holds_more_tokens_than_any_tokenizer_makes() -> None:
    messages: list[Message] = [{"role": "user", "content": "ж" * 100}]
    bound = Bound.of(prompt_bytes=len(messages[0]["content"].encode()), max_tokens=50, price=PRICE)
    assert (bound.tokens, bound.dollars) == (250, pytest.approx((2 * 200 + 8 * 50) / 1e6))


@pytest.mark.parametrize("bad", [{"max_calls": -1}, {"max_tokens": -1}, {"max_dollars": float("nan")}, {"calls": 3}])
def test_a_budget_that_makes_no_sense_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        ScanBudget.model_validate(bad)


def test_the_packaged_prices_are_dated_and_sourced() -> None:
    prices = load_prices({})
    assert price_of(prices, base_url="https://api.openai.com/v1", model="gpt-4o-mini") is not None
    for entry in prices.values():
        assert entry.model_dump()["source"]
        assert 0 < entry.input < entry.output
    # The same name at another provider is another price.
    assert price_of(prices, base_url="https://openrouter.ai/api/v1", model="gpt-4o-mini") is None


def test_a_price_file_of_ones_own_goes_before_the_packaged_one(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    line = 'input = 1\noutput = 2\ndate = 2026-01-02\nsource = "the contract"'
    path.write_text(f'[[price]]\nprovider = "api.openai.com"\nmodel = "gpt-4o"\n{line}\n')
    prices = load_prices({"MAHLER_PRICES": str(path)})
    own = price_of(prices, base_url="https://api.openai.com/v1", model="gpt-4o")
    assert own is not None
    assert own.cost(1_000_000, 500_000) == 2.0
    assert len(prices) == len(load_prices({}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[price", "not TOML"),
        ('[[price]]\nprovider = "a"\nmodel = "m"\n', "price.0.input: Field required"),
        ("[[price]]\ninput = -1", "price.0.input: Input should be greater than or equal to 0"),
    ],
)
def test_a_price_file_that_cannot_be_used_is_named_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_prices({"MAHLER_PRICES": str(path)})
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_prices({"MAHLER_PRICES": str(tmp_path / "none.toml")})
