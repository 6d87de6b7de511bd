"""The advisory edge: what each verdict, or none, does in paper and in live mode."""

import inspect
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mahler_agents.advisory import Advice, AdviceCode, Confidence, advise
from mahler_agents.analysts.fund_manager import Verdict
from mahler_agents.types import Environment, Reason

PAPER, LIVE = Environment.PAPER, Environment.LIVE


def a_verdict(confidence: float, *, approved: bool = False, contracts: int = 0) -> Verdict:
    return Verdict(
        summary="made up",
        confidence=confidence,
        p_profit=0.8,
        approved=approved,
        contracts=contracts,
        brief_hash="b",
        prompt_hash="p",
        model="m",
    )


def advised(
    verdict: Verdict | None, environment: Environment, *, llm_on: bool = True, live_requires_verdict: bool = True
) -> Advice:
    return advise(
        verdict,
        underlying="QQQ",
        environment=environment,
        llm_on=llm_on,
        live_requires_verdict=live_requires_verdict,
    )


verdicts = st.builds(a_verdict, st.floats(0, 1), approved=st.booleans(), contracts=st.integers(0, 100))


@pytest.mark.parametrize(
    ("confidence", "level"),
    [
        (0.0, Confidence.LOW),
        (0.3, Confidence.LOW),
        (0.3999999, Confidence.LOW),
        (0.4, Confidence.MEDIUM),
        (0.6999999, Confidence.MEDIUM),
        (0.7, Confidence.HIGH),
        (1.0, Confidence.HIGH),
    ],
)
def test_levels_begin_at_0_4_and_0_7(confidence: float, level: Confidence) -> None:
    assert Confidence.of(confidence) is level
    assert advised(a_verdict(confidence), PAPER).level is level


ADVISORY = "proceeding (paper trading, agents advisory)"
SKIPPED = "skipped: Low confidence from AI analysis"
OVERRIDE = "proceeding (approved by the fund manager)"

# environment, (confidence, approved, contracts) -> code, would_veto, rejected, what happens to the trade
WITH_VERDICT = [
    (PAPER, (0.0, False, 0), AdviceCode.ADVISORY_ONLY, True, True, ADVISORY),
    (PAPER, (0.3, False, 0), AdviceCode.ADVISORY_ONLY, True, True, ADVISORY),
    (PAPER, (0.3, True, 0), AdviceCode.ADVISORY_ONLY, True, False, ADVISORY),
    (PAPER, (0.3, False, 5), AdviceCode.ADVISORY_ONLY, True, True, ADVISORY),
    (PAPER, (0.3, True, 2), AdviceCode.ADVISORY_ONLY, False, False, ADVISORY),
    (PAPER, (0.55, False, 0), AdviceCode.CONFIDENT, False, True, ADVISORY),
    (PAPER, (0.55, True, 1), AdviceCode.CONFIDENT, False, False, ADVISORY),
    (PAPER, (0.9, False, 0), AdviceCode.CONFIDENT, False, True, ADVISORY),
    (PAPER, (0.9, True, 3), AdviceCode.CONFIDENT, False, False, ADVISORY),
    (LIVE, (0.0, False, 0), AdviceCode.LOW_CONFIDENCE, True, True, SKIPPED),
    (LIVE, (0.3, False, 0), AdviceCode.LOW_CONFIDENCE, True, True, SKIPPED),
    (LIVE, (0.3, True, 0), AdviceCode.LOW_CONFIDENCE, True, False, SKIPPED),
    (LIVE, (0.3, False, 5), AdviceCode.LOW_CONFIDENCE, True, True, SKIPPED),
    (LIVE, (0.3, True, 1), AdviceCode.FUND_MANAGER_OVERRIDE, False, False, OVERRIDE),
    (LIVE, (0.55, False, 0), AdviceCode.CONFIDENT, False, True, "proceeding (live trading)"),
    (LIVE, (0.9, False, 0), AdviceCode.CONFIDENT, False, True, "proceeding (live trading)"),
    (LIVE, (0.9, True, 3), AdviceCode.CONFIDENT, False, False, "proceeding (live trading)"),
]

