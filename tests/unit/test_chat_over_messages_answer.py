"""What chat clients get of the answers of an upstream that speaks Anthropic's Messages API, whole and streamed."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.domain import Body
from gateway.errors import UpstreamBroken, UpstreamInterrupted
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


class TestWholeAnswers:
    def test_a_text(self):
        assert whole(message(text("Hello "), text("you"))) == {
            "id": "chatcmpl-01abc",
            "object": "chat.completion",
            "created": NOW_S,
            "model": "claude-x",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello you", "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 8,
                "total_tokens": 17,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            },
        }

    def test_thoughts_come_with_what_the_next_turn_needs(self):
        said = whole(message(SIGNED, SEALED, text("A")))["choices"][0]["message"]
        assert said["reasoning_content"] == "Hm, well."
        assert said["thinking_blocks"] == [SIGNED, SEALED]
        assert said["content"] == "A"

    def test_parallel_calls(self):
        answer = whole(message(use(a=1), use("g", "toolu_2"), stop_reason="tool_use"))
        (choice,) = answer["choices"]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] is None
        assert choice["message"]["tool_calls"] == [
            {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
            {"id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ]

    def test_pages_of_the_web_are_annotations_under_their_text(self):
        search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
        found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
        other = {"type": "page_location", "cited_text": "x"}
        asked = message(search, found, text("Ü: "), text("yes", citations=[cited("https://a"), other]), text("."))
        said = whole(asked)["choices"][0]["message"]
        assert said["content"] == "Ü: yes."
        (note,) = said["annotations"]
        assert note["url_citation"] == {"start_index": 3, "end_index": 6, "title": "T", "url": "https://a"}
        assert "tool_calls" not in said

    @pytest.mark.parametrize(
        ("stop_reason", "finish_reason"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("pause_turn", "length"),
            ("tool_use", "tool_calls"),
            ("refusal", "content_filter"),
            ("something_new", "stop"),
            (None, "stop"),
        ],
    )
    def test_why_it_ended(self, stop_reason, finish_reason):
        asked = message(text("A"), stop_reason=stop_reason)
        assert whole(asked)["choices"][0]["finish_reason"] == finish_reason
        assert finished(asked)["choices"][0]["finish_reason"] == finish_reason

    def test_the_stop_sequence_is_named(self):
        asked = message(text("A"), stop_reason="stop_sequence") | {"stop_sequence": "END"}
        assert whole(asked)["choices"][0]["stop_reason"] == "END"
        assert streamed(asked)[-2]["choices"][0]["stop_reason"] == "END"

    def test_the_reason_of_a_refusal_is_its_text(self):
        details = {"type": "refusal", "category": None, "explanation": "Not this."}
        asked = message(text("I"), stop_reason="refusal", stop_details=details)
        assert whole(asked)["choices"][0]["message"]["refusal"] == "Not this."
        assert {"refusal": "Not this."} in deltas(asked)

    @pytest.mark.parametrize(
        ("usage", "prompt", "details"),
        [
            (
                {"cache_read_input_tokens": 100, "cache_creation_input_tokens": 20},
                129,
                {"cached_tokens": 100, "cache_write_tokens": 20},
            ),
            (
                {
                    "cache_read_input_tokens": 100,
                    "cache_creation_input_tokens": 50,
                    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
                },
                159,
                {"cached_tokens": 100, "cache_write_tokens": 20, "cache_write_long_tokens": 30},
            ),
            (
                {"cache_read_input_tokens": None, "cache_creation_input_tokens": None},
                9,
                {"cached_tokens": 0, "cache_write_tokens": 0},
            ),
        ],
    )
    def test_the_prompt_includes_what_the_cache_read_and_wrote(self, usage, prompt, details):
        asked = message(text("A"), usage={**USAGE, **usage})
        for counted in (whole(asked)["usage"], streamed(asked)[-1]["usage"]):
            assert counted["prompt_tokens"] == prompt
            assert counted["total_tokens"] == prompt + 8
            assert counted["prompt_tokens_details"] == details

    def test_thinking_searches_and_cost_are_told(self):
        more = {
            "output_tokens_details": {"thinking_tokens": 5},
            "server_tool_use": {"web_search_requests": 2},
            "cost": 0.25,
        }
        asked = message(text("A"), usage={**USAGE, **more})
        for counted in (whole(asked)["usage"], streamed(asked)[-1]["usage"]):
            assert counted["completion_tokens_details"] == {"reasoning_tokens": 5}
            assert counted["server_tool_use"] == {"web_search_requests": 2}
            assert counted["cost"] == 0.25

    @pytest.mark.parametrize("usage", [None, 5, {"input_tokens": "many"}, {"input_tokens": 1.5}])
    def test_unreadable_usage_spoils_no_answer(self, usage):
        answer = whole(message(text("A"), usage=usage))
        assert answer["choices"][0]["message"]["content"] == "A"
        assert answer["usage"]["total_tokens"] == 0

    @pytest.mark.parametrize("answer", [b"", b"{", b"[]", b'{"choices":[]}', b'{"id":5,"model":"m","content":[]}'])
    def test_what_is_no_message_is_broken(self, answer):
        with pytest.raises(UpstreamBroken):
            translator().whole(answer)


class TestStreams:
    def test_a_text_begins_with_the_role_and_ends_with_its_usage(self):
        found = streamed(message(text("Hi you")))
        assert [chunk["choices"] for chunk in found] == [
            [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
            for delta, reason in (
                ({"role": "assistant", "content": "", "refusal": None}, None),
                ({"content": "Hi y"}, None),
                ({"content": "ou"}, None),
                ({}, "stop"),
            )
        ] + [[]]
        assert [chunk["usage"] for chunk in found[:-1]] == [None] * 4
        assert found[-1]["usage"]["total_tokens"] == 17

    @pytest.mark.parametrize("wants_usage", [False, None])
    def test_usage_is_for_clients_that_asked_for_it(self, wants_usage):
        found = streamed(message(text("Hi")), wants_usage=wants_usage)
        assert not any("usage" in chunk for chunk in found)
        assert all(chunk["choices"] for chunk in found)

    def test_each_call_opens_once_and_grows_by_fragments(self):
        asked = message(text("A"), use(path="/x"), use("g", "toolu_2"), stop_reason="tool_use")
        calls = [one for delta in deltas(asked) for one in delta.get("tool_calls", ())]
        openers = [one for one in calls if "id" in one]
        assert openers == [
            {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": ""}},
            {"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": ""}},
        ]
        fragments = [(one["index"], one["function"]["arguments"]) for one in calls if "id" not in one]
        assert "".join(part for index, part in fragments if index == 0) == '{"path":"/x"}'
        assert [part for index, part in fragments if index == 1] == ["{}"]

    def test_arguments_that_come_with_the_opening_are_not_lost(self):
        answer = translator()
        shown = b"".join(
            [
                answer.feed(event("message_start", message=message())),
                answer.feed(event("content_block_start", index=0, content_block=use(a=1))),
                answer.feed(event("content_block_stop", index=0)),
                answer.feed(event("message_stop")),
            ]
        )
        calls = [one for chunk in chunks(shown)[:-1] for one in chunk["choices"][0]["delta"].get("tool_calls", ())]
        assert calls[1] == {"index": 0, "function": {"arguments": '{"a": 1}'}}

    def test_a_message_delta_that_is_not_the_last_ends_nothing(self):
        asked = list(events(message(text("Hi"), stop_reason="max_tokens")))
        pause = event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 3})
        for place in (3, -1):
            answer = translator()
            found = chunks(b"".join(answer.feed(one) for one in [*asked[:place], pause, *asked[place:]]))
            assert [chunk["choices"][0]["finish_reason"] for chunk in found[:-1]] == [None, None, "length"]

    def test_the_input_side_of_the_usage_may_be_told_at_the_start_only(self):
        answer = translator()
        start = {**USAGE, "cache_read_input_tokens": 100, "output_tokens": 1}
        shown = answer.feed(event("message_start", message=message(usage=start)))
        shown += answer.feed(event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 8}))
        shown += answer.feed(event("message_stop"))
        assert chunks(shown)[-1]["usage"]["prompt_tokens"] == 109
        assert chunks(shown)[-1]["usage"]["completion_tokens"] == 8

    def test_unknown_events_blocks_and_deltas_say_nothing(self):
        answer = translator()
        answer.feed(event("message_start", message=message()))
        for unknown in (
            event("news", x=1),
            event("content_block_start", index=0, content_block={"type": "news"}),
            event("content_block_delta", index=0, delta={"type": "news_delta", "text": "x"}),
            event("content_block_stop", index=0),
            event("content_block_stop", index=7),
        ):
            assert answer.feed(unknown) == b""

    def test_a_ping_is_a_comment_so_that_nobody_takes_a_thinking_model_for_dead(self):
        assert translator().feed(event("ping")) == b": ping\n\n"

    def test_half_an_emoji_is_shown_as_it_came(self):
        answer = translator()
        answer.feed(event("message_start", message=message()))
        shown = b""
        blocks = ("text", "text_delta", "content"), ("thinking", "thinking_delta", "reasoning_content")
        for index, (kind, delta, _) in enumerate(blocks):
            answer.feed(event("content_block_start", index=index, content_block={"type": kind}))
            for half in (rb"\ud83d", rb"\ude00"):
                begun = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":' % index
                shown += answer.feed(begun + b'{"type":"%b","%b":"%b"}}\n\n' % (delta.encode(), kind.encode(), half))
            shown += answer.feed(event("content_block_stop", index=index))
        for _, _, name in blocks:
            for half in (rb"\ud83d", rb"\ude00"):
                assert b'{"%b":"%b"}' % (name.encode(), half) in shown
        assert rb'"thinking":"\ud83d\ude00"' in shown

    @pytest.mark.parametrize(
        "broken",
        [
            b"data: {\n\n",
            b"data: []\n\n",
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"}),
            b'data: {"choices":[]}\n\n',
        ],
    )
    def test_what_is_no_event_of_messages_is_broken(self, broken):
        answer = translator()
        answer.feed(event("message_start", message=message()))
        with pytest.raises(UpstreamBroken):
            answer.feed(broken)

    def test_a_stream_that_breaks_off_ends_in_an_error_without_an_end_mark(self):
        answer = translator()
        answer.feed(event("message_start", message=message()))
        shown = answer.failing(UpstreamInterrupted("Cut."))
        error = json.loads(shown.removeprefix(b"data: "))["error"]
        assert (error["message"], error["code"]) == ("Cut.", "upstream_interrupted")
        assert b"[DONE]" not in shown


class TestRecordedStreams:
    """Streams of the forms that Anthropic's API is known to send."""

    def test_thoughts_text_and_a_call(self):
        said = recorded("thinking_and_tool")
        assert said["reasoning_content"]
        assert said["thinking_blocks"][0]["thinking"] == said["reasoning_content"]
        assert said["thinking_blocks"][0]["signature"]
        assert said["content"]
        (call,) = said["tool_calls"]
        json.loads(call["function"]["arguments"])

    def test_a_search_of_the_web_is_cited(self):
        said = recorded("web_search")
        (note,) = said["annotations"]
        assert note["url_citation"]["url"].startswith("https://")
        assert said["content"][note["url_citation"]["start_index"] : note["url_citation"]["end_index"]]
        assert not said.get("tool_calls")


