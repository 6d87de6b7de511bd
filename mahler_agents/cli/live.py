"""Command line, `mahler scan` on a terminal: what a scan tells as it happens, as a table that fills."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from mahler_agents.cli.console import make_console, print_noted
from mahler_agents.progress import Progress, Stage
from mahler_agents.telling.safety_lines import start_lines
from mahler_agents.text import count, per_share, plain

_REFRESHES_PER_SECOND = 5
_SIGNS = {"favourable": ("+", "green"), "neutral": ("=", "yellow"), "unfavourable": ("-", "red")}
_LEGEND = "+ favourable, = neutral, - unfavourable; manager: + approves, - does not"
_MARGIN = 14
_SHORTEST = len("+99%")
_LEAST_ORDER = len("filled 0.205")
_LONGEST_ORDER = len("max_positions_per_equity_class")


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How much of a candidate a terminal has room for."""

    gap: int
    """Spaces between columns."""
    heading_width: int
    """Characters of an analyst's heading; 0 leaves the analysts out."""
    credit: bool = False
    advice: bool = False


_LAYOUTS = (
    _Layout(gap=2, heading_width=12, credit=True, advice=True),
    _Layout(gap=1, heading_width=6, credit=True),
    _Layout(gap=1, heading_width=4),
    _Layout(gap=1, heading_width=0),
)
"""Roomiest first: the first that fits is used."""


@dataclass(frozen=True, kw_only=True)
class _Column:
    """One column of the table; its width is fixed, so that the table does not jump about as it fills."""

    heading: str
    width: int
    cell: Callable[["_Row"], Text]
    right: bool = False


@dataclass(kw_only=True)
class _Row:
    """One candidate's cells, filled as its stages end."""

    rank: int
    spread: str
    credit: str
    opinions: dict[str, Text] = field(default_factory=dict[str, Text])
    manager: Text = field(default_factory=Text)
    advice: Text = field(default_factory=Text)
    size: Text = field(default_factory=Text)
    order: Text = field(default_factory=Text)


