"""What a client sees of a stream, and what the ledger learns from it, however the bytes are cut."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.replies import StreamReader, WholeReader
from gateway.chat_usage import parse_usage
from gateway.domain import Endpoint, Usage

USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def chunk(content=None, *, finish=None, usage="absent", choices=True, index=0):
    made = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m-2026", "vendor": {"x": 1.0}}
    delta = {} if content is None else {"content": content}
    made["choices"] = [{"index": index, "delta": delta, "finish_reason": finish}] if choices else []
    if usage != "absent":
        made["usage"] = usage
    return b"data: " + json.dumps(made, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def openai_stream(texts, *, with_usage_null=True):
    usage = None if with_usage_null else "absent"
    parts = [chunk(text, usage=usage) for text in texts]
    return b"".join([*parts, chunk(finish="stop", usage=usage), chunk(usage=USAGE, choices=False), b"data: [DONE]\n\n"])


def read(stream, cuts, *, wants_usage, cost_nusd=0, choices=1, per_choice=False):
    reader = StreamReader(wants_usage=wants_usage, choices_per_prompt=choices, has_usage_per_choice=per_choice)
    edges = [0, *sorted({min(cut, len(stream)) for cut in cuts}), len(stream)]
    shown = b""
    for start, end in pairwise(edges):
        if start != end and not reader.is_ended:
            shown += reader.feed(stream[start:end])
    shown += reader.flush()
    return reader, shown + (reader.closing(cost_nusd) if reader.is_complete else b"")


def events(shown):
    assert shown.endswith(b"\n\n")
    return [line[6:] for line in shown.decode().split("\n\n") if line.startswith("data: ")]


texts = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6)
cuts = st.lists(st.integers(0, 2500), max_size=12)


@given(texts=texts, cuts=cuts, nulls=st.booleans(), crlf=st.booleans())
def test_a_client_that_did_not_ask_sees_no_usage_however_the_bytes_are_cut(texts, cuts, nulls, crlf):
    stream = openai_stream(texts, with_usage_null=nulls)
    if crlf:
        stream = stream.replace(b"\n", b"\r\n")
    reader, shown = read(stream, cuts, wants_usage=False)
    *chunks, done = events(shown)
    assert done == "[DONE]"
    assert all("usage" not in json.loads(one) for one in chunks)
    assert "".join(json.loads(one)["choices"][0]["delta"].get("content", "") for one in chunks) == "".join(texts)
    assert reader.usage == Usage(input_tokens=20, cached_input_tokens=16, output_tokens=7, reasoning_tokens=3)
    assert (reader.finish_reason, reader.model_answered) == ("stop", "m-2026")


@given(texts=texts, cuts=cuts, nulls=st.booleans())
def test_a_client_that_asked_sees_one_usage_chunk_last_with_its_cost(texts, cuts, nulls):
    _, shown = read(openai_stream(texts, with_usage_null=nulls), cuts, wants_usage=True, cost_nusd=12_345)
    *chunks, last, done = events(shown)
    assert done == "[DONE]"
    assert all(json.loads(one).get("usage") is None for one in chunks)
    assert json.loads(last)["choices"] == []
    assert json.loads(last)["usage"] == {**USAGE, "cost": 0.000012345}


@given(texts=texts, cuts=cuts)
def test_usage_on_every_chunk_is_hidden_and_the_latest_counts(texts, cuts):
    """Continuous usage of vLLM: exact billing of a stream that is aborted."""
    parts = [
        chunk(text, usage={"prompt_tokens": 9, "completion_tokens": n, "total_tokens": 9 + n})
        for n, text in enumerate(texts)
    ]
    reader, shown = read(b"".join(parts), cuts, wants_usage=False)
    assert all("usage" not in json.loads(one) for one in events(shown))
    assert reader.usage == Usage(input_tokens=9, output_tokens=len(texts) - 1)
    assert not reader.is_complete


@pytest.mark.parametrize("behind", [{}, {"system_fingerprint": "fp"}, {"vendor_end": {"usage": {"x": 1}}}, {"y": "}}"}])
@pytest.mark.parametrize("details", [{}, {"prompt_tokens_details": {"cached_tokens": 2}}])
@pytest.mark.parametrize("wants_usage", [True, False])
def test_usage_on_chunks_is_found_and_hidden_wherever_it_stands_in_them(behind, details, wants_usage):
    reader = StreamReader(wants_usage=wants_usage)
    for number, text in enumerate(["a", 'b,"usage":{"prompt_tokens":9}}', "c"]):
        usage = {"prompt_tokens": 5, "total_tokens": 5 + number, "completion_tokens": number, **details}
        made = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        event = json.dumps({**made, "usage": usage, **behind}, separators=(",", ":"))
        shown = reader.feed(f"data: {event}\n\n".encode())
        kept = {"usage": None} if wants_usage else {}
        assert json.loads(events(shown)[0]) == {**made, **kept, **behind}
        assert (reader.usage.input_tokens, reader.usage.output_tokens) == (5, number)
        assert reader.usage.cached_input_tokens == (2 if details else 0)


def test_continuous_usage_of_several_choices_is_summed_and_their_prompt_counts_once():
    def of(index, n):
        return chunk("x", index=index, usage={"prompt_tokens": 9, "completion_tokens": n, "total_tokens": 9 + n})

    reader, _ = read(of(0, 1) + of(1, 2) + of(0, 3), [], wants_usage=False, choices=2, per_choice=True)
    assert reader.usage == Usage(input_tokens=9, output_tokens=5)


@given(texts=texts, cuts=cuts)
def test_without_a_usage_report_all_generated_text_can_be_counted(texts, cuts):
    stream = b"".join(chunk(text) for text in texts)
    reader, _ = read(stream, cuts, wants_usage=False)
    assert reader.usage is None
    assert reader.output_text() == "".join(texts)


def test_text_of_tool_calls_refusals_and_reasoning_is_counted_too():
    call = {"index": 0, "function": {"name": "look", "arguments": '{"a":'}}
    deltas = [{"tool_calls": [call]}, {"refusal": "no"}, {"reasoning_content": "hm"}]
    stream = b"".join(
        b"data: "
        + json.dumps({"model": "m", "choices": [{"index": 0, "delta": d, "finish_reason": None}]}).encode()
        + b"\n\n"
        for d in deltas
    )
    reader, _ = read(stream, [], wants_usage=False)
    assert reader.output_text() == 'look{"a":nohm'


def test_a_long_stream_without_usage_is_folded_to_its_text():
    reader = StreamReader(wants_usage=False)
    for _ in range(3000):
        reader.feed(chunk("ab" * 50))
    assert reader._kept_bytes < 300_000
    assert reader.output_text() == "ab" * 150_000


def test_vendor_fields_and_comments_travel_untouched():
    stream = b": keep-alive\n\n" + chunk("a") + b": ping\n\n" + chunk("b")
    _, shown = read(stream, [], wants_usage=False)
    assert shown == stream


def test_a_stream_without_its_end_mark_is_complete_only_when_every_choice_finished():
    one_of_two, _ = read(chunk("a", finish="stop", index=0), [], wants_usage=False, choices=2)
    both, _ = read(chunk("a", finish="stop") + chunk("b", finish="length", index=1), [], wants_usage=False, choices=2)
    assert not one_of_two.is_complete
    assert both.is_complete


@given(cut=st.integers(0, 400))
def test_an_error_event_ends_the_stream_with_its_code_and_nothing_after_it_is_shown(cut):
    error = b'data: {"error": {"message": "overloaded", "type": "server_error", "code": "busy"}}\n\n'
    reader, shown = read(chunk("a") + error + chunk("b"), [cut], wants_usage=False)
    assert reader.error is not None
    assert (reader.error.message, reader.error.code) == ("overloaded", "busy")
    assert shown == chunk("a")


def test_an_event_that_is_not_json_is_an_error_not_an_answer():
    reader, shown = read(chunk("a") + b"data: {oops\n\n", [], wants_usage=False)
    assert reader.error is not None
    assert shown == chunk("a")


def test_the_word_usage_inside_the_text_changes_nothing():
    tricky = 'say ,"usage":null and "error" and [DONE] and "finish_reason":"stop"'
    stream = chunk("start") + chunk(tricky) + chunk(finish="stop") + b"data: [DONE]\n\n"
    reader, shown = read(stream, [len(chunk("start"))], wants_usage=False)
    assert shown == stream
    assert reader.is_ended


@pytest.mark.parametrize(
    ("reported", "meant"),
    [
        ({"prompt_tokens": 5, "total_tokens": 5}, Usage(input_tokens=5)),
        (
            {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 17},
            Usage(5, output_tokens=12, reasoning_tokens=10),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}, Usage(5, 4, output_tokens=2)),
        ({"prompt_tokens": -5, "completion_tokens": 2}, None),
        ({"prompt_tokens": "5"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_usage_is_read_in_the_dialects_of_compatible_servers(reported, meant):
    assert parse_usage(json.dumps(reported).encode()) == meant


def test_a_whole_answer_passes_to_the_byte():
    body = (
        b'{ "id":"x", "model":"m",  "choices":[{"index":0,"finish_reason":"stop","message":{"content":"hi"}}],"z":1.0}'
    )
    reader = WholeReader(Endpoint.CHAT)
    assert reader.feed(body) == body
    assert reader.is_complete
    assert reader.output_text() == "hi"


@pytest.mark.parametrize(
    "body", [b'{"id": "x", "choices": [{"ind', b'{"id": "x"}', b"[]", b'{"error": {"message": "m"}}']
)
def test_what_is_no_answer_is_an_error(body):
    reader = WholeReader(Endpoint.CHAT)
    reader.feed(body)
    assert reader.error is not None
    assert not reader.is_complete


def test_usage_on_the_last_chunk_of_several_choices_is_that_of_the_whole_answer():
    usage = {"prompt_tokens": 1000, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 900}}
    reader, _ = read(chunk("a", usage=usage) + chunk("b", index=1, usage=usage), [], wants_usage=False, choices=2)
    assert reader.usage == Usage(input_tokens=1000, cached_input_tokens=900, output_tokens=20)


@given(words=st.integers(1, 20), cut=st.integers(0, 3000), keeps_text=st.booleans())
def test_text_after_the_last_usage_report_of_a_cut_stream_is_left_to_be_counted(words, cut, keeps_text):
    stream = chunk("", usage={"prompt_tokens": 9, "completion_tokens": 0}) + b"".join(
        chunk(" word") for _ in range(words)
    )
    reader = StreamReader(wants_usage=False, keeps_text=keeps_text)
    reader.feed(stream[: len(chunk("", usage={"prompt_tokens": 9, "completion_tokens": 0}))])
    rest = stream[len(chunk("", usage={"prompt_tokens": 9, "completion_tokens": 0})) :]
    for part in (rest[:cut], rest[cut:]):
        reader.feed(part)
    assert reader.usage == Usage(input_tokens=9)
    assert reader.unreported_text() == " word" * words


def test_a_complete_answer_leaves_nothing_unreported():
    reader, _ = read(openai_stream(["a", "b"]), [], wants_usage=False)
    assert reader.unreported_text() == ""


def test_half_an_emoji_in_a_delta_is_passed_on_as_it_came():
    half = chunk("HALF").replace(b"HALF", b"\\ud83d")
    whole = chunk("PAIR", usage={"prompt_tokens": 1, "completion_tokens": 1}).replace(b"PAIR", b"\\ud83d\\ude00")
    reader, shown = read(half + whole, [], wants_usage=False)
    assert reader.error is None
    assert half in shown
    assert b"\\ud83d\\ude00" in shown.removeprefix(half)
    answer = (
        json.dumps({"choices": [{"index": None, "message": {"content": "HALF"}}]}).encode().replace(b"HALF", b"\\ude00")
    )
    assert WholeReader(Endpoint.CHAT).feed(answer) == answer


def test_absurd_usage_is_no_usage():
    assert parse_usage(b'{"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 1000000000000000000}') is None


def test_a_good_answer_is_not_refused_for_a_field_of_no_consequence():
    choice = b'{"index": "x", "finish_reason": 1, "message": {"tool_calls": 5}}'
    body = b'{"model": 5, "service_tier": {}, "choices": [' + choice + b"]}"
    reader = WholeReader(Endpoint.CHAT)
    assert reader.feed(body) == body
    assert (reader.error, reader.model_answered, reader.output_text()) == (None, None, "")
    stream = b"data: " + body + b"\n\n"
    assert read(stream, [], wants_usage=False)[1].startswith(stream)


@pytest.mark.parametrize("body", [rb'{"a":"\ud83d"}', rb'{"\ud83d":1}'])
def test_half_a_character_does_not_hide_that_a_whole_answer_lacks_its_choices(body):
    reader = WholeReader(Endpoint.CHAT)
    assert reader.feed(body) == b""
    assert "has no 'choices'" in reader.error.message
