"""Alpaca's clients behind one door: what is asked again and what never, and what each kind of answer becomes."""

import asyncio
import datetime as dt
import math
from collections.abc import Callable

import pytest
from alpaca_server import Answer, Server, elapsed, serving

from mahler_agents.alpaca import AlpacaRefused, AlpacaSettings, AlpacaUnsure, Credentials, alpaca_settings
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.clock import SimulatedClock
from mahler_agents.types import Environment

START = dt.datetime(2026, 3, 16, 14, 0, tzinfo=dt.UTC)
KEYS = Credentials(key_id="PKCANARY0123456789", secret_key="canarySecretCanarySecretCanary")  # noqa: S106
HTML = "<html><body>502 Bad Gateway PKCANARY0123456789</body></html>"
REFUSAL = '{"code": 40310000, "message": "insufficient options buying power for canarySecretCanarySecretCanary"}'


def _api(server: Server, clock: SimulatedClock, *, timeout: float = 5.0, requests_per_minute: int = 200) -> AlpacaApi:
    base = alpaca_settings({"MAHLER_ALPACA_URL": server.url}, Environment.PAPER)
    changes = {"timeout_seconds": timeout, "requests_per_minute": requests_per_minute}
    return AlpacaApi(AlpacaSettings.model_validate({**base.model_dump(), **changes}), KEYS, clock)


def _ask(answers: list[Answer], how: str = "get", **settings: float) -> tuple[object, Server, SimulatedClock]:
    """Ask for the account once, and return the answer or the error, the server and the clock."""
    clock = SimulatedClock(START)
    with serving(answers) as server, _api(server, clock, **settings) as api:
        asking: Callable[..., object] = getattr(api, how)
        try:
            result = asyncio.run(asking(lambda: api.trading.get("/account"), what="the account"))
        except (AlpacaRefused, AlpacaUnsure) as error:
            result = error
    return result, server, clock


def test_an_answer_comes_back_as_it_is_and_the_keys_go_in_headers_alone():
    result, server, _ = _ask([Answer(body='{"id": "a", "greeks": null}')])
    ((method, path, headers),) = server.asked
    assert result == {"id": "a", "greeks": None}
    assert (method, path) == ("GET", "/v2/account")
    assert headers["APCA-API-KEY-ID"] == KEYS.key_id


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"delta": NaN, "bid": Infinity, "symbol": "A"}', {"bid": math.inf, "symbol": "A"}),
        ("\ufeff{}", {}),
        ("", None),
    ],
)
def test_what_python_takes_for_json_is_taken(body: str, told: object):
    result, _, _ = _ask([Answer(body=body)])
    if isinstance(result, dict) and "delta" in result:
        assert math.isnan(result.pop("delta"))
    assert result == told


def test_what_is_no_json_is_no_certain_answer():
    result, server, _ = _ask([Answer(body='{"bid": 1.0')])
    assert isinstance(result, AlpacaUnsure)
    assert "the answer is not JSON" in str(result)
    assert len(server.asked) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_no_of_alpacas_is_not_asked_again(status: int):
    result, server, _ = _ask([Answer(status, REFUSAL)])
    assert isinstance(result, AlpacaRefused)
    assert (result.status, result.code) == (status, 40310000)
    assert "insufficient options buying power for [redacted]" in str(result)
    assert len(server.asked) == 1


UNSURE = {
    "server error": Answer(500, '{"message": "internal"}'),
    "gateway time-out": Answer(504, HTML),
    "too many": Answer(429, '{"message": "too many requests."}'),
    "a page": Answer(403, HTML),
    "a page that is well": Answer(200, HTML),
    "a redirection": Answer(302, "", {"Location": "http://elsewhere.invalid/"}),
    "no answer": Answer(hang_up=True),
}


@pytest.mark.parametrize("answer", UNSURE.values(), ids=UNSURE)
def test_what_may_be_asked_again_is_until_an_answer_comes(answer: Answer):
    result, server, clock = _ask([answer, answer, Answer(body='{"id": "a"}')])
    assert result == {"id": "a"}
    assert len(server.asked) == 3
    assert clock.now() == START + dt.timedelta(seconds=0.5 + 1.0)


