"""Comparisons: paired on the same cases, by date, corrected; and what they say where there is too little to tell."""

import datetime as dt
import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import at_scale
from evaluations import count, evaluated, greeks, is_marked, knowing, number_of, record_of, wins
from scipy.stats import binom, binomtest

from mahler_agents.cli import main
from mahler_agents.cli.eval.text import comparison_lines
from mahler_agents.errors import ConfigError, InputError
from mahler_agents.evaluation.aggregates import AGGREGATES, Aggregate, Forecasts
from mahler_agents.evaluation.comparison import Comparison, ScorerComparison, _compared, compare, corrected
from mahler_agents.evaluation.heard import Heard
from mahler_agents.evaluation.loading import load, pair
from mahler_agents.evaluation.registry import scorers
from mahler_agents.evaluation.scorers import BUILT_IN, Score, Scorer
from mahler_agents.statistics.power import cases_needed
from mahler_agents.testing.scripted import ScriptedReply, ScriptedRequest, favourable, http_error, reply

CASES = 24


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a record in which a variant that knows the outcomes stands beside one that says 0.66 of all."""
    path = record_of(tmp_path_factory.mktemp("compared") / "r.db", CASES)
    evaluated(path, knowing(), repeat=2)
    return path


@pytest.fixture(scope="module")
def found(record: Path) -> Comparison:
    return compare(*load(record, "latest"), BUILT_IN)


def of(found: Comparison, scorer: str) -> ScorerComparison:
    return next(one for one in found.scorers if one.scorer == scorer)


def test_the_variant_that_knows_is_better_where_outcomes_count(found: Comparison) -> None:
    for name in ("brier", "log_loss", "auc"):
        assert of(found, name).verdict == "second", name
    assert of(found, "groundedness").verdict == "second"
    assert (of(found, "brier").wins, of(found, "brier").losses) == (CASES, 0)


def test_its_figures_are_those_of_the_forecasts(found: Comparison) -> None:
    happened = np.array([wins(number) for number in range(CASES)], dtype=float)
    known = np.where(happened == 1, 0.9, 0.2)
    brier = of(found, "brier")
    assert brier.mean_first == pytest.approx(((0.66 - happened) ** 2).mean())
    assert brier.mean_second == pytest.approx(((known - happened) ** 2).mean())
    assert brier.difference == pytest.approx((brier.mean_second or 0) - (brier.mean_first or 0))
    assert brier.low is not None
    assert brier.high is not None
    assert brier.low < (brier.difference or 0) < brier.high < 0
    assert of(found, "auc").mean_first == 0.5
    assert of(found, "auc").mean_second == 1.0
    assert of(found, "calibration_error").mean_first == pytest.approx(abs(0.66 - happened.mean()))


def test_what_is_equal_in_every_case_is_said_to_be_so(found: Comparison) -> None:
    valid = of(found, "valid")
    assert (valid.verdict, valid.p_value, valid.ties, valid.text) == (
        "same",
        1.0,
        CASES,
        f"no case differs (n = {CASES})",
    )


def test_p_values_are_corrected_for_every_scorer_that_was_tested(found: Comparison) -> None:
    tested = [one for one in found.scorers if one.p_value is not None]
    smallest = min(tested, key=lambda one: one.p_value or 0.0)
    assert smallest.p_holm == pytest.approx(min(1.0, (smallest.p_value or 0.0) * len(tested)))
    assert all((one.p_holm or 0) >= (one.p_value or 0) for one in tested)


def test_the_other_way_round_every_sign_is_the_other(record: Path, found: Comparison) -> None:
    turned = compare(*reversed(load(record, "latest")), BUILT_IN)
    for one, other in zip(found.scorers, turned.scorers, strict=True):
        assert (
            other.p_value == pytest.approx(one.p_value, abs=0.02) if one.p_value is not None else other.p_value is None
        )
        assert (other.wins, other.ties, other.losses) == (one.losses, one.ties, one.wins)
        if one.difference is not None:
            assert other.difference == pytest.approx(-one.difference)
        assert {one.verdict, other.verdict} in ({"first", "second"}, {one.verdict})


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_its_terminal(record: Path, width: int) -> None:
    lines = list(comparison_lines(compare(*load(record, _oldest(record)), BUILT_IN), width))
    assert max(map(len, lines)) <= width
    assert any(line.startswith("brier ") and line.endswith(f"second is better (n = {CASES})") for line in lines)


def test_the_list_of_evaluations_fits_a_terminal_of_eighty_columns(
    record: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mahler_agents.cli.eval.listing.terminal_width", lambda: 80)
    assert main(["eval", "list", "--db", str(record)]) == 0
    _, heading, *lines = capsys.readouterr().out.splitlines()
    assert {"evaluation", "state", "role", "cases", "answers", "failed"} <= set(heading.split())
    assert max(map(len, [heading, *lines])) <= 80


def test_the_cases_that_would_tell_are_counted_with_the_correction(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 12)

    def unsure(request: ScriptedRequest) -> ScriptedReply:
        """Say something better of two trades in three, and something worse of the third."""
        better = wins(number_of(request)) is (number_of(request) % 2 == 0)
        return favourable(request, p_profit=0.7 if is_marked(request, "SKILLED") and better else 0.6)

    evaluated(path, unsure)
    found = compare(*load(path, "latest"), BUILT_IN)
    brier, tests = of(found, "brier"), sum(one.p_value is not None for one in found.scorers)
    assert brier.verdict == "too_few"
    assert brier.difference is not None
    assert brier.error_of_one is not None
    assert brier.cases_needed == cases_needed(brier.difference, error_of_one=brier.error_of_one, alpha=0.05 / tests)
    assert brier.cases_needed > (cases_needed(brier.difference, error_of_one=brier.error_of_one) or 0)
    assert brier.text.endswith(f"needs about {brier.cases_needed:,})")


def test_cases_of_few_dates_tell_nothing_however_many_they_are(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 15, a_date=5)
    evaluated(path, knowing())
    brier = of(compare(*load(path, "latest"), BUILT_IN), "brier")
    assert (brier.n, brier.dates, brier.losses) == (15, 3, 0)
    assert brier.verdict == "too_few"
    assert (brier.low, brier.high) == (None, None)
    assert "too few cases to tell (n = 15 on 3 dates" in brier.text


def test_yes_and_no_are_tested_by_mcnemar_exactly(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 20)

    def slips(request: ScriptedRequest) -> ScriptedReply:
        """One prompt is answered without JSON at first, in 9 of 20 cases."""
        bad = request.messages[0]["content"].startswith("SKILLED") and request.attempt == 1
        number = int(request.messages[7]["content"].split("/")[0].split()[-1]) - 400
        return reply("no JSON") if bad and number < 9 else favourable(request)

    evaluated(path, slips)
    valid = of(compare(*load(path, "latest"), BUILT_IN), "valid")
    assert (valid.wins, valid.ties, valid.losses) == (0, 11, 9)
    assert valid.test == "exact McNemar"
    assert valid.p_value == pytest.approx(binomtest(0, 9, 0.5).pvalue)
    assert valid.difference == pytest.approx(-9 / 20)


def test_where_a_date_has_several_cases_mcnemar_alone_is_not_believed(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 20, a_date=10)

    def against(request: ScriptedRequest) -> ScriptedReply:
        stance = "unfavourable" if request.messages[0]["content"].startswith("SKILLED") else "favourable"
        return favourable(request, stance=stance)

    evaluated(path, against)
    agreement = of(compare(*load(path, "latest"), BUILT_IN), "agreement")
    assert agreement.test == "exact McNemar, and signs flipped by date"
    assert agreement.p_value == 0.5  # two dates: 2 of 4 patterns are as extreme


def test_errors_and_unmatched_cases_are_told_and_not_scored(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 8)

    def down(request: ScriptedRequest) -> ScriptedReply:
        is_second = request.messages[0]["content"].startswith("SKILLED")
        return http_error(400) if is_second and "402/" in request.messages[7]["content"] else favourable(request)

    evaluated(path, down)
    found = compare(*load(path, "latest"), BUILT_IN)
    assert found.second.errors == {"bad_request": 1}
    assert (of(found, "valid").n, of(found, "valid").unmatched) == (7, 1)


def test_without_an_outcome_its_scorers_have_no_score_and_it_says_what_to_do(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 6, outcome=False)
    evaluated(path, knowing())
    found = compare(*load(path, "latest"), BUILT_IN)
    assert (found.outcomes_known, of(found, "brier").n, of(found, "auc").p_value) == (0, 0, None)
    assert of(found, "brier").text == "no case has a score of both"
    assert "no outcome of these cases is known yet" in found.notes[0]


def test_evaluations_on_unequal_cases_are_compared_on_those_in_common(record: Path) -> None:
    evaluated(record, knowing(), cases="tag=hard", seed=7)
    hard = count(record, "SELECT COUNT(*) FROM case_tags")
    [whole, _], part = load(record, _oldest(record)), load(record, "latest")[1]
    found = compare(whole, part, BUILT_IN)
    assert (found.shared_cases, found.only_first, found.only_second) == (hard, CASES - hard, 0)
    assert "repeats" in found.notes[-1]


def _oldest(record: Path) -> str:
    from mahler_agents.record.evaluations import EvaluationReader

    with EvaluationReader(record) as reader:
        return reader.evaluations()[-1].id


def test_what_is_no_pair_is_refused_in_a_line(record: Path) -> None:
    with pytest.raises(InputError, match="name two to compare"):
        compare(*load(record, "latest.A"), *load(record, "latest.A"), BUILT_IN)
    with pytest.raises(InputError, match="one variant is nothing to compare"):
        pair(record, ["latest.A"])
    with pytest.raises(InputError, match="has no variant `Z`"):
        pair(record, ["latest.A", "latest.Z"])
    with pytest.raises(InputError, match="no evaluation `nothing`"):
        pair(record, ["nothing"])
    with pytest.raises(InputError, match="name two, such as"):
        pair(record, ["A", "B", "C"])


def test_evaluations_without_a_case_in_common_are_refused(tmp_path: Path) -> None:
    path = record_of(tmp_path / "r.db", 4)
    evaluated(path, knowing(), cases="underlying=SPY")
    evaluated(path, knowing(), cases="underlying=QQQ", seed=2)
    with pytest.raises(InputError, match="have no case in common: run both on the same cases"):
        compare(load(path, _oldest(path))[0], load(path, "latest")[1], BUILT_IN)


# --- Scorers of users -------------------------------------------------------------------------------------------------


def mentions_theta(heard: Heard) -> Score | None:
    """Score whether the summary speaks of theta."""
    if heard.said is None:
        return None
    return Score(value=float("theta" in heard.said.summary.lower()), explanation="by its word")


def breaks(heard: Heard) -> Score | None:
    """Fail."""
    raise ValueError(heard.variant)


def no_score(heard: Heard) -> object:
    """Return what is no score."""
    return heard.variant


CALM = Scorer(name="calm", better=None, of_answer=mentions_theta, yes_no=True)


def test_a_user_s_function_is_a_scorer_like_the_others(record: Path) -> None:
    own = scorers(["test_comparison:mentions_theta", "test_comparison:CALM"])
    assert [one.name for one in own[-2:]] == ["mentions_theta", "calm"]
    found = compare(*load(record, _oldest(record)), own)
    assert of(found, "mentions_theta").mean_first == 1.0
    assert of(found, "calm").better is None


def test_the_scorers_of_an_installed_package_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "their_scorers-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: their-scorers\nVersion: 1.0\n", encoding="utf-8")
    points = "[mahler_agents.scorers]\ntheirs = test_comparison:mentions_theta\n"
    (installed / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert [one.name for one in scorers()] == [*(one.name for one in BUILT_IN), "theirs"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("nothing", "use MODULE:FUNCTION"),
        ("no_such_module:f", "cannot be had: No module named"),
        ("test_comparison:nothing", "cannot be had: "),
        ("test_comparison:CASES", "neither a function nor a Scorer"),
        ("mahler_agents.evaluation.scorers:valid", "there is a scorer `valid`"),
    ],
)
def test_a_scorer_that_is_none_is_refused_in_a_line(text: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        scorers([text])


@pytest.mark.parametrize(
    ("name", "line"), [("breaks", "ValueError: A"), ("no_score", "it returned str; return a Score")]
)
def test_what_a_user_s_scorer_does_wrong_is_said_with_its_name(record: Path, name: str, line: str) -> None:
    with pytest.raises(ConfigError, match=rf"--scorer test_comparison:{name}: .*{line}"):
        compare(*load(record, _oldest(record)), scorers([f"test_comparison:{name}"]))


# --- No difference, no verdict ----------------------------------------------------------------------------------------


def test_chance_alone_is_rarely_called_a_difference() -> None:
    """Of 6 scorers of pure noise, corrected, one history in twenty may say that something differs."""
    histories = at_scale(200)
    groups = [(dt.date(2026, 1, 1) + dt.timedelta(days=number // 2)).isoformat() for number in range(40)]
    names = [Scorer(name=f"noise {number}", better="higher") for number in range(6)]
    wrong = 0
    for seed in range(histories):
        random = np.random.default_rng(seed)
        found = [_compared(one, random.normal(size=40), random.normal(size=40), groups, 0) for one in names]
        wrong += any(one.verdict in {"first", "second"} for one in corrected(found))
    assert wrong <= binom.ppf(0.999, histories, 0.05)


@pytest.mark.parametrize("score", AGGREGATES, ids=lambda one: one.name)
def test_an_aggregate_of_all_draws_at_once_is_that_of_each_draw(score: Aggregate) -> None:
    random = np.random.default_rng(1)
    of = Forecasts(
        happened=(random.random(30) < 0.6).astype(float),
        first=random.integers(0, 21, 30) / 20,
        second=random.integers(0, 21, 30) / 20,
    )
    weights, second = random.integers(0, 3, (20, 30)), random.integers(0, 2, (20, 30))
    found = score.draws(of, weights.astype(float), second.astype(float))
    for drawn, weight, which in zip(found, weights, second, strict=True):
        said = np.where(which == 1, of.second, of.first)
        assert drawn == pytest.approx(score.function(np.repeat(of.happened, weight), np.repeat(said, weight)))


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_terminal_says_what_the_document_says(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    oldest = _oldest(record)
    assert main(["eval", "compare", oldest, "--json", "--db", str(record)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert main(["eval", "compare", f"{oldest}.A", f"{oldest}.B", "--db", str(record)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for one in document["scorers"]:
        name = one["scorer"].replace("_", " ")
        [row] = [line for line in lines if re.match(rf"{name} +{one['n']} ", line)]
        cases = one["wins"] + one["ties"] + one["losses"]
        assert (f"{one['wins']}/{one['ties']}/{one['losses']}" in row) is (cases > 0)
        [verdict] = [line for line in lines if line.endswith(one["text"]) and name in line]
        assert verdict != row
    assert main(["eval", "show", oldest, "--json", "--db", str(record)]) == 0
    shown = json.loads(capsys.readouterr().out)
    means = {one["scorer"]: one["mean_second"] for one in document["scorers"]}
    assert shown["variants"][1]["scores"] == pytest.approx(means)


def test_what_was_said_of_one_case_is_shown_with_its_scores(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [case] = load(record, "latest.B")[0].cases.keys() & load(record, _oldest(record))[1].cases.keys() & {_first(record)}
    assert main(["eval", "show", _oldest(record), "--case", case[:10], "--json", "--db", str(record)]) == 0
    document = json.loads(capsys.readouterr().out)
    [first, second] = document["variants"].values()
    assert (len(first["answers"]), len(second["answers"])) == (2, 2)
    assert first["scores"]["groundedness"] == {"value": 0.0, "explanation": "0 of 1 numbers in the brief, not 7.7"}
    assert second["scores"]["stability"]["explanation"].startswith("2 of 2 favourable, p(profit)")
    assert main(["eval", "show", _oldest(record), "--case", case[:10], "--db", str(record)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(f"case {case[:8]}: greeks, 2026-0")
    assert sum("favourable, confidence" in line for line in lines) == 4
    [told] = [line for line in lines if "0 of 1 numbers in the brief, not 7.7" in line]
    assert told.split()[:2] == ["groundedness", "0"]
    assert main(["eval", "show", "latest", "--case", "ffff", "--db", str(record)]) == 2
    assert "`ffff` fits no case" in capsys.readouterr().err


def _first(record: Path) -> str:
    return min(load(record, "latest.B")[0].cases)


def test_prompts_of_an_evaluation_are_named_by_their_versions(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marked = greeks("SKILLED")
    assert main(["prompt", "show", f"greeks@{marked.content_hash[:8]}", "--db", str(record)]) == 0
    assert capsys.readouterr().out == marked.text
