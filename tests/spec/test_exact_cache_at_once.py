"""Equal requests at once: one of them calls, the others are given what it got."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from caching_parts import entry_of
from spec_parts import COST_NUSD, TEXT, chunks


def test_equal_requests_at_once_make_one_call_whole_or_streamed_on_all_workers(caching, asker):
    script = {"delay_ms": 300, "chunk_ms": 10}

    def ask(number: int) -> httpx.Response:
        return asker.ask(script=script, stream=number % 2 == 0)

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, range(24)))
    assert asker.calls() == 1
    for number, answer in enumerate(answers):
        if number % 2:
            assert answer.json()["choices"][0]["message"]["content"] == TEXT
        else:
            told = chunks(answer.text)
            assert "".join(one["choices"][0]["delta"].get("content") or "" for one in told) == TEXT
    statuses = [answer.headers["x-obol-cache"] for answer in answers]
    assert (statuses.count("miss"), statuses.count("hit-exact")) == (1, 23)
    assert sum(entry_of(caching, answer)["cost_nusd"] for answer in answers) == COST_NUSD


def test_those_who_wait_for_what_cannot_be_kept_go_on_at_once(asker):
    script = {"delay_ms": 200, "finish_reason": "length"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: asker.ask(script=script), range(8)))
    assert {answer.headers["x-obol-cache"] for answer in answers} == {"miss"}
    assert asker.calls() == 8


@pytest.mark.parametrize(("endpoint", "route"), [("chat/completions", "cached"), ("responses", "over-responses")])
def test_when_the_leader_leaves_in_the_middle_of_its_stream_one_of_those_who_wait_calls(asker, endpoint, route):
    script = {"chunk_ms": 60}
    one = asker.at(endpoint)
    with ThreadPoolExecutor(4) as pool:
        with one.streaming(route, script=script, stream=True) as leader:
            blocks = leader.iter_raw()
            next(blocks)
            waiting = [pool.submit(one.ask, route, script=script, stream=number % 2 == 0) for number in range(4)]
            next(blocks)
        answers = [each.result() for each in waiting]
    assert one.calls() == 2
    for answer in answers:
        assert "scripted" in answer.text
        assert "word." in answer.text
    assert sorted(answer.headers["x-obol-cache"] for answer in answers) == ["hit-exact"] * 3 + ["miss"]


@pytest.mark.parametrize(
    ("endpoint", "route", "kinds"),
    [
        ("responses", "over-responses", (True, False)),
        ("responses", "over-messages", (True, False)),
        ("messages", "cached", (True, False)),
        ("completions", "cached", (True, False)),
        ("embeddings", "cached", (False,)),
    ],
)
def test_equal_requests_at_once_make_one_call_in_every_dialect(asker, endpoint, route, kinds):
    one, script = asker.at(endpoint), {"delay_ms": 300}
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda n: one.status(route, script=script, stream=kinds[n % len(kinds)]), range(6)))
    assert one.calls() == 1
    assert sorted(statuses) == ["hit-exact"] * 5 + ["miss"]
