"""Stage 8, execute: what Alpaca answered in, its fields out, strictly: a missing fact is named, never assumed."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from mahler_agents.errors import BrokerError


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One JSON object of an answer, and what it tells of. Every method raises `BrokerError` that names the field."""

    what: str
    """Such as `order SPY-...-1`, for the user."""
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, raw: object, what: str) -> "Answer":
        """Return a JSON object as an answer."""
        if not isinstance(raw, Mapping):
            raise BrokerError(f"Alpaca's answer about {what} is no JSON object, but {_shown(raw)}")
        return cls(what=what, fields=raw)

    @classmethod
    def each(cls, raw: object, what: str) -> "tuple[Answer, ...]":
        """Return a JSON array of objects as answers."""
        if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
            raise BrokerError(f"Alpaca's answer about {what} is no JSON array, but {_shown(raw)}")
        return tuple(cls.of(one, what) for one in raw)

    def has(self, name: str) -> bool:
        """Return whether a field says anything: it is there, and neither null nor empty."""
        value = self.fields.get(name)
        return value is not None and value not in ("", [])

    def named(self, what: str) -> "Answer":
        """Return the same answer under a better name."""
        return Answer(what=what, fields=self.fields)

    def text(self, name: str) -> str:
        """Return a text that is not empty."""
        value = self._present(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def number(self, name: str) -> Decimal:
        """Return a finite number; Alpaca writes most of them as text."""
        value = self._present(name)
        try:
            number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            raise self._wrong(name, "a number")
        return number

    def whole(self, name: str) -> int:
        """Return a whole number."""
        number = self.number(name)
        if number != number.to_integral_value():
            raise self._wrong(name, "a whole number")
        return int(number)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self._present(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def instant(self, name: str) -> dt.datetime:
        """Return an instant, timezone-aware UTC, to the microsecond."""
        try:
            instant = dt.datetime.fromisoformat(self.text(name))
        except ValueError:
            raise self._wrong(name, "a time") from None
        if instant.tzinfo is None:
            raise self._wrong(name, "a time with its zone")
        return instant.astimezone(dt.UTC)

    def date(self, name: str) -> dt.date:
        """Return a date, of which some answers give the midnight too."""
        try:
            return dt.date.fromisoformat(self.text(name)[:10])
        except ValueError:
            raise self._wrong(name, "a date") from None

    def _present(self, name: str) -> object:
        if not self.has(name):
            raise BrokerError(f"Alpaca's answer about {self.what} has no `{name}`")
        return self.fields[name]

    def _wrong(self, name: str, wanted: str) -> BrokerError:
        return BrokerError(
            f"`{name}` in Alpaca's answer about {self.what} is {_shown(self.fields[name])}, not {wanted}"
        )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
