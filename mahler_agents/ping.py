"""Ping: a watcher's address in, a request to it with every sign of life out; whether it answers never stops the desk.

Services that tell when a job stops calling (Healthchecks, Uptime Kuma and their like) give such an address.
"""

import logging

import httpx2

TIMEOUT_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Pinger:
    """Asks one address; says once in the log that it does not answer, and once that it does again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._answers = True

    async def __call__(self) -> None:
        """Ask it, for ten seconds at most; never raises what the network does. The address, a secret, is not logged."""
        try:
            async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=True) as client:
                response = await client.get(self._url)
            self._heard(None if response.status_code < 400 else f"status {response.status_code}")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            self._heard(type(error).__name__)

    def _heard(self, error: str | None) -> None:
        if error is not None and self._answers:
            _log.warning("the ping URL does not answer: %s; the schedule goes on", error)
        if error is None and not self._answers:
            _log.info("the ping URL answers again")
        self._answers = error is None
