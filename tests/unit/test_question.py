"""What a router looks at of a request: the last thing that the user said, and the tools, in every dialect."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api.question import question

TOOLS = [{"type": "function", "function": {"name": "f"}}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def asked(**body: object) -> str:
    return question(msgspec.json.decode(json.dumps(body).encode(), type=dict[str, msgspec.Raw]))


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
    assert question(msgspec.json.decode(raw, type=dict[str, msgspec.Raw])) == ""


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["messages", "input", "prompt", "tools"]), values))
def test_whatever_a_body_holds_there_is_a_text(body):
    assert isinstance(asked(**body), str)
