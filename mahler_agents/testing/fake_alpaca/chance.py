"""The fake Alpaca's chance: a seed and names in, a number out; the same one every time."""

from hashlib import sha256


def chance(seed: int, *names: str) -> float:
    """Return a number in [0, 1) that these names alone decide."""
    digest = sha256("\x1f".join([str(seed), *names]).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
