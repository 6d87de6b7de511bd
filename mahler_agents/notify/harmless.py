"""Notify: text that a model, a headline or a provider may have written in, text that no channel obeys out; pure.

Nothing in it pings, links, unfurls or formats, on any channel: signs that would are parted by a space of no width, or
replaced by one that looks like them.
"""

import re

from mahler_agents.text import plain

APART = "\u200b"
"""A space of no width: it parts what would be read as one, and nobody sees it."""

_LOOKALIKES = str.maketrans({"<": "\u2039", ">": "\u203a"})  # Slack and Discord write pings and links between them
_SCHEME = re.compile(r"(?<=[A-Za-z]):(?=//)")
# A dot before a letter makes a domain, which Telegram, Slack and mail make a link; 0.35 is none.
_DOMAIN = re.compile(r"(?<=\w)\.(?=[^\W\d_])")
_DISCORD = re.compile(r"([\\*_~|`\[\]#])")
_LIST = re.compile(r"^(\s*)([-+]|\d+\.)(?=\s)")


def harmless(text: str) -> str:
    """Return text as one line that pings nobody and links nowhere; what `plain` drops is dropped."""
    line = plain(text).translate(_LOOKALIKES)
    line = line.replace("@", f"@{APART}")
    line = _SCHEME.sub(f":{APART}", line)
    return _DOMAIN.sub(f".{APART}", line)


def without_markdown(line: str) -> str:
    """Return a harmless line for Discord: every sign that would format is escaped, and shown as it is."""
    escaped = _DISCORD.sub(r"\\\1", line)
    return _LIST.sub(rf"\1{APART}\2", escaped)
