"""`mahler trace export --html`: one page that draws what the record holds and obeys nothing that is written in it."""

import base64
import hashlib
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chromium import Page, open_page
from cli_scans import json_of, run_scan

from mahler_agents.cli import main
from mahler_agents.cli.trace.page import render
from mahler_agents.cli.trace.page.payoff import payoff_of
from mahler_agents.cli.trace.page.timeline import timeline_of
from mahler_agents.record.queries import Reader
from mahler_agents.record.trace_rows import RunTrace
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, favourable, http_error, reply
from mahler_agents.text import cents, per_share

BREAKOUT = "</details></pre></title></svg><script>alert(1)</script><img src=x onerror=alert(2)>&lt;b&gt;{{ 7 * 7 }}"


def breaking_out(request: ScriptedRequest) -> ScriptedReply:
    """Every role tries to break out of the page: by an error, by no JSON, by a valid opinion."""
    if request.role == "sentiment":
        return http_error(401, BREAKOUT)
    return reply(BREAKOUT) if request.role == "technical" else favourable(request, summary=f"rank 61 {BREAKOUT}")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a record of one run in which every text is hostile, its headlines and its event too."""
    path = tmp_path_factory.mktemp("page") / "page.db"
    run_scan(path, ScriptedModel(breaking_out))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE runs SET error = ?, source = ?, model = ?", (BREAKOUT,) * 3)
        connection.execute("UPDATE events SET message = ?", (BREAKOUT,))
        connection.execute("UPDATE candidates SET reason = ? WHERE decision = 'skipped'", (BREAKOUT,))
        connection.execute(
            "UPDATE briefs SET content = json_set(content, '$.headlines[0].text', ?) WHERE role = 'sentiment'",
            (BREAKOUT,),
        )
    return path


@pytest.fixture(scope="module")
def trace(database: Path) -> RunTrace:
    with Reader(database) as reader:
        return reader.trace(reader.run_id("latest"))


@pytest.fixture(scope="module")
def page(trace: RunTrace, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("html") / "run.html"
    path.write_text(render(trace), encoding="utf-8")
    return open_page(path)


def test_the_browser_s_console_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "broken.html"
    path.write_text("<!doctype html><script>throw new Error('told')</script>", encoding="utf-8")
    assert "told" in "".join(open_page(path).console)


def test_the_page_opens_without_a_word_on_the_console(page: Page) -> None:
    assert page.console == []


def test_the_timeline_has_a_bar_for_each_span_and_one_for_each_attempt(page: Page, trace: RunTrace) -> None:
    spans = [span for one in trace.candidates for span in one.spans]
    assert len(page.all("rect", "bar")) == len(spans)
    assert len(page.all("rect", "attempt")) == sum(len(span.calls) for span in spans)
    assert len(page.all("rect", "s-failed")) == sum(
        (span.status == "failed") + sum(call.outcome != "replied" for call in span.calls) for span in spans
    )
    assert all(float(bar.attributes["width"]) > 0 for bar in page.all("rect", "bar"))


def test_what_a_model_a_headline_or_an_error_says_is_text(page: Page) -> None:
    assert page.all("script") == page.all("img") == []
    assert BREAKOUT in page.all("p", "failed")[0].text  # the run's error
    assert any(BREAKOUT in one.text for one in page.all("pre", "reply"))
    assert any(BREAKOUT in one.text for one in page.all("details", "brief"))
    assert any(BREAKOUT in one.text for one in page.all("td", "said"))
    assert any(BREAKOUT in one.text for one in page.all("p", "said") if "rank 61" in one.text)


def test_the_policy_allows_the_page_s_own_style_and_nothing_else(page: Page) -> None:
    [policy] = [one.attributes["content"] for one in page.all("meta") if "http-equiv" in one.attributes]
    style = page.all("style")[0].text
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    linked = [one for one in page.elements if {"src", "href", "style", "onclick"} & one.attributes.keys()]
    assert linked == []


def test_the_numbers_are_those_of_the_record(page: Page, trace: RunTrace) -> None:
    reviewed = [one for one in trace.candidates if one.reviewed]
    articles = page.all("article", "candidate")
    assert len(articles) == len(page.all("svg", "payoff")) == len(reviewed)
    for candidate, article in zip(reviewed, articles, strict=True):
        text = " ".join(article.text.split())
        assert candidate.label in text
        assert f"credit screened, per share{per_share(candidate.credit)}" in text
        assert f"spot when screened{per_share(candidate.facts['spot'])}" in text
        for opinion in candidate.opinions:
            assert f"{opinion.stance}, confidence {opinion.confidence:.0%}".replace("%", " %") in text
        assert candidate.sizing is not None
        assert f"bound by {candidate.sizing.binding}" in text
        for one in candidate.sizing.constraints:
            if one.contracts is not None:
                assert f"{one.contracts:,}" in text
        for order in candidate.orders:
            assert order.client_order_id in text
            assert f"{per_share(order.limit_credit)} or more" in text
            assert all(f"at {per_share(fill.credit)}" in text for fill in order.fills)


def test_the_payoff_is_that_of_the_spread_s_own_arithmetic(page: Page, trace: RunTrace) -> None:
    reviewed = [one for one in trace.candidates if one.reviewed]
    for candidate, article in zip(reviewed, page.all("article", "candidate"), strict=True):
        drawn = payoff_of(candidate)
        side = 1 if candidate.spread_type == "bull_put" else -1
        width = abs(candidate.short_strike - candidate.long_strike)
        filled = [fill for order in candidate.orders for fill in order.fills]
        credit = filled[0].credit if filled else candidate.credit
        assert drawn.credit == pytest.approx(credit)
        assert drawn.max_profit == pytest.approx(100 * credit)
        assert drawn.max_loss == pytest.approx(100 * (width - credit))
        assert drawn.breakeven == pytest.approx(candidate.short_strike - side * credit)
        told = f"breakeven {per_share(drawn.breakeven)}"
        assert all(word in article.text for word in (told, cents(drawn.max_profit), f"-{cents(drawn.max_loss)}"))
        corners = [tuple(map(float, point.split(","))) for point in drawn.line.split()]
        crossing = [
            x0 + (drawn.zero_y - y0) / (y1 - y0) * (x1 - x0)
            for (x0, y0), (x1, y1) in pairwise(corners)
            if min(y0, y1) <= drawn.zero_y <= max(y0, y1) and y0 != y1
        ]
        assert crossing == [pytest.approx(drawn.x_of["breakeven"], abs=0.1)]
        assert (drawn.x_of["short"] - drawn.x_of["long"]) * side > 0


def test_a_synthetic_market_and_a_toy_model_are_said_to_be_so(page: Page, trace: RunTrace) -> None:
    assert any("SYNTHETIC MARKET" in one.text for one in page.all("p", "notice"))
    real = render(replace(trace, run=replace(trace.run, synthetic=False, toy_model=True)))
    assert "SYNTHETIC" not in real
    assert "TOY MODEL" in real


def test_a_run_that_died_at_once_has_a_page_too(trace: RunTrace) -> None:
    bare = replace(trace.run, status="running", ended_at=None, screen=None, regime=None, breaker=None)
    empty = RunTrace(run=bare, candidates=(), events=(), prompts={}, briefs={})
    assert timeline_of(empty) is None
    assert "No candidate was reviewed." in render(empty)


def test_a_node_that_never_ended_has_a_bar_as_long_as_what_is_known(trace: RunTrace) -> None:
    first = trace.candidates[0]
    spans = tuple(replace(one, status="unfinished", milliseconds=None) for one in first.spans)
    drawn = timeline_of(replace(trace, candidates=(replace(first, spans=spans),)))
    assert drawn is not None
    [group] = drawn.groups
    assert all(lane.bar.width >= sum(one.width for one in lane.attempts) * 0.99 for lane in group.lanes)


def test_the_command_writes_the_page_where_it_is_told(
    database: Path, trace: RunTrace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["trace", "export", "latest", "--html", "--db", str(database)]) == 0
    assert f"page: {trace.run.id}.html" in capsys.readouterr().out
    named: Any = ["trace", "export", "latest", "--html", "--db", str(database), "--out", "here.html"]
    assert main([*named, "--json"]) == 0
    assert json_of(capsys.readouterr().out) == {"run": trace.run.id, "file": "here.html"}
    assert Path("here.html").read_text(encoding="utf-8") == render(trace)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("latest", "name the format: --html"),
        ("nothing --html", "no run `nothing`"),
        ("latest --html --out no/such.html", "--out no/such.html: cannot be written: No such file"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_line(
    database: Path, capsys: pytest.CaptureFixture[str], arguments: str, line: str
) -> None:
    assert main(["trace", "export", *arguments.split(), "--db", str(database)]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert len(said.splitlines()) == 1
