"""`mahler scan`: what it shows while it happens and reports when it is done, on a terminal, in a pipe and as JSON."""

import contextlib
import os
import re
from pathlib import Path

import pytest
from cli_scans import HARMLESS, Terminal, hostile_script, json_of, run_scan
from desks import scan

from mahler_agents.cli import main
from mahler_agents.cli.console import make_console
from mahler_agents.cli.lines import PlainLines
from mahler_agents.cli.live import LiveTable
from mahler_agents.cli.scan_text import print_report
from mahler_agents.config import DeskConfig
from mahler_agents.scan import ScanResult
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, favourable, http_error, reply
from mahler_agents.types import Environment

ANALYSTS = ("greeks", "technical", "sentiment", "volatility")
STYLE = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25h")
"""Bold, dim and the cursor's return: what a terminal shows no character for."""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("MAHLER_", "OPENAI_"))] + ["ENVIRONMENT"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> ScanResult:
    """Return a scan whose model writes what it should not."""
    return run_scan(tmp_path_factory.mktemp("hostile") / "hostile.db", ScriptedModel(hostile_script))


def reported(result: ScanResult, stream: Terminal, **options: str | None) -> str:
    print_report(
        make_console(stream),
        result,
        hint=options.get("hint"),
        next_command="mahler trace show x",
        replay_command="mahler replay x",
    )
    return stream.getvalue()


def test_a_scan_ends_with_fills_and_says_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--model", "none"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "SYNTHETIC MARKET" in printed.out
    assert "bound by max_risk_per_trade: limit $2,000, used $0, left $2,000" in printed.out
    assert "order         filled: sold" in printed.out
    # What an order asked for at last lay above the natural side: else the reader would ask why it was not filled.
    [last, natural] = re.findall(r"unfilled\): sell 10 spreads at ([\d.]+) at last; .* natural ([\d.]+)", printed.out)[
        0
    ]
    assert float(last) > float(natural)
    next_command = printed.out.splitlines()[-1].split(maxsplit=1)[1]
    program, *arguments = next_command.split()
    assert program == "mahler"
    assert main(arguments) == 0


def test_a_scan_says_its_exits_and_of_dynamic_ones_what_becomes_of_each_trade(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["scan", "--model", "none", "--db", "fixed.db"]) == 0
    assert (
        "\nexits         fixed: target 65 %, stop 125 % of the credit, time exit at 21 days\n"
        in capsys.readouterr().out
    )
    monkeypatch.setenv("MAHLER_EXITS", "wild")
    assert main(["scan", "--model", "none", "--exits", "neutral", "--db", "neutral.db"]) == 0  # an option comes first
    shown = capsys.readouterr().out
    assert "\nexits         dynamic, neutral: " in shown
    assert len(re.findall(r"\n   exits +dynamic exits at a volatility of [\d.]+ %: target ", shown)) >= 2
    for verb in (["scan"], ["simulate", "--from", "2026-01-02", "--to", "2026-01-02"]):
        assert main([*verb, "--model", "none", "--db", "wild.db"]) == 2
        assert "MAHLER_EXITS='wild': use one of fixed, conservative" in capsys.readouterr().err
    assert not Path("wild.db").exists()


def test_a_second_scan_opens_no_duplicate_of_the_first_s_positions(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (_json_scan(capsys) for _ in range(2))

    def traded(result: dict[str, list[dict[str, dict[str, str]]]]) -> set[str]:
        traded = [review for review in result["reviews"] if review["decision"]["decision"] == "traded"]
        return {str(review["candidate"]["spread"]) for review in traded}

    assert traded(first)
    assert not traded(first) & traded(second)


def _json_scan(capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, dict[str, str]]]]:
    assert main(["scan", "--model", "none", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return json_of(printed.out)


def test_the_default_record_carries_the_names_of_market_and_broker(tmp_path: Path) -> None:
    assert main(["scan", "--model", "none"]) == 0
    assert (tmp_path / "mahler-sample-paper.db").exists()


def test_the_next_command_names_the_record_that_the_user_chose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--model", "none", "--db", "my own.db"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("--db 'my own.db'")


def test_a_date_is_scanned_at_ten_and_a_time_is_new_york_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--model", "none", "--as-of", "2026-03-18"]) == 0
    assert "as of 2026-03-18 10:00 New York" in capsys.readouterr().out
    assert main(["scan", "--model", "none", "--as-of", "2026-03-18T11:30"]) == 0
    assert "as of 2026-03-18 11:30 New York" in capsys.readouterr().out
    assert main(["scan", "--model", "none", "--as-of", "2026-03-18T16:00:00Z"]) == 0
    assert "as of 2026-03-18 12:00 New York" in capsys.readouterr().out


def test_off_a_terminal_each_stage_is_a_plain_line(tmp_path: Path) -> None:
    stream = Terminal()
    run_scan(tmp_path / "x.db", ScriptedModel.always(confidence=0.9), watch=PlainLines(stream))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "desk: paper trading, account paper-sample-22 at paper, host embedded"
    assert lines[1].startswith("market: sample (SYNTHETIC), as of ")
    assert lines[2].startswith("screen: ")
    for name in (*ANALYSTS, "fund manager", "advice", "size", "order"):
        assert any(line.startswith(f"[1] {name}: ") for line in lines), name
    assert any(line.startswith("[4] ") for line in lines)
    assert lines[-1].startswith(("[1] ", "[2] ", "[3] "))  # of an order: they are worked after the last turn


@pytest.mark.parametrize("columns", [30, 50, 80, 100, 140])
def test_the_live_table_fits_any_terminal(columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    with LiveTable(stream) as view:
        view.expect(ANALYSTS)
        result = run_scan(tmp_path / "x.db", ScriptedModel(hostile_script), watch=view)
    kept = STYLE.sub("", stream.getvalue().split("\x1b[2K")[-1]).splitlines()
    assert max(map(len, kept)) <= columns
    assert len([line for line in kept if line.strip()]) >= 1 + len(result.reviews)
    if columns >= 80:
        assert any("fail" in line and "+80%" in line and "-30%" in line and "filled" in line for line in kept)


def test_the_live_table_leaves_nothing_behind_when_the_scan_fails() -> None:
    stream = Terminal()
    with contextlib.suppress(KeyboardInterrupt), LiveTable(stream) as view:
        view.expect(ANALYSTS)
        raise KeyboardInterrupt
    assert stream.getvalue().endswith(("\x1b[2K", "\x1b[?25h"))


def test_what_a_model_wrote_reaches_the_terminal_harmless(hostile: ScanResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    shown = reported(hostile, Terminal())
    assert f"confidence 80 %, p_profit 80 %: {HARMLESS}" in shown
    assert not [char for char in shown if char not in "\n\x1b" and not char.isprintable()]
    assert "\x1b[2J" not in shown
    assert "\x1b]" not in shown


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_the_report_fits_the_terminal(columns: int, hostile: ScanResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    lines = STYLE.sub("", reported(hostile, Terminal())).splitlines()
    assert max(map(len, lines)) <= columns


def test_the_report_tells_every_failure_and_what_to_do(hostile: ScanResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    shown = reported(hostile, Terminal())
    assert "failed (auth): " in shown
    assert "; check OPENAI_API_KEY and OPENAI_BASE_URL" in shown
    assert "failed (not_json): " in shown
    count = len(hostile.reviews)
    kinds = f"sentiment (auth) x{count} and technical (not_json) x{count}"
    assert f"{2 * count} analysts failed: {kinds}; run `mahler trace show x`" in shown


def truncated_greeks(request: ScriptedRequest) -> ScriptedReply:
    """The greeks analyst's reply is cut; all else is as it should be."""
    return reply("{", finish_reason="length") if request.role == "greeks" else favourable(request)


def silent_manager(request: ScriptedRequest) -> ScriptedReply:
    """The fund manager's request is refused; all else is as it should be."""
    return http_error(400) if request.role == "fund_manager" else favourable(request)


def test_one_failed_analyst_is_one_line_that_says_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    result = scan(tmp_path / "desk.db", ScriptedModel(truncated_greeks).endpoint, config=DeskConfig(max_candidates=1))
    shown = reported(result, Terminal())
    assert "1 analyst failed: greeks (truncated); run `mahler trace show x`" in shown
    assert "no verdict" not in shown


@pytest.mark.parametrize(
    ("environment", "then"),
    [(Environment.PAPER, "left to the rules alone"), (Environment.LIVE, "1 skipped as no_verdict")],
)
def test_a_missing_verdict_is_counted_with_what_became_of_its_candidate(
    environment: Environment, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    config = DeskConfig(max_candidates=1, environment=environment)
    shown = reported(scan(tmp_path / "desk.db", ScriptedModel(silent_manager).endpoint, config=config), Terminal())
    assert f"1 candidate (1 bad request): {then}" in shown
    assert "analyst failed" not in shown


def test_a_missing_quorum_is_a_missing_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    model = ScriptedModel(lambda request: favourable(request) if request.role == "greeks" else http_error(400))
    shown = reported(scan(tmp_path / "desk.db", model.endpoint, config=DeskConfig(max_candidates=1)), Terminal())
    assert "3 analysts failed: " in shown
    assert "1 candidate (1 no quorum): left to the rules alone" in shown


def test_a_verdict_against_the_trade_is_shown_and_the_trade_goes_on(
    hostile: ScanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    shown = reported(hostile, Terminal())
    underlying = hostile.reviews[0].candidate.spread.underlying
    assert "does not approve, confidence 30 %" in shown
    assert f"Low confidence (30%) for {underlying} - proceeding (paper trading, agents advisory)" in shown
    assert "filled: sold" in shown


def test_the_toy_is_called_a_toy_and_the_hint_is_shown(hostile: ScanResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = reported(hostile.model_copy(update={"toy_model": True}), Terminal(), hint="a key is set")
    assert "the embedded model is a toy; its opinions are for show" in shown
    assert "a key is set" in shown


def test_colours_are_left_out_when_they_are_not_wanted(hostile: ScanResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = reported(hostile, Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    plain = reported(hostile, Terminal())
    assert "\x1b[32m" in coloured
    assert "\x1b[32m" not in plain
