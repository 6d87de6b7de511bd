"""End to end: Alpaca's keys, from a file or the keyring, are in no byte of record, log, output or process list."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from stored_keys import StoredKeys, keyring_of

from mahler_agents.cli import main
from mahler_agents.desk import Desk
from mahler_agents.redaction import REDACTED
from mahler_agents.scan_parts import ScanResult
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.testing.protocol import example_of
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, reply


@pytest.fixture(params=["file", "keyring"])
def alpaca(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAlpaca]:
    """A fake whose keys are in no variable of the environment."""
    monkeypatch.chdir(tmp_path)
    with FakeAlpaca() as fake:
        keys = {name: fake.environ[name] for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")}
        if request.param == "file":
            (tmp_path / ".env").write_text("".join(f"{name}={key}\n" for name, key in keys.items()))
        for name in ("MAHLER_ALPACA_URL", "MAHLER_CLOCK_URL"):
            monkeypatch.setenv(name, fake.environ[name])
        with keyring_of(StoredKeys(keys if request.param == "keyring" else {})):
            yield fake


def _keys_in(fake: FakeAlpaca, text: str | bytes) -> list[str]:
    searched = text.decode("latin-1") if isinstance(text, bytes) else text
    keys = (fake.environ["APCA_API_KEY_ID"], fake.environ["APCA_API_SECRET_KEY"])
    return [key for key in keys if key in searched]


def test_a_key_that_is_in_no_variable_is_nowhere_either(
    alpaca: FakeAlpaca, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    said = f"I know {alpaca.environ['APCA_API_KEY_ID']} and {alpaca.environ['APCA_API_SECRET_KEY']}"

    def tells(request: ScriptedRequest) -> ScriptedReply:
        return reply(json.dumps({**example_of(request.schema), "summary": said}))

    async def scan() -> ScanResult:
        desk = Desk(market="alpaca", model=ScriptedModel(tells).endpoint, database=tmp_path / "desk.db")
        assert _keys_in(alpaca, f"{desk!r} {vars(desk)!r}") == []
        async with desk:
            return await desk.scan()

    result = asyncio.run(scan())
    files = [path for path in tmp_path.iterdir() if path.name != ".env"]
    for path in files:
        assert _keys_in(alpaca, path.read_bytes()) == [], path.name
    assert _keys_in(alpaca, result.model_dump_json()) == []
    assert REDACTED in result.model_dump_json()
    assert _keys_in(alpaca, caplog.text) == []
    for arguments in (["trace", "show", "latest", "--raw"], ["trace", "show", "latest", "--json"]):
        assert main([*arguments, "--db", "desk.db"]) == 0
        printed = capsys.readouterr()
        assert _keys_in(alpaca, printed.out + printed.err) == [], arguments


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the process list is read from /proc")
def test_the_process_list_shows_no_key_while_a_scan_is_at_work(tmp_path: Path):
    program = "import sys; from mahler_agents.cli import main; sys.exit(main())"
    verb = ["scan", "--market", "alpaca", "--broker", "alpaca", "--model", "none", "--db", "desk.db"]
    seen: set[bytes] = set()
    with (
        FakeAlpaca() as fake,
        subprocess.Popen(
            [sys.executable, "-c", program, *verb], cwd=tmp_path, env={**os.environ, **fake.environ}
        ) as scan,
    ):
        while scan.poll() is None:
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):  # it has ended
                    seen.add(process.read_bytes())
            with suppress(subprocess.TimeoutExpired):
                scan.wait(0.2)
        assert scan.returncode == 0
        assert any(b"--broker\0alpaca" in line for line in seen)
        assert _keys_in(fake, b"\n".join(seen)) == []


@pytest.mark.parametrize("fault", ["401", "403", "500", "html", "reset_before"])
def test_a_scan_that_alpaca_refuses_tells_no_key(alpaca: FakeAlpaca, fault: str, capsys: pytest.CaptureFixture[str]):
    alpaca.fail("GET /v2/clock", fault, times=9)
    assert main(["scan", "--market", "alpaca", "--model", "none", "--db", "desk.db"]) == 1
    printed = capsys.readouterr()
    assert "Alpaca" in printed.err
    assert printed.err.count("\n") == 1
    assert _keys_in(alpaca, printed.out + printed.err) == []
