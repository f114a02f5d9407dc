"""A route that deflects, over fakes: what it answers is settled at nothing, and all else is asked of a model."""

from __future__ import annotations

import asyncio
import json
import string
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_parts import CALLER, WHOLE, Backend, Quiet, path, read, request, walk

from gateway.api.plain_message import plain_message
from gateway.domain import Basis, Deflection, FaqAnswer, Source
from gateway.errors import BudgetExceeded, Forbidden, RateLimited

RULES = Deflection(("arithmetic", "smalltalk"))
SUM = "what is 15% of 80"
ANSWER = "15% of 80 = 12"


def deflecting(backend, **more):
    return path(backend, route={"deflection": RULES}, **more)


def asked(text=SUM, **fields):
    return request(messages=[{"role": "user", "content": text}], **fields)


def content(shown):
    return json.loads(shown)["choices"][0]["message"]["content"]


async def test_what_is_computed_is_settled_at_nothing_before_it_is_shown_and_no_decision_is_recorded():
    (
        pipeline,
        journal,
        _,
    ) = deflecting(backend := Backend(WHOLE), decisions=pytest.fail)
    answer = await pipeline.answer(*asked())
    (entry,) = journal.settled.values()
    assert (entry.source, entry.basis, entry.cost_nusd, entry.held_nusd) == (Source.DEFLECTED, Basis.NONE, 0, 0)
    assert entry.content is None
    assert content(await read(answer)) == ANSWER
    assert (backend.calls, journal.open_entries) == ([], {})


async def test_what_is_logged_of_other_answers_is_logged_of_these():
    pipeline, journal, _ = deflecting(Backend(WHOLE), is_content_logged=True)
    await walk(pipeline, *asked())
    (entry,) = journal.settled.values()
    assert entry.content == {"request": f"user\n{SUM}", "answer": ANSWER}


async def test_the_intent_of_a_process_that_dies_costs_nothing():
    pipeline, journal, _ = deflecting(Backend(WHOLE))
    opened = []
    admit = journal.open

    async def open_(entry, admission):
        opened.append((entry, admission))
        return await admit(entry, admission)

    journal.open = open_
    await walk(pipeline, *asked())
    ((entry, admission),) = opened
    assert (entry.source, entry.cost_nusd, entry.baseline_nusd) == (Source.DEFLECTED, 0, 0)
    assert (admission.hold_nusd, admission.input_tokens) == (0, 0)


@pytest.mark.parametrize("error", [RateLimited("slow"), BudgetExceeded("spent", details={})])
async def test_what_refuses_it_is_told_and_leaves_nothing_open(error):
    pipeline, journal, tasks = deflecting(backend := Backend(WHOLE))

    async def refuse(_entry, _admission):
        raise error

    journal.open = refuse
    with pytest.raises(type(error)):
        await pipeline.answer(*asked())
    await tasks.drain()
    assert (backend.calls, journal.settled, journal.open_entries) == ([], {}, {})


@given(st.integers(0, 8))
@settings(max_examples=20, deadline=None)
async def test_whoever_leaves_whenever_nothing_is_left_open(steps):
    pipeline, journal, tasks = deflecting(backend := Backend(WHOLE))
    visit = asyncio.create_task(walk(pipeline, *asked()))
    for _ in range(steps):
        await asyncio.sleep(0)
    visit.cancel()
    await asyncio.gather(visit, return_exceptions=True)
    await tasks.drain()
    assert (backend.calls, journal.open_entries) == ([], {})


async def test_a_key_that_may_not_call_the_route_is_refused():
    pipeline, journal, _ = deflecting(Backend(WHOLE))
    parsed, dialect, _ = asked()
    with pytest.raises(Forbidden):
        await pipeline.answer(parsed, dialect, replace(CALLER, models=frozenset({"small"})))
    assert journal.settled == {}


async def test_what_is_asked_again_is_counted_as_missed_and_asked_of_a_model():
    counted = []

    class Counting(Quiet):
        def deflected(self, route, deflector, *, is_repeated):
            counted.append((route, deflector, is_repeated))

    pipeline, _, _ = deflecting(backend := Backend(WHOLE), telemetry=Counting())
    await walk(pipeline, *asked())
    again = [{"role": "user", "content": SUM}, {"role": "assistant", "content": ANSWER}]
    await walk(pipeline, *request(messages=[*again, {"role": "user", "content": f"  {SUM.upper()} ?"}]))
    assert counted == [("auto", "arithmetic", False), ("auto", "arithmetic", True)]
    assert len(backend.calls) == 1


class Lists:
    """A list of one question."""

    def __init__(self):
        self.asked = []

    async def find(self, team_id, text, wrong_answers_max=None):
        self.asked.append((team_id, text, wrong_answers_max))
        return FaqAnswer("hours", 3, "We open at nine.", 0.01) if "open" in text else None


def listing(backend, answerers=("arithmetic", "smalltalk", "faq"), **more):
    pipeline, journal, _ = path(
        backend, route={"deflection": Deflection(answerers, faq_wrong_answers_max=0.01)}, faq=(lists := Lists()), **more
    )
    return pipeline, journal, lists


async def test_a_teams_own_list_is_asked_where_nothing_is_computed_and_the_entry_is_named():
    pipeline, journal, lists = listing(backend := Backend(WHOLE))
    await walk(pipeline, *asked())
    assert lists.asked == []
    answer = await pipeline.answer(*asked("When do you open?"))
    assert lists.asked == [(CALLER.team_id, "When do you open?", 0.01)]
    assert (answer.headers, answer.deployment) == (
        {"x-obol-deflector": "faq", "x-obol-faq": "hours@3"},
        "obol/faq",
    )
    assert content(await read(answer)) == "We open at nine."
    entry = list(journal.settled.values())[-1]
    assert (entry.deflector, entry.model_answered, entry.cost_nusd) == ("faq", "hours@3", 0)
    assert backend.calls == []


