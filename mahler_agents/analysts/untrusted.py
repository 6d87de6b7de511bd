"""Stage 3, brief: text that strangers or models wrote comes in; one harmless line goes out."""

import unicodedata

_FENCES = str.maketrans("", "", "<>`")  # no text closes the fence around it or opens a chat template's marker


def sanitised(text: str, limit: int) -> str:
    """Return untrusted text as one line of at most `limit` characters.

    NFKC first, so that look-alikes of the fence are caught too; then every control, format (bidirectional, zero-width,
    tag), private and unassigned character and every fence character is dropped.
    """
    normal = unicodedata.normalize("NFKC", text).translate(_FENCES)
    kept = "".join(char for char in normal if char.isspace() or not unicodedata.category(char).startswith("C"))
    printable = " ".join(kept.split())
    return printable if len(printable) <= limit else printable[: limit - 1].rstrip() + "…"
