"""The fake Alpaca's chance: a seed and names in, ids and numbers out; the same ones every time."""

from hashlib import sha256
from uuid import UUID


def made_id(seed: int, *names: str | int) -> str:
    """Return a UUID that these names alone have."""
    return str(UUID(bytes=_digest(seed, names)[:16], version=4))


def chance(seed: int, *names: str | int) -> float:
    """Return a number in [0, 1) that these names alone decide."""
    return int.from_bytes(_digest(seed, names)[:7], "big") / 2**56


def _digest(seed: int, names: tuple[str | int, ...]) -> bytes:
    return sha256("\x1f".join(str(part) for part in (seed, *names)).encode()).digest()
