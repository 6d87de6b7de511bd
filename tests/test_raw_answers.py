"""Answers of Alpaca as they are kept: to the letter but for keys, in order, and only while a scan is at work."""

import datetime as dt
import zlib
from io import BytesIO

import pytest
import requests

from mahler_agents.alpaca.raw import RawAnswer, RawTape
from mahler_agents.redaction import REDACTED, Redactor
from mahler_agents.tape import Tape

KEY = "canary/secret+4711/of-alpaca"
AT = dt.datetime(2026, 3, 17, 14, 0, tzinfo=dt.UTC)


def answer(body: bytes, query: str = "") -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response.request = requests.Request("GET", f"http://127.0.0.1:1/v2/clock{query}").prepare()
    response.raw = BytesIO(body)
    return response


def taken_down(body: bytes, query: str = "") -> RawAnswer:
    tape, kept = RawTape(Redactor([KEY])), list[RawAnswer]()
    with tape.rolling():
        tape.keep_with(kept.append)
        tape.hear(answer(body, query), AT, AT)
    (one,) = kept
    return one


@pytest.mark.parametrize("body", [b"", b'{"a": 1}', b"\xff\xfe\x00 no text", "dividende \u00e0 venir".encode()])
def test_a_body_is_kept_to_the_byte(body: bytes) -> None:
    one = taken_down(body)
    assert zlib.decompress(one.content) == body
    assert one.size == len(body)


def test_keys_are_taken_out_of_body_and_path() -> None:
    one = taken_down(f'{{"message": "{KEY}"}}'.encode(), f"?token={KEY}")
    assert zlib.decompress(one.content) == f'{{"message": "{REDACTED}"}}'.encode()
    assert one.path.startswith("/v2/clock?token=")
    assert "canary" not in one.path


def test_a_tape_gives_what_waited_in_order_and_then_at_once_and_nothing_outside_its_block() -> None:
    tape, kept = Tape[int](), list[int]()
    tape.tell(0)
    with tape.rolling():
        tape.tell(1)
        tape.tell(2)
        assert kept == []
        tape.keep_with(kept.append)
        assert kept == [1, 2]
        tape.tell(3)
    tape.tell(4)
    with tape.rolling():
        tape.keep_with(kept.append)
        tape.tell(5)
    assert kept == [1, 2, 3, 5]
