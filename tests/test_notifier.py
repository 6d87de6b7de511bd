"""The notifier: once, not too often, never in the way: whatever the channels do, and whenever the process dies."""

import asyncio
import logging
import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from notices import DEAD, NOW, Desk, a_notice, events, rows, titles, urgent
from pydantic import SecretStr
from scheduling import jobs_on, slot_at

from mahler_agents.cli import main
from mahler_agents.clock import SimulatedClock, utc_text
from mahler_agents.errors import BrokerError, MarketError
from mahler_agents.jobs import Outcome, through_channels
from mahler_agents.notify import Kind, Notifier, NotifySettings, Told
from mahler_agents.notify.channels import open_channels
from mahler_agents.notify.outbox import Outbox
from mahler_agents.notify.settings import secret_parts
from mahler_agents.record import open_database
from mahler_agents.record.slots import SlotStatus
from mahler_agents.scan import ScanResult
from mahler_agents.schedule import MINUTE, Job
from mahler_agents.scheduler import Daemon
from mahler_agents.testing.discord import TOKEN, WEBHOOK_ID, Fault, LoopbackDiscord


@pytest.fixture
def discord() -> Iterator[LoopbackDiscord]:
    with LoopbackDiscord() as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return open_database(tmp_path / "desk.db", create=True)


@pytest.fixture
def desk(path: Path, discord: LoopbackDiscord) -> Desk:
    return Desk(path, discord)


def statuses(path: Path) -> list[str]:
    return [str(row["status"]) for row in rows(path, "SELECT status FROM notifications ORDER BY id")]


# --- Once -------------------------------------------------------------------------------------------------------------


def test_a_notice_is_told_once_also_after_a_restart(desk: Desk, discord: LoopbackDiscord) -> None:
    assert desk.again.deliver([a_notice("a")]) == Told(sent=1)
    assert desk.again.deliver([a_notice("a"), a_notice("b")]) == Told(sent=1)
    assert titles(discord) == ["Notice a", "Notice b"]
    assert statuses(desk.path) == ["sent", "sent"]


