"""Settings, the file: the working folder comes in, what stands in its `mahler.toml` and on which lines goes out.

Nothing heavy is imported: verbs that only read the record ask here where it is.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mahler_agents.errors import ConfigError

FILE = "mahler.toml"
VARIABLE = "MAHLER_CONFIG"
"""Names another file, which must be there."""

_SECTION = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"\s*([\w.\"' -]+?)\s*=")
_PLACE = re.compile(r" \(at line (\d+), column \d+\)$")


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """What a file says."""

    path: Path
    values: Mapping[str, Any]
    """As TOML has it: sections are mappings."""
    lines: Mapping[str, int]
    """Dotted key or section to its line."""

    def place(self, key: str) -> str:
        """Return the file and the line of a dotted key, or of what it stands in."""
        while key not in self.lines and "." in key:
            key = key.rpartition(".")[0]
        return f"{self.path}:{self.lines[key]}" if key in self.lines else str(self.path)


def read_file(environ: Mapping[str, str] = os.environ, folder: Path = Path()) -> ConfigFile | None:
    """Return what `mahler.toml` in a folder says, or the file that MAHLER_CONFIG names; None if there is none.

    Raises `ConfigError` for a named file that is not there, and for one that cannot be read.
    """
    named = environ.get(VARIABLE)
    path = folder / (Path(named).expanduser() if named else FILE)
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        if named:
            raise ConfigError(f"{VARIABLE}={named!r}: no such file; `mahler init` writes one") from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: it cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error
    import tomllib  # only where there is something to read

    try:
        return ConfigFile(path=path, values=tomllib.loads(text), lines=_lines(text))
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.search(str(error))
        line = f":{found[1]}" if found else ""
        raise ConfigError(f"{path}{line}: not TOML: {_PLACE.sub('', str(error))}") from error


def configured_path(key: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the path of a top-level key, such as `db`: the variable's, else the file's; None if neither names one."""
    if told := environ.get(f"MAHLER_{key.upper()}"):
        return Path(told)
    try:
        file = read_file(environ)
    except ConfigError as error:
        instead = "; until it is mended, name the record with --db" if key == "db" else ""
        raise ConfigError(f"{error}{instead}") from error
    if file is None or key not in file.values:
        return None
    value = file.values[key]
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{file.place(key)}: {key} = {value!r}: use a path")
    return beside(file.path, value)


def beside(file: Path, path: str | Path) -> Path:
    """Return a path of a file as seen from the working folder: those are relative to the file's own folder."""
    return file.parent / Path(path).expanduser()


def _lines(text: str) -> dict[str, int]:
    """Return the line of each key and section; of one that is written in another's braces, none."""
    lines: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _SECTION.match(line):
            section = _plain(found[1])
            lines.setdefault(section, number)
        elif found := _KEY.match(line):
            key = _plain(found[1])
            lines.setdefault(f"{section}.{key}" if section else key, number)
    return lines


def _plain(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))
