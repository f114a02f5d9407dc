"""What a router looks at of a request: the last thing that the user said, and the tools, in every dialect."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api.question import question
from gateway.domain import Body, Endpoint, Question, Request

SYSTEM = {"role": "system", "content": "Be kind."}
SAID = {"role": "assistant", "content": "1"}
TOOLS = [{"type": "function", "function": {"name": "f"}}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def a_turn(body: dict[str, object], **known: object) -> Question:
    raw = json.dumps(body).encode()
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return question(Request("req_1", Endpoint.CHAT, "auto", Body(fields), len(raw), **known))


def asked(**body: object) -> str:
    return a_turn(body).text


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"messages": [{"role": "system", "content": "Be kind."}, user("Why?")]}, "Why?"),
        ({"messages": [user("One?"), {"role": "assistant", "content": "1"}, user("Two?")]}, "Two?"),
        ({"messages": [user("One?"), {"role": "assistant", "content": "1"}]}, "One?"),
        ({"messages": [user([{"type": "text", "text": "See"}, IMAGE, {"type": "text", "text": "this"}])]}, "See\nthis"),
        ({"messages": [user([IMAGE])]}, ""),
        ({"messages": [{"role": "system", "content": "only this"}]}, "only this"),
        ({"messages": []}, ""),
        ({"input": "Why?"}, "Why?"),
        ({"input": [{"type": "message", **user([{"type": "input_text", "text": "Why?"}])}]}, "Why?"),
        ({"prompt": "Once upon"}, "Once upon"),
        ({"prompt": ["Once", "Twice"]}, "Twice"),
        ({}, ""),
        ({"messages": 7}, ""),
    ],
)
def test_the_question_is_what_the_user_said_last(body, expected):
    assert asked(**body) == expected


def test_tools_follow_as_they_came():
    assert asked(messages=[user("Why?")], tools=TOOLS) == f"Why?\nTools: {json.dumps(TOOLS)}"
    assert asked(messages=[user("Why?")], tools=[]) == "Why?"
    assert asked(messages=[user("Why?")], tools=None) == "Why?"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def test_what_is_nested_too_deeply_is_not_followed():
    deep = "[" * 900 + '"x"' + "]" * 900
    raw = f'{{"messages": [{{"role": "user", "content": {deep}}}]}}'.encode()
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    assert question(Request("req_1", Endpoint.CHAT, "auto", Body(fields), len(raw))).text == ""


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["messages", "input", "prompt", "tools"]), values))
def test_whatever_a_body_holds_there_is_a_text(body):
    assert isinstance(asked(**body), str)


def test_turns_of_one_conversation_begin_alike():
    turns = [SYSTEM, user("One?"), SAID, user("Two?"), SAID, user("Three?")]
    found = [a_turn({"messages": turns[:length]}) for length in (2, 4, 6)]
    assert len({one.conversation for one in found}) == 1
    assert [one.is_continued for one in found] == [False, True, True]
    others = (
        a_turn({"messages": [SYSTEM, user("One!"), SAID, user("Two?")]}),
        a_turn({"messages": turns[1:]}),
        a_turn({"messages": turns, "system": "Be brief."}),
        a_turn({"messages": turns}, end_user="ann"),
    )
    assert len({one.conversation for one in (*found, *others)}) == 5


def test_a_text_goes_on_as_the_turn_that_it_was():
    first = a_turn({"input": "One?"})
    then = a_turn({"input": [user("One?"), {"type": "reasoning", "summary": []}, {"role": "assistant"}, user("Two?")]})
    assert (first.is_continued, then.is_continued) == (False, True)
    assert first.conversation == then.conversation


@pytest.mark.parametrize("turns", [[user("One?")], [user("Another?"), SAID, user("Two?")]])
def test_a_conversation_that_its_client_names_is_known_by_its_name(turns):
    named = a_turn({"messages": turns}, conversation="c-1")
    assert named.is_continued, "as far as anybody knows"
    assert named.conversation == a_turn({"messages": [user("Else?")], "prompt_cache_key": "c-1"}).conversation
    assert named.conversation != a_turn({"messages": turns}, conversation="c-2").conversation


@pytest.mark.parametrize(
    "body", [{"prompt": "Once"}, {"prompt": ["Once", "Twice"]}, {"messages": []}, {"input": 7}, {}]
)
def test_what_is_no_conversation_has_none(body):
    assert a_turn(body).conversation is None


@pytest.mark.parametrize("key", [None, "", 7, ["x"]])
def test_a_key_that_is_no_name_names_nothing(key):
    plain = a_turn({"messages": [user("One?")]})
    assert a_turn({"messages": [user("One?")], "prompt_cache_key": key}) == plain
