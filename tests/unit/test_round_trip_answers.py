"""Answers between chat and Messages, there and back again, whole and streamed: what is said and counted stays the same.

What is lost is what ``docs/translation.md`` says: signatures behind a chat server, which signs nothing.
"""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from round_trip_parts import ARGUMENTS, CHECKS, NAMES, SAID, body_of, calls_of

from gateway.translation.chat_over_messages import CHAT_OVER_MESSAGES
from gateway.translation.messages_over_chat import MESSAGES_OVER_CHAT

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