class LiveTable:
    """A table with a row for each candidate, above a line that says what is being waited for.

    A context manager for the length of a scan; `keep` leaves the table on the terminal when the scan is done.
    """

    def __init__(self, stream: TextIO, *, keep: bool = True) -> None:
        self._console = make_console(stream)
        self._keep = keep
        self._analysts: Sequence[str] = ()
        self._rows: list[_Row] = []
        self._replies = 0
        self._waiting = Spinner("dots", text=Text("starting"))
        self._live = Live(
            self._waiting, console=self._console, transient=True, refresh_per_second=_REFRESHES_PER_SECOND
        )
        self._shows: dict[Stage, Callable[[_Row, Any], None]] = {
            Stage.ANALYST: self._show_opinion,
            Stage.FUND_MANAGER: self._show_verdict,
            Stage.ADVISORY: self._show_advice,
            Stage.SIZE: self._show_sizing,
            Stage.EXECUTE: self._show_execution,
            Stage.REVIEW: self._show_review,
        }

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        if self._keep and error is None and self._rows:
            self._console.print(self._table())
            if self._analysts:
                self._console.print(Text(_LEGEND, style="dim"))
            self._console.print()

    def expect(self, analysts: Sequence[str]) -> None:
        """Learn which analysts are asked, a column each; none if the LLM is off."""
        self._analysts = analysts
        self._refresh("reading the market")

    def stopping(self) -> None:
        """Say that the scan was interrupted and is being ended."""
        self._refresh("stopping")

    def __call__(self, progress: Progress) -> None:
        """Fill in the cells of the stage that ended."""
        if progress.stage is Stage.START:
            for line in start_lines(*progress.result):
                print_noted(
                    self._console, line.note, Text(line.text, style="yellow" if line.alarming else ""), margin=_MARGIN
                )
        elif progress.stage is Stage.SCREEN:
            _, reviewed = progress.result
            self._rows = [
                _Row(rank=one.rank, spread=_short_label(one.spread), credit=per_share(one.credit)) for one in reviewed
            ]
        elif progress.place is not None and progress.stage in self._shows:
            self._shows[progress.stage](self._rows[progress.place - 1], progress.result)
        self._refresh(self._waited_for())

    def _show_opinion(self, row: _Row, outcome: Any) -> None:
        self._replies += 1
        if (stance := getattr(outcome, "stance", None)) is not None:
            row.opinions[outcome.analyst] = _signed(*_SIGNS[stance.value], outcome.confidence)
        else:
            row.opinions[outcome.role] = _failed()

    def _show_verdict(self, row: _Row, outcome: Any) -> None:
        self._replies += 1
        if (approved := getattr(outcome, "approved", None)) is not None:
            row.manager = _signed(*(("+", "green") if approved else ("-", "red")), outcome.confidence)
        else:
            row.manager = _failed()

    def _show_advice(self, row: _Row, advice: Any) -> None:
        row.advice = Text(advice.level.value, style="" if advice.proceed else "red")

    def _show_sizing(self, row: _Row, sizing: Any) -> None:
        row.size = Text(f"{sizing.contracts}")

    def _show_execution(self, row: _Row, execution: Any) -> None:
        if execution.traded is not None:
            row.order = Text(f"filled {per_share(execution.traded.credit)}", style="green")

    def _show_review(self, row: _Row, review: Any) -> None:
        if review.decision.decision != "traded":
            row.order = Text(review.decision.reason.value, style="yellow")

    def _waited_for(self) -> str:
        if not self._rows:
            return "screening"
        asked = len(self._rows) * (len(self._analysts) + 1)
        if not self._analysts or self._replies >= asked:
            return "trading"
        return f"asking the model: {self._replies} of {count(asked, 'reply', 'replies')}"

    def _refresh(self, waiting: str) -> None:
        self._waiting.update(text=Text(waiting))
        shown: RenderableType = Group(self._table(), self._waiting) if self._rows else self._waiting
        self._live.update(shown)

    def _table(self) -> Table:
        layout, columns = self._fitting()
        table = Table(box=None, pad_edge=False, padding=(0, layout.gap, 0, 0))
        for column in columns:
            table.add_column(
                column.heading,
                width=column.width,
                justify="right" if column.right else "left",
                no_wrap=True,
                overflow="ellipsis",
            )
        taken = sum(column.width + layout.gap for column in columns)
        left = max(_SHORTEST, self._console.width - taken)
        table.add_column("order", width=min(left, _LONGEST_ORDER), no_wrap=True, overflow="ellipsis")
        for row in self._rows:
            table.add_row(*(column.cell(row) for column in columns), row.order)
        return table

    def _fitting(self) -> tuple[_Layout, list[_Column]]:
        """Return the roomiest layout that fits the terminal, with its columns but the last."""
        for layout in _LAYOUTS[:-1]:
            columns = self._columns(layout)
            if sum(column.width + layout.gap for column in columns) + _LEAST_ORDER <= self._console.width:
                return layout, columns
        return _LAYOUTS[-1], self._columns(_LAYOUTS[-1])

    def _columns(self, layout: _Layout) -> list[_Column]:
        columns = [
            _Column(heading="#", width=2, cell=lambda row: Text(f"{row.rank}"), right=True),
            _Column(
                heading="spread", width=max(len(row.spread) for row in self._rows), cell=lambda row: Text(row.spread)
            ),
        ]
        if layout.credit:
            columns.append(_Column(heading="credit", width=6, cell=lambda row: Text(row.credit), right=True))
        if layout.heading_width:
            columns.extend(self._opinion_column(_abbreviated(analyst, layout), analyst) for analyst in self._analysts)
        if self._analysts:
            heading = _abbreviated("manager", layout)
            width = max(len(heading), _SHORTEST)
            columns.append(_Column(heading=heading, width=width, cell=lambda row: row.manager, right=True))
        if layout.advice:
            columns.append(_Column(heading="advice", width=6, cell=lambda row: row.advice))
        columns.append(_Column(heading="size", width=4, cell=lambda row: row.size, right=True))
        return columns

    def _opinion_column(self, heading: str, analyst: str) -> _Column:
        def cell(row: _Row) -> Text:
            return row.opinions.get(analyst, Text("·", style="dim"))

        return _Column(heading=heading, width=max(len(heading), _SHORTEST), cell=cell, right=True)


def _abbreviated(name: str, layout: _Layout) -> str:
    heading = plain(name)
    width = layout.heading_width or _LAYOUTS[-2].heading_width
    return heading if len(heading) <= width else f"{heading[: width - 1]}."


def _short_label(spread: Any) -> str:
    """Return the spread in few characters, e.g. `SPY 410/412 call Mar 19`."""
    strikes = spread.label.split()[1]
    return f"{spread.underlying} {strikes} {spread.right} {spread.expiration:%b %d}"


def _signed(sign: str, style: str, confidence: float) -> Text:
    return Text(f"{sign}{100 * confidence:.0f}%", style=style)


def _failed() -> Text:
    return Text("fail", style="magenta")
