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

from mahler_agents.cli.console import make_console
from mahler_agents.cli.text import count, per_share, percent, plain
from mahler_agents.progress import Progress, Stage

_ROOMY = 100
"""Columns of a terminal that has room for full headings and the advice."""
_REFRESHES_PER_SECOND = 5
_SIGNS = {"favourable": ("+", "green"), "neutral": ("=", "yellow"), "unfavourable": ("-", "red")}
_LEGEND = "+ favourable, = neutral, - unfavourable, with the confidence; the manager approves (+) or does not (-)"


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

    def __call__(self, progress: Progress) -> None:
        """Fill in the cells of the stage that ended."""
        if progress.stage is Stage.SCREEN:
            _, reviewed = progress.result
            self._rows = [
                _Row(rank=one.rank, spread=_short_label(one.spread), credit=per_share(one.credit)) for one in reviewed
            ]
        elif progress.rank is not None and progress.stage in self._shows:
            self._shows[progress.stage](self._rows[progress.rank - 1], progress.result)
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
        if execution.fill is not None:
            row.order = Text(f"filled {per_share(execution.fill.credit)}", style="green")

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
        roomy = self._console.width >= _ROOMY
        table = Table(box=None, pad_edge=False, padding=(0, 2 if roomy else 1, 0, 0))
        for heading in ("#", "spread", "credit"):
            table.add_column(heading, justify="right" if heading != "spread" else "left", no_wrap=True)
        for analyst in self._analysts:
            table.add_column(plain(analyst) if roomy else f"{plain(analyst)[:4]}.", justify="right", no_wrap=True)
        if self._analysts:
            table.add_column("manager" if roomy else "mgr.", justify="right", no_wrap=True)
        if roomy:
            table.add_column("advice", no_wrap=True)
        table.add_column("size", justify="right", no_wrap=True)
        table.add_column("order", overflow="ellipsis", no_wrap=True)
        for row in self._rows:
            said = [row.opinions.get(analyst, Text("·", style="dim")) for analyst in self._analysts]
            manager = [row.manager] if self._analysts else []
            advice = [row.advice] if roomy else []
            table.add_row(f"{row.rank}", row.spread, row.credit, *said, *manager, *advice, row.size, row.order)
        return table


def _short_label(spread: Any) -> str:
    """Return the spread in few characters, e.g. `SPY 410/412 call Mar 19`."""
    strikes = spread.label.split()[1]
    return f"{spread.underlying} {strikes} {spread.right} {spread.expiration:%b %d}"


def _signed(sign: str, style: str, confidence: float) -> Text:
    return Text(f"{sign}{percent(confidence).replace(' ', '')}", style=style)


def _failed() -> Text:
    return Text("failed", style="magenta")
