"""Chat and Messages, there and back again: what is said keeps its meaning, and what is lost is what the docs say.

The losses on the way, all of them in ``docs/translation.md``: texts of one message become one text; instructions after
the first turn become a user's, in tags; images among the results of tools move behind them; messages of one role in a
row become one; sampling, ``user``, formats and tools keep what they mean, not the fields that Messages lacks.
"""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from round_trip_parts import ARGUMENTS, CHECKS, NAMES, SAID, VALUES, body_of, calls_of

from gateway.domain import Deployment, Endpoint, Provider
from gateway.translation.chat_over_messages import CHAT_OVER_MESSAGES
from gateway.translation.messages_over_chat import MESSAGES_OVER_CHAT

ADAPTIVE, BY_BUDGET = "claude-opus-4-8", "claude-sonnet-4-5"
JOINT = "\n\n"  # between texts of one message


def fields_of(body):
    return json.loads(body.encoded_with({}))


def there_and_back(asked, model=ADAPTIVE):
    """A chat request as a server of chat gets it behind both translations."""
    speaks = frozenset({Endpoint.MESSAGES})
    up = CHAT_OVER_MESSAGES.request(body_of(asked), Deployment("d", Provider("p", "anthropic"), model, speaks=speaks))
    return fields_of(MESSAGES_OVER_CHAT.request(up, Deployment("e", Provider("q", "openai_compatible"), "m")))


def user(*parts):
    return {"role": "user", "content": list(parts)}


def part(text):
    return {"type": "text", "text": text}


def pieces(content):
    """What a content says, form apart: texts in a row joined, other parts as they are."""
    found = []
    for one in [part(content)] if isinstance(content, str) else content or ():
        if one["type"] != "text":
            found.append(one)
        elif found and isinstance(found[-1], str):
            found[-1] += JOINT + one["text"]
        else:
            found.append(one["text"])
    return found


DATA = st.binary(min_size=1, max_size=12).map(lambda raw: base64.b64encode(raw).decode())
IMAGES = st.one_of(
    st.builds(lambda kind, data: f"data:image/{kind};base64,{data}", st.sampled_from(["png", "jpeg", "webp"]), DATA),
    NAMES.map(lambda name: f"https://images.example/{name}"),
).map(lambda url: {"type": "image_url", "image_url": {"url": url}})
FILES = st.builds(
    lambda data, name: {"type": "file", "file": {"filename": name, "file_data": f"data:application/pdf;base64,{data}"}},
    DATA,
    NAMES,
)
USER_PARTS = st.lists(st.one_of(SAID.map(part), IMAGES, FILES), min_size=1, max_size=4)


@st.composite
def rounds(draw):
    """What a user asks and what follows: calls of tools with their results, some at once, and an answer."""
    messages = [user(*draw(USER_PARTS))]
    for _ in range(draw(st.integers(0, 2))):
        called = [
            (f"call_{draw(st.integers(0, 10**6))}_{number}", draw(NAMES), draw(ARGUMENTS))
            for number in range(draw(st.integers(1, 3)))
        ]
        made = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}} for i, n, a in called
        ]
        messages.append({"role": "assistant", "content": draw(st.none() | SAID), "tool_calls": made})
        messages += [{"role": "tool", "tool_call_id": i, "content": draw(st.text(max_size=20))} for i, _, _ in called]
    messages.append({"role": "assistant", "content": draw(SAID)})
    return messages


@st.composite
def conversations(draw):
    """A whole chat: instructions, rounds, a last question."""
    instructions = draw(st.lists(SAID, max_size=2))
    said = [one for some in draw(st.lists(rounds(), max_size=3)) for one in some]
    return [{"role": "system", "content": one} for one in instructions] + said + [user(*draw(USER_PARTS))]


@CHECKS
@given(conversations())
def test_a_conversation_keeps_its_words_images_files_calls_results_and_order(messages):
    back = there_and_back({"model": "m", "messages": messages})["messages"]
    instructions = [one["content"] for one in messages if one["role"] == "system"]
    said = [one for one in messages if one["role"] != "system"]
    if instructions:
        assert back.pop(0) == {"role": "system", "content": JOINT.join(instructions)}
    assert [one["role"] for one in back] == [one["role"] for one in said]
    for sent, got in zip(said, back, strict=True):
        if sent["role"] == "tool":
            assert got["tool_call_id"] == sent["tool_call_id"]
            assert got["content"] == (sent["content"] if sent["content"].strip() else "")
            continue
        assert pieces(got["content"]) == pieces(sent["content"])
        assert ("tool_calls" in got) == ("tool_calls" in sent)
        if "tool_calls" in sent:
            assert calls_of(got) == calls_of(sent)


