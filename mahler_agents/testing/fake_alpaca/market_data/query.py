"""The fake Alpaca's market data, query: a request in, its parameters as values out, or how the vendor refuses them.

Source: parameters of the vendor's OpenAPI description, *Market Data API* 1.1; `unexpected query parameter(s): limit` is
what it answered in alpaca-py's issue 581. The words of the other refusals are ours: the vendor documents only that they
are 400 (422 on the trading host).
"""

import base64
import binascii
import datetime as dt
import re
from collections.abc import Collection
from typing import NoReturn

from mahler_agents.clock import NEW_YORK
from mahler_agents.testing.fake_alpaca.http import RefusedError, Request, Response

STOCK = re.compile(r"[A-Z]{1,5}(\.[A-Z]{1,2})?")
OPTION = re.compile(r"[A-Z][A-Z0-9]{0,5}[0-9]{6}[PC][0-9]{8}")
_YES, _NO = frozenset({"1", "t", "true"}), frozenset({"0", "f", "false"})


class DataRefusedError(RefusedError):
    """What the market data host answers with: a message, and no code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, 0, message)
        self.response = Response(status=status, json={"message": message})


class Query:
    """A request's parameters, of which every one is known and can be read."""

    def __init__(self, request: Request, known: Collection[str], *, trading_host: bool = False) -> None:
        """Refuse the parameters that the endpoint does not have."""
        self._request = request
        self._trading_host = trading_host
        if unknown := sorted(set(request.params) - set(known)):
            self.refuse(f"unexpected query parameter(s): {', '.join(unknown)}")

    def refuse(self, message: str) -> NoReturn:
        """Refuse the request."""
        if self._trading_host:
            raise RefusedError(422, 42210000, message)
        raise DataRefusedError(400, message)

    def text(self, name: str) -> str | None:
        """Return a parameter as it is, None without one or for an empty one."""
        return self._request.param(name) or None

    def one_of(self, name: str, choices: Collection[str], default: str) -> str:
        """Return a parameter that is one of a few words."""
        given = self.text(name) or default
        if given not in choices:
            self.refuse(f"invalid {name}: {given}")
        return given

    def count(self, name: str, *, default: int, most: int) -> int:
        """Return a whole number from 1 to `most`."""
        given = self.text(name)
        if given is None:
            return default
        if not given.isdecimal() or not 1 <= int(given) <= most:
            self.refuse(f"invalid {name}: {given} is not in 1 to {most}")
        return int(given)

    def number(self, name: str) -> float | None:
        """Return a number that is not below zero."""
        given = self.text(name)
        if given is None:
            return None
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", given):
            self.refuse(f"invalid {name}: {given}")
        return float(given)

    def flag(self, name: str) -> bool:
        """Return whether something is asked for; alpaca-py writes `True`."""
        given = (self.text(name) or "false").lower()
        if given not in _YES | _NO:
            self.refuse(f"invalid {name}: {given}")
        return given in _YES

    def date(self, name: str) -> dt.date | None:
        """Return a date, `YYYY-MM-DD`."""
        given = self.text(name)
        if given is None:
            return None
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", given):
            self.refuse(f"invalid {name}: {given} is not YYYY-MM-DD")
        try:
            return dt.date.fromisoformat(given)
        except ValueError:
            self.refuse(f"invalid {name}: {given} is no date")

    def instant(self, name: str) -> dt.datetime | None:
        """Return a time, RFC 3339 or `YYYY-MM-DD`: that day's midnight in New York."""
        given = self.text(name)
        if given is None:
            return None
        if len(given) == len("YYYY-MM-DD"):
            day = self.date(name)
            return day and dt.datetime.combine(day, dt.time(), NEW_YORK).astimezone(dt.UTC)
        try:
            instant = dt.datetime.fromisoformat(given)
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            self.refuse(f"invalid {name}: {given} is not RFC-3339")
        return instant.astimezone(dt.UTC)

    def symbols(
        self, name: str, form: re.Pattern[str], *, most: int | None = None, needed: bool = True
    ) -> tuple[str, ...]:
        """Return comma-separated symbols, each once and in order."""
        given = self.text(name)
        if given is None:
            if needed:
                self.refuse(f"{name} is required")
            return ()
        found = given.split(",")
        if bad := [symbol for symbol in found if not form.fullmatch(symbol)]:
            self.refuse(f"invalid symbol: {bad[0]}")
        if most is not None and len(found) > most:
            self.refuse(f"{name} takes at most {most} symbols, not {len(found)}")
        return tuple(sorted(set(found)))

    def page_token(self) -> str | None:
        """Return after what the page begins, as `token` was told."""
        given = self.text("page_token")
        if given is None:
            return None
        try:
            return base64.b64decode(given, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            self.refuse("invalid page_token")


def token(last: str | None) -> str | None:
    """Return the token of the page after the item `last`, None after the last page.

    The vendor's are the same: base64 of the last item's symbol, time or id.
    """
    return None if last is None else base64.b64encode(last.encode()).decode()
