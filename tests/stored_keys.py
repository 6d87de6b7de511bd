"""Keyrings for tests: what is held is given, so that no test depends on the machine's own."""

from collections.abc import Generator
from contextlib import contextmanager

import keyring
import keyring.backend


class StoredKeys(keyring.backend.KeyringBackend):
    """A keyring that is a dict; it is made with one, so that keyring's own search for backends does not make it."""

    priority = 1.0  # pyright: ignore[reportAssignmentType] - a class property there

    def __init__(self, held: dict[str, str]) -> None:
        super().__init__()
        self.held = held

    def get_password(self, service: str, username: str) -> str | None:
        """Return what is held for us."""
        return self.held.get(username) if service == "mahler-agents" else None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Hold nothing: the desk only reads."""
        raise NotImplementedError(service, username, password)


@contextmanager
def keyring_of(backend: keyring.backend.KeyringBackend) -> Generator[None]:
    """Make a keyring the one that is asked, for the length of the block."""
    before = keyring.get_keyring()
    keyring.set_keyring(backend)
    try:
        yield
    finally:
        keyring.set_keyring(before)
