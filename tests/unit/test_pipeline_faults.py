"""The path when something of our own breaks: each call keeps its one entry, each client gets an error it can read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pipeline_parts import BIG, SMALL, STREAM, WHOLE, Backend, path, request, walk

from gateway.api.replies import StreamReader, WholeReader
from gateway.domain import Basis, Outcome
from gateway.errors import BadRequest, UpstreamBroken


async def test_an_answer_that_a_reader_trips_over_gives_way_to_another_deployment(monkeypatch):
    feed, answers = WholeReader.feed, []

    def once(self, block):
        answers.append(block)
        if len(answers) == 1:
            raise TypeError("unhashable type: 'dict'")
        return feed(self, block)

    monkeypatch.setattr(WholeReader, "feed", once)
    pipeline, journal, _ = path(Backend(WHOLE), SMALL, BIG)
    shown = await walk(pipeline, *request("auto"))

    assert shown == WHOLE[0]
    first, second = sorted(journal.settled.values(), key=lambda entry: entry.attempt)
    assert (first.status, second.status) == (Outcome.FAILED, Outcome.SUCCEEDED)


async def test_a_stream_that_a_reader_trips_over_is_charged_and_ends_in_an_error(monkeypatch):
    feed = StreamReader.feed

    def later(self, block):
        if self.has_data:
            raise TypeError("unhashable type: 'dict'")
        return feed(self, block)

    monkeypatch.setattr(StreamReader, "feed", later)
    pipeline, journal, _ = path(Backend(STREAM))
    with pytest.raises(UpstreamBroken):
        await walk(pipeline, *request(stream=True))
    (entry,) = journal.settled.values()
    assert (entry.status, entry.basis) == (Outcome.INTERRUPTED, Basis.ESTIMATED)


async def test_a_request_that_no_reader_is_made_for_takes_no_place_at_the_upstream(monkeypatch):
    taken = []

    class Admission:
        async def acquire(self, *_):
            taken.append(1)
            return True

        async def release(self, *_):
            pass

    pipeline, journal, _ = path(Backend(WHOLE))
    monkeypatch.setattr(pipeline, "_services", replace(pipeline._services, admission=Admission()))
    parsed, dialect, caller = request("small")

    def refuse(_):
        raise BadRequest("no such size", param="size")

    monkeypatch.setattr(dialect, "reader", refuse, raising=False)
    with pytest.raises(BadRequest, match="no such size"):
        await pipeline.answer(parsed, dialect, caller)
    assert (taken, journal.order) == ([], [])


@pytest.mark.parametrize("name", ["Model", "MODEL", "models", "fallbacks"])
def test_a_request_names_its_model_once(name):
    with pytest.raises(BadRequest) as refused:
        request("small", **{name: ["dear"]})
    assert refused.value.param == name


@pytest.mark.parametrize("name", ["N", "Best_Of", "MAX_TOKENS", "max_to\u212aens", "Max_Completion_Tokens"])
def test_what_a_request_can_cost_is_said_in_one_spelling_since_some_servers_take_any(name):
    with pytest.raises(BadRequest) as refused:
        request("small", max_tokens=1, **{name: 100_000})
    assert refused.value.param == name


@pytest.mark.parametrize("best_of", ["20", 20.0, True, [20]])
def test_a_best_of_that_is_no_integer_is_refused_since_some_servers_read_one_in_it(best_of):
    with pytest.raises(BadRequest) as refused:
        request("small", best_of=best_of)
    assert refused.value.param == "best_of"


def test_an_end_user_is_called_as_the_ledger_can_keep_it():
    parsed, _, _ = request("small", user="a\0" + "b" * 300)
    assert parsed.end_user == "a\ufffd" + "b" * 254
