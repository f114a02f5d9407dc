"""Texts of chat answers: taken out, put back, and how an answer ends that a guard stops."""

from __future__ import annotations

import json

import pytest
from answer_texts_parts import as_it_is, louder, openai_client, payloads, reading, said, told_with
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from gateway.answers.telling_chat import whole_of
from gateway.domain import Endpoint, Usage

CHAT, COMPLETIONS = Endpoint.CHAT, Endpoint.COMPLETIONS
USAGE = Usage(input_tokens=3, output_tokens=2)
DONE = b"data: [DONE]\n\n"
COMMON = {"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "m"}
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def event(data):
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def chunk(delta, index=0, finish_reason=None, **more):
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason, **more}
    return event({**COMMON, "choices": [choice]})


def called(place, arguments, **more):
    return {"tool_calls": [{"index": place, **more, "function": {"arguments": arguments}}]}


def begun(place, name):
    return {"tool_calls": [{"index": place, "id": f"call_{place}", "type": "function", "function": {"name": name}}]}


@st.composite
def streams(draw):
    """A stream of several choices that come in turns, each with thoughts, content, a refusal and calls."""
    parts = []
    for index in range(draw(st.integers(1, 3))):
        one = [chunk({"role": "assistant", "content": ""}, index)]
        one += [chunk({"reasoning_content": text}, index) for text in draw(st.lists(texts, max_size=3))]
        one += [chunk({"content": text}, index) for text in draw(st.lists(texts, max_size=4))]
        one += [chunk({"refusal": text}, index) for text in draw(st.lists(texts, max_size=2))]
        for place in range(draw(st.integers(0, 2))):
            one.append(chunk(begun(place, "look"), index))
            one += [chunk(called(place, text), index) for text in draw(st.lists(texts, max_size=3))]
        one.append(chunk(draw(st.sampled_from([{}, {"content": "."}, {"content": ""}])), index, "stop"))
        parts.append(one)
    out = [one.pop(0) for one in parts]  # the SDK's accumulator wants them to begin in order
    while any(parts):
        turn = draw(st.sampled_from([one for one in parts if one]))
        out.append(turn.pop(0))
        if draw(st.booleans()):
            out.append(b": ping\n\n")
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return b"".join(out) + event({**COMMON, "choices": [], "usage": usage}) + DONE


def read_by_sdk(answer, **fields):
    """What the official SDK's accumulator makes of a stream."""
    state = ChatCompletionStreamState()
    client = openai_client(answer)
    with client.chat.completions.create(model="m", messages=[], stream=True, **fields) as stream:
        for one in stream:
            assert isinstance(one, ChatCompletionChunk)
            state.handle_chunk(one)
    return state.current_completion_snapshot


def spoken(message):
    """The texts of a message as the SDK has it, by the end of their channels' names."""
    found = {name: getattr(message, name, None) for name in ("reasoning_content", "content", "refusal")}
    for place, call in enumerate(message.tool_calls or ()):
        found[f"tool_calls.{place}.function.arguments"] = call.function.arguments
    return {name: text for name, text in found.items() if text}


@settings(deadline=None, max_examples=40)
@given(streams())
def test_a_stream_that_nobody_changes_stays_as_it_is(stream):
    assert as_it_is(reading(CHAT), stream) == stream
    assert b"".join(one.encoded([s.text for s in one.slots]) for one in reading(CHAT).read(stream)) == stream


@settings(deadline=None, max_examples=30)
@given(streams(), st.integers(0, 9))
def test_the_official_sdk_reads_the_changed_texts_and_nothing_else(stream, kept_back):
    before = said(reading(CHAT).read(stream))
    answer = told_with(reading(CHAT), stream, louder, kept_back=kept_back)
    snapshot = read_by_sdk(answer)
    after = {}
    for choice in snapshot.choices:
        assert choice.finish_reason == "stop"
        after |= {f"{choice.index}.{name}": text for name, text in spoken(choice.message).items()}
    assert after == {channel: louder(text) for channel, text in before.items()}


@settings(deadline=None, max_examples=30)
@given(streams(), st.data())
def test_a_stream_that_is_stopped_is_read_as_filtered(stream, data):
    texts = reading(CHAT, wants_usage=True, choices=3)
    events = texts.read(stream)[:-2]  # before its own usage and end
    shown = data.draw(st.integers(0, len(events)))
    answer = b"".join(one.encoded() for one in events[:shown]) + texts.stopped(USAGE, 1_500_000_000)
    assert answer.endswith(DONE)
    ended = {}
    for one in payloads(answer):
        for choice in one["choices"]:
            assert choice["index"] not in ended
            if choice["finish_reason"]:
                ended[choice["index"]] = choice["finish_reason"]
    came = {choice["index"] for one in payloads(stream) for choice in one["choices"]}
    assert set(ended) == came
    assert set(ended.values()) <= {"stop", "content_filter"}
    last = payloads(answer)[-1]
    assert (last["choices"], last["usage"]["prompt_tokens"], last["usage"]["cost"]) == ([], 3, 1.5)
    assert {choice.finish_reason for choice in read_by_sdk(answer).choices} == set(ended.values())


