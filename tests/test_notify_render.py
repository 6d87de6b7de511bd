"""What is sent of a notice: within every limit of Discord, without keys, pings and links, whatever anybody wrote."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from conftest import at_scale
from hypothesis import given, settings
from hypothesis import strategies as st
from notices import NOW, a_notice
from pydantic import SecretStr

from mahler_agents.notify import Kind, Notice, NotifySettings, Severity
from mahler_agents.notify.channels import Channel, open_channels
from mahler_agents.notify.render import PARTS, messages, units
from mahler_agents.testing.discord import LoopbackDiscord


def as_it_is(text: str) -> str:
    return text


EVIL = st.sampled_from(
    [
        "@everyone", "@here", "<@123456789012345678>", "<@&42>", "<!channel>", "<#1>", "[a](https://evil.example)",
        "https://evil.example/a?b=c", "evil.example", "www.evil.example", "```", "**", "__", "~~", "||", "`", "\\",
        "# ", "> ", "- ", "1. ", "\u202e", "\x1b[2J", "\ud800", "\U0001f600", "\n", "\r\n", "\u2028", "\u200b", "_",
        "*",
    ]
)  # fmt: skip
TEXTS = st.lists(st.one_of(EVIL, st.text(max_size=40), st.just("word " * 60)), max_size=12).map("".join)
NOTICES = st.builds(
    Notice,
    kind=st.sampled_from(Kind),
    key=st.just("key"),
    at=st.just(NOW),
    title=TEXTS,
    fields=st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=30),
    body=TEXTS,
    severity=st.sampled_from(Severity),
    notes=st.lists(TEXTS, max_size=2).map(tuple),
)


@pytest.fixture(scope="module")
def discord() -> Iterator[LoopbackDiscord]:
    with LoopbackDiscord() as server:
        yield server


@pytest.fixture(scope="module")
def channel(discord: LoopbackDiscord) -> Channel:
    webhook = NotifySettings(urls=(SecretStr(discord.webhook),))
    return open_channels(webhook, {"MAHLER_DISCORD_URL": discord.url})[0]


@settings(max_examples=at_scale(600))
@given(notice=NOTICES)
def test_discord_takes_all_that_is_sent_of_any_notice(
    notice: Notice, channel: Channel, discord: LoopbackDiscord
) -> None:
    discord.received.clear()
    assert channel.send(messages(notice, markdown=True, redact=as_it_is, late=True, unsent=7, limit=30)) is None
    assert discord.refused == []
    assert 1 <= len(discord.received) <= PARTS
    for received in discord.received:
        assert set(received.payload) <= {"embeds", "tts", "wait"}  # no content: nothing in an embed pings
        assert received.payload["tts"] is False
        assert not re.search(r"@(everyone|here|[&!]?\d)|<[@#!]", received.text)


@settings(max_examples=at_scale(1_000))
@given(notice=NOTICES, markdown=st.booleans())
def test_nothing_in_a_message_pings_links_or_formats(notice: Notice, *, markdown: bool) -> None:
    for message in messages(notice, markdown=markdown, redact=as_it_is):
        assert units(message.title) <= 256
        assert units(message.title) + units(message.text) + 2 <= 2_000
        for line in [message.title, *message.text.splitlines()]:
            bare = re.sub(r"^\*\*(.*?):\*\* ?", r"\1: ", line) if markdown else line
            assert not re.search(r"@[^\u200b\s]|[<>]|\w\.[a-zA-Z]|[A-Za-z]://", bare), bare
            if markdown:
                unescaped = re.sub(r"\\[\\*_~|`\[\]#]", "", bare)
                assert not re.search(r"[\\*_~|`\[\]#]", unescaped), bare
                assert not re.match(r"\s*([-+]|\d+\.)\s", bare), bare


def test_text_without_evil_is_sent_to_the_letter() -> None:
    [message] = messages(
        a_notice(fields={"credit": "0.42 (10.2 % of width)", "spread_type": "bull_put"}),
        markdown=False,
        redact=as_it_is,
    )
    assert message.text == "credit: 0.42 (10.2 % of width)\nspread type: bull_put"


def test_markdown_is_escaped_for_discord_so_that_it_reads_as_it_was_written() -> None:
    [message] = messages(a_notice(fields={"regime": "x_y [bypassed]"}), markdown=True, redact=as_it_is)
    assert message.text == r"**regime:** x\_y \[bypassed\]"


def test_a_long_thesis_becomes_numbered_parts_and_none_of_it_is_lost() -> None:
    thesis = " ".join(str(number) for number in range(1_000))
    parts = messages(a_notice(fields={"ai_summary": thesis}), markdown=True, redact=as_it_is)
    assert [part.title[-5:] for part in parts] == [f"({number}/{len(parts)})" for number in range(1, len(parts) + 1)]
    assert " ".join(part.text for part in parts).split() == ["**AI", "summary:**", *thesis.split()]


def test_what_is_too_long_for_four_parts_is_cut_and_said_to_be() -> None:
    parts = messages(a_notice(body="word " * 5_000), markdown=True, redact=as_it_is)
    assert len(parts) == PARTS
    assert re.search(r"… and [\d,]+ characters more, in the record$", parts[-1].text)


def test_keys_are_taken_out_before_anything_else() -> None:
    def redact(text: str) -> str:
        return text.replace("secret_key_1", "[redacted]")

    [message] = messages(a_notice(body="it said secret_key_1"), markdown=True, redact=redact)
    assert "secret" not in message.text
    assert r"\[redacted\]" in message.text


def test_a_notice_without_a_body_says_its_title_for_an_empty_message_is_none() -> None:
    [message] = messages(a_notice(fields={}), markdown=True, redact=as_it_is)
    assert message.text == message.title == "Notice one"


class _Posted(BaseHTTPRequestHandler):
    bodies: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing on stderr."""


def test_a_channel_that_is_not_discord_gets_plain_text() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Posted) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        url = f"json://127.0.0.1:{server.server_address[1]}/topic"
        [channel] = open_channels(NotifySettings(urls=(SecretStr(url),)), {})
        notice = a_notice(fields={"spread_type": "bull_put", "advice": "Low confidence (30%) & so on"})
        assert channel.send(messages(notice, markdown=channel.markdown, redact=as_it_is)) is None
        server.shutdown()
    [body] = _Posted.bodies
    assert (channel.name, body["title"]) == ("json-1", "Notice one")
    assert body["message"] == "spread type: bull_put\nadvice: Low confidence (30%) & so on"
