"""Which requests may be given the answer to a similar question: those that ask one thing, and nothing else differs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pipeline_parts import CALLER, SMALL

from gateway.api.arrival import Arrival
from gateway.api.dialects import APIS
from gateway.domain import Body, Endpoint, ExactCache, Sharing
from policies.answer_identity import answer_key, space_of
from policies.lone_question import CHARACTERS_MAX, lone_question

SECRET = b"of the installation"
RULES = ExactCache()
USER = {"role": "user", "content": "How do I enable it?"}
PART = {"type": "text", "text": "How do I enable it?"}

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
values = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


def asked(endpoint, body):
    return APIS[endpoint].parse(Arrival("req_1", endpoint, json.dumps({"model": "auto"} | body).encode()))


def question(endpoint, body):
    found = lone_question(asked(endpoint, body))
    return None if found is None else found.text


def space(body, caller=CALLER, rules=RULES, deployment=SMALL, tokens=None, embedding=None):
    request = asked(Endpoint.CHAT, body)
    lone = lone_question(request)
    assert lone is not None
    return space_of(SECRET, rules, request, caller, deployment, tokens, lone.rest, embedding)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (Endpoint.CHAT, {"messages": [USER]}),
        (Endpoint.CHAT, {"messages": [USER], "tools": []}),
        (Endpoint.CHAT, {"messages": [{"role": "system", "content": "Be short."}, USER], "temperature": 0}),
        (Endpoint.CHAT, {"messages": [{"role": "developer", "content": "Be short."}, USER]}),
        (Endpoint.CHAT, {"messages": [{"role": "user", "content": [PART]}]}),
        (Endpoint.MESSAGES, {"messages": [USER], "max_tokens": 9, "system": "Be short."}),
        (Endpoint.MESSAGES, {"messages": [{"role": "user", "content": [PART]}], "max_tokens": 9}),
        (Endpoint.RESPONSES, {"input": "How do I enable it?", "instructions": "Be short."}),
        (Endpoint.RESPONSES, {"input": [USER]}),
        (Endpoint.RESPONSES, {"input": [{"role": "user", "content": [PART | {"type": "input_text"}]}]}),
    ],
)
def test_a_single_message_of_text_is_a_question(endpoint, body):
    assert question(endpoint, body) == "How do I enable it?"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [USER, {"role": "assistant", "content": "So."}, USER]},
        {"messages": [USER, {"role": "assistant", "content": "So"}]},
        {"messages": [{"role": "tool", "tool_call_id": "1", "content": "found"}, USER]},
        {"messages": [USER, USER]},
        {"messages": [USER], "tools": [{"type": "function", "function": {"name": "look_up"}}]},
        {"messages": [USER], "functions": [{"name": "look_up"}]},
        {"messages": [{"role": "user", "content": [PART, PART]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
        {"messages": [{"role": "user", "content": " \n"}]},
        {"messages": [{"role": "user", "content": "x" * (CHARACTERS_MAX + 1)}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "system", "content": "x" * 131_072}, USER]},
    ],
)
def test_what_goes_on_from_something_or_is_more_than_text_is_none(body):
    assert question(Endpoint.CHAT, body) is None


def test_other_endpoints_ask_nothing_of_the_kind():
    assert question(Endpoint.EMBEDDINGS, {"input": "How do I enable it?"}) is None


@given(one=texts, other=texts, rest=st.dictionaries(st.sampled_from(["seed", "top_p", "x_unknown"]), values))
def test_requests_that_differ_in_their_question_alone_are_in_one_space(one, other, rest):
    bodies = [{"messages": [{"role": "user", "content": text}]} | rest for text in (one, other)]
    assert space(bodies[0]) == space(bodies[1])


@given(name=st.text("abcdefgh_", min_size=1, max_size=8), one=values, other=values, text=texts)
def test_a_difference_in_any_other_field_is_another_space(name, one, other, text):
    assume(name not in {"n", "model", "metadata", "stream"} and json.dumps(one) != json.dumps(other))
    body = {"messages": [{"role": "user", "content": text}]}
    assert space(body | {name: one}) != space(body | {name: other})


@pytest.mark.parametrize(
    "other",
    [
        {"caller": replace(CALLER, team_id="team_2")},
        {"caller": replace(CALLER, organization_id="org_2")},
        {"deployment": replace(SMALL, model="another")},
        {"tokens": 9},
        {"embedding": "embedder"},
        {"rules": ExactCache(shared_by=Sharing.KEY)},
    ],
)
def test_another_tenant_model_scope_or_embedding_is_another_space(other):
    body = {"messages": [USER]}
    assert space(body) != space(body, **other)


def test_instructions_are_part_of_the_space():
    with_system = [{"messages": [{"role": "system", "content": text}, USER]} for text in ("Be short.", "Be long.")]
    assert len({space({"messages": [USER]}), *map(space, with_system)}) == 3


def test_a_space_is_no_key_of_an_answer():
    request = asked(Endpoint.CHAT, {"messages": [USER]})
    lone = lone_question(request)
    assert lone is not None
    as_request = replace(request, body=Body(dict(lone.rest)))
    key = answer_key(SECRET, ExactCache(), as_request, CALLER, SMALL)
    assert key.digest not in space({"messages": [USER]})
