"""Below stage 1, Alpaca: its clients behind one door: in threads, at the pace allowed; a no is not a maybe.

Importing this module imports alpaca-py, which takes half a second: only where Alpaca is used.
"""

import asyncio
import copy
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import requests
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from mahler_agents.alpaca.clients import APIError, CorporateActions, News, Options, Stocks, Trading
from mahler_agents.alpaca.credentials import Credentials
from mahler_agents.alpaca.errors import AlpacaRefused, AlpacaUnsure
from mahler_agents.alpaca.pace import Pace
from mahler_agents.alpaca.raw import RawTape
from mahler_agents.alpaca.session import ThreadSession, TookTooLongError, heard_by
from mahler_agents.alpaca.settings import AlpacaSettings
from mahler_agents.clock import Clock
from mahler_agents.redaction import Redactor
from mahler_agents.types import Environment

T = TypeVar("T")

_THREADS = 8
_ATTEMPTS = 4
_BACKOFF_SECONDS = 0.5
"""Wait before the second attempt; it doubles with each."""
_LONGEST_WAIT_SECONDS = 60.0
"""A server that asks for a longer wait is asked again after this one: its limits are by the minute."""
_TOLD = 300
"""Characters of an answer that an error quotes."""


class AlpacaApi:
    """Alpaca's clients, and the two ways to use them: `get` for what may be asked again, `send` for what may not.

    A context manager: its threads and connections end with it. All data come raw (as dicts), so that one null does not
    lose a chain. `session` stands in for the one that goes to the network. Raises `ConfigError` if the keys are of the
    other environment, before any request.
    """

    def __init__(
        self, settings: AlpacaSettings, credentials: Credentials, clock: Clock, *, session: ThreadSession | None = None
    ) -> None:
        credentials.check_for(settings.environment)
        self.settings = settings
        self._clock = clock
        self._redact = Redactor(credentials.keys)
        self._pace = Pace(settings.requests_per_minute, clock)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="alpaca")
        # A proxy that the environment names is not asked for a server on this machine.
        self._session = session or ThreadSession(
            settings.timeout_seconds, proxies_from_environment=not settings.loopback
        )
        self._tape: RawTape | None = None
        key_id, secret_key = credentials.keys
        paper = settings.environment is Environment.PAPER
        self.trading = Trading(key_id, secret_key, paper=paper, raw_data=True, url_override=settings.trading_url)
        self.options = Options(key_id, secret_key, raw_data=True, url_override=settings.data_url)
        self.stocks = Stocks(key_id, secret_key, raw_data=True, url_override=settings.data_url)
        self.news = News(key_id, secret_key, raw_data=True, url_override=settings.data_url)
        self.corporate_actions = CorporateActions(key_id, secret_key, raw_data=True, url_override=settings.data_url)
        for client in (self.trading, self.options, self.stocks, self.news, self.corporate_actions):
            client.sent_over(self._session)

    def __enter__(self) -> Self:
        """Return itself: connections are made when they are needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections and let the threads end."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._session.close()

    @property
    def synthetic(self) -> str | None:
        """Whose made-up figures the server's are, as in `sample-22`; None if it has not said so in any answer."""
        return self._session.synthetic

    def heard_by(self, tape: RawTape | None) -> Self:
        """Return a door to the same clients whose answers a tape hears, where there is one."""
        door = copy.copy(self)
        door._tape = tape  # noqa: SLF001 - its own
        return door

    async def get(self, call: Callable[[], T], *, what: str, for_order: bool = False) -> T:
        """Return what `call` returns, which sends one request that changes nothing; asked up to four times.

        `for_order`: it has the places that are kept for orders, and does not wait for data.
        Raises `AlpacaRefused` at once, and `AlpacaUnsure` after the last attempt. Waits, among them the server's own
        Retry-After up to a minute, are on the injected clock.
        """
        again = AsyncRetrying(
            retry=retry_if_exception_type(AlpacaUnsure),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        return await again(self._once, call, what=what, for_order=for_order)

    async def send(self, call: Callable[[], T], *, what: str) -> T:
        """Return what `call` returns, which sends one request that changes something: once, whatever happens.

        Raises `AlpacaRefused`, and `AlpacaUnsure` if it may have been carried out all the same.
        """
        return await self._once(call, what=what, for_order=True)

    async def ask_once(self, call: Callable[[], T], *, what: str) -> T:
        """Return what `call` returns, as `get` does, from one request: for who asks how the server answers now."""
        return await self._once(call, what=what, for_order=False)

    def connect(self) -> None:
        """Ask for the server's clock, once and in this thread, before there is a loop.

        Keys that are refused are told at the start by that, and `synthetic` is known. Raises as `send` does.
        """

        def call() -> Any:
            return self.trading.get("/clock")

        self._answer(call, "the clock")

    async def get_public(self, url: str, *, what: str) -> Any:
        """Return the JSON that a public page answers, which is asked like `get` and is shown no key."""

        def call() -> Any:
            response = self._session.request("GET", url, headers={"Accept": "application/json"}, allow_redirects=False)
            if response.status_code != 200:
                raise AlpacaUnsure(what, f"HTTP {response.status_code}", status=response.status_code)
            return response.json()

        return await self.get(call, what=what)

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=seconds))

    async def _once(self, call: Callable[[], T], *, what: str, for_order: bool) -> T:
        await self._pace.place(for_order=for_order)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: self._answer(call, what))

    def _answer(self, call: Callable[[], T], what: str) -> T:
        """Return the call's answer, or raise its kind; without the request, which carries the keys."""
        try:
            with heard_by(self._hearer()):
                return call()
        except APIError as error:
            raised = self._error_of(error, what)
        except (TookTooLongError, requests.Timeout):
            raised = AlpacaUnsure(what, f"it did not end within {self.settings.timeout_seconds:g} s")
        except requests.JSONDecodeError:
            raised = AlpacaUnsure(what, "the answer is not JSON")
        except requests.RequestException as error:
            raised = AlpacaUnsure(what, f"the connection failed ({type(error).__name__})")
        raise raised from None

    def _hearer(self) -> Callable[[requests.Response], None] | None:
        if (tape := self._tape) is None:
            return None
        asked_at = self._clock.now()
        return lambda response: tape.hear(response, asked_at, self._clock.now())

    def _error_of(self, error: APIError, what: str) -> AlpacaRefused | AlpacaUnsure:
        response = error.response
        assert response is not None  # noqa: S101 - the clients raise this of an answer only
        status = response.status_code
        told = _told(response.text)
        if told is None:
            message, code = f"the answer is no JSON of Alpaca's: {self._redact(response.text)[:80]!r}", None
        else:
            message, code = told
        message = self._redact(message)[:_TOLD]
        # A 401 is a no from whoever gives it; any other 4xx must be Alpaca's own, and not of something in between.
        definite = status == 401 or (400 <= status < 500 and status not in {408, 429} and told is not None)
        if definite:
            return AlpacaRefused(what, status=status, code=code, message=message)
        return AlpacaUnsure(what, f"HTTP {status}, {message}", status=status, retry_after=self._retry_after(response))

    def _retry_after(self, response: requests.Response) -> float | None:
        """Return the wait that the server asks for, seconds: Retry-After, else when its own limit ends."""
        after, reset = response.headers.get("Retry-After"), response.headers.get("X-RateLimit-Reset")
        now = self._clock.now()
        try:
            if after is not None:
                return float(after) if after.isdigit() else (parsedate_to_datetime(after) - now).total_seconds()
            return float(reset) - now.timestamp() if reset is not None and response.status_code == 429 else None
        except (ValueError, TypeError):  # no date, or one without a zone
            return None


def _told(text: str) -> tuple[str, int | None] | None:
    """Return the message and code in an answer of Alpaca's; None if it is something else, such as a page of HTML."""
    try:
        body: Any = json.loads(text)
    except ValueError:
        return None
    if not isinstance(body, dict) or not isinstance(message := body.get("message"), str):
        return None
    code = body.get("code")
    return message, code if isinstance(code, int) else None


def _wait(state: RetryCallState) -> float:
    assert state.outcome is not None  # noqa: S101 - tenacity calls this after an attempt, never before
    error = state.outcome.exception()
    asked = error.retry_after if isinstance(error, AlpacaUnsure) else None
    return max(_BACKOFF_SECONDS * 2 ** (state.attempt_number - 1), min(asked or 0.0, _LONGEST_WAIT_SECONDS))