@pytest.mark.parametrize("answer", UNSURE.values(), ids=UNSURE)
def test_it_is_asked_four_times_at_most(answer: Answer):
    result, server, _ = _ask([answer])
    assert isinstance(result, AlpacaUnsure)
    assert len(server.asked) == 4
    assert KEYS.key_id not in str(result)


@pytest.mark.parametrize("answer", UNSURE.values(), ids=UNSURE)
def test_what_changes_something_is_sent_once_whatever_the_answer(answer: Answer):
    result, server, clock = _ask([answer], "send")
    assert isinstance(result, AlpacaUnsure)
    assert len(server.asked) == 1
    assert clock.now() == START


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Mon, 16 Mar 2026 14:00:09 GMT"}, 9.0),
        ({"X-RateLimit-Reset": str(int(START.timestamp()) + 11)}, 11.0),
        ({"Retry-After": "86400"}, 60.0),
        ({"Retry-After": "soon"}, 0.5),
    ],
)
def test_the_wait_that_the_server_asks_for_is_kept_up_to_a_minute(headers: dict[str, str], wait: float):
    result, _, clock = _ask([Answer(429, '{"message": "too many requests."}', headers), Answer(body='{"id": "a"}')])
    assert result == {"id": "a"}
    assert clock.now() == START + dt.timedelta(seconds=wait)


@pytest.mark.parametrize("length", ["100000", ""], ids=["a body", "a body of no length"])
def test_a_server_that_sends_a_byte_now_and_then_is_left_in_time(length: str):
    answer = Answer(drip=True, headers={"Content-Length": length})
    began = elapsed()
    result, _, _ = _ask([answer], "send", timeout=0.3)
    assert isinstance(result, AlpacaUnsure)
    assert result.why == "it did not end within 0.3 s"
    assert elapsed() - began < 5.0


def test_no_error_carries_the_request_with_its_keys():
    for answer in (Answer(500, "{}"), Answer(403, REFUSAL), Answer(hang_up=True), Answer(200, HTML)):
        result, _, _ = _ask([answer], "send")
        assert isinstance(result, AlpacaRefused | AlpacaUnsure)
        assert result.__suppress_context__
        shown = f"{result!r} {vars(result)} {result.args}"
        assert not any(key in shown for key in KEYS.keys)


@pytest.mark.parametrize("before", [0, 50, 65, 76, 120])
def test_no_part_of_a_key_is_left_where_an_answer_is_cut(before: int):
    body = f"<p>{'.' * before}{KEYS.secret_key}</p>"
    result, _, _ = _ask([Answer(502, body)], "send")
    assert isinstance(result, AlpacaUnsure)
    assert KEYS.secret_key[:4] not in str(result)


def test_requests_keep_to_so_many_in_any_minute_and_orders_do_not_wait_behind_data():
    clock = SimulatedClock(START)

    async def ask() -> tuple[dt.datetime, dt.datetime, dt.datetime]:
        for _ in range(9):
            await api.get(lambda: api.trading.get("/account"), what="the account")
        after_data = clock.now()
        await api.send(lambda: api.trading.post("/orders", {}), what="an order")
        after_order = clock.now()
        await asyncio.gather(*(api.get(lambda: api.trading.get("/account"), what="the account") for _ in range(3)))
        return after_data, after_order, clock.now()

    with serving([Answer()]) as server, _api(server, clock, requests_per_minute=10) as api:
        after_data, after_order, after_all = asyncio.run(ask())
    assert after_data == after_order == START
    assert after_all == START + dt.timedelta(seconds=60)


def test_a_server_that_says_it_is_made_up_is_believed():
    clock = SimulatedClock(START)
    with serving([Answer(headers={"X-Synthetic": "sample-22"})]) as server, _api(server, clock) as api:
        assert api.synthetic is None
        asyncio.run(api.get(lambda: api.trading.get("/clock"), what="the clock"))
        assert api.synthetic == "sample-22"
