"""Command line, `mahler evidence`: reports in, lines for people out."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from mahler_agents.cli.table import Column, table_lines
from mahler_agents.evidence.calibration import Calibration
from mahler_agents.evidence.groups import GroupLine
from mahler_agents.evidence.inference import ROUGH_BLOCKS, Estimate
from mahler_agents.evidence.report import Evidence, PoolReport
from mahler_agents.evidence.settings import Settings
from mahler_agents.evidence.sizes import SizeLine
from mahler_agents.evidence.vetoes import Book, VetoLine
from mahler_agents.text import cents, count, counts, hung, listed, percent, plain
from mahler_agents.wording import SYNTHETIC_MARKET

_NOTHING = "-"
_Text: TypeAlias = Callable[[float], str]


def evidence_lines(reports: Sequence[PoolReport], settings: Settings, width: int | None) -> Iterator[str]:
    """Yield the lines of all pools."""
    for number, report in enumerate(reports):
        if number:
            yield ""
        yield from _pool_lines(report, width)
    yield ""
    yield from _told(
        width,
        f"Intervals: {percent(settings.level)}, by a bootstrap of weeks in blocks of {settings.mean_block_weeks:g}; in"
        " brackets for that figure at this look, after `sure` for all thresholds (or rivals) and every weekly look.",
    )
    yield from _told(
        width,
        f"Periods: too few (below {ROUGH_BLOCKS} independent blocks) means no interval, rough (below"
        f" {settings.first_look_blocks}) one that may be too narrow.",
    )


def _pool_lines(report: PoolReport, width: int | None) -> Iterator[str]:
    yield f"POOL {plain(report.name)}"
    if report.name.startswith("sample data"):
        yield SYNTHETIC_MARKET
    if report.left_out:
        yield from _told(width, f"left out: {counts(report.left_out)}")
    if report.unknown_cutoffs:
        yield from _told(
            width,
            f"no knowledge cutoff is known of {listed(plain(one) for one in report.unknown_cutoffs)}:"
            " how trades of its past ended it may remember",
        )
    if report.evidence is None:
        yield "no case yet"
    else:
        yield from _lines(report.evidence, width)
    if report.remembered is not None:
        yield ""
        yield from _told(
            width,
            f"SET APART: {count(report.remembered.cases, 'trade')} entered by the knowledge cutoff of a model that"
            " advised; it may remember how they ended, so this is no proof of skill",
        )
        yield from _lines(report.remembered, width)


def _lines(found: Evidence, width: int | None) -> Iterator[str]:
    yield from _told(width, f"verdict: {found.verdict.text}")
    yield from _told(
        width,
        f"{count(found.cases, 'trade')}, traded or not, entered {found.first_entry} to {found.last_entry}:"
        f" {count(found.weeks_with_entries, 'week')} with entries",
    )
    yield from _told(width, f"all: {_book(found.everything)}; mean {_dollars(found.mean_pnl)}")
    yield from _told(width, f"the desk's own: {_book(found.desk)}")
    yield ""
    yield from _told(
        width, "Vetoes that were not obeyed: mean P&L of the trades kept less that of all, dollars a trade"
    )
    yield from table_lines(_veto_columns(found.vetoes), width)
    yield ""
    yield from _calibration_lines(found.calibration, width)
    yield ""
    yield from _told(width, _size_line(found.sizes))
    yield ""
    yield from _analyst_lines(found, width)
    for heading, groups in (("model", found.by_model), ("prompt", found.by_prompt), ("regime", found.by_regime)):
        yield ""
        yield from _group_lines(heading, groups, width)


def _book(book: Book) -> str:
    factor = "no loss" if book.profit_factor is None else f"profit factor {book.profit_factor:.2f}"
    won = "none" if book.win_rate is None else f"{percent(book.win_rate, 1)} won"
    sharpe = "" if book.sharpe is None else f", Sharpe {book.sharpe:.2f}"
    fall = f"largest fall {cents(book.max_drawdown_dollars)}"
    return f"{count(book.trades, 'trade')}, {cents(book.pnl_dollars)}, {won}, {factor}{sharpe}, {fall}"


def _veto_columns(lines: Sequence[VetoLine]) -> list[Column]:
    return [
        _column("below", [f"{line.threshold:g}" for line in lines]),
        _column("vetoed", [f"{line.vetoed:,}" for line in lines]),
        _column("their P&L", [cents(line.vetoed_pnl_dollars) for line in lines], 3),
        _column("gain", [_dollars(line.mean_gain) for line in lines]),
        _column("sure", [_sure(line.mean_gain, cents) for line in lines]),
        _column("win rate", [_share(line.kept.win_rate) for line in lines], 2),
        _column("its gain, points", [_points(line.win_rate_gain) for line in lines], 5),
        _column("profit factor", [_plain(line.kept.profit_factor) for line in lines], 1),
        _column("times that of all", [_times(line.profit_factor_ratio) for line in lines], 6),
        _column("replaced", [f"{line.replaced:,}" for line in lines], 7),
        _column("gain with replacements", [_dollars(line.replacement_gain) for line in lines], 4),
    ]


def _calibration_lines(found: Calibration, width: int | None) -> Iterator[str]:
    won = "" if found.win_rate is None else f", {_percents(found.win_rate)} were won"
    yield from _told(
        width,
        f"p_profit: {percent(found.mean_forecast, 1)} said on average{won}; Brier score {found.brier:.4f}, log loss"
        f" {found.log_loss:.4f}, calibration error {percent(found.calibration_error, 1)}",
    )
    yield from table_lines(
        [
            Column(heading="said", cells=[f"{one.low:.1f} to {one.high:.1f}" for one in found.bins]),
            _column("trades", [f"{one.cases:,}" for one in found.bins]),
            _column("mean", [percent(one.mean_forecast, 1) for one in found.bins]),
            _column("won", [_percents(one.share) for one in found.bins]),
        ],
        width,
    )
    if found.rivals:
        yield from _told(
            width, f"against baselines, on {count(found.scored_against_rivals, 'trade')}; above 0 the advice is better:"
        )
        yield from table_lines(
            [
                Column(heading="baseline", cells=[one.name for one in found.rivals]),
                _column("Brier", [f"{one.brier:.4f}" for one in found.rivals], 4),
                _column("Brier gain", [_scores(one.brier_gain) for one in found.rivals]),
                _column("sure", [_sure(one.brier_gain, _four) for one in found.rivals], 1),
                _column("log loss", [f"{one.log_loss:.4f}" for one in found.rivals], 5),
                _column("log loss gain", [_scores(one.log_loss_gain) for one in found.rivals], 2),
                _column("sure", [_sure(one.log_loss_gain, _four) for one in found.rivals], 3),
            ],
            width,
        )
    if found.discrimination is not None:
        yield f"confidence tells won from lost: area {_scores(found.discrimination)} (0.5 is chance)"
    else:
        yield "confidence tells won from lost: unknown, since all trades ended alike"


def _size_line(found: SizeLine) -> str:
    if not found.cases or found.rule_return is None or found.advised_return is None:
        return "advised sizes: none to compare, since the rules sized no trade or the advice asked for no contract"
    return (
        f"advised sizes, on {count(found.cases, 'trade')} that the rules sized: {percent(found.advised_return, 2)} of"
        f" what was at risk against {percent(found.rule_return, 2)}; gain {_points(found.gain)} points"
    )


def _analyst_lines(found: Evidence, width: int | None) -> Iterator[str]:
    lines = found.by_analyst
    if len(lines) < 2:
        return
    yield from _told(
        width,
        "each forecaster's own p_profit; above 0 it is better than the past win rate, or the manager better than it:",
    )
    yield from table_lines(
        [
            Column(heading="by analyst", cells=[plain(line.name) for line in lines]),
            _column("trades", [f"{line.cases:,}" for line in lines]),
            _column("periods", [line.periods for line in lines], 3),
            _column("p_profit", [percent(line.mean_forecast, 1) for line in lines], 4),
            _column("Brier", [_scores(line.brier) for line in lines], 5),
            _column("off by", [percent(line.calibration_error, 1) for line in lines], 2),
            _column("over win rate", [_scores(line.gain) for line in lines]),
            _column("area", [_area(line.discrimination) for line in lines]),
            _column("manager over it", [_scores(line.manager_gain) for line in lines], 1),
        ],
        width,
    )


def _group_lines(heading: str, lines: Sequence[GroupLine], width: int | None) -> Iterator[str]:
    yield from table_lines(
        [
            Column(heading=f"by {heading}", cells=[plain(line.name)[:40] for line in lines]),
            _column("trades", [f"{line.cases:,}" for line in lines]),
            _column("weeks", [f"{line.weeks_with_entries:,}" for line in lines], 5),
            _column("periods", [line.periods for line in lines]),
            _column("won", [_percents(line.win_rate) for line in lines], 2),
            _column("mean", [_dollars(line.mean_pnl) for line in lines], 1),
            _column("p_profit", [percent(line.mean_forecast, 1) for line in lines], 6),
            _column("Brier", [_scores(line.brier) for line in lines], 4),
            _column("area", [_area(line.discrimination) for line in lines], 3),
            _column("vetoed", [f"{line.vetoed:,}" for line in lines], 7),
            _column("gain", [_dollars(line.mean_gain) for line in lines]),
        ],
        width,
    )


def _told(width: int | None, text: str) -> list[str]:
    """Return prose as lines that fit."""
    return hung(text, width, hanging=2)


def _column(heading: str, cells: list[str], droppable: int = 0) -> Column:
    return Column(heading=heading, cells=cells, right=True, droppable=droppable)


def _within(one: Estimate | None, text: _Text) -> str:
    if one is None:
        return _NOTHING
    if one.low is None or one.high is None:
        return text(one.estimate)
    return f"{text(one.estimate)} [{text(one.low)}, {text(one.high)}]"


def _sure(one: Estimate | None, text: _Text) -> str:
    if one is None or one.sure_low is None or one.sure_high is None:
        return "too few periods"
    return f"{text(one.sure_low)} to {text(one.sure_high)}"


def _dollars(one: Estimate | None) -> str:
    return _within(one, cents)


def _percents(one: Estimate | None) -> str:
    return _within(one, lambda share: percent(min(max(share, 0.0), 1.0), 1))


def _points(one: Estimate | None) -> str:
    return _within(one, lambda share: f"{round(100 * share, 2) + 0.0:+.2f}")


def _scores(one: Estimate | None) -> str:
    return _within(one, _four)


def _times(one: Estimate | None) -> str:
    return _within(one, lambda ratio: f"{math.exp(ratio):.2f}")


def _area(one: Estimate | None) -> str:
    return _within(one, lambda area: f"{area:.2f}")


def _four(number: float) -> str:
    return f"{number:.4f}"


def _share(one: float | None) -> str:
    return _NOTHING if one is None else percent(one, 1)


def _plain(one: float | None) -> str:
    return _NOTHING if one is None else f"{one:.2f}"
