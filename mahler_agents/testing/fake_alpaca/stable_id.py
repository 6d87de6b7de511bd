"""The fake Alpaca's ids: words in, the same UUID out each time, so that two runs of a world have the same ids."""

from hashlib import sha256


def stable_id(*words: object) -> str:
    """Return the id of what the words name, in the form of a UUID."""
    digits = sha256("\0".join(str(word) for word in words).encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"
