"""Stage 3, brief: text that strangers or models wrote comes in; one harmless line goes out."""

import re
import unicodedata

_FENCES = str.maketrans("", "", "<>`")  # no text closes the fence around it or opens a chat template's marker
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Letters, marks and signs without a shape: fillers and variation selectors, which can hide a text in another."""


def sanitised(text: str, limit: int) -> str:
    """Return untrusted text as one line of at most `limit` characters.

    NFKC first, so that look-alikes of the fence are caught too; then every control, format (bidirectional, zero-width,
    tag), private, unassigned and shapeless character and every fence character is dropped.
    """
    normal = _UNSEEN.sub("", unicodedata.normalize("NFKC", text)).translate(_FENCES)
    kept = "".join(char for char in normal if char.isspace() or not unicodedata.category(char).startswith("C"))
    printable = " ".join(kept.split())
    return printable if len(printable) <= limit else printable[: limit - 1].rstrip() + "…"