def test_a_client_that_did_not_ask_for_usage_is_told_none_of_it():
    texts = reading(CHAT)
    shown = as_it_is(texts, chunk({"role": "assistant", "content": "a"}))
    assert b"usage" not in shown + texts.stopped(USAGE, 1)


def test_a_stream_that_is_stopped_before_anything_came_ends_all_its_choices():
    answer = reading(CHAT, choices=2).stopped(None, 0)
    assert [choice.finish_reason for choice in read_by_sdk(answer).choices] == ["content_filter"] * 2
    assert read_by_sdk(answer).choices[0].message.content == ""


def test_the_end_of_a_choice_and_the_beginning_of_another_text_end_what_came_before():
    texts = reading(CHAT)
    stream = [
        chunk({"reasoning_content": "a"}),
        chunk({"content": "b", "reasoning_content": None}),
        chunk({"content": "c"}, 1),
        chunk({"content": ""}),
        chunk(begun(0, "f")),
        chunk(called(0, "{")),
        chunk(called(1, "{")),
        chunk({"content": "d"}, 0, "stop"),
        DONE,
    ]
    ends = [sorted(one.ends) for one in texts.read(b"".join(stream))]
    call = "0.tool_calls.{}.function.arguments".format
    assert ends == [
        [],
        ["0.reasoning_content"],
        [],
        [],
        [],
        ["0.content"],
        [call(0)],
        ["0.content", call(1)],
        ["1.content"],
    ]


def test_arguments_of_calls_and_content_that_was_asked_for_as_json_are_json_in_their_source():
    stream = chunk({**called(0, "{"), "content": "a", "function_call": {"name": "f", "arguments": "}"}})
    kinds = {slot.channel: slot.is_json for slot in reading(CHAT).read(stream)[0].slots}
    calls = {"0.tool_calls.0.function.arguments": True, "0.function_call.arguments": True}
    assert kinds == {**calls, "0.content": False}
    asks_json = {"response_format": {"type": "json_schema", "json_schema": {}}}
    kinds = {slot.channel: slot.is_json for slot in reading(CHAT, **asks_json).read(stream)[0].slots}
    assert kinds == {**calls, "0.content": True}


def test_log_probabilities_of_a_text_that_is_replaced_are_dropped():
    told = {"content": [{"token": "secret", "logprob": -1.0, "bytes": None, "top_logprobs": []}], "refusal": None}
    stream = chunk({"content": "secret"}, logprobs=told, token_ids=[7]) + chunk({"content": "kept"}, logprobs=told)
    changed, kept = reading(CHAT).read(stream)
    [choice] = payloads(changed.encoded(["[X]"]))[0]["choices"]
    assert (choice["delta"]["content"], choice["logprobs"], choice["token_ids"]) == ("[X]", None, None)
    assert payloads(kept.encoded(["kept"]))[0]["choices"][0]["logprobs"] == told


@pytest.mark.parametrize("change", [str, str.upper])
def test_sources_are_named_only_of_the_text_that_they_belong_to(change):
    source = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "url": "u", "title": "t"}}
    stream = chunk({"content": "ab"}) + chunk({"content": "cd"}) + chunk({"annotations": [source]}, 0, "stop")
    first, second, third = reading(CHAT).read(stream)
    assert [slot.text for slot in third.slots] == ["u", "t"]
    first.encoded([change("a")])
    second.encoded([change("bcd")])
    [choice] = payloads(third.encoded())[0]["choices"]
    assert choice["delta"]["annotations"] == ([source] if change is str else [])


def test_halves_of_an_emoji_that_came_in_two_chunks_stay_what_they_are():
    stream = b"".join(
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n' % text
        for text in (rb"a\ud83d", rb"\ude00b \\ud83d", b"c")
    )
    assert as_it_is(reading(CHAT), stream) == stream
    texts = reading(CHAT)
    events = texts.read(stream)
    whole = "".join(slot.text for one in events for slot in one.slots)
    assert whole.encode()  # a guard can look at it
    out = events[0].encoded([whole[:1]]) + events[1].encoded([whole[1:] + "!"]) + texts.more("0.content", "?")
    said = "".join(one["choices"][0]["delta"]["content"] for one in payloads(out))
    assert said == "a\U0001f600b \\ud83dc!?"


