"""What a caller can make the server read before anybody has asked for a key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway.serving.http import HEAD_BYTES_MAX, HEAD_S_MAX, BoundedHttp

GET = b"GET /health/live HTTP/1.1\r\nhost: x\r\n"


class Timer:
    def __init__(self, delay_s: float, call: Callable[[], None]) -> None:
        self.delay_s, self.call, self.is_cancelled = delay_s, call, False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """Keeps timers instead of waiting, and lets no request run."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(delay_s, call))
        return self.timers[-1]

    def create_task(self, work):
        work.close()
        return asyncio.get_running_loop().create_future()

    def waiting(self) -> list[Timer]:
        return [timer for timer in self.timers if not timer.is_cancelled]


class Transport:
    def __init__(self) -> None:
        self.written, self.is_closed = b"", False

    def get_extra_info(self, _name: str) -> None:
        return None

    def write(self, data: bytes) -> None:
        self.written += data

    def write_eof(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


async def no_app(scope, receive, send) -> None: ...


@pytest.fixture
async def http():
    """A connection just made."""
    config = uvicorn.Config(no_app, http=BoundedHttp, ws="none", lifespan="off", log_config=None)
    config.load()
    protocol = BoundedHttp(config=config, server_state=ServerState(), app_state={}, _loop=Loop())
    protocol.connection_made(Transport())
    return protocol


def answer(http) -> tuple[int, bytes, dict]:
    head, _, body = http.transport.written.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), head, json.loads(body)


def begun(http) -> bool:
    return http.cycle is not None


@pytest.mark.parametrize("size", [1000, 10**6], ids=["in small reads", "in one read"])
async def test_a_header_without_end_is_refused_with_our_error_object(http, size):
    http.data_received(GET + b"x-long: ")
    for _ in range(10**6 // size):
        http.data_received(b"a" * size)
    status, head, body = answer(http)
    assert status == 431
    assert b"x-request-id: " in head
    assert b"connection: close" in head
    assert body["error"]["code"] == "headers_too_large"
    assert http.transport.written.count(b"HTTP/1.1") == 1
    http.loop.waiting()[-1].call()
    assert http.transport.is_closed


async def test_a_head_just_within_the_limit_is_served_and_a_long_body_with_it(http):
    head = b"POST / HTTP/1.1\r\ncontent-length: 300000\r\nx-long: "
    head += b"a" * (HEAD_BYTES_MAX - len(head) - 4) + b"\r\n\r\n"
    http.data_received(head + b"b" * 300_000)
    assert begun(http)
    assert len(http.cycle.body) == 300_000
    assert not http.transport.written


async def test_many_requests_in_one_read_are_no_long_head(http):
    http.data_received((GET + b"\r\n") * 5000)
    assert len(http.pipeline) == 4999
    assert not http.transport.is_closed


async def test_trailers_without_end_are_refused(http):
    http.data_received(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nx-trailer: ")
    for _ in range(100):
        http.data_received(b"a" * 1000)
    assert http.transport.is_closed


async def test_what_is_no_http_is_refused_with_our_error_object(http):
    http.data_received(b"\x16\x03\x01 no http\r\n\r\n")
    status, head, body = answer(http)
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert b"x-request-id: " in head
    assert b"connection: close" in head


async def test_a_connection_whose_head_does_not_come_is_closed(http):
    http.data_received(GET)
    (deadline,) = http.loop.waiting()
    assert deadline.delay_s == HEAD_S_MAX
    deadline.call()
    assert http.transport.is_closed


async def test_a_head_that_is_there_stops_the_clock_and_a_later_one_that_is_not_starts_it(http):
    http.data_received(GET + b"\r\n")
    assert http.loop.waiting() == []
    http.cycle.response_complete = True
    http.data_received(b"\r\n")
    (deadline,) = http.loop.waiting()
    deadline.call()
    assert http.transport.is_closed


async def test_a_head_that_waits_for_the_answer_before_it_is_not_late(http):
    http.data_received(GET + b"\r\n" + GET)
    (deadline,) = http.loop.waiting()
    deadline.call()
    assert not http.transport.is_closed
