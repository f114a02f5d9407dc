"""Chat and Messages, there and back again: what is said keeps its meaning, and what is lost is what the docs say.

The losses on the way, all of them in ``docs/translation.md``: texts of one message become one text; instructions after
the first turn become a user's, in tags; images among the results of tools move behind them; messages of one role in a
row become one; sampling, ``user``, formats and tools keep what they mean, not the fields that Messages lacks.
"""

from __future__ import annotations

import base64
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import Body, Deployment, Endpoint, Provider
from gateway.translation.chat_over_messages import CHAT_OVER_MESSAGES
from gateway.translation.messages_over_chat import MESSAGES_OVER_CHAT

ADAPTIVE, BY_BUDGET = "claude-opus-4-8", "claude-sonnet-4-5"
JOINT = "\n\n"  # between texts of one message
CHECKS = settings(max_examples=40, deadline=None)


def body_of(fields):
    return Body(msgspec.json.decode(json.dumps(fields).encode(), type=dict[str, msgspec.Raw]))


def fields_of(body):
    return json.loads(body.encoded_with({}))


def there_and_back(asked, model=ADAPTIVE):
    """A chat request as a server of chat gets it behind an Anthropic-like gateway."""
    speaks = frozenset({Endpoint.MESSAGES})
    up = CHAT_OVER_MESSAGES.request(body_of(asked), Deployment("d", Provider("p", "anthropic"), model, speaks=speaks))
    return fields_of(MESSAGES_OVER_CHAT.request(up, Deployment("e", Provider("q", "openai_compatible"), "m")))


def user(*parts):
    return {"role": "user", "content": list(parts)}


def part(text):
    return {"type": "text", "text": text}


def calls_of(message):
    return [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in message["tool_calls"]]


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


SAID = st.text(max_size=20).filter(lambda text: text.strip())
NAMES = st.text("abcdefgh_-", min_size=1, max_size=10)
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
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
ARGUMENTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=3)


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


# --- answers ----------------------------------------------------------------------------------------------------------

COUNTS = st.integers(0, 10**6)


@st.composite
def messages_answers(draw):
    """An answer of Anthropic's: thoughts, a text, calls."""
    content = []
    if draw(st.booleans()):
        content.append({"type": "thinking", "thinking": draw(SAID), "signature": "c2ln"})
    if draw(st.booleans()):
        content.append({"type": "text", "text": draw(SAID)})
    content += [
        {"type": "tool_use", "id": f"toolu_{number}", "name": draw(NAMES), "input": draw(ARGUMENTS)}
        for number in range(draw(st.integers(0, 3)))
    ]
    has_calls = content and content[-1]["type"] == "tool_use"
    five, hour = draw(COUNTS), draw(COUNTS)
    usage = {
        "input_tokens": draw(COUNTS),
        "cache_creation_input_tokens": five + hour,
        "cache_read_input_tokens": draw(COUNTS),
        "output_tokens": draw(st.integers(50, 10**6)),
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
        "output_tokens_details": {"thinking_tokens": draw(st.integers(1, 50))},
    }
    stop = "tool_use" if has_calls else draw(st.sampled_from(["end_turn", "max_tokens", "stop_sequence"]))
    return {
        "id": "msg_01abc",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": "END" if stop == "stop_sequence" else None,
        "usage": usage,
    }


def without_signatures(message):
    """A chat server signs nothing, so a client of Messages behind one gets thoughts without."""
    content = [{**one, "signature": ""} if one["type"] == "thinking" else one for one in message["content"]]
    usage = dict(message["usage"])
    if not usage["cache_creation"]["ephemeral_1h_input_tokens"]:
        del usage["cache_creation"]  # all of it lives five minutes
    return {**message, "content": content, "usage": usage}


@CHECKS
@given(messages_answers())
def test_a_message_as_a_completion_as_a_message_is_the_same_but_for_signatures(message):
    completion = CHAT_OVER_MESSAGES.answer(body_of({})).whole(json.dumps(message).encode())
    back = json.loads(MESSAGES_OVER_CHAT.answer(body_of({"model": "m"})).whole(completion))
    assert back == without_signatures(message)


