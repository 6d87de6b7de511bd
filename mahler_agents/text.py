"""Below all stages: values in, words for people out. Nothing here is heavy to import."""

import datetime as dt
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping

_LINE_CATEGORIES = frozenset({"Zl", "Zp", "Zs"})


def plain(text: str) -> str:
    """Return text that a model, a headline, a file or a provider wrote as one line that is safe to print.

    Control, escape, format (bidirectional, zero-width), surrogate, private and unassigned characters are dropped, and
    every run of white space is one space: the text can neither move the cursor nor pose as another line.
    """
    kept: list[str] = []
    for char in text:
        category = unicodedata.category(char)
        if char.isspace() or category in _LINE_CATEGORIES:
            kept.append(" ")
        elif not category.startswith("C"):
            kept.append(char)
    return " ".join("".join(kept).split())


def visible(text: str) -> str:
    """Return text with its lines and tabs kept and every other character that `plain` drops spelled out, as `\\x1b`.

    For what is shown to the letter: nothing is lost, and a terminal obeys none of it.
    """
    return "".join(char if char in "\n\t" else spelled(char) for char in text)


def spelled(char: str) -> str:
    """Return a character, or if a terminal would obey it or nobody see it, how it is written, such as `\\n`."""
    category = unicodedata.category(char)
    hidden = category.startswith("C") or category in {"Zl", "Zp"}
    return char.encode("unicode_escape").decode() if hidden else char


def shortened(text: str, limit: int) -> str:
    """Return safe text of at most `limit` characters."""
    line = plain(text)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def words(code: str) -> str:
    """Return a code as words: `not_out_of_the_money` -> `not out of the money`."""
    return plain(code).replace("_", " ")


def dollars(amount: float) -> str:
    """Return whole dollars, e.g. `$2,000`, `-$45`."""
    return f"{'-' if round(amount) < 0 else ''}${abs(amount):,.0f}"


def cents(amount: float) -> str:
    """Return dollars and cents, e.g. `$99,956.00`."""
    return f"{'-' if round(amount, 2) < 0 else ''}${abs(amount):,.2f}"


def small_dollars(amount: float) -> str:
    """Return dollars in as many digits as it takes to tell them from nothing, e.g. `$0.0012`, `$3.40`."""
    return cents(amount) if amount >= 1 or not amount else f"${amount:.4f}"


def per_share(amount: float) -> str:
    """Return a price per share: cents, and tenths of a cent where a mid has them, e.g. `0.29`, `0.295`."""
    text = f"{amount:.3f}"
    return text.removesuffix("0")


def percent(share: float, digits: int = 0) -> str:
    """Return a share as percent, e.g. `72 %`."""
    return f"{100 * share:.{digits}f} %"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number and its noun: `1 pair`, `1,540 contracts`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def size(number: int) -> str:
    """Return bytes in the unit that a reader wants, e.g. `93.4 MB`, `0.2 kB`."""
    return f"{number / 1e6:,.1f} MB" if number >= 1e6 else f"{number / 1e3:,.1f} kB"


def counts(by_reason: Mapping[str, int]) -> str:
    """Return counts by reason, most frequent first, e.g. `6 dte, 3 not out of the money`."""
    ordered = sorted(by_reason.items(), key=lambda item: -item[1])
    return ", ".join(f"{number:,} {words(reason)}" for reason, number in ordered)


def listed(items: Iterable[str]) -> str:
    """Return words as a list: `a, b and c`."""
    *first, last = list(items) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def instant(moment: dt.datetime | str) -> str:
    """Return an instant (aware, or as the record writes it) in New York's time, e.g. `2021-02-09 16:00`."""
    from mahler_agents.clock import NEW_YORK  # its time zones are what `mahler --help` would wait for

    aware = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{aware.astimezone(NEW_YORK):%Y-%m-%d %H:%M}"


def hung(text: str, width: int | None, *, head: str = "", hanging: int | None = None, least: int = 0) -> list[str]:
    """Return prose beside its head as lines that fit `width`, or `least` where that is more; one line without a width.

    What does not fit on the first stands so many places in, beneath the text unless told otherwise.
    """
    if width is None:
        return [f"{head}{text}".rstrip()]
    indent = " " * (len(head) if hanging is None else hanging)
    return textwrap.wrap(text, max(width, least), initial_indent=head, subsequent_indent=indent, break_on_hyphens=False)
