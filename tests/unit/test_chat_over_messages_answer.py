"""What chat clients get of the whole answers of an upstream that speaks Anthropic's Messages API."""

from __future__ import annotations

import json

import msgspec
import pytest
from messages_answers import (
    NOW_S,
    SEALED,
    SIGNED,
    USAGE,
    cited,
    deltas,
    event,
    finished,
    message,
    streamed,
    text,
    translator,
    use,
    whole,
)

from gateway.domain import Body
from gateway.errors import UpstreamBroken
from gateway.translation.chat_over_messages import CHAT_OVER_MESSAGES


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

    @pytest.mark.parametrize("options", [b'{"include_usage":1e400}', b'{"a":"\\ud800"}', b"[" * 5_000 + b"]" * 5_000])
    def test_options_of_a_stream_that_is_none_do_not_matter(self, options):
        body = Body({"stream_options": msgspec.Raw(options)})
        assert b"A" in CHAT_OVER_MESSAGES.answer(body).whole(json.dumps(message(text("A"))).encode())

    @pytest.mark.parametrize("wrong", [["a"], {"a": 1}, 5])
    @pytest.mark.parametrize(
        ("kind", "delta", "name"),
        [
            ("text", "text_delta", "text"),
            ("thinking", "thinking_delta", "thinking"),
            ("thinking", "signature_delta", "signature"),
        ],
    )
    def test_what_is_no_text_where_one_belongs_is_broken(self, wrong, kind, delta, name):
        thought = {"type": "thinking", "thinking": "So.", "signature": "s"}
        with pytest.raises(UpstreamBroken):
            whole(message(thought, {"type": kind, name: wrong}))
        begun = translator()
        begun.feed(event("message_start", message=message()))
        with pytest.raises(UpstreamBroken):
            begun.feed(event("content_block_start", index=0, content_block={"type": kind, name: wrong}))
        begun.feed(event("content_block_start", index=0, content_block={"type": kind}))
        with pytest.raises(UpstreamBroken):
            begun.feed(event("content_block_delta", index=0, delta={"type": delta, name: wrong}))

    @pytest.mark.parametrize("answer", [b"", b"{", b"[]", b'{"choices":[]}', b'{"id":5,"model":"m","content":[]}'])
    def test_what_is_no_message_is_broken(self, answer):
        with pytest.raises(UpstreamBroken):
            translator().whole(answer)
