"""Evidence: a report in, a picture of it out, SVG or PNG: the reliability diagram, and the gain at each threshold.

The same report makes the same bytes: no date, no random ids.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from mahler_agents.errors import InputError
from mahler_agents.evidence.calibration import Calibration
from mahler_agents.evidence.report import Evidence
from mahler_agents.report.plot import FORMATS, check_picture

if TYPE_CHECKING:  # half a second of imports: only who draws waits for it
    from matplotlib.axes import Axes

_INCHES, _DOTS_PER_INCH = (12.0, 5.0), 100
_INK, _GRID, _SURE, _LOOK = "#1f2933", "#d9dee4", "#0072b2", "#d55e00"


def save_picture(name: str, found: Evidence, path: Path) -> None:
    """Draw a pool's evidence into a file, SVG or PNG by its ending. Raises `InputError` if it cannot be written."""
    check_picture(path)
    picture = draw(name, found, FORMATS[path.suffix.lower()])
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise InputError(f"--plot {path}: cannot be written: {error.strerror}") from error


def draw(name: str, found: Evidence, kind: str) -> bytes:
    """Return the picture's bytes; `kind` is `svg` or `png`."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    picture = io.BytesIO()
    with rc_context({"svg.hashsalt": "mahler", "svg.fonttype": "path", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=_INCHES, layout="constrained")
        left, right = figure.subplots(1, 2)
        figure.suptitle(f"{name}: {found.cases:,} trades, {found.first_entry} to {found.last_entry}", color=_INK)
        _draw_reliability(left, found.calibration)
        _draw_gains(right, found)
        for axes in (left, right):
            _tidy(axes)
        undated = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(picture, format=kind, dpi=_DOTS_PER_INCH, metadata={"Title": name, **undated})
    return picture.getvalue()


def _draw_reliability(axes: "Axes", found: Calibration) -> None:
    axes.set_title("when it said so, how many were won", loc="left", fontsize=11)
    axes.plot([0, 1], [0, 1], color=_GRID, linewidth=1.2)
    largest = max(one.cases for one in found.bins)
    for one in found.bins:
        if one.share is None:
            continue
        low, high = one.share.low, one.share.high
        if low is not None and high is not None:
            axes.plot([one.mean_forecast] * 2, [max(low, 0), min(high, 1)], color=_LOOK, linewidth=1.6)
        size = 20 + 160 * one.cases / largest
        axes.scatter([one.mean_forecast], [one.share.estimate], s=size, color=_INK, zorder=3)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("p_profit, mean of its bin\n(dots grow with trades; bars: 95 % at this look)")
    axes.set_ylabel("share won")


def _draw_gains(axes: "Axes", found: Evidence) -> None:
    axes.set_title("mean P&L of the trades kept, less that of all", loc="left", fontsize=11)
    axes.axhline(0, color=_GRID, linewidth=1.2)
    for line in found.vetoes:
        gain = line.mean_gain
        if gain is None:
            continue
        if gain.sure_low is not None and gain.sure_high is not None:
            axes.plot([line.threshold] * 2, [gain.sure_low, gain.sure_high], color=_SURE, linewidth=1.0)
        if gain.low is not None and gain.high is not None:
            axes.plot([line.threshold] * 2, [gain.low, gain.high], color=_LOOK, linewidth=2.6)
        axes.scatter([line.threshold], [gain.estimate], s=36, color=_INK, zorder=3)
    axes.set_xticks([line.threshold for line in found.vetoes])
    axes.set_xlabel("veto below this confidence\n(thick: 95 % at this look; thin: over all thresholds and looks)")
    axes.set_ylabel("dollars a trade")


def _tidy(axes: "Axes") -> None:
    axes.grid(visible=True, color=_GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
