"""What limits leave, in the words of the OpenAI API and of Anthropic's; and refusals with their figures as fields."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.limit_headers import ANTHROPIC_NAMES, NAMES, duration, room_headers
from gateway.api.wire import error_headers
from gateway.domain import NO_ROOM_TOLD, Room
from gateway.error_objects import ErrorShape, error_bytes, error_status
from gateway.errors import BudgetExceeded, RateLimited

ROOM = Room(60, 59, 1000, 10_000, 9_876, 86_400_000)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0ms"),
        (-5, "0ms"),
        (120, "120ms"),
        (1000, "1s"),
        (8640, "8.64s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (86_400_000, "24h0m0s"),
        (3_661_500, "1h1m1.5s"),
    ],
)
def test_durations_are_written_as_the_openai_api_writes_them(ms, text):
    assert duration(ms) == text


@given(st.integers(0, 10**9))
def test_no_duration_is_lost_in_its_text(ms):
    text, total = duration(ms), 0.0
    if text.endswith("ms"):
        total = float(text[:-2])
    else:
        for unit, factor in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
            number, mark, rest = text.partition(unit)
            if mark:
                total, text = total + float(number) * factor, rest
    assert round(total) == ms


def test_an_openai_client_sees_limit_remaining_and_reset_of_requests_and_tokens():
    assert dict(room_headers(ROOM, ErrorShape.OPENAI, 0.0)) == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"59",
        b"x-ratelimit-reset-requests": b"1s",
        b"x-ratelimit-limit-tokens": b"10000",
        b"x-ratelimit-remaining-tokens": b"9876",
        b"x-ratelimit-reset-tokens": b"24h0m0s",
    }


def test_an_anthropic_client_sees_them_in_anthropics_words_besides():
    got = dict(room_headers(ROOM, ErrorShape.ANTHROPIC, 1_700_000_000.0))
    assert got.keys() == {name.encode() for name in (*NAMES, *ANTHROPIC_NAMES)}
    assert got[b"anthropic-ratelimit-requests-remaining"] == b"59"
    assert got[b"anthropic-ratelimit-requests-reset"] == b"2023-11-14T22:13:21.000000Z"


@pytest.mark.parametrize("shape", ErrorShape)
def test_where_no_limit_applies_nothing_is_said(shape):
    assert room_headers(NO_ROOM_TOLD, shape, 0.0) == []


def test_a_limit_of_requests_alone_says_nothing_of_tokens():
    assert {name for name, _ in room_headers(Room(60, 59, 1000), ErrorShape.OPENAI, 0.0)} == {
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-reset-requests",
    }


BUDGET = {"budget": {"id": "budget_1", "limit_usd": "10.00"}}


def test_a_spent_budget_is_told_with_its_figures_and_not_retried():
    error = BudgetExceeded("Team search has used $10.00 of $10.00 (month).", details=BUDGET)
    said = json.loads(error_bytes(error))["error"]
    assert (said["type"], said["code"], said["budget"]) == ("insufficient_quota",) * 2 + (BUDGET["budget"],)
    assert error_status(error) == 429
    assert (b"x-should-retry", b"false") in error_headers(error)


def test_anthropics_clients_find_the_figures_under_details():
    error = BudgetExceeded("spent", details=BUDGET)
    said = json.loads(error_bytes(error, ErrorShape.ANTHROPIC, "req_1"))["error"]
    assert (said["type"], said["details"]) == ("rate_limit_error", {"error_code": "insufficient_quota", **BUDGET})
    assert error_status(error, ErrorShape.ANTHROPIC) == 429


def test_a_reached_limit_is_told_with_its_figures_and_may_be_retried():
    details = {"limit": {"id": "limit_1", "requests_per_minute": 60}}
    error = RateLimited("too fast", details=details, headers={"retry-after": "3"})
    said = json.loads(error_bytes(error))["error"]
    assert (said["type"], said["code"], said["limit"]) == ("rate_limit_error", "rate_limit_exceeded", details["limit"])
    assert error_headers(error) == [(b"retry-after", b"3")]
