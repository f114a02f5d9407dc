"""The gates of a cascade: which answers they let through, whatever model wrote them."""

from __future__ import annotations

import json
import math

import pytest
from pipeline_parts import request

from gateway.domain import Cascade
from policies.gates import Draft, Form, Gate, Poll, ToolCall, final_answer, form_of, needs_calls, refused_by, score_in

SURE = Cascade(logprob_min=0.8)
SCHEMA = Cascade(checks_schema=True)
AGREEMENT = Cascade(samples=3, share_min=0.67)
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def said(text="Paris.", **told):
    return Draft(**{"text": text, "finish_reason": "stop", "logprobs": [0.0]} | told)


def asked(**fields):
    return form_of(request("auto", **fields)[0])


def person_asked():
    return asked(response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}})


def tools_asked():
    return asked(tools=[{"type": "function", "function": {"name": "find", "parameters": PERSON}}])


@pytest.mark.parametrize(
    ("draft", "why"),
    [
        (said(finish_reason="length"), Gate.UNFINISHED),
        (said(finish_reason="content_filter"), Gate.UNFINISHED),
        (said(finish_reason=None), Gate.UNFINISHED),
        (said("", refusal="I cannot help with that."), Gate.REFUSAL),
        (said(""), Gate.EMPTY),
        (said(" \n"), Gate.EMPTY),
        (said("", tool_calls=[ToolCall("find", "{}")], finish_reason="tool_calls"), Gate.TOOLS),
        (said(), None),
    ],
)
def test_what_is_cut_off_refused_empty_or_calls_tools_is_accepted_by_no_gate_however_sure_it_is(draft, why):
    assert refused_by(draft, Form(), SURE) == why


def test_an_answer_is_as_sure_as_the_geometric_mean_of_its_tokens():
    just_enough = [math.log(0.9), math.log(0.72)]  # whose product has the root 0.805
    assert refused_by(said(logprobs=just_enough), Form(), SURE) is None
    assert refused_by(said(logprobs=[*just_enough, math.log(0.5)]), Form(), SURE) is Gate.LOGPROB


def test_an_answer_whose_upstream_tells_no_probabilities_is_not_accepted():
    assert refused_by(said(logprobs=[]), Form(), SURE) is Gate.LOGPROB_UNMEASURED


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [
        ('{"name": "Ada", "age": 36}', True),
        ('{"name": "Ada"}', False),
        ('{"name": "Ada", "age": "36"}', False),
        ('{"name": "Ada", "age": 36, "more": 1}', False),
        ('Here it is: {"name": "Ada", "age": 36}', False),
        ('{"name": "Ada", "age":', False),
    ],
)
def test_an_answer_keeps_to_the_schema_that_was_asked_for(text, is_kept):
    assert (refused_by(said(text), person_asked(), SCHEMA) is None) is is_kept


def test_where_any_json_is_asked_for_any_passes():
    form = asked(response_format={"type": "json_object"})
    assert refused_by(said("{}"), form, SCHEMA) is None
    assert refused_by(said("none"), form, SCHEMA) is Gate.SCHEMA


def test_where_no_form_is_asked_for_the_schema_gate_leaves_it_to_the_others():
    assert refused_by(said(), Form(), Cascade(checks_schema=True, logprob_min=0.8)) is None


def test_a_text_where_only_tools_could_have_been_checked_is_not_accepted_by_the_schema_gate_alone():
    assert refused_by(said(), tools_asked(), SCHEMA) is Gate.SCHEMA


@pytest.mark.parametrize(
    ("call", "is_kept"),
    [
        (ToolCall("find", '{"name": "Ada", "age": 36}'), True),
        (ToolCall("find", '{"name": "Ada"}'), False),
        (ToolCall("find", '{"name": "A'), False),
        (ToolCall("find", "[]"), False),
        (ToolCall("lose", '{"name": "Ada", "age": 36}'), False),
    ],
)
def test_calls_of_tools_are_accepted_where_there_is_such_a_tool_and_its_arguments_are_good(call, is_kept):
    draft = said("", tool_calls=[call], finish_reason="tool_calls")
    assert (refused_by(draft, tools_asked(), SCHEMA) is None) is is_kept


def test_calls_of_tools_are_judged_by_their_arguments_alone():
    cascade = Cascade(checks_schema=True, verifier="judge")
    assert not needs_calls(said("", tool_calls=[ToolCall("find", "{}")]), cascade)
    assert needs_calls(said(), cascade)


def test_two_of_three_that_say_the_same_are_enough_and_the_third_need_not_be_asked():
    poll = Poll(said("The answer is 42."), AGREEMENT)
    assert poll.outcome is None
    poll.add(said("I think the answer is **42**"))
    assert poll.outcome is True


def test_a_poll_ends_as_soon_as_it_is_lost():
    poll = Poll(said("42"), AGREEMENT)
    poll.add(said("43"))
    assert poll.outcome is None
    poll.add(None)  # it failed
    assert poll.outcome is False


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Paris.", "  paris"),
        ("So 1,000 + 24 = 1024.\nAnswer: 1,024", "The answer is 1024."),
        (r"Thus \boxed{7} holds.", "#### 7"),
        ('{"a": 1, "b": 2}', '```json\n{"b": 2, "a": 1}\n```'),
    ],
)
def test_answers_that_come_to_the_same_are_the_same(one, other):
    assert final_answer(one) == final_answer(other)


def test_answers_that_come_to_different_things_are_different():
    assert final_answer("The answer is 7.") != final_answer("The answer is 7.5.")


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"score": 0.7}', 0.7),
        ('```json\n{"score": 1}\n```', 1.0),
        ('{"score": 1.2}', None),
        ('{"score": -1}', None),
        ('{"score": true}', None),
        ('{"score": "0.7"}', None),
        ("0.9", None),
        ("I would say {0.9}", None),
        ("", None),
    ],
)
def test_a_verifiers_reply_that_is_no_score_is_none(reply, score):
    assert score_in(reply) == score


def test_a_form_that_cannot_be_read_asks_for_nothing():
    assert not asked(response_format="json", tools="find").is_asked
    assert json.dumps(asked(response_format={"type": "json_schema"}).schema) == "true"