def completion(draw):
    calls = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": draw(NAMES), "arguments": json.dumps(draw(ARGUMENTS))},
        }
        for number in range(draw(st.integers(0, 3)))
    ]
    said = {"role": "assistant", "content": draw(SAID | st.none()) if calls else draw(SAID), "refusal": None}
    if draw(st.booleans()):
        said["reasoning_content"] = draw(SAID)
    if calls:
        said["tool_calls"] = calls
    read, written = draw(COUNTS), draw(COUNTS)
    prompt, generated = read + written + draw(COUNTS), draw(COUNTS) + 100
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": draw(st.integers(1, 100))},
    }
    reason = "tool_calls" if calls else draw(st.sampled_from(["stop", "length", "content_filter"]))
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": reason}
    return {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "created": 1,
        "model": "m-1",
        "choices": [choice],
        "usage": usage,
    }


COMPLETIONS = st.composite(completion)()


@CHECKS
@given(COMPLETIONS)
def test_a_completion_as_a_message_as_a_completion_is_the_same_and_keeps_its_thoughts_twice(asked):
    message = MESSAGES_OVER_CHAT.answer(body_of({"model": "m"})).whole(json.dumps(asked).encode())
    back = json.loads(CHAT_OVER_MESSAGES.answer(body_of({})).whole(message))
    said = back["choices"][0]["message"]
    assert calls_of({"tool_calls": said.pop("tool_calls", [])}) == calls_of(
        {"tool_calls": asked["choices"][0]["message"].pop("tool_calls", [])}
    )
    said.pop("thinking_blocks", None)
    back["created"] = asked["created"]  # a message does not say when
    assert back == asked


# --- streams ----------------------------------------------------------------------------------------------------------


def chunks_of(asked, length):
    """A completion as a server of chat streams it."""
    (choice,) = asked["choices"]
    said = choice["message"]

    def chunk(delta, reason=None):
        piece = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"id": asked["id"], "model": asked["model"], "choices": [piece]}

    def cut(text):
        return [text[start : start + length] for start in range(0, len(text), length)]

    yield chunk({"role": "assistant", "content": ""})
    for name in ("reasoning_content", "content"):
        yield from (chunk({name: text}) for text in cut(said.get(name) or ""))
    for index, one in enumerate(said.get("tool_calls") or ()):
        function = one["function"]
        opener = {"index": index, "id": one["id"], "type": "function"}
        yield chunk({"tool_calls": [{**opener, "function": {"name": function["name"], "arguments": ""}}]})
        for text in cut(function["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": text}}]})
    yield chunk({}, choice["finish_reason"])
    yield {"id": asked["id"], "model": asked["model"], "choices": [], "usage": asked["usage"]}


def put_together(stream):
    """The completion that a stream of chat says."""
    *events, end, nothing = stream.split(b"\n\n")
    assert (end, nothing) == (b"data: [DONE]", b"")
    said, calls, reason, usage = {}, {}, None, None
    for event in events:
        chunk = json.loads(event.removeprefix(b"data: "))
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            reason = choice["finish_reason"] or reason
            for name in ("content", "reasoning_content"):
                said[name] = said.get(name, "") + (choice["delta"].get(name) or "")
            for one in choice["delta"].get("tool_calls") or ():
                kept = calls.setdefault(one["index"], {"function": {"arguments": ""}})
                kept["id"] = one.get("id", kept.get("id"))
                kept["function"]["name"] = one["function"].get("name", kept["function"].get("name"))
                kept["function"]["arguments"] += one["function"]["arguments"]
    return said, calls_of({"tool_calls": [calls[index] for index in sorted(calls)]}), reason, usage


@CHECKS
@given(COMPLETIONS, st.integers(1, 9))
def test_a_streamed_completion_as_a_streamed_message_as_a_streamed_completion_says_the_same(asked, length):
    to_message = MESSAGES_OVER_CHAT.answer(body_of({"model": "m", "stream": True}))
    back = CHAT_OVER_MESSAGES.answer(body_of({"stream_options": {"include_usage": True}}))
    events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks_of(asked, length)]
    shown = b"".join(back.feed(to_message.feed(event)) for event in [*events, b"data: [DONE]\n\n"])
    said, calls, reason, usage = put_together(shown)
    (choice,) = asked["choices"]
    assert said["content"] == (choice["message"]["content"] or "")
    assert said["reasoning_content"] == choice["message"].get("reasoning_content", "")
    assert calls == calls_of({"tool_calls": choice["message"].get("tool_calls", [])})
    assert reason == choice["finish_reason"]
    assert usage == asked["usage"]


