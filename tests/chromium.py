"""For tests of pages: opens a file in Debian's Chromium, headless, and returns its DOM and what its console said."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

MISSING = "Chromium is missing: run `make chromium`, or install Debian's package chromium"
_VOID = {"meta", "link", "img", "br", "hr", "input"}


@dataclass(frozen=True, kw_only=True)
class Element:
    """One element of the DOM: its tag, its attributes and all text in it."""

    tag: str
    attributes: dict[str, str]
    text: str


class _Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[Element] = []
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append((tag, {name: value or "" for name, value in attrs}, []))
        if tag in _VOID:
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        for _, _, text in self._open:
            text.append(data)

    def handle_endtag(self, tag: str) -> None:
        name, attributes, text = self._open.pop()
        assert name == tag, f"<{name}> is closed by </{tag}>"
        self.found.append(Element(tag=name, attributes=attributes, text="".join(text)))


@dataclass(frozen=True, kw_only=True)
class Page:
    """What Chromium made of a file."""

    elements: list[Element]
    console: list[str]

    def all(self, tag: str, kind: str | None = None) -> list[Element]:
        """Return the elements of a tag, and of a class if one is named, in the order in which they end."""
        return [
            one
            for one in self.elements
            if one.tag == tag and (kind is None or kind in one.attributes.get("class", "").split())
        ]


def open_page(path: Path) -> Page:
    """Open a file and return what became of it. Fails, naming what to do, if there is no Chromium."""
    browser = shutil.which("chromium")
    assert browser, MISSING
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={profile}",
            "--enable-logging=stderr",
            "--virtual-time-budget=1000",
            "--dump-dom",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            path.absolute().as_uri(),
        ]
        streams = subprocess.PIPE, subprocess.PIPE
        with subprocess.Popen(
            command, stdout=streams[0], stderr=streams[1], text=True, start_new_session=True
        ) as process:
            try:
                out, err = process.communicate(timeout=60)
            finally:
                _end_all(process.pid)
    assert process.returncode == 0, err
    return Page(elements=_Elements(out).found, console=re.findall(r":CONSOLE[:(]\d+\)?\] (.*)", err))


def _end_all(group: int) -> None:
    """End what the browser may have left behind of its own."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
