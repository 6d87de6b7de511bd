"""docs/notifications.md and `mahler notify test`: its commands work, and it names every kind, setting and fault."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mahler_agents.cli import main
from mahler_agents.notify import Kind, NotifySettings
from mahler_agents.testing.discord import Fault, LoopbackDiscord

PAGE = (Path(__file__).parent.parent / "docs/notifications.md").read_text(encoding="utf-8")


@pytest.fixture
def discord(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackDiscord]:
    monkeypatch.chdir(tmp_path)
    with LoopbackDiscord() as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield server


def test_it_begins_with_the_command_that_serves_a_discord_and_that_prints_what_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert re.match(r"# .*\n\n    python -m mahler_agents.testing.discord\n", PAGE)
    monkeypatch.chdir(tmp_path)
    program = "import mahler_agents.testing.discord as d; d.main(port=0)"  # any free port, not the page's
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        for _ in range(2):
            name, _, value = server.stdout.readline().removeprefix("export ").strip().partition("=")
            monkeypatch.setenv(name, value)
        assert main(["notify", "test"]) == 0
        assert server.stdout.readline() == "\n"
        assert server.stdout.readline() == "--- message 1 ---\n"
        assert server.stdout.readline() == "Mahler Agents: a test\n"
        server.send_signal(signal.SIGINT)
        assert server.stdout.read().endswith("1 taken, 0 refused\n")


def test_the_test_says_what_the_channel_answered(discord: LoopbackDiscord, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notify", "test"]) == 0
    assert capsys.readouterr().out == "discord-1: sent\n"
    discord.always = Fault.UNKNOWN_WEBHOOK
    assert main(["notify", "test"]) == 1
    assert "discord-1: not sent: " in (said := capsys.readouterr().out)
    assert "404" in said
    assert main(["notify", "test", "--json"]) == 1
    [told] = json.loads(capsys.readouterr().out)
    assert told["channel"] == "discord-1"


def test_without_a_channel_or_with_a_bad_one_the_test_says_what_to_do(
    discord: LoopbackDiscord, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for url, told in (
        ("", "no channel is set"),
        ("discord://1234567890123/token0123456789, nosuch://abc123def456", "number 2 (nosuch://...)"),
        ('["discord://12345678901', "MAHLER_NOTIFY__URLS: use a JSON list of URLs"),
    ):
        monkeypatch.setenv("MAHLER_NOTIFY__URLS", url)
        assert main(["notify", "test"]) == 2
        said = capsys.readouterr().err
        assert told in said
        assert "123456" not in said
        assert "abc123" not in said
    monkeypatch.setenv("MAHLER_NOTIFY__URLS", discord.webhook)
    monkeypatch.setenv("MAHLER_DISCORD_URL", "http://discord.example")
    assert main(["notify", "test"]) == 2
    assert "only a server on this machine" in capsys.readouterr().err


def test_the_settings_file_may_name_the_channels_and_they_are_never_shown(
    discord: LoopbackDiscord, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MAHLER_NOTIFY__URLS")
    Path("mahler.toml").write_text(f'[notify]\nurls = ["{discord.webhook}"]\nkinds = ["exit"]\n')
    assert main(["notify", "test"]) == 0
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"notify\.urls +set, not shown +mahler\.toml:2", shown)
    assert discord.webhook.rpartition("/")[2] not in shown


def test_every_kind_setting_and_fault_is_named() -> None:
    names = set(re.findall(r"`([^`\n]+)`", PAGE))
    assert {kind.value for kind in Kind} <= names
    assert {fault.value for fault in Fault} <= names
    assert {*NotifySettings.model_fields} <= names
    assert {f"MAHLER_NOTIFY__{name.upper()}" for name in NotifySettings.model_fields} <= names


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/notifications.md", "exec"), {})  # noqa: S102 - our own example
    assert capsys.readouterr().out.startswith("https://discord.com/api/webhooks/")
