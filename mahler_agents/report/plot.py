"""Report: an equity curve in, a picture of it out, SVG or PNG: equity with the exits above, the drawdown below.

The same curve makes the same bytes: no date, no random ids.
"""

import datetime as dt
import io
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from mahler_agents.errors import InputError
from mahler_agents.report.curve import EquityCurve

if TYPE_CHECKING:  # half a second of imports: only who draws waits for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = {".svg": "svg", ".png": "png"}
_INCHES, _DOTS_PER_INCH = (12.0, 7.0), 100  # 1200 pixels wide

_INK, _GRID, _WATER = "#1f2933", "#d9dee4", "#b3402e"
_LABELS = 12
"""The most days that get a label."""
_STYLES = {
    "profit_target": ("#009e73", "^", 46),
    "stop_loss": ("#d55e00", "v", 46),
    "time_exit": ("#0072b2", "s", 30),
}
"""Rule to colour (of Okabe and Ito's, which the colour-blind can tell apart), shape and size."""
_SPARE_STYLES = (("#cc79a7", "D", 30), ("#e69f00", "o", 36), ("#56b4e9", "P", 40), ("#000000", "X", 40))


def check_picture(path: Path) -> None:
    """Raise `InputError` unless a picture can be made at `path`: known ending, a folder that is there, no folder."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"--plot {path}: the ending says the format, and must be one of {', '.join(FORMATS)}")
    try:
        is_folder = path.is_dir()
    except OSError as error:  # a name that is too long for the system
        raise InputError(f"--plot {path}: {error.strerror}") from error
    if is_folder:
        raise InputError(f"--plot {path} is a folder: name a file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--plot {path}: the folder {path.absolute().parent} does not exist; make it first")


def save_picture(curve: EquityCurve, path: Path) -> None:
    """Draw the curve into a file, SVG or PNG by its ending. Raises `InputError` if the file cannot be written."""
    check_picture(path)
    picture = draw(curve, FORMATS[path.suffix.lower()])
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise InputError(f"--plot {path}: cannot be written: {error.strerror}") from error


def draw(curve: EquityCurve, kind: str) -> bytes:
    """Return the picture's bytes; `kind` is `svg` or `png`."""
    from matplotlib import rc_context

    picture = io.BytesIO()
    with rc_context({"svg.hashsalt": "mahler", "svg.fonttype": "path", "font.family": "DejaVu Sans"}):
        undated = {"Date": None} if kind == "svg" else {"Software": None}
        metadata = {"Title": _title(curve), **undated}
        _figure(curve).savefig(picture, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata)
    return picture.getvalue()


def _figure(curve: EquityCurve) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.set_title(_title(curve), loc="left", color=_INK, fontsize=13)
    _draw_equity(upper, curve)
    _draw_drawdown(lower, curve)
    for axes in (upper, lower):
        _tidy(axes)
    _mark_days(lower, curve.days)
    if curve.synthetic:
        _watermark(upper)
    return figure


def _title(curve: EquityCurve) -> str:
    made_up = "; SYNTHETIC MARKET: every price is made up" if curve.synthetic else ""
    return f"{curve.account_id}, {curve.days[0]} to {curve.days[-1]}{made_up}"


def _draw_equity(axes: "Axes", curve: EquityCurve) -> None:
    from matplotlib.ticker import StrMethodFormatter

    alone = len(curve.place) == 1  # a line needs two
    axes.plot(curve.place, curve.equity, color=_INK, linewidth=1.0, marker="o" if alone else "")
    spare = cycle(_SPARE_STYLES)
    for rule, indices in curve.exits.items():
        colour, shape, size = _STYLES.get(rule) or next(spare)
        axes.scatter(
            [curve.place[index] for index in indices],
            [curve.equity[index] for index in indices],
            s=size,
            color=colour,
            marker=shape,
            edgecolors="white",
            linewidths=0.8,
            zorder=3,
            label=f"{rule.replace('_', ' ')} ({len(indices)})",
        )
    if curve.exits:
        free = "upper left" if curve.equity[-1] > curve.equity[0] else "upper right"
        axes.legend(title="closed by", loc=free, framealpha=0.9, edgecolor=_GRID)
    axes.set_ylabel("equity")
    axes.yaxis.set_major_formatter(StrMethodFormatter("${x:,.0f}"))


def _draw_drawdown(axes: "Axes", curve: EquityCurve) -> None:
    from matplotlib.ticker import PercentFormatter

    below = [-share for share in curve.underwater]
    axes.fill_between(curve.place, below, 0.0, color=_WATER, alpha=0.25, linewidth=0)
    axes.plot(curve.place, below, color=_WATER, linewidth=0.9)
    axes.set_ylabel("drawdown")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.set_ylim(min([*below, -0.001]) * 1.1, 0)


def _tidy(axes: "Axes") -> None:
    axes.grid(visible=True, color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=10)
    axes.yaxis.label.set_color(_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _mark_days(axes: "Axes", days: Sequence[dt.date]) -> None:
    """Label a few days, each where its points begin; the year with the first of each year."""
    shown = range(0, len(days), -(-len(days) // _LABELS))
    years = [days[number].year for number in shown]
    new_year = [place == 0 or year != years[place - 1] for place, year in enumerate(years)]
    labels = [
        f"{days[number]:%b} {days[number].day}" + (f"\n{days[number].year}" if new else "")
        for number, new in zip(shown, new_year, strict=True)
    ]
    axes.set_xticks(list(shown), labels)


def _watermark(axes: "Axes") -> None:
    axes.text(
        0.5,
        0.5,
        "SYNTHETIC",
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=72,
        color=_INK,
        alpha=0.06,
        zorder=0,
    )
