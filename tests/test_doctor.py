"""`mahler doctor`: all checks run, whatever becomes of one; nothing is written, no key is shown; exit codes."""

import asyncio
import contextlib
import inspect
import json
import os
import queue
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keyring.backends.fail
import pytest
from cli_scans import Terminal
from doctor_worlds import CANARY_KEYS, NOW, World, beat, look
from stored_keys import keyring_of

from mahler_agents.cli import main
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.doctor import CHECKS, Check, Group, Level, Situation, diagnose
from mahler_agents.doctor.findings import Said, ok, warn
from mahler_agents.errors import InputError, JobError
from mahler_agents.screen import ScreenParams
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.testing.fault_server import FaultServer
from mahler_agents.version import __version__

SECRET = "sk-canary-0123456789-0123456789"  # noqa: S105 - made up
ALPACA = ("--market", "alpaca", "--broker", "alpaca", "--model", "openai:m")


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAlpaca]:
    with FakeAlpaca(start=NOW) as served:
        yield served


@pytest.fixture
def world(fake: FakeAlpaca, tmp_path: Path) -> Iterator[World]:
    made = World(fake, tmp_path)
    with made.stack, keyring_of(keyring.backends.fail.Keyring()):
        yield made


@contextlib.contextmanager
def model_in_a_thread() -> Iterator[FaultServer]:
    """Yield a model on a loop of its own: the command line has one, too."""
    ready: queue.SimpleQueue[tuple[FaultServer, asyncio.AbstractEventLoop, asyncio.Event]] = queue.SimpleQueue()

    async def serve() -> None:
        over = asyncio.Event()
        async with FaultServer() as server:
            ready.put((server, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    server, loop, over = ready.get(timeout=60)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


@pytest.fixture
def healthy(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the record of a desk that is in order, and the variables of that desk."""
    monkeypatch.chdir(world.folder)
    path = world.record(beat(NOW - NOW, version=__version__))
    path = path.rename(world.folder / "mahler-alpaca-alpaca.db")
    line = 'provider = "127.0.0.1"\nmodel = "m"\ninput = 1\noutput = 2\ndate = 2026-01-01\nsource = "mine"\n'
    (world.folder / "prices.toml").write_text(f"[[price]]\n{line}")
    with model_in_a_thread() as model:
        for name, value in {**world.fake.environ, **model.environ, "MAHLER_PRICES": "prices.toml"}.items():
            monkeypatch.setenv(name, value)
        yield path


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["doctor", *arguments])
    return code, capsys.readouterr().out


def test_a_desk_in_order_is_ok_in_every_line(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in healthy.parent.iterdir() if path.is_file()}
    code, out = run(*ALPACA, capsys=capsys)
    *lines, total = out.splitlines()
    assert code == 0, out
    assert total == f"{len(CHECKS) - 3} ok, 0 warn, 0 fail, 0 skipped"  # it has no embedded model, and is not live
    assert [line for line in lines if line.startswith("  ") and not line.startswith("  ok ")] == []
    assert [line for line in lines if not line.startswith("  ")] == [str(group) for group in Group]
    after = {path.name: path.read_bytes() for path in healthy.parent.iterdir() if path.is_file()}
    assert {name: content for name, content in after.items() if not name.endswith(("-wal", "-shm"))} == before


def test_offline_nobody_is_asked(healthy: Path, fake: FakeAlpaca, capsys: pytest.CaptureFixture[str]) -> None:
    del healthy
    fake.fail("*", "500", times=1000)
    code, out = run(*ALPACA, "--offline", "--json", capsys=capsys)
    scripted = fake.scripted
    fake.forget_faults()
    found = json.loads(out)
    assert (code, found["ok"], found["counts"]["fail"], found["counts"]["warn"]) == (0, True, 0, 0)
    assert scripted[0].times == 1000
    by_check = {finding["check"]: finding for finding in found["findings"]}
    for name in ("trading-host", "account", "option-feed", "vix", "model-answers"):
        assert by_check[name]["level"] == "skipped"
        assert "--offline" in by_check[name]["text"]
    assert {by_check[name]["level"] for name in ("alpaca-keys", "record-pages", "scheduler", "prompts")} == {"ok"}


def test_on_a_terminal_the_same_is_shown_beside_a_margin(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    assert main(["doctor", "--model", "none", "--offline"]) == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).rpartition("record ...")[2]
    assert "  warn  scheduler" in shown
    assert "fix: start `mahler run`" in shown
    assert [line for line in shown.splitlines() if len(line) > 70 or line != line.rstrip()] == []


@pytest.mark.parametrize(
    "arguments",
    [["--market", "moon"], ["--market", "csv:"], ["--market", "recorded:x"], ["--broker", "alpaca"], ["--exits", "x"]],
    ids=" ".join,
)
def test_an_option_that_there_is_not_is_bad_input(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_fails_makes_the_exit_code_1_and_says_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world.folder)
    Path("notes.txt").write_text("no record, and long enough to be looked at as one " * 100)
    code, out = run("--model", "none", "--db", "notes.txt", capsys=capsys)
    assert code == 1
    assert "FAIL  record " in out
    assert "fix: name the record's file with --db or MAHLER_DB" in out
    assert "not looked at: record fails" in out


def test_a_setting_that_cannot_be_is_one_line_and_bad_input(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world.folder)
    monkeypatch.setenv("MAHLER_ENVIRONMENT", "prod")
    assert main(["doctor", "--model", "none"]) == 2
    assert "MAHLER_ENVIRONMENT" in capsys.readouterr().err


def test_the_desk_of_the_settings_is_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world.folder)
    Path("mahler.toml").write_text('environment = "live"\nmodel = "none"\n[limits]\nmax_risk_per_trade_pct = 0.005\n')
    code, out = run("--offline", capsys=capsys)
    assert code == 0
    assert "live trading (mahler.toml:1)" in out
    assert "allows $500, 0.5 % of $100,000" in out
    assert "mahler-sample-paper-live.db is not there yet" in out


# --- The runner -------------------------------------------------------------------------------------------------------


def check(name: str, look: Any, **more: Any) -> Check:
    return Check(name=name, group=Group.MACHINE, look=look, **more)


def found(world: World, *checks: Check, **choices: Any) -> dict[str, tuple[Level, str]]:
    situation = world.sample(**choices)
    diagnosis = asyncio.run(diagnose(situation, checks))
    return {finding.check: (finding.level, finding.text) for finding in diagnosis.findings}


def well(_: Situation) -> Said:
    """Nothing."""
    return ok("well")


def broken(_: Situation) -> Said:
    """Nothing."""
    raise ZeroDivisionError(f"by nothing, with {SECRET}")


def uninstalled(_: Situation) -> Said:
    """Nothing."""
    raise ModuleNotFoundError("No module named 'alpaca'")


def unsure(_: Situation) -> bool:
    raise LookupError("does it apply?")


def refused(_: Situation) -> Said:
    """Nothing."""
    raise JobError("the desk's own error")


def test_all_checks_run_even_if_some_fail(world: World) -> None:
    async def hangs(_: Situation) -> Said:
        await asyncio.Event().wait()
        return ok("never")

    over = threading.Event()

    def blocks(_: Situation) -> Said:
        over.wait()
        return ok("too late")

    says = found(
        world,
        check("broken", broken),
        check("hangs", hangs),
        check("blocks", blocks),
        check("refused", refused),
        check("needy", well, needs=("broken",)),
        check("needier", well, needs=("needy",)),
        check("uninstalled", uninstalled),
        check("unsure", well, applies=unsure),
        check("well", well),
        patience_seconds=0.1,
    )
    over.set()
    assert says["broken"][0] is Level.FAIL
    assert "ZeroDivisionError: by nothing" in says["broken"][1]
    assert says["hangs"] == says["blocks"] == (Level.FAIL, "it had not ended after 0.1 s")
    assert says["refused"] == (Level.FAIL, "the desk's own error")
    assert says["needy"] == (Level.SKIPPED, "not looked at: broken fails")
    assert says["needier"] == (Level.SKIPPED, "not looked at: needy is skipped")
    assert says["uninstalled"][1] == "the check itself failed: ModuleNotFoundError: No module named 'alpaca'"
    assert says["unsure"] == (Level.FAIL, "the check itself failed: LookupError: does it apply?")
    assert says["well"] == (Level.OK, "well")


def test_those_that_wait_do_so_at_once(world: World) -> None:
    async def together() -> dict[str, Any]:
        everyone = asyncio.Barrier(3)

        async def waits(_: Situation) -> Said:
            await everyone.wait()
            return ok("met")

        with world.sample() as situation:
            diagnosis = await diagnose(situation, [check(name, waits) for name in ("a", "b", "c")])
        return {finding.check: finding.text for finding in diagnosis.findings}

    assert asyncio.run(together()) == {"a": "met", "b": "met", "c": "met"}


def test_a_warning_keeps_nobody_from_looking(world: World) -> None:
    says = found(world, check("a", lambda _: warn("hm", fix="f")), check("b", well, needs=("a",)))
    assert says["b"] == (Level.OK, "well")


def test_no_key_is_shown_whatever_repeats_it(world: World) -> None:
    def repeats(_: Situation) -> Sequence[Said]:
        return [warn(f"found {SECRET}", fix=f"throw {CANARY_KEYS['APCA_API_SECRET_KEY']} away")]

    environ = {**CANARY_KEYS, "OPENAI_API_KEY": SECRET}
    with world.sample(environ=environ) as situation:
        diagnosis = asyncio.run(diagnose(situation, [check("repeats", repeats), check("broken", broken)]))
    said = repr(diagnosis)
    assert "canary" not in said.lower()
    assert said.count("[redacted]") == 3


def test_a_key_in_a_file_is_shown_to_nobody_either(world: World) -> None:
    (world.folder / ".env").write_text("".join(f"{name}={key}\n" for name, key in CANARY_KEYS.items()))
    environ = {"MAHLER_ALPACA_URL": world.fake.url}
    findings = look(world.alpaca(environ=environ), "alpaca-keys", "account")
    assert "the file .env" in findings[0].text
    assert findings[1].level is Level.FAIL
    assert "canary" not in repr(findings).lower()


def test_a_complaint_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="without"):
        Said(level=Level.FAIL, text="without")
    with pytest.raises(ValueError, match="with"):
        Said(level=Level.OK, text="with", fix="nothing")


def test_every_check_has_a_name_of_its_own_and_stands_after_those_that_it_needs() -> None:
    before: set[str] = set()
    for one in CHECKS:
        assert one.name not in before
        assert set(one.needs) <= before, one.name
        assert one.about
        before.add(one.name)
    assert {one.group for one in CHECKS} == set(Group)


@pytest.mark.parametrize(
    "choices", [{"broker": "x"}, {"market": "x"}, {"broker": "alpaca"}, {"market": "csv:x", "seed": 1}]
)
def test_a_choice_that_there_is_not_is_refused_at_once(choices: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Situation(**choices)


def test_a_situation_in_a_folder_that_may_only_be_read_says_so(world: World) -> None:
    """In a child that is not the superuser, who may write anywhere."""
    closed = world.folder / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    for place in (closed, *closed.parents):
        if place.owner() == "root" and os.getuid() == 0 and "pytest" in str(place):
            place.chmod(place.stat().st_mode | 0o055)
    from mahler_agents.doctor.machine import folder

    situation = world.sample(database=closed / "desk.db")
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:
            os.setuid(65534)
        os._exit(7 if folder(situation).level is Level.FAIL else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_situation_is_made_of_a_desk_s_own_arguments(world: World) -> None:
    """Those that nobody looks at are left out, and a limit of one's own is looked at."""
    params = ScreenParams(min_width=5, max_width=5, max_quote_age_seconds=77)
    arguments = {"market": "sample", "model": "none", "model_for": None, "keep_raw": False, "screen_params": params}
    assert set(inspect.signature(Desk).parameters) >= {*arguments}
    situation = Situation.of_desk({**arguments, "config": DeskConfig(), "environ": {}}, database=world.folder / "x.db")
    market, widths = look(situation, "market", "spread-widths")
    assert "counts for 77 s" in f"{market.text}{widths.text}"
    assert "from $5 to $5" in f"{market.text}{widths.text}"
