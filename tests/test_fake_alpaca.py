"""The fake Alpaca's server: keys, routes, clock and control, and every way in which a request may fail."""

import datetime as dt
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import pytest
from fake_orders import ask

from mahler_agents.errors import InputError, JobError
from mahler_agents.market.sample import DEFAULT_AS_OF
from mahler_agents.testing.fake_alpaca import FakeAlpaca, FakeControl

LATER = DEFAULT_AS_OF + dt.timedelta(minutes=7)
ABSENT = "/v2/nothing-here"


@pytest.fixture
def fake() -> Iterator[FakeAlpaca]:
    with FakeAlpaca() as server:
        yield server


def test_every_answer_says_that_it_is_synthetic_and_has_an_id_of_its_own(fake: FakeAlpaca) -> None:
    answers = [ask(fake, "GET", path) for path in ("/_fake/clock", ABSENT, ABSENT)]
    assert {headers["X-Synthetic"] for _, headers, _ in answers} == {"sample-22"}
    assert len({headers["X-Request-ID"] for _, headers, _ in answers}) == 3


def test_a_request_without_keys_is_unauthorized_and_with_wrong_ones_forbidden(fake: FakeAlpaca) -> None:
    status, _, error = ask(fake, "GET", ABSENT, headers={})
    assert (status, error["code"]) == (401, 40110000)
    wrong = {"APCA-API-KEY-ID": fake.environ["APCA_API_KEY_ID"], "APCA-API-SECRET-KEY": "another"}
    status, _, error = ask(fake, "GET", ABSENT, headers=wrong)
    assert (status, error["message"]) == (403, "forbidden.")


def test_a_path_that_nothing_answers_is_not_found(fake: FakeAlpaca) -> None:
    status, _, error = ask(fake, "GET", ABSENT)
    assert (status, error) == (404, {"code": 40410000, "message": "endpoint not found."})


def test_the_clock_stands_still_until_it_is_told_and_never_goes_back(fake: FakeAlpaca) -> None:
    assert fake.now == fake.control.now == DEFAULT_AS_OF
    fake.control.advance_to(LATER)
    fake.advance_to(DEFAULT_AS_OF)
    assert fake.now == fake.control.now == LATER


def test_a_time_without_a_zone_moves_no_clock(fake: FakeAlpaca) -> None:
    for told in ("2026-03-17T15:00:00", "soon", 5, None):
        status, _, error = ask(fake, "POST", "/_fake/clock", {"at_least": told})
        assert status == 400, told
        assert error["message"]
    assert ask(fake, "POST", "/_fake/clock", ["2026-03-17T15:00:00Z"])[0] == 400
    assert fake.now == DEFAULT_AS_OF


def test_requests_above_the_limit_of_a_minute_are_told_when_to_come_again() -> None:
    with FakeAlpaca(requests_per_minute=2, start=DEFAULT_AS_OF + dt.timedelta(seconds=20)) as fake:
        answers = [ask(fake, "GET", ABSENT) for _ in range(3)]
        assert [status for status, _, _ in answers] == [404, 404, 429]
        assert [headers["X-RateLimit-Remaining"] for _, headers, _ in answers] == ["1", "0", "0"]
        assert answers[2][1]["Retry-After"] == "40"
        fake.advance_to(fake.now + dt.timedelta(seconds=40))
        assert ask(fake, "GET", ABSENT)[0] == 404


def test_the_fake_s_own_routes_ask_for_no_keys_and_count_for_no_limit() -> None:
    with FakeAlpaca(requests_per_minute=1) as fake:
        assert {ask(fake, "GET", "/_fake/clock", headers={})[0] for _ in range(5)} == {200}


def test_clients_at_once_are_all_answered(fake: FakeAlpaca) -> None:
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(ask(fake, "GET", ABSENT)[0])) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [404] * 32


def test_a_port_that_is_taken_is_said(fake: FakeAlpaca) -> None:
    port = urlsplit(fake.url).port
    assert port is not None
    with pytest.raises(JobError, match=f"cannot listen on 127.0.0.1:{port}"), FakeAlpaca(port=port):
        pass


def test_a_control_without_a_server_says_so() -> None:
    with FakeAlpaca() as fake:
        url = fake.url
    with pytest.raises(JobError, match="no fake Alpaca answers"):
        FakeControl(url).advance_to(LATER)


