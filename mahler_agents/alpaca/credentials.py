"""Below stage 1, Alpaca: where the keys are found, and which host they may be shown to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mahler_agents.errors import ConfigError
from mahler_agents.redaction import learn
from mahler_agents.types import Environment

KEY_ID, SECRET_KEY = "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"
"""Names of the two keys: as environment variables, in a `.env` file and as user names in the keyring."""
KEYRING_SERVICE = "mahler-agents"

BEGINS = {Environment.PAPER: "PK", Environment.LIVE: "AK"}  # as Alpaca's own dashboard hands them out


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A pair of Alpaca's keys; neither shows in a repr."""

    key_id: str = field(repr=False)
    secret_key: str = field(repr=False)
    found_in: str = field(default="", compare=False)
    """Where they were found, in words."""

    @property
    def keys(self) -> tuple[str, str]:
        """Both, for a `Redactor`."""
        return self.key_id, self.secret_key

    def check_for(self, environment: Environment) -> None:
        """Raise `ConfigError` if these keys are of the other environment, before any host has seen them.

        Paper keys begin with PK and live keys with AK; the live host gets no key but one of those.
        """
        other = Environment.LIVE if environment is Environment.PAPER else Environment.PAPER
        if self.key_id.startswith(BEGINS[other]):
            raise ConfigError(
                f"{KEY_ID} is a key for {other} trading (it begins with {BEGINS[other]}), and the environment is"
                f" {environment}: use a key that begins with {BEGINS[environment]}, or set MAHLER_ENVIRONMENT={other}"
            )
        if environment is Environment.LIVE and not self.key_id.startswith(BEGINS[environment]):
            raise ConfigError(f"{KEY_ID} is no key for live trading: those begin with {BEGINS[environment]}")


def find_credentials(environ: Mapping[str, str], *, folder: Path | None = None) -> Credentials:
    """Return the keys from environment variables, else a `.env` file in the working folder, else the keyring.

    A place that has one of the two and not the other is an error, and so is a file that cannot be read: nothing is
    pieced together from two places. Raises `ConfigError`, which names all three places if none has them.
    """
    file = (folder or Path()) / ".env"
    if (found := _pair(environ, "the environment")) is not None:
        learn(found.keys)  # a program that uses the desk may give it variables that are not the process's
        return found
    unusable = None
    if (found := _pair(_from_file(file), f"the file {file.name}")) is None:
        stored, unusable = _from_keyring()
        found = _pair(stored, "the keyring")
    if found is not None:
        learn(found.keys)  # no variable holds them: what looks for keys in text would not know them
        return found
    raise ConfigError(
        f"no keys for Alpaca: set the environment variables {KEY_ID} and {SECRET_KEY}, write them into a .env"
        f" file in the working folder, or store them in the keyring: `keyring set {KEYRING_SERVICE} {KEY_ID}` and"
        f" `keyring set {KEYRING_SERVICE} {SECRET_KEY}`" + (f" ({unusable})" if unusable else "")
    )


def where_credentials_are(environ: Mapping[str, str], *, folder: Path | None = None) -> str | None:
    """Return which place `find_credentials` takes the keys from, None if none has them; raises as that does."""
    file = (folder or Path()) / ".env"
    if _pair(environ, "the environment") is not None:
        return "variable"
    if _pair(_from_file(file), f"the file {file.name}") is not None:
        return f"the file {file.name}"
    return "the keyring" if _pair(_from_keyring()[0], "the keyring") is not None else None


def _pair(held: Mapping[str, str | None], where: str) -> Credentials | None:
    key_id, secret_key = ((held.get(name) or "").strip() for name in (KEY_ID, SECRET_KEY))
    if not key_id and not secret_key:
        return None
    if not key_id or not secret_key:
        there, lacking = (KEY_ID, SECRET_KEY) if key_id else (SECRET_KEY, KEY_ID)
        raise ConfigError(f"{where} has {there} and not {lacking}: both are needed")
    for name, key in ((KEY_ID, key_id), (SECRET_KEY, secret_key)):
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError(f"{name} in {where} is no key: it has a character that no key has")
    return Credentials(key_id=key_id, secret_key=secret_key, found_in=where)


def _from_file(file: Path) -> Mapping[str, str | None]:
    if not file.exists():
        return {}
    from dotenv import dotenv_values

    try:
        return dotenv_values(file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the file {file.name} in the working folder: {type(error).__name__}") from None


def _from_keyring() -> tuple[Mapping[str, str | None], str | None]:
    """Return what the system's keyring holds, and why it could not be asked, if it could not."""
    import keyring
    from keyring.errors import KeyringError, NoKeyringError

    try:
        return {name: keyring.get_password(KEYRING_SERVICE, name) for name in (KEY_ID, SECRET_KEY)}, None
    except NoKeyringError:
        return {}, "this system has no keyring"
    except KeyringError as error:
        return {}, f"the keyring could not be read: {type(error).__name__}"