def test_two_processes_that_bring_the_same_notices_at_once_tell_them_once(desk: Desk, discord: LoopbackDiscord) -> None:
    notices = [a_notice(str(number)) for number in range(8)]
    threads = [threading.Thread(target=desk.again.deliver, args=(notices,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(titles(discord)) == [f"Notice {number}" for number in range(8)]


def test_what_a_process_took_and_died_with_is_sent_by_the_next_once_its_lease_is_over(
    desk: Desk, discord: LoopbackDiscord
) -> None:
    with Outbox(desk.path) as outbox:
        assert len(outbox.take([a_notice("a")], ["discord-1"], now=NOW, max_per_hour=30)) == 1
    desk.later(minutes=9)
    assert desk.again.deliver([]) == Told()
    desk.later(minutes=2)
    assert desk.again.deliver([]) == Told(sent=1)
    assert "sent late" in discord.received[0].text


def test_those_that_ask_for_the_user_come_first_and_skips_last(desk: Desk, discord: LoopbackDiscord) -> None:
    kinds = (Kind.TRADE_SKIPPED, Kind.SCAN_SUMMARY, Kind.TRADE_PLACED, Kind.EXIT)
    desk.again.deliver([*(a_notice(kind.value, kind=kind) for kind in kinds), urgent("broken leg")])
    assert titles(discord) == [
        "Notice broken leg",
        "Notice exit",
        r"Notice trade\_placed",
        r"Notice scan\_summary",
        r"Notice trade\_skipped",
    ]


def test_only_the_kinds_of_the_settings_are_told(path: Path, discord: LoopbackDiscord) -> None:
    desk = Desk(path, discord, kinds=(Kind.EXIT,))
    desk.again.deliver([a_notice("a", kind=Kind.TRADE_SKIPPED), a_notice("b", kind=Kind.EXIT)])
    assert titles(discord) == ["Notice b"]


# --- Not too often ----------------------------------------------------------------------------------------------------


def test_an_hour_holds_so_many_and_the_last_says_how_many_more_there_were(path: Path, discord: LoopbackDiscord) -> None:
    desk = Desk(path, discord, max_per_hour=4)
    desk.again.deliver([a_notice(str(number)) for number in range(10)])
    assert len(discord.received) == 3  # the fourth is kept for what is urgent
    assert ["and 7 more were not sent" in one.text for one in discord.received] == [False, False, True]
    assert statuses(path).count("suppressed") == 7


def test_a_quarter_of_the_hour_is_kept_for_what_is_urgent(path: Path, discord: LoopbackDiscord) -> None:
    desk = Desk(path, discord, max_per_hour=4)
    desk.again.deliver([a_notice(str(number)) for number in range(10)])
    desk.again.deliver([urgent("u"), urgent("v")])
    assert titles(discord)[3:] == ["Notice u"]
    assert "and 1 more" in discord.received[3].text


def test_the_next_hour_begins_anew_and_tells_of_what_the_last_did_not_hold(
    path: Path, discord: LoopbackDiscord
) -> None:
    desk = Desk(path, discord, max_per_hour=4)
    desk.again.deliver([a_notice(str(number)) for number in range(3)])
    desk.again.deliver([a_notice("over")])
    desk.later(minutes=59)
    desk.again.deliver([a_notice("over too")])
    assert len(discord.received) == 3
    desk.later(minutes=2)
    desk.again.deliver([a_notice("next")])
    assert "and 2 more were not sent: over 4 in an hour" in discord.received[3].text


# --- Dead channels ----------------------------------------------------------------------------------------------------

FAULTS = (Fault.UNKNOWN_WEBHOOK, Fault.SERVER_ERROR, Fault.RATE_LIMITED, Fault.RESET, Fault.SILENT)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_channel_that_fails_is_one_event_until_it_answers_again_and_then_gets_what_waited(
    desk: Desk, discord: LoopbackDiscord, fault: Fault
) -> None:
    discord.always = fault
    first = desk.again.deliver([a_notice("a"), a_notice("b")])
    assert (first.sent, first.waiting, len(first.failed)) == (0, 2, 1)
    desk.later(minutes=5)
    desk.again.deliver([a_notice("c")])
    assert events(desk.path) == ["notify_failed"]
    discord.always = None
    desk.later(minutes=5)
    assert desk.again.deliver([a_notice("d")]) == Told(sent=4)
    assert titles(discord) == [f"Notice {key}" for key in "dabc"]  # the news first
    assert ["sent late" in one.text for one in discord.received] == [False, True, True, True]
    assert events(desk.path) == ["notify_failed", "notify_recovered"]
    assert set(statuses(desk.path)) == {"sent"}


def test_a_dead_channel_costs_one_request_however_much_there_is_to_tell(desk: Desk, discord: LoopbackDiscord) -> None:
    discord.always = Fault.SERVER_ERROR
    desk.again.deliver([a_notice(str(number)) for number in range(9)])
    assert discord.requests == 1


def test_a_port_that_nobody_listens_on_is_a_failure_like_any_other(path: Path, discord: LoopbackDiscord) -> None:
    told = Desk(path, discord, url=DEAD).again.deliver([a_notice("a")])
    assert told.failed == ("discord-1: A Connection error occurred posting to Discord.",)


def test_a_channel_that_hangs_is_left_when_the_wait_is_over(path: Path, discord: LoopbackDiscord) -> None:
    discord.always = Fault.SILENT
    told = Desk(path, discord, timeout_seconds=30.0, wait_seconds=0.2).again.deliver([a_notice("a")])
    assert told.failed == ("discord-1: no answer within 0.2 seconds",)
    assert statuses(path) == ["pending"]


def test_what_a_channel_has_not_taken_for_a_day_is_given_up_and_that_is_an_event(
    desk: Desk, discord: LoopbackDiscord
) -> None:
    discord.always = Fault.SERVER_ERROR
    desk.again.deliver([a_notice("a"), a_notice("b")])
    discord.always = None
    desk.later(hours=24)
    desk.again.deliver([a_notice("c")])
    assert titles(discord) == ["Notice c"]
    assert statuses(desk.path) == ["given_up", "given_up", "sent"]
    assert events(desk.path) == ["notify_failed", "notify_given_up", "notify_recovered"]


def test_a_dead_channel_keeps_nothing_from_the_other(path: Path, discord: LoopbackDiscord) -> None:
    settings = NotifySettings(
        urls=(SecretStr("discord://1234567890123/anotherTokenOfNoAccount"), SecretStr(discord.webhook))
    )
    notifier = Notifier(settings, path, clock=Desk(path, discord).clock, environ={"MAHLER_DISCORD_URL": discord.url})
    told = notifier.deliver([a_notice("a")])
    assert (told.sent, [line.partition(":")[0] for line in told.failed]) == (1, ["discord-1"])
    assert titles(discord) == ["Notice a"]
    notifier.deliver([])  # what one of two took is not sent to it again
    assert titles(discord) == ["Notice a"]


def test_nothing_that_is_wrong_raises_into_the_job(tmp_path: Path, discord: LoopbackDiscord) -> None:
    missing = Desk(tmp_path / "nowhere" / "desk.db", discord).again.deliver([a_notice("a")])
    assert (missing.sent, len(missing.failed)) == (0, 1)
    path = open_database(tmp_path / "desk.db", create=True)
    bad = NotifySettings(urls=(SecretStr("nosuchservice://abc123def456"),))
    told = Notifier(bad, path, clock=Desk(path, discord).clock, environ={}).deliver([a_notice("a")])
    assert "number 1 (nosuchservice://...)" in told.failed[0]
    assert events(path) == ["notify_failed"]


def test_without_a_channel_nothing_is_done(tmp_path: Path, discord: LoopbackDiscord) -> None:
    notifier = Notifier(NotifySettings(), tmp_path / "none.db", clock=Desk(tmp_path, discord).clock, environ={})
    assert notifier.deliver([a_notice("a")]) == Told()
    assert not (tmp_path / "none.db").exists()


def test_it_can_be_awaited_beside_other_work(desk: Desk) -> None:
    assert asyncio.run(desk.again.tell([a_notice("a")])) == Told(sent=1)


# --- The trade --------------------------------------------------------------------------------------------------------


def test_a_scan_whose_webhook_is_dead_trades_exactly_as_one_without(
    tmp_path: Path, discord: LoopbackDiscord, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    discord.always = Fault.SILENT
    variables = {**discord.environ, "MAHLER_NOTIFY__WAIT_SECONDS": "0.2"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    codes = [main(["scan", "--model", "none", "--db", "with.db"])]
    for name in variables:
        monkeypatch.delenv(name)
    codes.append(main(["scan", "--model", "none", "--db", "without.db"]))
    orders = (
        "SELECT short_symbol, long_symbol, state, contracts, limit_credit, decided_at FROM orders ORDER BY short_symbol"
    )
    fills = "SELECT contracts, credit, fees FROM fills ORDER BY at, credit"
    assert codes == [0, 0]
    for sql in (orders, fills):
        assert rows(tmp_path / "with.db", sql) == rows(tmp_path / "without.db", sql)
    assert rows(tmp_path / "with.db", fills) != []
    assert discord.requests == 1
    assert events(tmp_path / "with.db") == ["notify_failed"]
    assert TOKEN not in capsys.readouterr().err


# --- Changes ----------------------------------------------------------------------------------------------------------


def test_a_change_of_the_breaker_and_of_the_trading_state_is_told_once(desk: Desk, discord: LoopbackDiscord) -> None:
    with sqlite3.connect(desk.path) as connection:
        connection.execute(
            "INSERT INTO breaker_changes (account_id, at, rule, code, observed, equity, size, close_share)"
            " VALUES ('a', '2026-03-17T14:04:00.000Z', 'day_loss', 'day_loss_halt', 0.0213, 97870.0, 0, 'none')"
        )
        connection.execute(
            "INSERT INTO trading_states (at, state, reason, by)"
            " VALUES ('2026-03-17T14:04:30.000Z', 'halted', 'fed day', 'user ann')"
        )
    connection.close()
    for _ in range(2):
        desk.again.deliver([])
    breaker, trading = (one.text for one in discord.received[::-1])
    assert "Trading state: HALTED" in trading + breaker
    told = breaker + trading
    assert all(words in told for words in ("Circuit breaker: day loss halt", "2.13 %", "fed day", "user ann"))
    assert len(discord.received) == 2


def test_slots_that_nobody_ran_are_told_once_and_together(desk: Desk, discord: LoopbackDiscord) -> None:
    jobs = jobs_on(desk.path, desk.clock, lambda _: None)
    with jobs.book:
        asyncio.run(jobs.run(slot_at(Job.MONITOR, "2026-03-16", "10:00")))  # the schedule has begun
        jobs.due(Job.MONITOR)
    for _ in range(2):
        desk.again.deliver([])
    [told] = discord.received
    assert re.search(r"Monitor missed: \d+, from monitor-2026-03-16T10:05 to monitor-2026-03-17T", told.text)


def test_a_slot_whose_process_died_is_told_though_nobody_was_left_to_end_it(
    desk: Desk, discord: LoopbackDiscord
) -> None:
    slot = slot_at(Job.SCAN, "2026-03-17", "10:00")
    jobs = jobs_on(desk.path, SimulatedClock(NOW), lambda _: None, told=through_channels(desk.again))
    at = utc_text(slot.due_at)
    with jobs.book:
        jobs.book.claim(slot.key, owner="dead:1", at=at, lease_until=at, attempts=3)
        jobs.clock.advance_to(slot.due_at + 150 * MINUTE)
        assert jobs.due(Job.SCAN).run == ()
        for _ in range(2):
            asyncio.run(jobs.told(None))
    [told] = discord.received
    assert "Scan failed: scan-2026-03-17T10:00" in told.text
    assert "its process died; 150 minutes late" in told.text


# --- Jobs -------------------------------------------------------------------------------------------------------------


def test_a_slot_s_job_that_raises_is_told_and_the_next_slot_runs(desk: Desk, discord: LoopbackDiscord) -> None:
    ran: list[str] = []

    def during(slot: str) -> None:
        if slot.endswith("10:00"):
            raise BrokerError("no answer from the broker")

    jobs = jobs_on(desk.path, desk.clock, ran.append, during, told=through_channels(desk.again))
    with jobs.book:
        for time in ("10:00", "10:05"):
            asyncio.run(jobs.run(slot_at(Job.MONITOR, "2026-03-17", time)))
    assert ran == ["monitor-2026-03-17T10:00", "monitor-2026-03-17T10:05"]
    [told] = discord.received
    assert "no answer from the broker" in told.text
    assert "monitor-2026-03-17T10:00" in told.text


def test_what_cannot_be_put_into_words_is_told_as_that_and_ends_no_daemon(desk: Desk, discord: LoopbackDiscord) -> None:
    slot = slot_at(Job.SCAN, "2026-03-17", "10:00")
    broken = ScanResult.model_construct(run_id="20260317-aaaaaa")
    asyncio.run(through_channels(desk.again)(Outcome(slot=slot, status=SlotStatus.DONE, result=broken)))
    [told] = discord.received
    assert "is done, and what it did cannot be told: AttributeError" in told.text


def test_the_death_of_the_daemon_is_told_once_a_day(
    tmp_path: Path, discord: LoopbackDiscord, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def dies(daemon: Daemon) -> None:
        del daemon
        raise MarketError("no more sessions are known")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Daemon, "run", dies)
    for name, value in discord.environ.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        assert main(["run", "--model", "none"]) == 1
    assert "no more sessions are known" in capsys.readouterr().err
    [told] = discord.received
    assert "Daemon failed: " in told.text
    assert "no more sessions are known" in told.text


# --- Secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_no_part_of_a_webhook_s_url_is_written_or_logged_anywhere(
    desk: Desk, discord: LoopbackDiscord, fault: Fault | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    discord.always = fault
    notice = a_notice("a", body=f"an error that repeats {discord.webhook} and {TOKEN}")
    told = desk.again.deliver([notice])
    on_disk = b"".join(file.read_bytes() for file in desk.path.parent.iterdir())
    said = f"{told} {desk.settings!r} {desk.settings.model_dump_json()} {caplog.text}"
    shown = "".join(one.text for one in discord.received)
    for secret in (TOKEN, WEBHOOK_ID):
        assert secret.encode() not in on_disk
        assert secret not in said
        assert secret not in shown


def test_nothing_is_written_beside_the_record(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(home)
    desk.again.deliver([a_notice("a")])
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize(
    ("url", "secrets", "harmless"),
    [
        ("https://discord.com/api/webhooks/123456789012345678/to-ken_0123456789", ["to-ken_0123456789"], "webhooks"),
        ("tgram://123456789:AbCdEf_0123456789/-1001234567", ["AbCdEf_0123456789", "123456789"], "tgram"),
        ("mailtos://ann:pass%20word1@mail.example.com?to=bob@example.com", ["pass word1", "pass%20word1"], "mailtos"),
    ],
)
def test_the_secret_parts_of_a_url_are_known(url: str, secrets: list[str], harmless: str) -> None:
    parts = list(secret_parts(url))
    assert {*secrets, url} <= set(parts)
    assert harmless not in parts
    assert "mail.example.com" not in parts


@pytest.mark.parametrize(
    "url",
    [
        "discord://1234567890123/token0123456789",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "tgram://123456789:abcdefg_hijklmnop/12315544/",
        "mailtos://user:password1@example.com",
        "ntfy://topic",
    ],
)
def test_the_usual_services_are_understood_without_reaching_for_the_network(url: str) -> None:
    [channel] = open_channels(NotifySettings(urls=(SecretStr(url),)), {})
    assert channel.markdown is url.startswith("discord")


def test_discord_is_sent_no_more_than_it_takes() -> None:
    [channel] = open_channels(NotifySettings(urls=(SecretStr("discord://1234567890123/token0123456789"),)), {})
    assert channel.pause >= 2 / 5
