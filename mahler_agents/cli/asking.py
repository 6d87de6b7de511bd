"""Command line: the one way to ask the user before something is done."""

import sys

import click

from mahler_agents.errors import InputError


def agreed(question: str, *, yes: bool, to: str) -> bool:
    """Return whether the user agrees, who has if `yes`; raises `InputError` where nobody can answer."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InputError(f"nobody is here to ask: look at what is above, and add --yes {to}")
    return click.confirm(question, default=False)
