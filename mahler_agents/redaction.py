"""Below all stages: text in, the same text without keys out; what the record, logs, errors and output go through."""

import html
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Self
from urllib.parse import quote

REDACTED = "[redacted]"
"""Stands where a key was."""

SHORTEST = 8
"""Characters of the shortest value that counts as a key: a shorter one would tear holes into ordinary words."""

_NAMES = re.compile(r"(?:KEY|KEY_ID|SECRET|TOKEN|PASSWORD)$")
"""Variables that hold keys: OPENAI_API_KEY, APCA_API_KEY_ID, APCA_API_SECRET_KEY and their like."""

# A digit in it tells a key from words such as `task-...`; what stands before it, from the end of one.
_KEY = re.compile(r"\bsk-(?=[\w-]*\d)[\w-]{16,}", re.ASCII)
_BEARER = re.compile(r"(?<=\bbearer )(?=[^\s\"'<]*\d)[\w.~+/=-]{16,}", re.ASCII | re.IGNORECASE)

_SHAPES = (("sk-", _KEY), ("earer", _BEARER), ("EARER", _BEARER))
"""What must stand in a text for a search to be worth it (a search of literals is a hundred times faster), and a key."""


_learned: set[str] = set()
"""Keys of this process that no environment variable holds."""


def learn(keys: Iterable[str]) -> None:
    """Let every redactor that is made from now on know keys that were found elsewhere, as in a file or a keyring.

    Of the whole process, since a key is a secret wherever in it text is written.
    """
    _learned.update(keys)


class Redactor:
    """Replaces known keys, in every spelling that JSON, HTML and URLs have for them, and what has the shape of one.

    A value of fewer than `SHORTEST` characters is not taken for a key.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        # Whoever reads a key takes the white space around it off, as after a file's last line.
        bare = (key.strip() for key in keys)
        spelled = {spelling for key in bare if len(key) >= SHORTEST for spelling in _spellings(key)}
        # The longest first: one key may begin with another.
        self._keys = tuple(sorted(spelled, key=lambda spelling: (-len(spelling), spelling)))

    @classmethod
    def of(cls, variables: Mapping[str, str] = os.environ, *, keys: Iterable[str] = ()) -> Self:
        """Return one that knows the keys in environment variables, those that were learned, and `keys`."""
        return cls([*(value for name, value in variables.items() if _NAMES.search(name)), *_learned, *keys])

    def __call__(self, text: str) -> str:
        """Return the text with `REDACTED` in place of each key."""
        if len(text) < SHORTEST:
            return text
        for key in self._keys:
            if key in text:
                text = text.replace(key, REDACTED)
        for mark, shape in _SHAPES:
            if mark in text:
                text = shape.sub(REDACTED, text)
        return text


def _spellings(key: str) -> set[str]:
    escaped = json.dumps(key)[1:-1]
    return {key, escaped, escaped.replace("/", "\\/"), quote(key, safe=""), quote(key), html.escape(key)}