def recorded(name):
    """The assistant's message of a recorded stream, put together by the official SDK."""
    answer, state = translator(), ChatCompletionStreamState()
    shown = answer.feed((Path(__file__).parent / "data" / "messages" / f"{name}.sse").read_bytes())
    for event in shown.split(b"\n\n"):
        if event.startswith(b"data: {"):
            state.handle_chunk(ChatCompletionChunk.model_validate_json(event[6:]))
    return state.current_completion_snapshot.model_dump()["choices"][0]["message"]


TEXTS = st.text(max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
BLOCKS = st.one_of(
    TEXTS.map(text),
    st.builds(lambda said, url: text(said, citations=[cited(url)]), TEXTS, TEXTS),
    st.builds(lambda said, key: {"type": "thinking", "thinking": said, "signature": key}, TEXTS, TEXTS),
    st.builds(lambda data: {"type": "redacted_thinking", "data": data}, TEXTS),
    st.builds(
        lambda name, number, given: {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given},
        st.text("abc_", min_size=1, max_size=5),
        st.integers(0, 9),
        st.dictionaries(TEXTS, JSON, max_size=3),
    ),
    st.builds(lambda given: {"type": "server_tool_use", "id": "s", "name": "w", "input": given}, st.just({"q": "x"})),
)
COUNTS = st.integers(0, 10**6)


@st.composite
def answers(draw):
    """Any answer of Anthropic's."""
    five_minutes, hour = draw(COUNTS), draw(COUNTS)
    usage = {
        "input_tokens": draw(COUNTS),
        "cache_read_input_tokens": draw(COUNTS),
        "cache_creation_input_tokens": five_minutes + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": hour},
        "output_tokens": draw(COUNTS),
    }
    reasons = st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal"])
    return message(*draw(st.lists(BLOCKS, max_size=5)), stop_reason=draw(reasons), usage=usage)


def meaning(completion):
    """What a client reads in a completion, whole or put together."""
    (choice,) = completion["choices"]
    said = choice["message"]
    return {
        "content": said["content"] or "",
        "reasoning": said.get("reasoning_content") or "",
        "thoughts": [drop(one, "index") for one in said.get("thinking_blocks") or ()],
        "calls": [
            (one["id"], one["function"]["name"], json.loads(one["function"]["arguments"]))
            for one in said.get("tool_calls") or ()
        ],
        "annotations": [drop(one, "index") for one in said.get("annotations") or ()],
        "finish_reason": choice["finish_reason"],
        "usage": {name: value for name, value in completion["usage"].items() if value is not None},
        "id": completion["id"],
    }


def drop(one, name):
    return {key: value for key, value in one.items() if key != name}


@settings(max_examples=50, deadline=None)
@given(answers(), st.integers(1, 9), st.randoms(use_true_random=False))
def test_a_stream_cut_anywhere_says_what_the_whole_answer_says(asked, length, chance):
    stream = list(events(asked, length))
    answer, state, shown = translator(), ChatCompletionStreamState(), b""
    while stream:
        count = chance.randint(1, 4)
        shown += answer.feed(b"".join(stream[:count]))
        del stream[:count]
    for chunk in chunks(shown):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    put_together = state.current_completion_snapshot.model_dump()
    put_together["usage"] = chunks(shown)[-1]["usage"]
    assert meaning(put_together) == meaning(whole(asked))
