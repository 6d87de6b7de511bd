"""The doctor's checks, one by one: a desk on which each is ok, and one for each complaint of its table."""

import asyncio
import datetime as dt
import fcntl
import lzma
import os
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import keyring.backends.fail
import pytest
import requests
from doctor_worlds import CANARY_KEYS, CHAIN, NOW, SHARES, SUNDAY, VIX, World, beat, fields, look, looked, quoted, worst
from stored_keys import keyring_of

from mahler_agents.clock import SimulatedClock
from mahler_agents.doctor import CHECKS, Level, Situation
from mahler_agents.doctor.hosts import reason
from mahler_agents.execution.alpaca.account import check_can_trade
from mahler_agents.execution.alpaca.answers import Answer
from mahler_agents.execution.identity import live_phrase
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.llm.install import SMOLLM2
from mahler_agents.notify.settings import NotifySettings
from mahler_agents.record.trading_state import HaltNote, write_halt_file
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.testing.fault_server import FaultServer
from mahler_agents.testing.faults import parse_script
from mahler_agents.version import __version__

PROMPTS = Path(__file__).parents[1] / "prompts"
OLDER = Path(__file__).parent / "fixtures" / "record-m013.db.xz"
DAY = dt.timedelta(days=1)
RUN = (
    "INSERT INTO runs (id, kind, slot, status, as_of, decision_at, started_at, environment, market, source, synthetic,"
    " broker, account_id, model, toy_model, version, config, abandoned_at) VALUES ('20260105-aaaaaa', 'scan', 's', ?,"
    " 'x', 'x', 'x', 'paper', 'sample', 's', 1, 'paper', 'a', 'none', 0, '1', '{}', ?)"
)
ORDER = (
    "INSERT INTO orders (client_order_id, account_id, slot, purpose, state, underlying, spread_type, expiration,"
    " short_strike, long_strike, short_symbol, long_symbol, contracts, limit_credit, decided_at) VALUES ('SPY-1', 'a',"
    " 's', 'entry', 'unknown', 'SPY', 'bull_put', '2026-02-20', 540, 535, 'S', 'L', 1, 0.5, 'x')"
)

Make = Callable[[World], Situation | Awaitable[Situation]]


@dataclass(frozen=True)
class Case:
    """A desk, what one check says of it, and a word of that."""

    check: str
    level: Level
    why: str
    make: Make
    says: str


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAlpaca]:
    with FakeAlpaca(start=NOW) as served:
        yield served


@pytest.fixture
def world(fake: FakeAlpaca, tmp_path: Path) -> Iterator[World]:
    made = World(fake, tmp_path)
    with made.stack, keyring_of(keyring.backends.fail.Keyring()):
        yield made
    fake.forget_faults()