def test_what_vendors_add_to_a_delta_is_seen_and_goes_on_in_its_own_form():
    detail = {"type": "reasoning.text", "text": "hm", "format": "x", "index": 0, "signature": "c2ln"}
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "well"}]}]
    stream = chunk({"reasoning_details": [detail], "own_words": "so"}) + chunk({"content": parts})
    texts = reading(CHAT)
    first, second = texts.read(stream)
    assert [slot.text for slot in (*first.slots, *second.slots)] == ["hm", "so", "well"]
    own = payloads(texts.more("0.reasoning_details.0.text", "X"))[0]["choices"][0]["delta"]
    assert own == {"reasoning_details": [{"type": "reasoning.text", "index": 0, "format": "x", "text": "X"}]}
    own = payloads(texts.more(second.slots[0].channel, "X"))[0]["choices"][0]["delta"]
    assert own == {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "X"}]}]}
    assert as_it_is(reading(CHAT), stream) == stream


def test_a_text_that_begins_like_an_address_of_data_is_seen():
    [one] = reading(CHAT).read(chunk({"content": "data:text"}))
    assert [slot.text for slot in one.slots] == ["data:text"]


@pytest.mark.parametrize("answer", [b"data: nothing\n\n", b"data: [1]\n\n", b"data: " + b"[" * 9000 + b"\n\n"])
def test_what_cannot_be_read_is_refused(answer):
    with pytest.raises(ValueError, match=r".+"):
        reading(CHAT).read(answer)
    with pytest.raises(ValueError, match=r".+"):
        reading(CHAT, is_stream=False).read(answer[6:-2])


def test_a_whole_answer_is_read_changed_and_emptied():
    stream = chunk({"role": "assistant", "content": "Hi"}) + chunk(called(0, '{"a": 1}', id="x"), finish_reason="stop")
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "cost": 0.5}
    answer = json.loads(whole_of(stream, is_stream=True, usage=USAGE)) | {"usage": usage, "prompt_logprobs": [1]}
    whole = json.dumps(answer).encode()
    assert as_it_is(reading(CHAT, is_stream=False), whole) == whole
    texts = reading(CHAT, is_stream=False)
    [one] = texts.read(whole)
    assert sorted(one.ends) == sorted(slot.channel for slot in one.slots)
    changed = openai_client(one.encoded([slot.text.upper() for slot in one.slots]), is_stream=False)
    message = changed.chat.completions.create(model="m", messages=[]).choices[0].message
    assert (message.content, message.tool_calls[0].function.arguments) == ("HI", '{"A": 1}')
    emptied = openai_client(texts.stopped(USAGE, 5), is_stream=False).chat.completions.create(model="m", messages=[])
    [choice] = emptied.choices
    assert (choice.finish_reason, choice.message.content, choice.message.tool_calls) == ("content_filter", "", None)
    assert emptied.usage.model_dump(exclude_none=True) == usage


@pytest.mark.parametrize("is_stream", [True, False])
def test_completions_are_read_changed_and_stopped(is_stream):
    choices = [{"index": n, "text": "ab", "logprobs": {"tokens": ["ab"]}, "finish_reason": None} for n in range(2)]
    answer = {"id": "c", "object": "text_completion", "created": 7, "model": "m", "choices": choices}
    shown = event(answer) if is_stream else json.dumps(answer).encode()
    assert as_it_is(reading(COMPLETIONS, is_stream=is_stream), shown) == shown
    texts = reading(COMPLETIONS, is_stream=is_stream)
    [one] = texts.read(shown)
    assert [(slot.channel, slot.text) for slot in one.slots] == [("0.text", "ab"), ("1.text", "ab")]
    changed = one.encoded(["AB", "ab"])
    out = payloads(changed)[0] if is_stream else json.loads(changed)
    assert [choice["text"] for choice in out["choices"]] == ["AB", "ab"]
    assert [choice["logprobs"] for choice in out["choices"]] == [None, {"tokens": ["ab"]}]
    if is_stream:
        [piece] = payloads(texts.more("1.text", "c"))[0]["choices"]
        assert piece == {"index": 1, "text": "c", "logprobs": None, "finish_reason": None}
        client = openai_client(changed + texts.stopped(None, 0))
        ended = [part.choices[0] for part in client.completions.create(model="m", prompt="", stream=True)][-2:]
    else:
        client = openai_client(texts.stopped(None, 0), is_stream=False)
        ended = client.completions.create(model="m", prompt="").choices
    assert [(part.index, part.text, part.finish_reason) for part in ended] == [
        (0, "", "content_filter"),
        (1, "", "content_filter"),
    ]


def test_answers_that_are_no_text_are_not_read():
    for endpoint in (
        Endpoint.EMBEDDINGS,
        Endpoint.MODERATIONS,
        Endpoint.SPEECH,
        Endpoint.RERANK,
        Endpoint.COUNT_TOKENS,
    ):
        assert reading(endpoint) is None
