"""What the tests of chat over Messages share: answers of Anthropic's, and what chat clients see."""

from __future__ import annotations

import json

import msgspec
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.domain import Body
from gateway.translation.chat_over_messages import ChatOverMessages

NOW_S = 1_795_000_000
USAGE = {"input_tokens": 9, "output_tokens": 8}
SIGNED = {"type": "thinking", "thinking": "Hm, well.", "signature": "c2lnbmF0dXJl"}
SEALED = {"type": "redacted_thinking", "data": "c2VhbGVk"}


def translator(*, wants_usage=True):
    options = json.dumps({"include_usage": wants_usage}).encode()
    body = Body({"stream_options": msgspec.Raw(options)} if wants_usage is not None else {})
    return ChatOverMessages(lambda: NOW_S + 0.9).answer(body)


def text(said, **more):
    return {"type": "text", "text": said, **more}


def use(name="f", call_id="toolu_1", **arguments):
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def cited(url, title="T"):
    return {
        "type": "web_search_result_location",
        "url": url,
        "title": title,
        "cited_text": "...",
        "encrypted_index": "x",
    }


def message(*content, stop_reason="end_turn", usage=USAGE, **more):
    return {
        "id": "msg_01abc",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
        **more,
    }


def whole(asked):
    """The completion, whose form the official SDK accepts."""
    data = translator().whole(json.dumps(asked).encode())
    ChatCompletion.model_validate_json(data)
    return json.loads(data)


def event(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def pieces(said, length=4):
    return [said[start : start + length] for start in range(0, len(said), length)]


def events(asked, length=4):
    """The events in which a message is streamed, as Anthropic cuts them."""
    opening = {**asked["usage"], "output_tokens": 1}
    begun = {**asked, "content": [], "stop_reason": None, "usage": opening}
    yield event("message_start", message=begun)
    yield event("ping")
    for index, block in enumerate(asked["content"]):
        yield from block_events(index, block, length)
    delta = {name: asked.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield event("message_delta", delta=delta, usage=asked["usage"])
    yield event("message_stop")


def block_events(index, block, length):
    def delta(kind, **fields):
        return event("content_block_delta", index=index, delta={"type": kind, **fields})

    match block["type"]:
        case "text":
            yield event("content_block_start", index=index, content_block=text(""))
            yield from (delta("text_delta", text=piece) for piece in pieces(block["text"], length))
            yield from (delta("citations_delta", citation=one) for one in block.get("citations", ()))
        case "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            yield event("content_block_start", index=index, content_block=empty)
            yield from (delta("thinking_delta", thinking=piece) for piece in pieces(block["thinking"], length))
            yield delta("signature_delta", signature=block["signature"])
        case "tool_use" | "server_tool_use":
            yield event("content_block_start", index=index, content_block={**block, "input": {}})
            arguments = json.dumps(block["input"], separators=(",", ":")) if block["input"] else ""
            yield delta("input_json_delta", partial_json="")
            yield from (delta("input_json_delta", partial_json=piece) for piece in pieces(arguments, length))
        case _:
            yield event("content_block_start", index=index, content_block=block)
    yield event("content_block_stop", index=index)


def chunks(stream):
    """The chunks of a stream that ends well, each of a form that the official SDK accepts."""
    *parts, end, nothing = (one for one in stream.decode().split("\n\n") if not one.startswith(":"))
    assert (end, nothing) == ("data: [DONE]", "")
    assert all(part.startswith("data: ") for part in parts)
    found = [json.loads(part[6:]) for part in parts]
    for one in found:
        ChatCompletionChunk.model_validate(one)
        assert (one["id"], one["object"], one["created"]) == ("chatcmpl-01abc", "chat.completion.chunk", NOW_S)
        assert one["model"] == "claude-x"
    return found


def streamed(asked, *, length=4, wants_usage=True):
    answer = translator(wants_usage=wants_usage)
    return chunks(b"".join(answer.feed(one) for one in events(asked, length)))


def deltas(asked):
    return [choice["delta"] for chunk in streamed(asked) for choice in chunk["choices"]]


def finished(asked):
    """The completion that the official SDK puts together of a stream."""
    state = ChatCompletionStreamState()
    for chunk in streamed(asked):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return state.current_completion_snapshot.model_dump()
