"""End to end: `mahler scan` and `mahler monitor` at Alpaca, which is the fake one: trades, refusals, what is said."""

import asyncio
import datetime as dt
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from stored_keys import StoredKeys, keyring_of

from mahler_agents.cli import main
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.errors import ConfigError, InputError
from mahler_agents.llm.failures import DEADLINE_PASSED
from mahler_agents.market.occ import parse_symbol
from mahler_agents.market.sample import SampleMarket
from mahler_agents.progress import Progress, Stage
from mahler_agents.remote_clock import RemoteClock
from mahler_agents.scan import ScanResult
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.testing.scripted import ScriptedModel
from mahler_agents.types import Environment

AT_ALPACA = ("--market", "alpaca", "--broker", "alpaca")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeAlpaca]:
    monkeypatch.chdir(tmp_path)
    with FakeAlpaca() as one:
        for name, value in one.environ.items():
            monkeypatch.setenv(name, value)
        yield one


class LiveSample(SampleMarket):
    """Made-up quotes that claim to be of now."""

    live = True


def test_a_scan_and_a_pass_trade_one_account_and_say_what_they_did(
    fake: FakeAlpaca, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", *AT_ALPACA, "--model", "none", "--json"]) == 0
    scanned = json.loads(capsys.readouterr().out)
    books = fake.books()
    assert scanned["synthetic"]
    assert (scanned["market"], scanned["broker"]) == ("alpaca", "alpaca")
    assert scanned["account_before"]["cash"] == 100_000
    assert scanned["account_after"]["cash"] == books["cash_cents"] / 100 > 100_000
    traded = [one for one in scanned["reviews"] if one["decision"]["decision"] == "traded"]
    assert traded
    assert len(books["positions"]) == 2 * len(traded)
    assert {order["status"] for order in books["orders"]} <= {"filled", "canceled"}
    assert main(["monitor", *AT_ALPACA, "--json"]) == 0
    passed = json.loads(capsys.readouterr().out)
    assert (passed["positions"], passed["failed"]) == (len(traded), [])
    assert passed["account"]["equity"] == books["equity_cents"] / 100
    for verb in ("positions", "exits"):
        assert main([verb, "--broker", "alpaca"]) == 0
        assert "mahler-alpaca-alpaca.db" in capsys.readouterr().out
        assert main([verb, "--broker", "paper"]) == 2
        assert "no mahler-*-paper.db in this folder" in capsys.readouterr().err


def test_a_second_scan_opens_no_second_position_of_an_underlying_type_and_expiration(
    fake: FakeAlpaca, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[int] = []
    for _ in range(2):
        assert main(["scan", *AT_ALPACA, "--model", "none", "--json"]) == 0
        opened.append(len(fake.books()["positions"]))
    capsys.readouterr()
    shorts = [parse_symbol(symbol) for symbol, count in fake.books()["positions"].items() if count < 0]
    assert opened[0] > 0
    assert len({(one.underlying, one.right, one.expiration) for one in shorts}) == len(shorts)


def test_quotes_of_another_world_are_refused_before_anything_is_opened(
    fake: FakeAlpaca, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["scan", "--market", "sample", "--broker", "alpaca", "--model", "none"]) == 2
    error = capsys.readouterr().err
    assert "mahler: the broker alpaca trades now, and the market sample is of another time" in error
    assert list(tmp_path.glob("mahler-*.db")) == []
    assert fake.books()["orders"] == []


def test_made_up_quotes_never_price_an_order_at_the_real_alpaca() -> None:
    environ = {"APCA_API_KEY_ID": "PKCANARY", "APCA_API_SECRET_KEY": "canary"}
    with pytest.raises(InputError, match="the quotes of the market sample are made up: no order at Alpaca is priced"):
        Desk(market=LiveSample(), broker="alpaca", model="none", environ=environ)


def test_an_account_that_cannot_trade_spreads_is_refused_and_leaves_no_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with FakeAlpaca(options_level=2) as fake:
        for name, value in fake.environ.items():
            monkeypatch.setenv(name, value)
        assert main(["scan", *AT_ALPACA, "--model", "none"]) == 2
    assert "cannot trade spreads: its options level is 2, and they need 3" in capsys.readouterr().err
    assert list(tmp_path.glob("mahler-*.db")) == []


def test_without_keys_the_three_places_for_them_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("APCA_"):
            monkeypatch.delenv(name)
    with keyring_of(StoredKeys({})):
        assert main(["monitor", *AT_ALPACA]) == 2
    error = capsys.readouterr().err
    assert all(place in error for place in ("APCA_API_KEY_ID", ".env", "keyring"))


@pytest.mark.parametrize("broker", ["alpaca", "paper"])
@pytest.mark.parametrize("environment", ["paper", "live"])
def test_the_clock_of_a_fake_is_refused_at_the_real_alpaca(fake: FakeAlpaca, broker: str, environment: str) -> None:
    environ = {name: value for name, value in fake.environ.items() if name != "MAHLER_ALPACA_URL"}
    environ["APCA_API_KEY_ID"] = "PKCANARY" if environment == "paper" else "AKCANARY"
    config = DeskConfig(environment=Environment(environment))
    with pytest.raises(ConfigError, match=r"^MAHLER_CLOCK_URL is the clock of a fake Alpaca, and .*: unset .*other$"):
        Desk(market="alpaca", broker=broker, model="none", environ=environ, config=config)


def test_alpaca_takes_no_commission_unless_the_user_counts_one(fake: FakeAlpaca) -> None:
    plain = Desk(market="alpaca", broker="alpaca", model="none", environ=fake.environ)
    chosen = Desk(
        market="alpaca",
        broker="alpaca",
        model="none",
        environ=fake.environ,
        config=DeskConfig(commission_per_contract_and_leg=0.05),
    )
    assert plain.config.commission_per_contract_and_leg == 0
    assert chosen.config.commission_per_contract_and_leg == 0.05


def test_models_have_until_the_decision_time_and_not_the_delay_from_when_they_are_asked(
    fake: FakeAlpaca, tmp_path: Path
) -> None:
    clock = RemoteClock(fake.url)

    def slow_screen(progress: Progress) -> None:
        if progress.stage is Stage.SCREEN:
            fake.advance_to(late := fake.now + dt.timedelta(seconds=181))
            while clock.now() < late:  # it keeps a time for a twentieth of a second
                pass

    async def scanned() -> ScanResult:
        model = ScriptedModel.always(confidence=0.9).endpoint
        database = tmp_path / "a.db"
        async with Desk(market="alpaca", broker="alpaca", model=model, database=database, clock=clock) as desk:
            return await desk.scan(watch=slow_screen)

    result = asyncio.run(scanned())
    assert [review.opinions for review in result.reviews] == [()] * len(result.reviews)
    assert DEADLINE_PASSED in {failure.detail for review in result.reviews for failure in review.failures}
    assert any(review.decision.decision == "traded" for review in result.reviews)
