"""Settings: options, variables and `mahler.toml` come in, one frozen `Settings` goes out; what every desk is made of.

Imported lazily: a verb that only reads the record asks `settings.file` for the one path that it needs.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mahler_agents.settings.settings import Settings

__all__ = ["Settings"]


def __getattr__(name: str) -> Any:
    if name == "Settings":
        from mahler_agents.settings.settings import Settings

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
