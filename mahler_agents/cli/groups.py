"""Command line: a group whose commands are imported when one is called, so that a light verb waits for no other."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows where its commands are, and imports one when it is called or the group's help is shown."""

    def __init__(self, *arguments: Any, members: Mapping[str, str], **choices: Any) -> None:
        """Name the commands, in the order in which they are listed: each `module:attribute`."""
        super().__init__(*arguments, **choices)
        self._members = members

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in their own order."""
        del ctx
        return list(self._members)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command and return it, None if there is no such command."""
        del ctx
        if cmd_name not in self._members:
            return None
        module, _, name = self._members[cmd_name].partition(":")
        return getattr(import_module(module), name)
