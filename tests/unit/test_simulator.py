"""The simulator: deterministic, shaped like OpenAI's API, and doing what a request asks of it."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from typing import Any

import pytest
from openai.types import Completion, CreateEmbeddingResponse, ModerationCreateResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from backends.simulator import Simulator, count_tokens
from gateway.domain import Call, Deployment, Endpoint, Provider, Timeouts
from gateway.errors import UpstreamBroken, UpstreamInterrupted, UpstreamRefused, UpstreamTimeout

PROMPT = [{"role": "user", "content": "Who rows the ferry?"}]


def call(
    body: dict[str, Any] | None = None,
    *,
    endpoint: Endpoint = Endpoint.CHAT,
    stream: bool = False,
    timeouts: Timeouts | None = None,
    **simulate: Any,
) -> Call:
    content: dict[str, Any] = {"model": "simulator", **({"messages": PROMPT} if body is None else body)}
    if simulate:
        content["simulate"] = simulate
    if stream:
        content["stream"] = True
    provider = Provider("simulator", "simulator", timeouts=timeouts or Timeouts())
    return Call(Deployment("d", provider, "simulator"), endpoint, json.dumps(content).encode(), stream, {})


async def answer(asked: Call) -> dict[str, Any]:
    reply = await Simulator().open(asked)
    assert await reply.next() is None
    return json.loads(reply.first)


async def drained_into(blocks: list[bytes], reply: Any) -> None:
    while (block := await reply.next()) is not None:
        blocks.append(block)


async def events(asked: Call) -> list[dict[str, Any]]:
    reply = await Simulator().open(asked)
    blocks = [reply.first]
    await drained_into(blocks, reply)
    assert blocks[-1] == b"data: [DONE]\n\n"
    return [json.loads(block.removeprefix(b"data: ")) for block in blocks[:-1]]


def said(chunks: list[dict[str, Any]], index: int = 0) -> str:
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )


async def test_the_same_prompt_gets_the_same_answer_and_says_what_it_is():
    first, second = await answer(call()), await answer(call())
    other = await answer(call({"messages": [{"role": "user", "content": "another"}]}))
    assert first == second
    assert first["choices"] != other["choices"]
    assert "Obol's simulator" in first["choices"][0]["message"]["content"]


async def test_a_streamed_answer_says_what_a_whole_one_says():
    whole, chunks = await answer(call()), await events(call(stream=True))
    assert said(chunks) == whole["choices"][0]["message"]["content"]
    assert {chunk["id"] for chunk in chunks} == {whole["id"]}


async def test_answers_have_the_shapes_of_the_official_sdk():
    ChatCompletion.model_validate(await answer(call()))
    for chunk in await events(call(stream=True)):
        ChatCompletionChunk.model_validate(chunk)
    Completion.model_validate(await answer(call({"prompt": "x"}, endpoint=Endpoint.COMPLETIONS)))
    CreateEmbeddingResponse.model_validate(await answer(call({"input": "x"}, endpoint=Endpoint.EMBEDDINGS)))
    ModerationCreateResponse.model_validate(await answer(call({"input": "x"}, endpoint=Endpoint.MODERATIONS)))


@pytest.mark.parametrize("tokens", [0, 1, 7, 500])
async def test_an_answer_of_so_many_tokens_bills_exactly_so_many(tokens):
    got = await answer(call(output_tokens=tokens))
    assert got["usage"]["completion_tokens"] == tokens
    assert count_tokens(got["choices"][0]["message"]["content"]) == tokens


async def test_the_prompt_is_counted_by_the_stated_rule():
    usage = (await answer(call()))["usage"]
    assert usage["prompt_tokens"] == 3 + 5  # per message, and 19 bytes in fours
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_token_limits_cut_the_answer():
    for limit in ("max_tokens", "max_completion_tokens"):
        got = await answer(call({"messages": PROMPT, limit: 5}))
        assert (got["usage"]["completion_tokens"], got["choices"][0]["finish_reason"]) == (5, "length")


async def test_a_stream_reports_usage_only_when_asked_and_then_like_openai():
    silent = await events(call(stream=True))
    asked = await events(call({"messages": PROMPT, "stream_options": {"include_usage": True}}, stream=True))
    assert all("usage" not in chunk for chunk in silent)
    assert all(chunk["usage"] is None for chunk in asked[:-1])
    assert (asked[-1]["choices"], asked[-1]["usage"]) == ([], (await answer(call()))["usage"])


async def test_usage_details_and_their_absence_are_on_demand():
    usage = (await answer(call(cached_tokens=6, reasoning_tokens=9, output_tokens=10)))["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 6
    assert (usage["completion_tokens"], usage["completion_tokens_details"]["reasoning_tokens"]) == (19, 9)
    assert "usage" not in await answer(call(no_usage=True))


async def test_several_choices_differ_and_are_all_billed():
    got = await answer(call({"messages": PROMPT, "n": 3}, output_tokens=40))
    texts = [choice["message"]["content"] for choice in got["choices"]]
    assert len(set(texts)) == 3
    assert got["usage"]["completion_tokens"] == 120
    chunks = await events(call({"messages": PROMPT, "n": 3}, stream=True, output_tokens=40))
    assert [said(chunks, index) for index in range(3)] == texts


TOOL = {
    "type": "function",
    "function": {
        "name": "pay",
        "parameters": {"type": "object", "properties": {"coins": {"type": "integer", "minimum": 2}}},
    },
}


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "pay"}}])
async def test_a_demanded_tool_is_called_with_fitting_arguments(choice):
    got = (await answer(call({"messages": PROMPT, "tools": [TOOL], "tool_choice": choice})))["choices"][0]
    function = got["message"]["tool_calls"][0]["function"]
    assert (got["finish_reason"], function["name"]) == ("tool_calls", "pay")
    assert json.loads(function["arguments"]) == {"coins": 2}


async def test_tools_that_are_only_offered_are_not_called():
    got = await answer(call({"messages": PROMPT, "tools": [TOOL], "tool_choice": "auto"}))
    assert "tool_calls" not in got["choices"][0]["message"]


async def test_a_streamed_tool_call_comes_in_fragments_that_make_up_its_arguments():
    arguments = {"coins": 3, "to": "the ferryman"}
    chunks = await events(call(stream=True, tool_call={"name": "pay", "arguments": arguments}))
    calls = [part for c in chunks for choice in c["choices"] for part in choice["delta"].get("tool_calls", ())]
    assert (calls[0]["function"]["name"], calls[0]["type"], {part["index"] for part in calls}) == (
        "pay",
        "function",
        {0},
    )
    assert len(calls) > 3
    assert json.loads("".join(part["function"]["arguments"] for part in calls)) == arguments


async def test_a_json_schema_is_satisfied():
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 5},
            "kind": {"enum": ["coin", "note"]},
            "count": {"type": ["integer", "null"], "minimum": 3},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        },
        "$defs": {"tag": {"type": "object", "properties": {"on": {"type": "boolean"}}}},
    }
    body = {
        "messages": PROMPT,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    }

    got = json.loads((await answer(call(body)))["choices"][0]["message"]["content"])

    assert len(got["name"]) == 5
    assert (got["kind"], got["count"], got["maybe"]) == ("coin", 3, None)
    assert got["tags"] == [{"on": True}, {"on": True}]


async def test_a_recursive_schema_ends():
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    body = {"messages": PROMPT, "response_format": {"type": "json_schema", "json_schema": {"schema": node}}}
    assert "next" in json.loads((await answer(call(body)))["choices"][0]["message"]["content"])


async def test_errors_on_demand_are_an_upstreams_errors():
    error = {"status": 429, "code": "insufficient_quota", "message": "no coin"}
    with pytest.raises(UpstreamRefused) as caught:
        await answer(call(error=error))
    assert (caught.value.status, caught.value.code, caught.value.message) == (429, "insufficient_quota", "no coin")
    assert (caught.value.can_retry, caught.value.should_retry) == (False, False)


@pytest.mark.parametrize(
    "body", [{"messages": "no list"}, {"messages": PROMPT, "n": 0}, {"simulate": {"output_tokens": 10**9}}]
)
async def test_a_request_that_makes_no_sense_is_refused(body):
    with pytest.raises(UpstreamRefused) as caught:
        await answer(call(body))
    assert (caught.value.status, caught.value.can_fall_back) == (400, False)


async def test_a_stream_breaks_off_where_it_was_asked_to():
    reply = await Simulator().open(call(stream=True, cut_after_chunks=3))
    blocks = [reply.first]
    with pytest.raises(UpstreamInterrupted):
        await drained_into(blocks, reply)
    assert len(blocks) == 3


@pytest.mark.parametrize(("stream", "chunks"), [(True, 0), (False, 5)])
async def test_breaking_off_before_the_first_block_allows_a_fallback(stream, chunks):
    with pytest.raises(UpstreamBroken) as caught:
        await Simulator().open(call(stream=stream, cut_after_chunks=chunks))
    assert caught.value.can_fall_back


@pytest.mark.parametrize("simulate", [{"hang": True}, {"delay_ms": 60_000}, {"first_token_delay_ms": 60_000}])
async def test_silence_ends_at_the_providers_limits(simulate):
    limits = Timeouts(first_token_s=0.01, total_s=0.01)
    for stream in (True, False):
        with pytest.raises(UpstreamTimeout) as caught:
            await Simulator().open(call(stream=stream, timeouts=limits, **simulate))
        assert caught.value.can_fall_back


async def test_silence_in_the_middle_ends_the_stream_without_a_fallback():
    limits = Timeouts(between_tokens_s=0.01)
    reply = await Simulator().open(call(stream=True, timeouts=limits, hang=True, cut_after_chunks=2))
    with pytest.raises(UpstreamTimeout) as caught:
        await drained_into([], reply)
    assert not caught.value.can_fall_back


async def test_a_hanging_call_can_be_cancelled():
    task = asyncio.create_task(Simulator().open(call(hang=True)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_closed_stream_is_at_its_end():
    reply = await Simulator().open(call(stream=True))
    reply.close()
    assert await reply.next() is None


async def test_embeddings_come_as_numbers_or_base64_of_the_asked_length():
    body = {"input": ["a", "b", "a"], "dimensions": 8}
    plain = await answer(call(body, endpoint=Endpoint.EMBEDDINGS))
    packed = await answer(call({**body, "encoding_format": "base64"}, endpoint=Endpoint.EMBEDDINGS))
    vectors = [item["embedding"] for item in plain["data"]]
    assert vectors[0] == vectors[2] != vectors[1]
    assert struct.unpack("<8f", base64.b64decode(packed["data"][0]["embedding"])) == pytest.approx(vectors[0])
    assert plain["usage"]["prompt_tokens"] == 3


async def test_token_ids_are_one_input():
    got = await answer(call({"input": [1, 2, 3]}, endpoint=Endpoint.EMBEDDINGS))
    assert (len(got["data"]), got["usage"]["prompt_tokens"]) == (1, 3)


async def test_moderation_flags_only_the_agreed_word():
    got = await answer(call({"input": ["fine", "simulate-flagged"]}, endpoint=Endpoint.MODERATIONS))
    assert [result["flagged"] for result in got["results"]] == [False, True]


async def test_text_completions_stream_too():
    chunks = await events(call({"prompt": "x"}, endpoint=Endpoint.COMPLETIONS, stream=True, output_tokens=9))
    text = "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])
    assert count_tokens(text) == 9


@pytest.mark.parametrize("endpoint", [Endpoint.SPEECH, Endpoint.TRANSCRIPTIONS, Endpoint.IMAGES, Endpoint.RERANK])
async def test_what_it_cannot_do_it_refuses(endpoint):
    with pytest.raises(UpstreamRefused, match="simulator has no") as refused:
        await Simulator().open(call({"input": "x"}, endpoint=endpoint))
    assert refused.value.status == 404