# environment, LLM on, live requires a verdict -> code, message
NEEDED = "skipped: live trading requires a verdict"
WITHOUT_VERDICT = [
    (PAPER, True, True, AdviceCode.NO_VERDICT, f"No verdict for QQQ - {ADVISORY}"),
    (PAPER, True, False, AdviceCode.NO_VERDICT, f"No verdict for QQQ - {ADVISORY}"),
    (LIVE, True, True, AdviceCode.NO_VERDICT, f"No verdict for QQQ - {NEEDED}"),
    (LIVE, True, False, AdviceCode.NO_VERDICT, "No verdict for QQQ - proceeding (live trading)"),
    (PAPER, False, True, AdviceCode.RULES_ONLY, f"LLM switched off for QQQ - {ADVISORY}"),
    (LIVE, False, True, AdviceCode.RULES_ONLY, f"LLM switched off for QQQ - {NEEDED}"),
    (LIVE, False, False, AdviceCode.RULES_ONLY, "LLM switched off for QQQ - proceeding (live trading)"),
]


def test_low_confidence_in_paper_mode_says_that_agents_are_advisory() -> None:
    message = advised(a_verdict(0.3), PAPER).message
    assert message == "Low confidence (30%) for QQQ - proceeding (paper trading, agents advisory)"


@pytest.mark.parametrize("row", WITH_VERDICT, ids=str)
def test_a_verdict_meets_the_rules_of_its_environment(row) -> None:
    environment, (confidence, approved, contracts), code, would_veto, rejected, outcome = row
    level = Confidence.of(confidence)
    assert advised(a_verdict(confidence, approved=approved, contracts=contracts), environment) == Advice(
        level=level,
        would_veto=would_veto,
        rejected=rejected,
        proceed=outcome.startswith("proceeding"),
        code=code,
        message=f"{level.capitalize()} confidence ({confidence:.0%}) for QQQ - {outcome}",
    )


@pytest.mark.parametrize("row", WITHOUT_VERDICT, ids=str)
def test_no_verdict_is_neither_approval_nor_veto(row) -> None:
    environment, llm_on, live_requires_verdict, code, message = row
    given = advised(None, environment, llm_on=llm_on, live_requires_verdict=live_requires_verdict)
    assert given == Advice(
        level=Confidence.NONE,
        would_veto=False,
        rejected=False,
        proceed="proceeding" in message,
        code=code,
        message=message,
    )


def test_a_skip_is_counted_under_its_own_cause() -> None:
    assert advised(a_verdict(0.1), LIVE).skip_reason is Reason.LOW_CONFIDENCE
    assert advised(None, LIVE).skip_reason is Reason.NO_VERDICT
    assert advised(None, LIVE, llm_on=False).skip_reason is Reason.NO_VERDICT
    assert advised(a_verdict(0.9), LIVE).skip_reason is None
    assert advised(a_verdict(0.1), PAPER).skip_reason is None


@given(verdict=st.none() | verdicts, llm_on=st.booleans(), live_requires_verdict=st.booleans())
def test_in_paper_mode_no_verdict_whatever_stops_a_trade(verdict, llm_on, live_requires_verdict) -> None:
    advice = advised(verdict, PAPER, llm_on=llm_on, live_requires_verdict=live_requires_verdict)
    assert advice.proceed
    assert advice.skip_reason is None


@given(verdict=verdicts)
def test_live_stops_exactly_what_paper_says_it_would(verdict: Verdict) -> None:
    paper, live = advised(verdict, PAPER), advised(verdict, LIVE)
    assert (paper.would_veto, paper.rejected, paper.level) == (live.would_veto, live.rejected, live.level)
    assert live.proceed is not live.would_veto


@example(verdict=a_verdict(math.nextafter(0.4, 0)))
@example(verdict=a_verdict(math.nextafter(0.7, 0)))
@given(verdict=verdicts)
def test_the_percentage_shown_never_contradicts_the_level(verdict: Verdict) -> None:
    advice = advised(verdict, PAPER)
    shown = int(advice.message.partition("(")[2].partition("%")[0])
    assert Confidence.of(shown / 100) is advice.level
    assert shown <= verdict.confidence * 100 + 1e-9
    assert verdict.confidence * 100 <= shown + 1


@given(confidence=st.integers(0, 100))
def test_a_confidence_of_whole_percents_is_shown_as_written(confidence: int) -> None:
    assert f"({confidence}%)" in advised(a_verdict(confidence / 100), PAPER).message


def test_advice_carries_no_number() -> None:
    kinds = {inspect.formatannotation(field.annotation) for field in Advice.model_fields.values()}
    assert kinds == {"bool", "str", "mahler_agents.advisory.Confidence", "mahler_agents.advisory.AdviceCode"}
