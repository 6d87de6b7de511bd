"""Notify: a notice in, the messages of one channel out, each within every limit of Discord, which has the least; pure.

A message is a title and a text. What is too long becomes several, numbered, and at the end what was left out is said.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mahler_agents.notify.harmless import harmless, without_markdown
from mahler_agents.notify.notice import Notice, Severity
from mahler_agents.text import instant, words

TITLE = 200
"""UTF-16 units of a title; Discord's embeds take 256, other channels 250."""
LABEL = 80
"""UTF-16 units of a field's name."""
TEXT = 1_700
"""UTF-16 units of a text: with its title below the 2,000 at which apprise would cut a message for Discord itself."""
PARTS = 4
"""Messages of one notice; what is longer is cut, and said to be."""

_LABELS = {"ai_summary": "AI summary", "iv_rank": "IV rank"}


@dataclass(frozen=True, kw_only=True)
class Message:
    """What one channel is sent in one request."""

    title: str
    text: str
    severity: Severity


def messages(
    notice: Notice, *, markdown: bool, redact: Callable[[str], str], late: bool = False, unsent: int = 0, limit: int = 0
) -> tuple[Message, ...]:
    """Return a notice as messages, in Discord's markdown or as plain text, without keys.

    `late` says that it could not be sent when it was new; `unsent` other notices were not sent at all, since there
    were more than `limit` in an hour.
    """

    def shown(text: str) -> str:
        line = harmless(redact(text))
        return without_markdown(line) if markdown else line

    lines = [shown(note) for note in notice.notes]
    lines += [shown(line) for line in notice.body.splitlines() if line.strip()]
    for name, value in notice.fields.items():
        label = _cut(shown(_LABELS.get(name) or words(name)), LABEL)
        lines.append(f"**{label}:** {shown(value)}" if markdown else f"{label}: {shown(value)}")
    if late:
        lines.append(shown(f"of {instant(notice.at)} New York, sent late: the channel did not answer then"))
    if unsent:
        lines.append(shown(f"and {unsent:,} more were not sent: over {limit:,} in an hour; they are in the record"))
    title = _cut(shown(notice.title), TITLE) or shown(notice.kind.value)
    parts = list(_parts([line for line in lines if line] or [title]))
    if len(parts) > PARTS:
        left = sum(map(units, parts[PARTS:]))
        parts = [*parts[: PARTS - 1], f"{parts[PARTS - 1]}\n… and {left:,} characters more, in the record"]
    numbered = [f" ({number}/{len(parts)})" if len(parts) > 1 else "" for number in range(1, len(parts) + 1)]
    return tuple(
        Message(title=f"{title}{number}", text=text, severity=notice.severity)
        for number, text in zip(numbered, parts, strict=True)
    )


def units(text: str) -> int:
    """Return the length of a text as Discord counts at its strictest: UTF-16 units, two for most emoji."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _parts(lines: list[str]) -> Iterator[str]:
    """Yield texts of whole lines where they fit; a longer line is broken at a space, or where it must be."""
    held = ""
    for line in itertools.chain.from_iterable(map(_pieces, lines)):
        joined = f"{held}\n{line}" if held else line
        if units(joined) > TEXT:
            yield held
            joined = line
        held = joined
    if held:
        yield held


def _pieces(line: str) -> Iterator[str]:
    while units(line) > TEXT:
        piece = _cut(line, TEXT, mark="")
        yield piece
        line = line[len(piece) :].lstrip()
    if line:
        yield line


def _cut(text: str, limit: int, mark: str = "…") -> str:
    """Return the beginning of a text, of at most `limit` units, ending at a space and never behind a lone backslash."""
    if units(text) <= limit:
        return text
    kept = text[: limit - len(mark)]
    while units(kept) > limit - len(mark):
        kept = kept[:-1]
    space = kept.rfind(" ")
    if space > limit // 2:
        kept = kept[:space]
    escapes = len(kept) - len(kept.rstrip("\\"))
    if escapes % 2:
        kept = kept[:-1]
    return kept.rstrip() + mark if mark else kept
