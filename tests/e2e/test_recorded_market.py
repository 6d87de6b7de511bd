"""End to end: a scan is run again on what its market showed, and the same comes of it."""

import asyncio
import datetime as dt
import json
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desks import scan

from mahler_agents.cli import main
from mahler_agents.clock import Ids, utc_text
from mahler_agents.desk import Desk
from mahler_agents.errors import InputError
from mahler_agents.market.archive import unpack
from mahler_agents.market.open import open_market
from mahler_agents.market.recorded import RecordedMarket
from mahler_agents.market.snapshot import Market, Snapshot
from mahler_agents.record.queries import Reader
from mahler_agents.scan import ScanResult
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.testing.scripted import ScriptedModel, favourable
from mahler_agents.types import UNIVERSE

OF_VIX = "FROM raw_payloads WHERE hash = (SELECT payload_hash FROM raw_answers WHERE path LIKE '%/_VIX.json')"


def copied(database: Path, folder: Path) -> Path:
    copy = folder / "copy.db"
    copy.write_bytes(database.read_bytes())
    return copy


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


def change(database: Path, sql: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(sql)


def outcome(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a scan found, decided, sized and traded, without the ids of its run."""
    return {
        "candidates": query(database, "SELECT rank, facts, reviewed, decision, reason FROM candidates ORDER BY rank"),
        "sizings": query(database, "SELECT contracts, binding, limit_credit, constraints FROM sizings ORDER BY rowid"),
        "advice": query(database, "SELECT level, code, message FROM advice ORDER BY candidate_id"),
        "orders": query(database, "SELECT state, contracts, limit_credit, short_bid, long_ask FROM orders ORDER BY 3"),
    }


def fills(database: Path) -> list[tuple[Any, ...]]:
    return query(database, "SELECT number, attempt, at, contracts, credit, fees FROM fills ORDER BY credit, contracts")


def recorded_snapshot(database: Path) -> Snapshot:
    ((content,),) = query(database, "SELECT content FROM snapshots")
    return unpack(content)


def seen_again(market: Market) -> Snapshot:
    return asyncio.run(market.snapshot(market.default_as_of(), UNIVERSE))


def assert_same(ours: Snapshot, theirs: Snapshot) -> None:
    """Hold everything that a market says against another's, but what they call themselves."""
    assert ours.as_of == theirs.as_of
    assert (ours.vix, ours.vix_3_month, ours.risk_free_rate) == (theirs.vix, theirs.vix_3_month, theirs.risk_free_rate)
    assert ours.missing == theirs.missing
    assert list(ours.underlyings) == list(theirs.underlyings)
    for name, held in ours.underlyings.items():
        other = theirs.underlyings[name]
        assert (held.headlines, held.dividends) == (other.headlines, other.dividends)
        for part in ("chain", "bars", "volatility_history"):
            for column, values in vars(getattr(held, part)).items():
                np.testing.assert_array_equal(values, getattr(getattr(other, part), column), err_msg=f"{name} {column}")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ScanResult]:
    """A scan on a fake Alpaca that kept its answers."""
    database = tmp_path_factory.mktemp("kept") / "kept.db"

    async def run(environ: dict[str, str]) -> ScanResult:
        async with Desk(
            market="alpaca", model="none", database=database, keep_raw=True, ids=Ids(1), environ=environ
        ) as desk:
            return await desk.scan()

    with FakeAlpaca(null_greeks=0.2) as fake:
        fake.fail("GET /v2/stocks/snapshots", "500")
        return database, asyncio.run(run({**fake.environ, "MAHLER_ALPACA_REQUESTS_PER_MINUTE": "10000"}))


def again(spec: str, database: Path, **choices: Any) -> ScanResult:
    return scan(database, choices.pop("model", "none"), market=spec, **choices)


def test_of_raw_answers_comes_the_snapshot_that_had_come_of_them(kept: tuple[Path, ScanResult]) -> None:
    database, result = kept
    market = open_market(f"recorded:latest@{database}")
    assert isinstance(market, RecordedMarket)
    assert market.from_raw
    snapshot = seen_again(market)
    assert_same(snapshot, recorded_snapshot(database))
    assert snapshot.source.startswith(f"raw answers of run {result.run_id} on alpaca: synthetic, a fake Alpaca")
    assert snapshot.synthetic
    assert (market.name, market.live, market.world) == ("recorded", False, f"recorded-{result.run_id}")


def test_a_scan_again_on_raw_answers_ends_as_the_scan_had(kept: tuple[Path, ScanResult], tmp_path: Path) -> None:
    database, result = kept
    before = database.read_bytes()
    other = tmp_path / "again.db"
    repeated = again(f"recorded:{result.run_id[:12]}@{database}", other)
    assert [one.decision for one in repeated.reviews] == [one.decision for one in result.reviews]
    assert any(one.decision.decision == "traded" for one in result.reviews)
    assert outcome(other) == outcome(database)
    assert fills(other) == fills(database)
    assert repeated.account_after.cash == result.account_after.cash
    assert database.read_bytes() == before


def test_a_scan_again_is_told_apart_and_is_no_evidence(kept: tuple[Path, ScanResult], tmp_path: Path) -> None:
    database, result = kept
    again(f"recorded:{result.run_id}@{database}", tmp_path / "again.db")
    told = query(tmp_path / "again.db", "SELECT kind, market, retrospective, rerun_of, account_id FROM runs")
    assert told == [("scan", "recorded", 1, result.run_id, f"paper-recorded-{result.run_id}")]
    assert query(tmp_path / "again.db", "SELECT * FROM decisions") == []
    assert query(database, "SELECT retrospective, rerun_of FROM runs") == [(0, None)]


def test_what_the_vendor_said_is_parsed_anew(kept: tuple[Path, ScanResult], tmp_path: Path) -> None:
    database = copied(kept[0], tmp_path)
    (before,) = {recorded_snapshot(database).vix}
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        ((name, content),) = connection.execute(f"SELECT hash, content {OF_VIX}").fetchall()
        told = json.loads(zlib.decompress(content))
        told["data"]["current_price"] = 47.11
        changed = zlib.compress(json.dumps(told).encode())
        connection.execute("UPDATE raw_payloads SET content = ? WHERE hash = ?", (changed, name))
    snapshot = seen_again(open_market(f"recorded:latest@{database}"))
    assert snapshot.vix == 47.11 != before


def test_what_was_not_kept_is_absent_and_named(kept: tuple[Path, ScanResult], tmp_path: Path) -> None:
    database = copied(kept[0], tmp_path)
    change(database, "DELETE FROM raw_answers WHERE path LIKE '%/news?%' OR path LIKE '%symbols=IWM%'")
    snapshot = seen_again(open_market(f"recorded:latest@{database}"))
    assert "GET /v1beta1/news: the record holds none" in snapshot.missing["headlines.SPY"]
    assert "the record holds none" in snapshot.missing["underlyings.IWM"]
    assert sorted(snapshot.underlyings) == ["GLD", "QQQ", "SPY", "TLT"]


def test_a_leg_that_was_not_quoted_has_no_quote(kept: tuple[Path, ScanResult], tmp_path: Path) -> None:
    database = copied(kept[0], tmp_path)
    change(database, "DELETE FROM raw_answers WHERE path LIKE '%/options/quotes/latest%'")
    repeated = again(f"recorded:latest@{database}", tmp_path / "again.db")
    sized = [one for one in repeated.reviews if one.sizing is not None and one.sizing.contracts]
    assert [one.decision.reason.value for one in sized] == ["no_quote"] * 3
    assert fills(tmp_path / "again.db") == []


def test_no_key_is_in_what_is_kept(kept: tuple[Path, ScanResult]) -> None:
    database, _ = kept
    keys = ["PKSYNTHETIC000000022", "synthetic-secret-of-sample-22"]
    bodies = [zlib.decompress(content) for (content,) in query(database, "SELECT content FROM raw_payloads")]
    paths = [path for (path,) in query(database, "SELECT path FROM raw_answers")]
    assert len(paths) > 30
    for text in [*bodies, *(path.encode() for path in paths)]:
        assert not any(key.encode() in text for key in keys)
    of_the_account = [path for path in paths if not path.startswith(("/v2/stocks", "/v1beta1", "/v1/", "/api/global"))]
    assert {path.partition("?")[0] for path in of_the_account} == {"/v2/clock", "/v2/options/contracts"}


def test_answers_that_were_refused_are_kept_too(kept: tuple[Path, ScanResult]) -> None:
    database, _ = kept
    statuses = query(database, "SELECT status FROM raw_answers WHERE path LIKE '/v2/stocks/snapshots%' ORDER BY id")
    assert sorted(statuses) == [(200,)] * 5 + [(500,)]


def test_trace_show_tells_how_much_was_kept(kept: tuple[Path, ScanResult], capsys: pytest.CaptureFixture[str]) -> None:
    database, _ = kept
    with Reader(database) as reader:
        raw = reader.trace(reader.run_id("latest")).raw
    assert raw is not None
    ((answers, stored),) = query(
        database, "SELECT (SELECT COUNT(*) FROM raw_answers), SUM(LENGTH(content)) FROM raw_payloads"
    )
    assert (raw.answers, raw.stored_bytes) == (answers, stored)
    assert raw.bytes > 3 * raw.stored_bytes
    assert main(["trace", "show", "latest", "--db", str(database)]) == 0
    assert f"raw answers: {answers} answers kept, {raw.bytes / 1e6:.1f} MB" in capsys.readouterr().out


def test_prune_drops_them_with_the_run_and_says_so(
    kept: tuple[Path, ScanResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = copied(kept[0], tmp_path)
    change(database, "UPDATE positions SET state = 'closed'")
    change(database, "UPDATE shadows SET exit_at = entered_at, daily_exit_at = entered_at")
    assert main(["db", "prune", "--keep", "0", "--yes", "--db", str(database)]) == 0
    assert "raw_payloads" in capsys.readouterr().out
    assert query(database, "SELECT (SELECT COUNT(*) FROM raw_answers), (SELECT COUNT(*) FROM raw_payloads)") == [(0, 0)]
    with pytest.raises(InputError, match="its snapshot was pruned"):
        open_market(f"recorded:latest@{database}")


# --- From the snapshot ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ScanResult]:
    """A scan of the sample market with a model that says the same to everyone."""
    database = tmp_path_factory.mktemp("sample") / "sample.db"
    return database, scan(database, ScriptedModel(favourable).endpoint)


def test_a_scan_again_on_a_snapshot_ends_as_the_scan_had(sample: tuple[Path, ScanResult], tmp_path: Path) -> None:
    database, result = sample
    market = open_market(f"recorded:{result.run_id}@{database}")
    assert isinstance(market, RecordedMarket)
    assert not market.from_raw
    assert_same(seen_again(market), recorded_snapshot(database))
    other = tmp_path / "again.db"
    repeated = scan(other, ScriptedModel(favourable).endpoint, market=market)
    assert "snapshot of run" in repeated.source
    assert any(one.decision.decision == "traded" for one in result.reviews)
    assert outcome(other) == outcome(database)


def quoted(market: Market, symbol: str, at: dt.datetime) -> tuple[float, float] | None:
    found = asyncio.run(market.quotes([symbol, "SPY270115P00100000"], at))
    assert found.keys() <= {symbol}
    return (found[symbol].bid, found[symbol].ask) if symbol in found else None


def test_quotes_are_those_that_were_seen_and_stand_as_long_as_the_feeds_may(sample: tuple[Path, ScanResult]) -> None:
    database, result = sample
    market = open_market(f"recorded:latest@{database}")
    ((symbol, bid, ask),) = query(
        database, "SELECT short_symbol, short_bid, short_ask FROM orders WHERE state = 'canceled'"
    )
    assert quoted(market, symbol, result.decision_at) == (bid, ask)
    seen = query(database, f"SELECT at, bid, ask FROM quotes WHERE symbol = '{symbol}' ORDER BY at")
    assert len(seen) > 3
    for at, *sides in seen:
        assert quoted(market, symbol, dt.datetime.fromisoformat(at)) == tuple(sides)
    last = dt.datetime.fromisoformat(seen[-1][0])
    assert quoted(market, symbol, last + dt.timedelta(seconds=300)) == tuple(seen[-1][1:])
    assert quoted(market, symbol, last + dt.timedelta(seconds=301)) is None
    assert quoted(market, symbol, result.decision_at - dt.timedelta(seconds=31)) is None


def test_a_leg_that_had_no_quote_then_has_none_though_it_had_one_before(
    sample: tuple[Path, ScanResult], tmp_path: Path
) -> None:
    database, result = copied(sample[0], tmp_path), sample[1]
    ((symbol,),) = query(database, "SELECT short_symbol FROM orders LIMIT 1")
    later = result.decision_at + dt.timedelta(seconds=30)
    change(database, f"UPDATE quotes SET bid = NULL, ask = NULL, quoted_at = NULL WHERE at = '{utc_text(later)}'")
    market = open_market(f"recorded:latest@{database}")
    assert quoted(market, symbol, result.decision_at) is not None
    assert quoted(market, symbol, later) is None


def test_of_a_record_without_them_the_quotes_are_those_that_orders_were_decided_on(
    sample: tuple[Path, ScanResult], tmp_path: Path
) -> None:
    database, result = copied(sample[0], tmp_path), sample[1]
    change(database, "DELETE FROM quotes")
    market = open_market(f"recorded:latest@{database}")
    ((symbol, bid, ask),) = query(database, "SELECT long_symbol, long_bid, long_ask FROM orders LIMIT 1")
    assert quoted(market, symbol, result.decision_at) == (bid, ask)
    assert quoted(market, symbol, result.decision_at + dt.timedelta(seconds=120)) == (bid, ask)
    repeated = scan(tmp_path / "again.db", "none", market=market)
    assert [one.sizing for one in repeated.reviews] == [one.sizing for one in result.reviews]


def test_every_scan_again_begins_a_record_of_its_own(
    sample: tuple[Path, ScanResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, result = sample
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mahler-sample-paper.db").write_bytes(database.read_bytes())
    for _ in range(2):
        assert main(["scan", "--market", "recorded:latest", "--model", "none"]) == 0
    assert main(["halt"]) == 0  # the desk, and not a scan of a recorded market
    assert (tmp_path / "mahler-sample-paper.db.halt").exists()
    made = sorted(path.name for path in tmp_path.glob("mahler-recorded-*.db"))
    assert made == [f"mahler-recorded-{result.run_id}-2-paper.db", f"mahler-recorded-{result.run_id}-paper.db"]
    assert outcome(tmp_path / made[0])["orders"] == outcome(tmp_path / made[1])["orders"] != []


def test_mahler_db_names_where_the_run_is_and_is_not_written(
    sample: tuple[Path, ScanResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, _ = sample
    before = database.read_bytes()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAHLER_DB", str(database))
    assert main(["scan", "--market", "recorded:latest", "--model", "none"]) == 0
    assert len(list(tmp_path.glob("mahler-recorded-*-paper.db"))) == 1
    assert database.read_bytes() == before


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("", "the market recorded needs a run"),
        ("nosuchrun", "no run `nosuchrun`"),
        ("2026", "`2026` fits 3 runs"),
        ("20260317-replay", "is a replay, which saw no market: name the scan, 20260317-"),
        ("20260317-again", "saw again what run 20260101-aaaaaa had seen"),
        ("latest", "its snapshot is not there"),
    ],
)
def test_a_run_that_cannot_be_seen_again_is_one_clear_line(
    sample: tuple[Path, ScanResult], tmp_path: Path, run: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    database = copied(sample[0], tmp_path)
    change(database, "UPDATE runs SET snapshot_hash = NULL")
    columns: list[str] = [name for (_, name, *_) in query(database, "PRAGMA table_info(runs)")]
    for name, values in {
        "20260317-replay": {"kind": "'replay'", "replay_of": "id", "retrospective": "1"},
        "20260317-again": {"rerun_of": "'20260101-aaaaaa'", "retrospective": "1"},
    }.items():
        chosen: dict[str, str] = {"id": f"'{name}'", **values}
        shown = ", ".join(chosen.get(str(column), str(column)) for column in columns)
        change(database, f"INSERT INTO runs SELECT {shown} FROM runs WHERE NOT retrospective")
    assert main(["scan", "--market", f"recorded:{run}@{database}", "--model", "none"]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert len(told.strip().splitlines()) == 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APCA_API_KEY_ID", "PKTEST4711")
    monkeypatch.setenv("APCA_API_SECRET_KEY", "of-no-account-4711")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "1"], "a seed is for the sample market only"),
        (["--as-of", "2026-03-18"], "saw the market of 2026-03-17 10:00 New York, and not of 2026-03-18"),
        (["--keep-raw"], "raw answers are kept of the market alpaca only"),
        (["--broker", "alpaca"], "alpaca"),
    ],
)
def test_an_option_that_does_not_go_with_a_recorded_market_is_refused(
    sample: tuple[Path, ScanResult], folder: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = f"recorded:latest@{sample[0]}"
    assert main(["scan", "--market", spec, "--model", "none", *options]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert len(told.strip().splitlines()) == 1
    assert list(folder.iterdir()) == []


def test_only_a_scan_takes_a_recorded_market(
    sample: tuple[Path, ScanResult], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = f"recorded:latest@{sample[0]}"
    assert main(["monitor", "--market", spec, "--as-of", "2026-03-17"]) == 2
    assert main(["simulate", "--market", spec, "--from", "2026-03-17", "--to", "2026-03-17"]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert "only `mahler scan` takes a recorded market" in told[0]
    assert "the market recorded cannot be simulated" in told[1]
    assert len(told) == 2
    assert list(folder.iterdir()) == []


def test_a_folder_without_a_record_and_a_file_that_is_none_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["scan", "--market", "recorded:latest"]) == 2
    assert "no mahler-*.db in this folder" in capsys.readouterr().err
    assert main(["scan", "--market", "recorded:latest@nowhere.db"]) == 2
    assert "nowhere.db does not exist" in capsys.readouterr().err
