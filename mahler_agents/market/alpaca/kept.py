"""Below the recorded market, kept answers of Alpaca in, what they say through the parser of today out.

They are served below Alpaca's own clients, so that nothing between them and the snapshot is another code than a scan's:
refusals, retries and pages are gone through as they were.
"""

import datetime as dt
import io
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from mahler_agents.alpaca import AlpacaUnsure, Credentials, alpaca_settings
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.alpaca.session import ThreadSession
from mahler_agents.clock import NEW_YORK, SimulatedClock
from mahler_agents.market.alpaca.market import AlpacaMarket
from mahler_agents.market.alpaca.parts import quotes_of
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.market.watched import Quoted
from mahler_agents.record.reruns import KeptAnswer
from mahler_agents.types import Environment

_OF_THE_ASKER = frozenset({"start", "end", "feed", "limit"})
"""Parameters that say how much is asked, and when: the question is the same one without them."""
_QUOTES = "/options/quotes/latest"
_VIX = "/_VIX.json"
_NO_KEYS = Credentials(key_id="PKNONE", secret_key="none")  # noqa: S106 - a word that stands in for one

_Question = tuple[str, str, tuple[tuple[str, str], ...]]


async def snapshot_again(answers: Sequence[KeptAnswer], as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
    """Return the snapshot that today's parser makes of kept answers, as of the instant at which they were all there.

    What nobody had asked then is absent, and named. Raises `MarketError` if no underlying can be had of them.
    """
    settings = alpaca_settings({}, Environment.PAPER)
    if not any(_VIX in answer.path for answer in answers):
        settings = settings.model_copy(update={"vix_url": None})
    # Waits, between attempts and for the pace of requests, move a clock of their own: the market's stands still.
    session = _KeptSession(answers)
    with AlpacaApi(settings, _NO_KEYS, SimulatedClock(as_of), session=session) as api:
        market = AlpacaMarket(api, SimulatedClock(as_of))
        return await market.told(as_of.astimezone(NEW_YORK).date(), underlyings)


def quotes_again(answers: Sequence[KeptAnswer]) -> Iterator[Quoted]:
    """Yield the quotes of options that were asked for by themselves, each at the instant of its request, in order."""
    for answer in answers:
        parts = urlsplit(answer.path)
        if answer.status == 200 and parts.path.endswith(_QUOTES):
            try:
                told = _response(answer).json()
            except requests.JSONDecodeError:
                continue  # the scan had asked once more
            found = quotes_of(told)
            asked = dict(parse_qsl(parts.query)).get("symbols", "").split(",")
            yield Quoted(dt.datetime.fromisoformat(answer.asked_at), {symbol: found.get(symbol) for symbol in asked})


class _KeptSession(ThreadSession):
    """Answers each question with what was answered to it: the first time with the first answer, and so on.

    One that is asked more often than it was gets the last answer again.
    """

    def __init__(self, answers: Sequence[KeptAnswer]) -> None:
        super().__init__(timeout_seconds=1.0, proxies_from_environment=False)
        self._asking = threading.Lock()
        self._left: dict[_Question, list[KeptAnswer]] = defaultdict(list)
        for answer in answers:
            self._left[_question(answer.method, answer.path)].append(answer)

    def request(self, method: str, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """Return the next answer to a question. Raises `AlpacaUnsure` if none was kept."""
        del args
        path = requests.Request(method, url, params=options.get("params")).prepare().path_url
        with self._asking:
            left = self._left.get(_question(method, path), [])
            if not left:
                raise AlpacaUnsure(f"{method} {urlsplit(path).path}", "the record holds none")
            return _response(left.pop(0) if len(left) > 1 else left[0])


def _question(method: str, path: str) -> _Question:
    parts = urlsplit(path)
    asked = ((name, value) for name, value in parse_qsl(parts.query) if name not in _OF_THE_ASKER)
    return method, parts.path, tuple(sorted(asked))


def _response(answer: KeptAnswer) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.encoding = "utf-8"
    response.raw = io.BytesIO(zlib.decompress(answer.content))
    return response
