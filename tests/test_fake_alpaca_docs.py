"""docs/fake-alpaca.md: it begins with a command, its examples run, and it names all routes, faults and options."""

import re
from pathlib import Path

import pytest
from fake_alpaca_clients import ask, world_at

from mahler_agents.cli.fake_alpaca import fake_alpaca
from mahler_agents.market.sample import DEFAULT_AS_OF
from mahler_agents.testing.fake_alpaca import FAULTS, MarketDataSettings, market_data
from mahler_agents.testing.fake_alpaca.routing import all_routes

PAGE = (Path(__file__).parent.parent / "docs/fake-alpaca.md").read_text(encoding="utf-8")
NAMES = set(re.findall(r"`([^`\n]+)`", PAGE))


def test_it_begins_with_a_command() -> None:
    assert re.match(r"# .*\n\n    mahler fake-alpaca\n", PAGE)


def test_the_first_example_trades_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    example, _ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/fake-alpaca.md", "exec"), {})  # noqa: S102 - our own example
    assert capsys.readouterr().out == "50000\n5000000\n"


def test_every_route_of_trading_and_control_is_named() -> None:
    routes = {route.name for route in all_routes() if route not in market_data.ROUTES}
    assert {name for name in NAMES if re.match(r"(GET|POST|PATCH|DELETE) /", name)} == routes


def test_every_fault_and_every_option_is_named() -> None:
    assert [fault for fault in FAULTS if fault not in NAMES] == []
    options = [option for parameter in fake_alpaca.params for option in parameter.opts]
    assert [option for option in options if not re.search(rf"`{option}\b", PAGE)] == []


def test_the_example_shows_a_chain_of_10_000(capsys: pytest.CaptureFixture[str]) -> None:
    _, example = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/fake-alpaca.md", "exec"), {})  # noqa: S102 - our own example
    count, _, quote = capsys.readouterr().out.partition(" ")
    assert int(count) > 10_000
    assert "'bp'" in quote


def test_every_route_of_the_market_data_is_in_the_table() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `/")]
    told: set[str] = set()
    for row in rows:
        first, *others = re.findall(r"`([^`]+)`", row.split("|")[1])
        folder = first.rsplit("/", 2 if first.endswith("/latest") else 1)[0]
        told |= {first, *(f"{folder}/{other}" for other in others)}
    routes = {route.path for route in market_data.ROUTES}
    patterns = [route.pattern for route in market_data.ROUTES]
    assert {path for path in told if not any(pattern.fullmatch(path) for pattern in patterns)} == set()
    assert {path for path in routes if not any(_like(path, one) for one in told)} == set()


def _like(route: str, told: str) -> bool:
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route))
    return re.fullmatch(pattern, told) is not None


def test_every_setting_is_named() -> None:
    assert [name for name in MarketDataSettings.model_fields if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("path", ["/v2/options/contracts", "/v1/corporate-actions"])
def test_the_page_s_largest_pages_are_the_routes_own(path: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{path}`"))
    most = int(row.split("|")[2].split(",", 1)[1].replace(",", ""))
    world = world_at(DEFAULT_AS_OF)
    assert (ask(world, path, limit=most).status, ask(world, path, limit=most + 1).status // 100) == (200, 4)
