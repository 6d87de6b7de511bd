"""Command line: the words that values are said in, which the day's summary says too."""

from mahler_agents.text import (
    cents,
    count,
    counts,
    dollars,
    instant,
    listed,
    per_share,
    percent,
    plain,
    shortened,
    size,
    small_dollars,
    visible,
    words,
)

__all__ = [
    "cents",
    "count",
    "counts",
    "dollars",
    "instant",
    "listed",
    "per_share",
    "percent",
    "plain",
    "shortened",
    "size",
    "small_dollars",
    "visible",
    "words",
]