@pytest.mark.parametrize(
    ("route", "fault", "how", "said"),
    [
        ("GET /v2/clock", "nonsense", {}, "unknown fault"),
        ("GET /v2/nowhere", "500", {}, "unknown route"),
        ("GET /v2/clock", "500", {"times": 0}, "one request or more"),
        ("GET /v2/clock", "500", {"skip": -1}, "after 0 or more"),
    ],
)
def test_a_fault_that_cannot_happen_is_refused(
    fake: FakeAlpaca, route: str, fault: str, how: dict[str, int], said: str
) -> None:
    for where in (fake, fake.control):
        with pytest.raises(InputError, match=said):
            where.fail(route, fault, **how)


CLOCK = "/v2/clock"


def fails(fake: FakeAlpaca, fault: str) -> Any:
    """Return the answer of the one request that a fault meets, or the exception that it ends in."""
    fake.fail("GET /v2/clock", fault)
    try:
        return ask(fake, "GET", CLOCK)
    except (OSError, HTTPException) as error:
        return error
    except ValueError as error:  # no JSON
        return error


@pytest.mark.parametrize(
    ("fault", "status"),
    [("gateway_timeout_before", 504), ("gateway_timeout_after", 504), ("429", 429), ("500", 500), ("500_after", 500),
     ("401", 401), ("403", 403), ("404", 404), ("422", 422)],
)  # fmt: skip
def test_a_fault_that_is_an_answer_is_answered_once(fake: FakeAlpaca, fault: str, status: int) -> None:
    found, headers, error = fails(fake, fault)
    assert found == status
    assert set(error) == {"code", "message"}
    assert ("Retry-After" in headers) is (status == 429)
    assert ask(fake, "GET", CLOCK)[0] == 200


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after", "slow_drip"])
def test_a_fault_that_never_ends_outlasts_its_client(fake: FakeAlpaca, fault: str) -> None:
    fake.fail("GET /v2/clock", fault)
    with pytest.raises((TimeoutError, HTTPException)):
        ask(fake, "GET", CLOCK, timeout=0.2)
    assert ask(fake, "GET", CLOCK)[0] == 200


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
def test_a_reset_is_one(fake: FakeAlpaca, fault: str) -> None:
    assert isinstance(fails(fake, fault), ConnectionResetError)
    assert ask(fake, "GET", CLOCK)[0] == 200


@pytest.mark.parametrize("fault", ["html", "html_after"])
def test_a_page_for_a_browser_is_no_json(fake: FakeAlpaca, fault: str) -> None:
    assert isinstance(fails(fake, fault), ValueError)


def test_a_server_that_stops_ends_what_hangs() -> None:
    with FakeAlpaca() as fake:
        fake.fail("*", "timeout_before")
        ends: list[Exception] = []

        def hang() -> None:
            with pytest.raises((OSError, HTTPException)) as error:
                ask(fake, "GET", CLOCK, timeout=60)
            ends.append(error.value)

        thread = threading.Thread(target=hang)
        thread.start()
        while fake.scripted and thread.is_alive():  # until the fault has met its request
            thread.join(0.01)
    thread.join(10)
    assert len(ends) == 1


def test_faults_meet_the_requests_that_they_were_scripted_for(fake: FakeAlpaca) -> None:
    fake.fail("GET /v2/clock", "500", skip=1, times=2)
    fake.control.fail("GET /v2/calendar", "403")
    assert [ask(fake, "GET", CLOCK)[0] for _ in range(4)] == [200, 500, 500, 200]
    assert [ask(fake, "GET", "/v2/calendar?start=2026-03-16&end=2026-03-20")[0] for _ in range(2)] == [403, 200]
    fake.fail("*", "500")
    fake.control.forget_faults()
    assert ask(fake, "GET", CLOCK)[0] == 200


def test_a_length_that_is_no_number_is_no_request(fake: FakeAlpaca) -> None:
    assert ask_raw(fake, b"POST /v2/orders HTTP/1.1\r\nContent-Length: many\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_the_clock_ends_where_the_sample_market_does(fake: FakeAlpaca) -> None:
    with pytest.raises(InputError, match="outside the sample market"):
        fake.control.advance_to(DEFAULT_AS_OF + dt.timedelta(days=2000))
    assert fake.now == DEFAULT_AS_OF


def ask_raw(fake: FakeAlpaca, content: bytes) -> bytes:
    """Return what is answered to some bytes."""
    with socket.create_connection(("127.0.0.1", int(fake.url.rpartition(":")[2]))) as client:
        client.sendall(content)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(4096), b""))