@CHECKS
@given(SAID, SAID, IMAGES)
def test_an_image_among_results_moves_to_the_user_message_behind_them(said, after, image):
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "c", "content": [part(said), image]}
    asked = [user(part("Q")), {"role": "assistant", "content": None, "tool_calls": [called]}, result, user(part(after))]
    *_, tool, last = there_and_back({"model": "m", "messages": asked})["messages"]
    assert tool["content"].startswith(said)
    assert last["role"] == "user"
    assert [one for one in last["content"] if one["type"] == "image_url"] == [image]
    assert last["content"][-1]["text"] == after


@CHECKS
@given(SAID, SAID)
def test_later_instructions_come_back_in_place_as_a_users_in_tags(said, late):
    asked = [user(part(said)), {"role": "system", "content": late}, user(part("Go"))]
    (message,) = there_and_back({"model": "m", "messages": asked})["messages"]
    assert message["role"] == "user"
    assert pieces(message["content"]) == [JOINT.join([said, f"<system-reminder>\n{late}\n</system-reminder>", "Go"])]


SCHEMAS = st.dictionaries(NAMES, VALUES, max_size=3).map(
    lambda more: {"type": "object", "properties": {"a": {"description": "x"}}, **{f"x-{k}": v for k, v in more.items()}}
)


@CHECKS
@given(
    st.lists(
        st.builds(
            lambda name, text, schema, strict: {
                "type": "function",
                "function": {
                    "name": name,
                    **({"description": text} if text else {}),
                    "parameters": schema,
                    **({"strict": True} if strict else {}),
                },
            },
            NAMES,
            st.text(max_size=9),
            SCHEMAS,
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([None, "auto", "none", "required", "named"]),
    st.booleans(),
)
def test_tools_keep_their_schemas_and_the_choice_among_them(tools, choice, is_parallel):
    asked = {"model": "m", "messages": [user(part("Q"))], "tools": tools}
    if choice is not None:
        named = {"type": "function", "function": {"name": tools[0]["function"]["name"]}}
        asked["tool_choice"] = named if choice == "named" else choice
    if not is_parallel:
        asked["parallel_tool_calls"] = False
    back = there_and_back(asked)
    assert json.dumps(back["tools"]) == json.dumps(tools)  # the order of their keys too
    if choice == "none":
        assert "parallel_tool_calls" not in back  # nothing is called, so nothing at once
    elif not is_parallel:
        assert back["parallel_tool_calls"] is False
        asked.setdefault("tool_choice", "auto")
    assert back.get("tool_choice") == asked.get("tool_choice")


@CHECKS
@given(
    st.integers(1, 10**6),
    st.lists(SAID, min_size=1, max_size=5),
    st.floats(0, 0.99),
    st.floats(0.01, 0.99),
    st.text("abc-", min_size=1, max_size=64),
)
def test_limits_stops_sampling_and_user_come_back(limit, stops, temperature, top_p, name):
    asked = {"max_tokens": limit, "stop": stops, "temperature": temperature, "top_p": top_p, "user": name}
    back = there_and_back({"model": "m", "messages": [user(part("Q"))], **asked})
    assert {field: back[field] for field in asked} == asked


@pytest.mark.parametrize(
    ("model", "asked", "back"),
    [
        *((ADAPTIVE, effort, effort) for effort in ("low", "medium", "high", "xhigh", "max")),
        (ADAPTIVE, "minimal", "low"),
        *((BY_BUDGET, effort, effort) for effort in ("low", "medium", "high")),
        (BY_BUDGET, "minimal", "low"),
        (BY_BUDGET, "xhigh", "high"),
        (BY_BUDGET, "max", "high"),
    ],
)
def test_the_effort_comes_back_as_near_as_messages_can_say_it(model, asked, back):
    fields = {"model": "m", "messages": [user(part("Q"))], "reasoning_effort": asked, "max_tokens": 200_000}
    assert there_and_back(fields, model)["reasoning_effort"] == back


@CHECKS
@given(SCHEMAS)
def test_the_form_of_the_answer_keeps_its_schema(schema):
    form = {"type": "json_schema", "json_schema": {"name": "output", "strict": True, "schema": schema}}
    back = there_and_back({"model": "m", "messages": [user(part("Q"))], "response_format": form})
    assert json.dumps(back["response_format"]["json_schema"]["schema"]) == json.dumps(schema)