@pytest.mark.parametrize(
    ("messages", "is_looked_up"),
    [
        ([{"role": "user", "content": "Where are you?"}], True),
        ([{"role": "system", "content": "Rhyme."}, {"role": "user", "content": "When do you open?"}], False),
        (
            [
                {"role": "user", "content": "Where are you?"},
                {"role": "assistant", "content": "Here."},
                {"role": "user", "content": "When do you open?"},
            ],
            False,
        ),
        (
            [
                {"role": "user", "content": "When do you open?"},
                {"role": "assistant", "content": "We open at nine."},
                {"role": "user", "content": "when do you open"},
            ],
            True,
        ),
    ],
)
async def test_a_list_is_asked_of_what_stands_alone_and_whoever_asks_again_asks_a_model(messages, is_looked_up):
    pipeline, _, lists = listing(backend := Backend(WHOLE))
    await walk(pipeline, *request(messages=messages))
    assert (len(backend.calls), lists.asked != []) == (1, is_looked_up)


async def test_a_route_that_does_not_list_it_asks_no_list():
    pipeline, _, lists = listing(backend := Backend(WHOLE), answerers=("arithmetic",))
    await walk(pipeline, *asked("When do you open?"))
    assert (len(backend.calls), lists.asked) == (1, [])


async def test_an_answer_that_the_client_leaves_no_room_for_is_a_models():
    pipeline, *_ = listing(backend := Backend(WHOLE))
    await walk(pipeline, *asked("When do you open?", max_tokens=3))
    assert len(backend.calls) == 1


NAMES = st.text(string.ascii_lowercase + "_", min_size=1, max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
KNOWN = {
    *("model", "messages", "stream", "stream_options", "temperature", "top_p", "metadata", "service_tier", "user"),
    *("safety_identifier", "prompt_cache_key", "prompt_cache_retention", "max_tokens", "max_completion_tokens", "n"),
    *("seed", "presence_penalty", "frequency_penalty"),
}
MAY_BE_EMPTY = {
    *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format", "stop"),
    *("logprobs", "top_logprobs", "logit_bias", "store", "audio", "modalities", "prediction", "reasoning_effort"),
    *("verbosity", "web_search_options"),
}
EMPTY = {"null", "[]", "false", '""'}
REFUSED = {"models", "fallbacks"}  # by us


@settings(max_examples=200, deadline=None)
@given(NAMES.filter(lambda name: name not in KNOWN | MAY_BE_EMPTY | REFUSED), VALUES)
async def test_with_any_other_field_a_model_is_asked(name, value):
    pipeline, *_ = deflecting(backend := Backend(WHOLE))
    await walk(pipeline, *asked(**{name: value}))
    assert len(backend.calls) == 1


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(MAY_BE_EMPTY)), VALUES.filter(lambda one: json.dumps(one) not in EMPTY))
async def test_with_any_tool_or_form_of_the_answer_a_model_is_asked(name, value):
    pipeline, *_ = deflecting(backend := Backend(WHOLE))
    await walk(pipeline, *asked(**{name: value}))
    assert len(backend.calls) == 1


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant", "system", "developer", "tool", ""])},
            optional={"content": VALUES | st.just(SUM), "name": VALUES, "tool_calls": VALUES},
        )
        | VALUES,
        max_size=4,
    )
)
async def test_whatever_a_conversation_is_only_a_message_that_stands_alone_is_answered(turns):
    pipeline, *_ = deflecting(backend := Backend(WHOLE))
    shown = await walk(pipeline, *request(messages=turns))
    if not backend.calls:
        said = [turn for turn in turns if turn["role"] not in {"system", "developer"}]
        assert [turn["content"] for turn in said] == [SUM]
        assert content(shown) == ANSWER


def test_long_conversations_are_not_read():
    turns = [{"role": "user", "content": "word " * 30_000}, {"role": "assistant", "content": "Well."}]
    parsed, _, _ = request(messages=[*turns, {"role": "user", "content": "thanks!"}])
    assert plain_message(parsed) is None
    parsed, _, _ = request(messages=[{**turns[0], "content": "word"}, turns[1], {"role": "user", "content": "thanks!"}])
    assert plain_message(parsed).has_history


@pytest.mark.parametrize(
    ("before", "said", "is_answered"),
    [
        ("Paris.", "thanks", True),
        ("Paris.", "thank you, goodbye!", True),
        ("Paris.", "good night", True),
        ("Paris. Anything else?", "thanks", False),
        ("Paris. \uff1f", "thanks", False),
        ("I delete it now, or later.", "later", False),
        ("Tell me whether I should go on.", "yes, thanks", False),
        ("Tell me whether I should go on.", "that works, thank you", False),
        ("Tell me whether I should go on.", "ok thanks", False),
        ("Paris.", "hello", False),
        ("Paris.", "great job!", False),
        ("Paris.", "hola", False),
        ("Paris.", "gracias", True),
        ("Paris.", "2 + 2", False),
    ],
)
async def test_after_an_answer_only_thanks_and_goodbyes_are_answered_and_only_where_they_are_no_reply(
    before, said, is_answered
):
    pipeline, *_ = deflecting(backend := Backend(WHOLE))
    turns = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": before}]
    await walk(pipeline, *request(messages=[*turns, {"role": "user", "content": said}]))
    assert (backend.calls == []) is is_answered