@CHECKS
@given(COMPLETIONS)
def test_a_stream_says_what_the_whole_answer_says_after_both_translations(asked):
    events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks_of(asked, 3)]
    streamed = MESSAGES_OVER_CHAT.answer(body_of({"model": "m"})).feed(b"".join([*events, b"data: [DONE]\n\n"]))
    said, calls, reason, usage = put_together(
        CHAT_OVER_MESSAGES.answer(body_of({"stream_options": {"include_usage": True}})).feed(streamed)
    )
    message = MESSAGES_OVER_CHAT.answer(body_of({"model": "m"})).whole(json.dumps(asked).encode())
    whole = json.loads(CHAT_OVER_MESSAGES.answer(body_of({})).whole(message))
    (choice,) = whole["choices"]
    assert said["content"] == (choice["message"]["content"] or "")
    assert calls == calls_of({"tool_calls": choice["message"].get("tool_calls", [])})
    assert (reason, usage) == (choice["finish_reason"], whole["usage"])


def events_of(message, length):
    """A message as Anthropic streams it."""

    def event(kind, **fields):
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    yield event("message_start", message={**message, "content": [], "stop_reason": None, "stop_sequence": None})
    for index, block in enumerate(message["content"]):
        kind, field, name, said = {
            "thinking": ("thinking_delta", "thinking", "thinking", block.get("thinking")),
            "text": ("text_delta", "text", "text", block.get("text")),
            "tool_use": ("input_json_delta", "partial_json", "input", json.dumps(block.get("input"))),
        }[block["type"]]
        empty = {} if name == "input" else ""
        yield event("content_block_start", index=index, content_block={**block, name: empty, **_unsigned(block)})
        for start in range(0, len(said), length):
            delta = {"type": kind, field: said[start : start + length]}
            yield event("content_block_delta", index=index, delta=delta)
        if block["type"] == "thinking":
            delta = {"type": "signature_delta", "signature": block["signature"]}
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    delta = {name: message[name] for name in ("stop_reason", "stop_sequence")}
    yield event("message_delta", delta=delta, usage=message["usage"])
    yield event("message_stop")


def _unsigned(block):
    return {"signature": ""} if block["type"] == "thinking" else {}


def message_of(stream):
    """The message that a stream of Messages says."""
    message, inputs = {}, {}
    for event in stream.split(b"\n\n")[:-1]:
        data = json.loads(event.split(b"\ndata: ")[1])
        match data["type"]:
            case "message_start":
                message = data["message"]
            case "content_block_start":
                assert data["index"] == len(message["content"])
                message["content"].append(data["content_block"])
            case "content_block_delta":
                block, delta = message["content"][data["index"]], data["delta"]
                for name in delta.keys() & {"text", "thinking", "signature"}:
                    block[name] += delta[name]
                inputs[data["index"]] = inputs.get(data["index"], "") + delta.get("partial_json", "")
            case "message_delta":
                message |= data["delta"] | {"usage": data["usage"]}
    for index, said in inputs.items():
        if said:
            message["content"][index]["input"] = json.loads(said)
    return message


@CHECKS
@given(messages_answers(), st.integers(1, 9))
def test_a_streamed_message_as_a_streamed_completion_as_a_streamed_message_says_the_same(message, length):
    to_chat = CHAT_OVER_MESSAGES.answer(body_of({"stream_options": {"include_usage": True}}))
    back = MESSAGES_OVER_CHAT.answer(body_of({"model": "m", "stream": True}))
    shown = b""
    for event in events_of(message, length):
        if made := to_chat.feed(event):
            shown += back.feed(made)
    assert shown.endswith(b'data: {"type":"message_stop"}\n\n')
    got = message_of(shown)
    for block in got["content"]:
        block.update(_unsigned(block))
    assert {name: got[name] for name in message} == without_signatures(message)
