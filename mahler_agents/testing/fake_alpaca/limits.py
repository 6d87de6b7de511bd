"""The fake Alpaca's gate: who may ask, and how often."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mahler_agents.testing.fake_alpaca.http import Response, failure


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The account's keys, made up: a paper account's begin with PK."""

    key_id: str
    secret_key: str = field(repr=False)

    @classmethod
    def of(cls, seed: int) -> "Keys":
        """Return the keys of the account in the world of a seed."""
        return cls(key_id=f"PKSYNTHETIC{seed:09d}", secret_key=f"synthetic-secret-of-sample-{seed}")

    def refusal(self, headers: Mapping[str, Any] | Any) -> Response | None:
        """Return how a request with these headers is refused, None if its keys are right.

        Source: authentication page of the vendor's documentation; the headers are those of alpaca-py's common/rest.py.
        """
        given = headers.get("APCA-API-KEY-ID"), headers.get("APCA-API-SECRET-KEY")
        if not all(given):
            return failure(401, 40110000, "request is not authorized")
        if given != (self.key_id, self.secret_key):
            return failure(403, 40310000, "forbidden.")
        return None


class Limit:
    """So many requests in one minute of the fake's clock, told in the headers of every answer as the vendor does."""

    def __init__(self, requests_per_minute: int | None) -> None:
        self.most = requests_per_minute
        self._minute = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._asked = 0

    def refusal(self, now: dt.datetime, headers: dict[str, str]) -> Response | None:
        """Count a request; return how it is refused, None if it is one of those that are allowed."""
        if self.most is None:
            return None
        minute = now.replace(second=0, microsecond=0)
        if minute > self._minute:
            self._minute, self._asked = minute, 0
        self._asked += 1
        reset = minute + dt.timedelta(minutes=1)
        headers["X-RateLimit-Limit"] = str(self.most)
        headers["X-RateLimit-Remaining"] = str(max(0, self.most - self._asked))
        headers["X-RateLimit-Reset"] = str(int(reset.timestamp()))
        if self._asked <= self.most:
            return None
        headers["Retry-After"] = str(max(1, round((reset - now).total_seconds())))
        return failure(429, 42910000, "rate limit exceeded")
