"""Command line, `mahler eval show` and `compare`: what was scored and how it differs, as lines for a terminal."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mahler_agents.cli.table import Column, table_lines
from mahler_agents.evaluation.comparison import Comparison, ScorerComparison, Side
from mahler_agents.evaluation.summary import Summary, VariantSummary
from mahler_agents.text import cents, count, hung, instant, percent, plain, small_dollars, words

_SHOWN = 8
TOY = "the embedded model is a toy: its answers are worth nothing"
SYNTHETIC = "synthetic market: facts and outcomes are made up"


def number(value: float | None) -> str:
    """Return a score for people; `-` if there is none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


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


def comparison_lines(found: Comparison, width: int | None) -> Iterator[str]:
    """Yield the lines of a comparison; columns that a terminal of this width has no place for are left out."""
    if found.synthetic:
        yield SYNTHETIC
    if found.first.toy_model or found.second.toy_model:
        yield TOY
    for name, side in (("first", found.first), ("second", found.second)):
        yield f"{name:<8}{_variant(side.label, side.prompt_hash, side.model, toy=side.toy_model)}"
        yield f"{'':<8}{_came(side)}"
    yield f"{count(found.shared_cases, 'case')} in common, {found.outcomes_known:,} with a known outcome"
    if found.only_first or found.only_second:
        yield f"left out: {found.only_first:,} of the first only, {found.only_second:,} of the second only"
    yield ""
    yield from table_lines(_columns(found.scorers), width)
    yield ""
    yield from _verdicts(found.scorers, width)
    yield ""
    yield "difference: second less first, 95 %, whole dates resampled; w/t/l: the second's"
    yield "p: corrected for all scorers (Holm); needs: to be seen so four times in five"
    for note in found.notes:
        yield f"note: {plain(note)}"


def _variant(label: str, prompt_hash: str, model: str, *, toy: bool) -> str:
    return f"{label}  prompt {prompt_hash[:_SHOWN]}  {plain(model)}{' (toy)' if toy else ''}"


def _came(side: Side) -> str:
    return f"{count(side.answers, 'answer')}, errors: {errors_text(side.errors)}, cost {cost_text(side.cost_dollars)}"


def _columns(rows: Sequence[ScorerComparison]) -> list[Column]:
    unmatched = Column(heading="unmatched", cells=[f"{one.unmatched:,}" for one in rows], right=True, droppable=1)
    return [
        Column(heading="scorer", cells=[_name(one) for one in rows]),
        Column(heading="n", cells=[f"{one.n:,}" for one in rows], right=True, droppable=2),
        *([unmatched] if any(one.unmatched for one in rows) else []),
        Column(heading="first", cells=[number(one.mean_first) for one in rows], right=True),
        Column(heading="second", cells=[number(one.mean_second) for one in rows], right=True),
        Column(heading="difference", cells=[signed(one.difference) for one in rows], right=True),
        Column(heading="95 %", cells=[interval(one) for one in rows], right=True),
        Column(heading="w/t/l", cells=[_counts(one) for one in rows], right=True, droppable=3),
        Column(heading="p", cells=[p_text(one.p_holm) for one in rows], right=True),
    ]


def _counts(one: ScorerComparison) -> str:
    """Return wins, ties and losses; a score of all cases at once has none."""
    return f"{one.wins}/{one.ties}/{one.losses}" if one.wins + one.ties + one.losses else "-"


def _verdicts(rows: Sequence[ScorerComparison], width: int | None) -> Iterator[str]:
    """Yield each verdict; those that say of several scorers that there is nothing to see, on one line."""
    quiet: dict[str, list[str]] = defaultdict(list)
    for one in rows:
        if one.verdict == "same" or one.n == 0 or one.difference is None:
            quiet[one.text].append(_name(one))
    longest = max((len(_name(one)) for one in rows), default=0)
    for one in rows:
        if one.text not in quiet:
            yield from hung(f"{_name(one):<{longest}}  {one.text}", width, hanging=longest + 2)
    for text, names in quiet.items():
        yield from hung(f"{', '.join(names)}: {text}", width, hanging=2)


def _name(one: ScorerComparison) -> str:
    return plain(words(one.scorer))


def summary_lines(found: Summary, width: int | None) -> Iterator[str]:
    """Yield the lines of an evaluation."""
    yield f"evaluation {found.id}: {found.state}, {words(found.role)}, cases `{plain(found.query)}`"
    yield (
        f"{count(found.cases, 'case')}, {count(found.repeats, 'repeat')}: {found.answered:,} of {found.expected:,}"
        f" answers, {found.failed:,} failed ({percent(found.failed / max(found.expected, 1), 1)})"
    )
    for one in found.variants:
        yield f"{_variant(one.label, one.prompt_hash, one.model, toy=one.toy_model)}"
        yield f"  errors: {errors_text(one.failures)}, cost {cost_text(one.cost_dollars)}"
    yield ""
    yield from table_lines(_scores(found.variants), width)
    yield ""
    yield "mean over the cases that have the score; so many they are (n)"


def case_lines(found: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """Yield what an evaluation heard of one case: each answer, then the scores with their explanations."""
    outcome = "not known" if found["pnl_dollars"] is None else cents(found["pnl_dollars"])
    yield f"case {found['case'][:_SHOWN]}: {words(found['role'])}, {instant(found['as_of'])}, outcome {outcome}"
    yield plain(str(found["brief"].get("spread", "")))
    for label, heard in found["variants"].items():
        yield ""
        yield label
        for one in heard["answers"]:
            yield from hung(f"  {_answer(one)}", width, hanging=4)
        named = [(name, score) for name, score in heard["scores"].items() if score is not None]
        columns = [
            Column(heading="  score", cells=[f"  {plain(words(name))}" for name, _ in named]),
            Column(heading="", cells=[number(score["value"]) for _, score in named], right=True),
            Column(heading="by", cells=[plain(score["explanation"]) for _, score in named]),
        ]
        yield from table_lines(columns, None)


def _answer(one: Mapping[str, Any]) -> str:
    said = one["said"]
    if said is None:
        return f"{one['repeat']}. failed ({words(one['failure'])}): {plain(one['detail'])}"
    figures = [f"{words(name)} {said[name]:.2f}" for name in ("confidence", "p_profit") if name in said]
    stance = said.get("stance") or said.get("strength") or ("approved" if said.get("approved") else "not approved")
    repaired = ", repaired" if one["repaired"] else ""
    return f"{one['repeat']}. {', '.join([words(stance), *figures])}{repaired}: {plain(said['summary'])}"


def _scores(variants: tuple[VariantSummary, ...]) -> list[Column]:
    names = list(variants[0].scores)
    return [
        Column(heading="mean", cells=[plain(words(name)) for name in names]),
        *(
            Column(
                heading=f"{one.label.rpartition('.')[2]} (n)",
                cells=[f"{number(one.scores[name])} ({one.scored[name]:,})" for name in names],
                right=True,
            )
            for one in variants
        ),
    ]
