"""Command line, `mahler eval show` and `compare`: what was scored and how it differs, as lines for a terminal."""

from collections.abc import Iterator, Mapping

from mahler_agents.cli.table import Column, table_lines
from mahler_agents.evaluation.comparison import Comparison, ScorerComparison, Side
from mahler_agents.evaluation.summary import Summary, VariantSummary
from mahler_agents.text import count, percent, plain, small_dollars, words

_SHOWN = 8
TOY = "the embedded model is a toy: its answers show how this works, and are worth nothing"
SYNTHETIC = "synthetic market: facts and outcomes are made up"


def number(value: float | None) -> str:
    """Return a score for people; `-` if there is none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def signed(value: float | None) -> str:
    """Return a difference for people."""
    return "-" if value is None else f"{'+' if value > 0 else ''}{number(value)}"


def interval(one: ScorerComparison) -> str:
    """Return the two ends of a difference."""
    return "-" if one.low is None or one.high is None else f"{signed(one.low)} to {signed(one.high)}"


def p_text(value: float | None) -> str:
    """Return a p-value for people."""
    if value is None:
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def errors_text(errors: Mapping[str, int]) -> str:
    """Return failures by kind."""
    return ", ".join(f"{times:,} {words(kind)}" for kind, times in errors.items()) or "none"


def cost_text(dollars: float | None) -> str:
    """Return a cost; unknown where no price is."""
    return "unknown" if dollars is None else small_dollars(dollars)


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Yield the lines of a comparison."""
    if found.synthetic:
        yield SYNTHETIC
    if found.first.toy_model or found.second.toy_model:
        yield TOY
    for name, side in (("first", found.first), ("second", found.second)):
        yield _side(name, side)
    only = f"; {found.only_first:,} of the first only, {found.only_second:,} of the second only"
    yield f"{count(found.shared_cases, 'case')} in common, {found.outcomes_known:,} with a known outcome{only}"
    yield ""
    yield from table_lines(_columns(found), None)
    yield ""
    yield "difference: second less first, 95 %, whole dates resampled; p corrected for all scorers (Holm)"
    for note in found.notes:
        yield f"note: {plain(note)}"


def _side(name: str, side: Side) -> str:
    what = f"{side.label}, prompt {side.prompt_hash[:_SHOWN]}, {plain(side.model)}"
    came = f"{count(side.answers, 'answer')}, errors: {errors_text(side.errors)}, cost {cost_text(side.cost_dollars)}"
    return f"{name}: {what}: {came}"


def _columns(found: Comparison) -> list[Column]:
    rows = found.scorers
    return [
        Column(heading="scorer", cells=[plain(words(one.scorer)) for one in rows]),
        Column(heading="n", cells=[f"{one.n:,}" for one in rows], right=True),
        Column(heading="unmatched", cells=[f"{one.unmatched:,}" for one in rows], right=True),
        Column(heading="first", cells=[number(one.mean_first) for one in rows], right=True),
        Column(heading="second", cells=[number(one.mean_second) for one in rows], right=True),
        Column(heading="difference", cells=[signed(one.difference) for one in rows], right=True),
        Column(heading="95 %", cells=[interval(one) for one in rows], right=True),
        Column(heading="w/t/l", cells=[f"{one.wins}/{one.ties}/{one.losses}" for one in rows], right=True),
        Column(heading="p", cells=[p_text(one.p_holm) for one in rows], right=True),
        Column(heading="verdict", cells=[one.text for one in rows]),
    ]


def summary_lines(found: Summary) -> Iterator[str]:
    """Yield the lines of an evaluation."""
    yield f"evaluation {found.id}: {found.status}, {words(found.role)}, cases `{plain(found.query)}`"
    yield (
        f"{count(found.cases, 'case')}, {count(found.repeats, 'repeat')}: {found.answered:,} of {found.expected:,}"
        f" answers, {found.failed:,} failed ({percent(found.failed / max(found.expected, 1), 1)})"
    )
    for one in found.variants:
        toy = " (toy)" if one.toy_model else ""
        yield (
            f"  {one.label}  prompt {one.prompt_hash[:_SHOWN]}  {plain(one.model)}{toy}  errors:"
            f" {errors_text(one.failures)}  cost {cost_text(one.cost_dollars)}"
        )
    yield ""
    yield from table_lines(_scores(found.variants), None)


def _scores(variants: tuple[VariantSummary, ...]) -> list[Column]:
    names = list(variants[0].scores)
    return [
        Column(heading="mean of", cells=[plain(words(name)) for name in names]),
        *(
            Column(
                heading=one.label.rpartition(".")[2],
                cells=[f"{number(one.scores[name])} ({one.scored[name]})" for name in names],
                right=True,
            )
            for one in variants
        ),
    ]
