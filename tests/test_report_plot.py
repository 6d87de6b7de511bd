"""The report's picture: readable bytes, the same every time, and one line for every path that cannot be drawn to."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from report_builders import at, closed, history

from mahler_agents.errors import InputError
from mahler_agents.report import Span
from mahler_agents.report.curve import EquityCurve, equity_curve
from mahler_agents.report.plot import draw, save_picture


def curve_of(days: int) -> EquityCurve:
    equity = [(at(day, hour), 100_000.0 - 40 * day + 5 * hour) for day in range(2, 2 + days) for hour in range(15, 21)]
    rules = ("profit_target", "stop_loss", "time_exit", "breaker_close_all", "expired_worthless")
    parts = [closed(rule, at(2 + number, 18), 10.0, rule=rule) for number, rule in enumerate(rules[:days])]
    found = equity_curve(history(parts=parts, equity=equity), Span())
    assert found is not None
    return found


def test_the_same_curve_makes_the_same_bytes() -> None:
    for kind in ("svg", "png"):
        assert draw(curve_of(10), kind) == draw(curve_of(10), kind)
    assert draw(curve_of(10), "svg") != draw(curve_of(9), "svg")


def test_the_picture_says_whose_it_is_and_that_it_is_synthetic() -> None:
    picture = draw(curve_of(10), "svg").decode()
    assert "<dc:title>paper-test, 2026-03-02 to 2026-03-11; SYNTHETIC MARKET" in picture
    assert "<dc:date>" not in picture


def test_a_png_is_1200_pixels_wide(tmp_path: Path) -> None:
    save_picture(curve_of(1), tmp_path / "equity.PNG")
    picture = (tmp_path / "equity.PNG").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (1200, 700)


WRONG: list[tuple[Callable[[Path], Path], str]] = [
    (lambda folder: folder / "equity.gif", "must be one of .svg, .png"),
    (lambda folder: folder / "equity", "must be one of .svg, .png"),
    (lambda folder: folder / "missing" / "equity.svg", "make it first"),
    (lambda folder: folder / "folder.svg", "is a folder"),
    (lambda folder: folder / f"{'long' * 80}.svg", "too long"),
    (lambda folder: folder / "full.svg", "cannot be written: No space left on device"),
]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(("path_in", "said"), WRONG)
def test_a_path_that_cannot_be_drawn_to_is_one_line(path_in: Callable[[Path], Path], said: str, tmp_path: Path) -> None:
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "full.svg").symlink_to("/dev/full")
    with pytest.raises(InputError, match=said) as raised:
        save_picture(curve_of(1), path_in(tmp_path))
    assert "\n" not in str(raised.value)