def closed_port() -> str:
    """Return an address at which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


def slow() -> Callable[[], float]:
    """Return a stopwatch on which everything takes three seconds."""
    moments = count(0, 3)
    return lambda: float(next(moments))


def without_keys(w: World, **keys: str) -> Situation:
    environ = {name: value for name, value in w.fake.environ.items() if not name.startswith(("APCA", "MAHLER_CLOCK"))}
    return w.alpaca(environ={**environ, **keys})


def hung(w: World, route: str, patience: float = 0.4) -> Situation:
    w.fake.fail(route, "timeout_before", times=10)
    return w.alpaca(patience_seconds=patience)


def with_equity(w: World, dollars: float) -> Situation:
    return w.alpaca({"/v2/account": fields(equity=str(dollars), cash=str(dollars), options_buying_power=str(dollars))})


def prompt_folder(w: World, *, spoil: Callable[[Path], object] = lambda _: None) -> Situation:
    folder = w.folder / "prompts"
    folder.mkdir()
    for path in PROMPTS.glob("*.md"):
        (folder / path.name).write_text(path.read_text("utf-8"), "utf-8")
    spoil(folder)
    return w.sample(prompts=folder)


def older(w: World) -> Situation:
    path = w.folder / "desk.db"
    path.write_bytes(lzma.decompress(OLDER.read_bytes()))
    return w.sample()


def newer(w: World) -> Situation:
    columns = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('mahler_agents', 'm999', 'x')"
    return w.recorded(columns)


def damaged(w: World) -> Situation:
    """Overwrite pages in the middle, and not the first ones, which say what there is."""
    path = w.record("CREATE TABLE filler (text TEXT)", ("INSERT INTO filler VALUES (?)", ["x" * 500_000]))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'runs'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)
    return w.sample()


def large_log(w: World) -> Situation:
    path = w.record()
    with path.with_name(f"{path.name}-wal").open("wb") as log:
        log.truncate(200_000_000)
    return w.sample()


def halted_by_file(w: World) -> Situation:
    path = w.record()
    write_halt_file(path, HaltNote(reason="the feed lies", by="user anna", at="2026-01-05T15:00:00.000Z"))
    return w.sample()


def at_work(w: World) -> Situation:
    """Hold the lock that a scan at work holds, and leave an order and a run that it would be working on."""
    path = w.record((RUN, ("running", None)), ORDER)
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT)
    w.stack.callback(os.close, descriptor)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return w.sample()


def locked(w: World) -> Situation:
    """Hold the record as a process does that changes its journal."""
    connection = sqlite3.connect(w.record())
    w.stack.callback(connection.close)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("BEGIN EXCLUSIVE")
    return w.sample()


def gguf(w: World) -> Situation:
    (w.folder / "mine.gguf").write_bytes(b"GGUF")
    return w.sample(model=f"local:{w.folder / 'mine.gguf'}")


def wrong_weights(w: World) -> Situation:
    with (w.folder / SMOLLM2.filename).open("wb") as file:
        file.truncate(SMOLLM2.size)
    return w.sample(model="local", environ={"MAHLER_MODELS": str(w.folder)})


def asking(script: str, **choices: Any) -> Make:
    """Return what makes a desk whose model behaves so."""

    async def make(w: World) -> Situation:
        models = ["gpt-known"] if "name" in choices else None
        server = FaultServer(parse_script([script]), models=models)
        await servers.enter_async_context(server)
        environ = {**server.environ, **choices.get("variables", {})}
        model = f"openai:{choices.get('name', 'gpt-known')}"
        return w.sample(model=model, environ=environ, patience_seconds=choices.get("patience", 15.0))

    return make


def priced(w: World) -> Situation:
    prices = w.folder / "prices.toml"
    line = 'provider = "127.0.0.1"\nmodel = "m"\ninput = 1\noutput = 2\ndate = 2026-01-01\nsource = "mine"\n'
    prices.write_text(f"[[price]]\n{line}")
    environ = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "MAHLER_PRICES": str(prices)}
    return w.sample(model="openai:m", environ=environ)


def unpriced(w: World, **choices: Any) -> Situation:
    return w.sample(model="openai:m", environ={"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, **choices)


def no_zone(_: str) -> dt.tzinfo:
    raise ZoneInfoNotFoundError("No time zone found with key America/New_York")


def not_installed(package: str) -> Sequence[str]:
    raise metadata.PackageNotFoundError(package)


servers = AsyncExitStack()
ok, warn, fail, skipped = Level.OK, Level.WARN, Level.FAIL, Level.SKIPPED

CONFIGURATION = [
    Case("environment", ok, "nothing is set", lambda w: w.sample(), "the default"),
    Case("environment", ok, "a variable", lambda w: w.sample(environ={"ENVIRONMENT": "live"}), "as ENVIRONMENT says"),
    Case("environment", fail, "a slip", lambda w: w.sample(environ={"MAHLER_ENVIRONMENT": "prod"}), "'prod'"),
    Case("alpaca-variables", ok, "a fake", lambda w: w.alpaca(), "indicative options"),
    Case(
        "alpaca-variables",
        fail,
        "no such feed",
        lambda w: w.alpaca(variables={"MAHLER_ALPACA_OPTION_FEED": "best"}),
        "indicative, opra",
    ),
    Case("clock", ok, "this machine's", lambda w: w.sample(), "2026-01-06 10:30 New York"),
    Case(
        "clock",
        ok,
        "a fake's",
        lambda w: w.sample(clock=None, environ=w.fake.environ),
        "10:30 New York, by the clock of",
    ),
    Case(
        "clock",
        fail,
        "none answers",
        lambda w: w.sample(clock=None, environ={"MAHLER_CLOCK_URL": closed_port()}),
        "no clock",
    ),
    Case(
        "clock",
        fail,
        "a fake's clock, and the real Alpaca",
        lambda w: w.sample(clock=None, market="alpaca", environ={"MAHLER_CLOCK_URL": w.fake.url, **CANARY_KEYS}),
        "MAHLER_ALPACA_URL names none",
    ),
    Case("live-rules", ok, "at Alpaca", lambda w: w.live(), "live rules"),
    Case("live-rules", warn, "embedded", lambda w: w.sample(environ={"MAHLER_ENVIRONMENT": "live"}), "rehearsal"),
    Case("risk-free-rate", ok, "January", lambda w: w.sample(), "covers today"),
    Case("risk-free-rate", warn, "March", lambda w: w.sample(clock=SimulatedClock(NOW + 70 * DAY)), "the table ends"),
]

KEYS = [
    Case("alpaca-keys", ok, "in variables", lambda w: w.alpaca(), "PK... (set in the environment)"),
    Case(
        "alpaca-keys",
        warn,
        "a strange one",
        lambda w: without_keys(w, **{**CANARY_KEYS, "APCA_API_KEY_ID": "XYZ12345678"}),
        "neither PK nor AK",
    ),
    Case("alpaca-keys", fail, "none", without_keys, "no keys for Alpaca"),
    Case(
        "alpaca-keys",
        fail,
        "half a pair",
        lambda w: without_keys(w, APCA_API_KEY_ID="PKCANARY0123456789"),
        "and not APCA_API_SECRET_KEY",
    ),
    Case(
        "alpaca-keys",
        fail,
        "live ones",
        lambda w: without_keys(w, **{**CANARY_KEYS, "APCA_API_KEY_ID": "AKCANARY12345678"}),
        "key for live trading",
    ),
]

BROKER = [
    Case("trading-host", ok, "a fake", lambda w: w.alpaca(), "answers in"),
    Case("trading-host", warn, "slow", lambda w: w.alpaca(stopwatch=slow()), "takes 3.0 s"),
    Case(
        "trading-host",
        fail,
        "nothing there",
        lambda w: w.alpaca(variables={"MAHLER_ALPACA_URL": closed_port()}),
        "connection is refused",
    ),
    Case("trading-host", fail, "an error of its own", lambda w: w.alpaca({"/v2/clock": 503}), "HTTP 503"),
    Case("data-host", ok, "a fake", lambda w: w.alpaca(), "answers in"),
    Case("data-host", warn, "slow", lambda w: w.alpaca(stopwatch=slow()), "takes 3.0 s"),
    Case("data-host", fail, "an error of its own", lambda w: w.alpaca({SHARES: 500}), "HTTP 500"),
    Case("account", ok, "Alpaca's", lambda w: w.alpaca(), "is active: equity $100,000"),
    Case("account", ok, "the embedded one as it begins", lambda w: w.sample(), "paper-sample-22: equity $100,000"),
    Case(
        "account",
        ok,
        "the embedded one as recorded",
        lambda w: w.recorded("INSERT INTO equity VALUES ('paper-sample-22', '2026-01-05T21:00:00.000Z', 98765, 98000)"),
        "equity $98,765",
    ),
    Case("account", ok, "embedded, at Alpaca's quotes", lambda w: w.alpaca(broker="paper"), "paper-alpaca-fake-22"),
    Case(
        "account", warn, "spent", lambda w: w.alpaca({"/v2/account": fields(options_buying_power="0")}), "nothing new"
    ),
    Case("account", fail, "wrong keys", lambda w: without_keys(w, **CANARY_KEYS), "does not take these keys"),
    Case("account", fail, "not active", lambda w: w.alpaca({"/v2/account": fields(status="SUBMITTED")}), "SUBMITTED"),
    Case(
        "account",
        fail,
        "blocked",
        lambda w: w.alpaca({"/v2/account": fields(trading_blocked=True)}),
        "`trading_blocked`",
    ),
    Case("account", fail, "in euros", lambda w: w.alpaca({"/v2/account": fields(currency="EUR")}), "kept in EUR"),
    Case("account", fail, "no equity", lambda w: with_equity(w, 0), "equity $0"),
    Case("account", fail, "no answer", lambda w: w.alpaca({"/v2/account": 502}), "HTTP 502"),
    Case("account", fail, "a hanging server", lambda w: hung(w, "GET /v2/account"), "did not end"),
    Case("options-level", ok, "3", lambda w: w.alpaca(), "level is 3"),
    Case(
        "options-level", fail, "2", lambda w: w.alpaca({"/v2/account": fields(options_trading_level=2)}), "level is 2"
    ),
    Case("live-confirmation", ok, "said", lambda w: w.live(confirmed=live_phrase("PAA0CAFB75F")), "you have confirmed"),
    Case("live-confirmation", fail, "not said", lambda w: w.live(), "is not set"),
    Case("live-confirmation", fail, "of another", lambda w: w.live(confirmed=live_phrase("X")), "something else"),
    Case("spread-widths", ok, "100,000 dollars", lambda w: w.alpaca(), "every width from $2 to $10"),
    Case("spread-widths", warn, "30,000 dollars", lambda w: with_equity(w, 30_000), "up to a width of $6"),
    Case("spread-widths", fail, "5,000 dollars", lambda w: with_equity(w, 5_000), "not even one contract of $2"),
]

MARKET = [
    Case("market", ok, "sample", lambda w: w.sample(), "synthetic"),
    Case("market", ok, "Alpaca", lambda w: w.alpaca(), "1,200 s"),
    Case("market", fail, "no such file", lambda w: w.sample(market="csv:nowhere.csv"), "nowhere.csv"),
    Case("clock-skew", ok, "one clock", lambda w: w.alpaca(), "the limit is 30 s"),
    Case(
        "clock-skew",
        warn,
        "15 s ahead",
        lambda w: w.alpaca(clock=SimulatedClock(NOW + dt.timedelta(seconds=15))),
        "15.0 s ahead of",
    ),
    Case(
        "clock-skew",
        fail,
        "40.0 s behind",
        lambda w: w.alpaca(clock=SimulatedClock(NOW - dt.timedelta(seconds=40))),
        "40.0 s behind",
    ),
    Case("clock-skew", fail, "no time", lambda w: w.alpaca({"/v2/clock": fields(timestamp="noon")}), "'noon'"),
    Case("session", ok, "both say open", lambda w: w.alpaca(), "open until 16:00"),
    Case("session", warn, "Alpaca says closed", lambda w: w.alpaca({"/v2/clock": fields(is_open=False)}), "closed now"),
    Case("option-feed", ok, "indicative", lambda w: w.alpaca(), "contracts of SPY"),
    Case("option-feed", warn, "empty", lambda w: w.alpaca({CHAIN: lambda _: {"snapshots": {}}}), "no contract"),
    Case(
        "option-feed",
        fail,
        "no subscription",
        lambda w: w.alpaca(variables={"MAHLER_ALPACA_OPTION_FEED": "opra"}),
        "may not have",
    ),
    Case("option-feed", fail, "out", lambda w: w.alpaca({CHAIN: 504}), "HTTP 504"),
    Case("quote-age", ok, "fresh", lambda w: w.alpaca(), "are at most 1,200 s old"),
    Case("quote-age", warn, "most stale", lambda w: w.alpaca({CHAIN: quoted(NOW - DAY, share=0.8)}), "of that feed"),
    Case("quote-age", fail, "all stale", lambda w: w.alpaca({CHAIN: quoted(NOW - DAY)}), "0 of 104 quotes"),
    Case("stock-feed", ok, "iex", lambda w: w.alpaca(), "SPY with a quote"),
    Case(
        "stock-feed",
        fail,
        "no subscription",
        lambda w: w.alpaca(variables={"MAHLER_ALPACA_STOCK_FEED": "sip"}),
        "may not have",
    ),
    Case("vix", ok, "a fake's", lambda w: w.alpaca(), "VIX 1"),
    Case("vix", warn, "not asked for", lambda w: w.alpaca(variables={"MAHLER_ALPACA_VIX": "none"}), "not asked for"),
    Case("vix", warn, "gone", lambda w: w.alpaca({VIX: 403}), "HTTP 403"),
    Case("vix", warn, "another index", lambda w: w.alpaca({VIX: lambda _: {"data": {"symbol": "VIXY"}}}), "'VIXY'"),
    Case("vix", fail, "gone, and live", lambda w: w.live({VIX: 403}), "live trading opens nothing"),
]

MODEL = [
    Case("models", ok, "priced", priced, "openai:m for greeks"),
    Case("models", warn, "no price", unpriced, "price of m is unknown"),
    Case(
        "models", fail, "no price and a limit", lambda w: unpriced(w, budget=ScanBudget(max_dollars=1)), "--max-dollars"
    ),
    Case("models", fail, "no key", lambda w: w.sample(model="openai:m"), "needs OPENAI_API_KEY"),
    Case(
        "models",
        fail,
        "no such role",
        lambda w: w.sample(model="openai:m", environ={"OPENAI_API_KEY": "k" * 9}, model_for={"x": "local"}),
        "no such role",
    ),
    Case("models", skipped, "rules only", lambda w: w.sample(), "rules only"),
    Case("embedded-model", ok, "a file of one's own", gguf, "mine.gguf is there"),
    Case(
        "embedded-model",
        fail,
        "not installed",
        lambda w: w.sample(model="local", environ={"MAHLER_MODELS": str(w.folder)}),
        "not installed",
    ),
    Case("embedded-model", fail, "other weights", wrong_weights, "has SHA-256"),
    Case("model-answers", ok, "well", asking("ok"), "140 tokens, at an unknown price"),
    Case("model-answers", warn, "asks to wait", asking("rate_limited"), "rate_limited"),
    Case("model-answers", warn, "cut short", asking("truncated"), "truncated"),
    Case("model-answers", fail, "no such model", asking("ok", name="gpt-typo"), "model_not_found"),
    Case(
        "model-answers",
        fail,
        "wrong key",
        asking("ok", variables={"OPENAI_API_KEY": "sk-canary-1234567890123"}),
        "auth",
    ),
    Case("model-answers", fail, "never answers", asking("timeout", patience=1.2), "timeout"),
    Case("model-answers", fail, "resets", asking("connection"), "connection"),
    Case("model-answers", fail, "prose", asking("prose"), "not_json"),
    Case("model-answers", fail, "repeats the key", asking("echoing_page"), "server_error"),
]

PROMPT = [
    Case("prompts", ok, "the package's", lambda w: w.sample(model="local"), "the package's own: greeks"),
    Case("prompts", ok, "one's own", prompt_folder, "5 prompts, those of"),
    Case(
        "prompts",
        warn,
        "a slip in a name",
        lambda w: prompt_folder(w, spoil=lambda f: (f / "greks.md").touch()),
        "greks.md",
    ),
    Case(
        "prompts",
        fail,
        "one is missing",
        lambda w: prompt_folder(w, spoil=lambda f: (f / "greeks.md").unlink()),
        "greeks.md",
    ),
    Case(
        "prompts",
        fail,
        "no front matter",
        lambda w: prompt_folder(w, spoil=lambda f: (f / "greeks.md").write_text("x")),
        "front matter",
    ),
]

RECORD = [
    Case("record", ok, "not there yet", lambda w: w.sample(), "will be made at the first scan"),
    Case("record", ok, "there", lambda w: w.recorded(), "desk.db, "),
    Case("record", fail, "a folder", lambda w: w.sample(database=w.folder), "is a folder"),
    Case("record", fail, "no folder", lambda w: w.sample(database=w.folder / "no" / "x.db"), "does not exist"),
    Case("record", fail, "another file", lambda w: w.sample(database=Path(__file__)), "is not a record"),
    Case("record", fail, "locked by a migration", locked, "another process is writing to it"),
    Case("folder", ok, "a temporary one", lambda w: w.sample(), "can be written to"),
    Case("folder", fail, "none", lambda w: w.sample(database=w.folder / "no" / "x.db"), "does not exist"),
    Case("record-schema", ok, "of this version", lambda w: w.recorded(), "of this version"),
    Case("record-schema", warn, "older", older, "m014_order_attempts"),
    Case("record-schema", fail, "newer", newer, "schema m999"),
    Case("record-pages", ok, "whole", lambda w: w.recorded(), "finds nothing"),
    Case(
        "record-pages",
        warn,
        "no time",
        lambda w: older(w) and w.sample(stopwatch=slow(), patience_seconds=1),
        "too large",
    ),
    Case("record-pages", fail, "damaged", damaged, "malformed"),
    Case("record-log", ok, "small", lambda w: w.recorded(), "its log has"),
    Case("record-log", warn, "large", large_log, "200 MB"),
    Case("at-work", ok, "nobody", lambda w: w.recorded(), "no other process"),
    Case("at-work", ok, "a scan", at_work, "another process is at work"),
    Case("record-owner", ok, "nobody's", lambda w: w.recorded(), "nobody's yet"),
    Case(
        "record-owner",
        ok,
        "this desk's",
        lambda w: w.recorded("INSERT INTO record_owners VALUES ('paper-sample-22', 'paper', 'x')"),
        "as this desk is",
    ),
    Case(
        "record-owner",
        fail,
        "another's",
        lambda w: w.recorded("INSERT INTO record_owners VALUES ('PA9', 'paper', 'x')"),
        "account PA9",
    ),
    Case("trading-state", ok, "active", lambda w: w.recorded(), "ACTIVE"),
    Case(
        "trading-state",
        warn,
        "halted",
        lambda w: w.recorded("INSERT INTO trading_states VALUES (1, '2026-01-05T15:00:00.000Z', 'halted', 'r', 'b')"),
        "scans are refused",
    ),
    Case(
        "trading-state",
        warn,
        "reducing",
        lambda w: w.recorded("INSERT INTO trading_states VALUES (1, '2026-01-05T15:00:00.000Z', 'reducing', 'r', 'b')"),
        "open nothing",
    ),
    Case("trading-state", warn, "halted by the file", halted_by_file, "the feed lies"),
    Case("runs", ok, "all ended", lambda w: w.recorded((RUN, ("done", None))), "has ended"),
    Case("runs", ok, "one at work", at_work, "1 at work now"),
    Case("runs", warn, "left running", lambda w: w.recorded((RUN, ("running", None))), "20260105-aaaaaa"),
    Case("runs", warn, "abandoned", lambda w: w.recorded((RUN, ("failed", "x"))), "20260105-aaaaaa"),
    Case("orders", ok, "none", lambda w: w.recorded(), "no order is pending"),
    Case("orders", ok, "being worked", at_work, "a process is at work"),
    Case("orders", warn, "left pending", lambda w: w.recorded(ORDER), "SPY-1"),
]

MINUTES = dt.timedelta(minutes=1)
SLOT = (
    "INSERT INTO slots (job, slot, due_at, status, attempts, ended_at)"
    " VALUES ('scan', 'scan-2026-01-05T10:00', 'x', 'done', 1, '2026-01-05T15:04:00.000Z')"
)

SCHEDULE = [
    Case("calendar", ok, "now", lambda w: w.sample(), "2031-12-31"),
    Case(
        "calendar",
        warn,
        "2031",
        lambda w: w.sample(clock=SimulatedClock(dt.datetime(2031, 6, 2, tzinfo=dt.UTC))),
        "in 2",
    ),
    Case(
        "calendar",
        fail,
        "2032",
        lambda w: w.sample(clock=SimulatedClock(dt.datetime(2032, 6, 2, tzinfo=dt.UTC))),
        "ended on 2031-12-31",
    ),
    Case(
        "scheduler",
        ok,
        "alive",
        lambda w: w.recorded(beat(MINUTES, version=__version__, doing="scan")),
        "doing scan; next monitor",
    ),
    Case("scheduler", ok, "run by cron", lambda w: w.recorded(SLOT), "scan-2026-01-05T10:00 ended"),
    Case("scheduler", warn, "no record yet", lambda w: w.sample(), "no scheduler has ever"),
    Case("scheduler", warn, "never", lambda w: w.recorded(), "no scheduler has ever"),
    Case(
        "scheduler",
        warn,
        "stopped",
        lambda w: w.recorded(beat(9 * MINUTES, version=__version__, stopped=True)),
        "was stopped",
    ),
    Case(
        "scheduler",
        warn,
        "of another version",
        lambda w: w.recorded(beat(MINUTES, version="0.0.1")),
        "runs version 0.0.1",
    ),
    Case(
        "scheduler",
        warn,
        "silent on a Sunday",
        lambda w: w.recorded(beat(90 * MINUTES, version=__version__, at=SUNDAY), clock=SimulatedClock(SUNDAY)),
        "90 minutes ago",
    ),
    Case(
        "scheduler", fail, "silent in the session", lambda w: w.recorded(beat(DAY, version=__version__)), "24 hours ago"
    ),
]

TOLD = NotifySettings(urls=("discord://123456789012345678/AbCdEf-token-0123456789",))
"""Where nothing is sent to: the doctor sends nothing."""
DOWN = "INSERT INTO notification_channels VALUES ('discord-1', '2026-01-05T15:00:00.000Z', '404 Unknown Webhook')"

NOTIFICATIONS = [
    Case("notifications", ok, "none", lambda w: w.recorded(), "no channel is set"),
    Case("notifications", ok, "no record yet", lambda w: w.sample(notify=TOLD), "1 channel can be used: discord-1"),
    Case("notifications", ok, "one that answers", lambda w: w.recorded(notify=TOLD), "discord-1"),
    Case(
        "notifications",
        warn,
        "one that does not",
        lambda w: w.recorded(DOWN, notify=TOLD),
        "since 2026-01-05 10:00 New York: 404 Unknown Webhook",
    ),
    Case("notifications", ok, "one that is set no more", lambda w: w.recorded(DOWN), "no channel is set"),
    Case(
        "notifications",
        fail,
        "no such service",
        lambda w: w.recorded(notify=NotifySettings(urls=("pigeon://coop",))),
        "pigeon",
    ),
]

MACHINE = [
    Case("disk", ok, "50 GB", lambda w: w.sample(free_bytes=lambda _: 50_000_000_000), "50.0 GB free"),
    Case("disk", warn, "half a GB", lambda w: w.sample(free_bytes=lambda _: 500_000_000), "0.5 GB free"),
    Case("disk", fail, "full", lambda w: w.sample(free_bytes=lambda _: 1_000_000), "0.0 GB free"),
    Case("time-zones", ok, "here", lambda w: w.sample(), "America/New_York"),
    Case("time-zones", fail, "none", lambda w: w.sample(zone=no_zone), "No time zone found"),
    Case(
        "time-zones", fail, "wrong", lambda w: w.sample(zone=lambda _: ZoneInfo("Europe/Berlin")), "should be -5 hours"
    ),
    Case("python", ok, "this one", lambda w: w.sample(), "Python 3."),
    Case("python", fail, "3.10", lambda w: w.sample(python=(3, 10, 4)), "Python 3.10.4"),
    Case("packages", ok, "these", lambda w: w.sample(), "all of the versions"),
    Case("packages", warn, "not installed", lambda w: w.sample(requirements=not_installed), "only on Python's path"),
    Case("packages", fail, "too old", lambda w: w.sample(requirements=lambda _: ["click>=99"]), "click>=99"[5:]),
    Case(
        "packages", fail, "missing", lambda w: w.sample(requirements=lambda _: ["no-such-package"]), "is not installed"
    ),
]

CASES = [*CONFIGURATION, *KEYS, *BROKER, *MARKET, *MODEL, *PROMPT, *RECORD, *SCHEDULE, *NOTIFICATIONS, *MACHINE]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.check}: {case.level}: {case.why}" for case in CASES])
def test_a_check_says_what_is_so(case: Case, world: World) -> None:
    async def run() -> None:
        async with servers:
            made = case.make(world)
            situation = made if isinstance(made, Situation) else await made
            findings = await looked(situation, case.check)
        assert worst(findings) is case.level, findings
        assert case.says in " ".join(finding.text for finding in findings if finding.level is case.level)
        said = " ".join(f"{finding.text} {finding.fix}" for finding in findings)
        assert "canary" not in said.lower()
        assert all(world.fake.environ[name] not in said for name in CANARY_KEYS)

    asyncio.run(run())


def test_every_complaint_of_the_documentation_has_a_case() -> None:
    promised = {(check.name, Level.OK) for check in CHECKS}
    promised |= {(check.name, Level.WARN) for check in CHECKS if check.warns}
    promised |= {(check.name, Level.FAIL) for check in CHECKS if check.fails}
    assert {(case.check, case.level) for case in CASES if case.level is not Level.SKIPPED} == promised


@pytest.mark.model
def test_the_embedded_model_is_the_one_that_was_published(world: World, embedded_model: Path) -> None:
    [finding] = look(world.sample(model="local", environ=dict(os.environ)), "embedded-model")
    assert (finding.level, embedded_model.name in finding.text) == (Level.OK, True)


ACCOUNTS = [
    {},
    {"status": "SUBMITTED"},
    {"account_blocked": True},
    {"trading_blocked": True},
    {"trade_suspended_by_user": True},
    {"options_trading_level": 2},
    {"currency": "EUR"},
]


@pytest.mark.parametrize("changed", ACCOUNTS, ids=str)
def test_an_account_fails_here_exactly_if_a_desk_would_refuse_it(changed: dict[str, Any], world: World) -> None:
    document: dict[str, Any] = {}

    def keep(told: dict[str, Any]) -> dict[str, Any]:
        document.update({**told, **changed})
        return document

    findings = look(world.alpaca({"/v2/account": keep}), "account", "options-level")
    try:
        check_can_trade(Answer.of(document, "the account"))
        refused = False
    except Exception:  # noqa: BLE001 - whatever it is
        refused = True
    assert (worst(findings) is Level.FAIL) == refused


def test_while_the_exchange_is_closed_the_age_of_quotes_is_asked_for_later(world: World) -> None:
    with FakeAlpaca(start=SUNDAY) as fake:
        closed = World(fake, world.folder)
        with closed.stack:
            findings = look(closed.alpaca(clock=SimulatedClock(SUNDAY)), "quote-age", "session")
    assert [finding.level for finding in findings] == [Level.OK, Level.OK]
    assert all("2026-01-05 09:30 New York" in finding.text for finding in findings)


WHY = {
    "the name does not resolve": requests.ConnectionError("Max retries: NameResolutionError(...)"),
    "the connection is refused: nothing listens there": requests.ConnectionError("[Errno 111] Connection refused"),
    "its certificate is not believed": requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"),
    "the proxy that the environment names does not let it through": requests.exceptions.ProxyError("407"),
    "no whole answer within 5 s": requests.ReadTimeout("x"),
}


@pytest.mark.parametrize("words", WHY)
def test_a_host_that_gives_no_answer_is_told_by_its_reason(words: str) -> None:
    assert reason(WHY[words], 5.0) == words
