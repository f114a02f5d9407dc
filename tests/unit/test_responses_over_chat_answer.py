"""What a client of the Responses API sees of an answer that an upstream gave as chat, whole or cut anywhere."""

from __future__ import annotations

import base64
import json
from itertools import pairwise

import httpx
import openai
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent

from gateway.api.wire import parse_body
from gateway.errors import GatewayError, RateLimited, UpstreamBroken, UpstreamInterrupted, UpstreamRefused
from gateway.translation.responses_over_chat.answer import ResponseWriter

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Edits files."}
GIT = {"type": "namespace", "name": "mcp__git", "description": "About git.", "tools": [{**FUNCTION, "name": "log"}]}
SEARCH = {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}
REQUEST = {"model": "m", "input": "Hi", "tools": [FUNCTION, PATCH, GIT, SEARCH], "instructions": "Be\nbrief."}
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
    "cost": 0.000012,
}
_EVENT = pydantic.TypeAdapter(ResponseStreamEvent)


def writer(**fields):
    return ResponseWriter(parse_body(json.dumps({**REQUEST, **fields}, indent=1).encode()), "0123")


def chunk(delta=None, finish=None, **more):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    made = {"id": "c", "object": "chat.completion.chunk", "created": 17, "model": "m-1", "choices": choices, **more}
    return b"data: " + json.dumps(made).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
END = chunk(usage=USAGE) + DONE


def whole_answer(message, finish="stop", **more):
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    made = {"id": "c", "object": "chat.completion", "created": 17, "model": "m-1", "choices": [choice], "usage": USAGE}
    return json.dumps({**made, **more}).encode()


def events(shown):
    """The events of a run, checked for what holds of every one."""
    found = []
    for event in shown.decode().split("\n\n")[:-1]:
        name, _, data = event.partition("\n")
        assert data.startswith("data: ")
        assert "\n" not in data
        found.append(json.loads(data[6:]))
        assert name == f"event: {found[-1]['type']}"
    return found


def streamed(*chunks, **fields):
    made = writer(**fields)
    return events(b"".join(made.feed(one) for one in chunks))


def final(found):
    return found[-1]["response"]


def kinds(found):
    return [event["type"].removeprefix("response.") for event in found]


def call(name, arguments, index=0, call_id="call_1"):
    return {"tool_calls": [{"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}]}


def more(arguments, index=0):
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


# Whole answers.


def test_a_whole_answer_is_a_response_that_the_sdk_takes():
    response = json.loads(writer(temperature=0.5, metadata={"a": "b"}).whole(whole_answer({"content": "Hello."})))
    Response.model_validate(response)
    assert response["id"] == "resp_0123"
    assert (response["object"], response["status"], response["created_at"]) == ("response", "completed", 17)
    assert (response["model"], response["store"], response["previous_response_id"]) == ("m-1", False, None)
    assert (response["temperature"], response["metadata"]) == (0.5, {"a": "b"})
    assert (response["instructions"], response["tools"]) == (REQUEST["instructions"], REQUEST["tools"])
    assert response["output"] == [
        {
            "id": "msg_012300",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello."}],
        }
    ]


def test_usage_is_told_in_the_terms_of_the_api():
    response = json.loads(writer().whole(whole_answer({"content": "Hello."})))
    assert response["usage"] == {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 2},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 27,
        "cost": 0.000012,
    }


def test_tokens_that_only_the_total_knows_are_reasoning():
    usage = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 30}
    response = json.loads(writer().whole(whole_answer({"content": "Hello."}, usage=usage)))
    assert response["usage"]["output_tokens"] == 10
    assert response["usage"]["output_tokens_details"] == {"reasoning_tokens": 3}
    assert response["usage"]["total_tokens"] == 30


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "many"}, []])
def test_usage_that_nobody_can_read_is_none(usage):
    assert json.loads(writer().whole(whole_answer({"content": "Hello."}, usage=usage)))["usage"] is None


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        (None, "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_how_the_answer_ended_is_its_status(finish, status, reason):
    response = json.loads(writer().whole(whole_answer({"content": "Hello."}, finish)))
    assert (response["status"], response["incomplete_details"]) == (status, reason)
    assert response["output"][0]["status"] == status


def test_what_was_whole_before_the_limit_stays_completed():
    calls = [{"id": f"c{n}", "function": {"name": "f", "arguments": "{}"}} for n in range(2)]
    response = json.loads(writer().whole(whole_answer({"tool_calls": calls}, "length")))
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


def test_reasoning_comes_first_as_a_summary():
    message = {"content": "Yes.", "reasoning_content": "Hm."}
    thought, said = json.loads(writer().whole(whole_answer(message)))["output"]
    assert thought == {"id": "rs_012300", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    assert said["id"] == "msg_012301"


def test_signed_thoughts_travel_as_encrypted_content():
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "sig"}]
    message = {"content": "Yes.", "reasoning_content": "Hm.", "thinking_blocks": blocks}
    thought = json.loads(writer().whole(whole_answer(message)))["output"][0]
    assert json.loads(base64.b64decode(thought["encrypted_content"].removeprefix("obol.thinking."))) == blocks


def test_thoughts_that_nobody_signed_are_not_sealed():
    message = {
        "content": "Yes.",
        "reasoning_content": "Hm.",
        "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}],
    }
    assert "encrypted_content" not in json.loads(writer().whole(whole_answer(message)))["output"][0]


def test_a_refusal_is_a_part_of_its_own():
    (item,) = json.loads(writer().whole(whole_answer({"refusal": "No."})))["output"]
    assert item["content"] == [{"type": "refusal", "refusal": "No."}]


def test_content_in_parts_is_understood():
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Ye"},
        {"type": "text", "text": "s."},
    ]
    thought, item = json.loads(writer().whole(whole_answer({"content": parts})))["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert item["content"][0]["text"] == "Yes."


def test_log_probabilities_stay_with_their_text():
    tokens = [{"token": "Yes", "logprob": -0.5, "bytes": [1], "top_logprobs": []}]
    made = json.loads(whole_answer({"content": "Yes"}))
    made["choices"][0]["logprobs"] = {"content": tokens, "refusal": None}
    (item,) = json.loads(writer().whole(json.dumps(made).encode()))["output"]
    assert item["content"][0]["logprobs"] == tokens


def test_each_call_comes_back_as_the_tool_that_the_client_knows():
    functions = [
        {"name": "f", "arguments": '{"a":1}'},
        {"name": "apply_patch", "arguments": '{"input": "a\\n\\"b\\""}'},
        {"name": "mcp__git__log", "arguments": ""},
        {"name": "tool_search", "arguments": '{"query":"x"}'},
        {"name": "unheard_of", "arguments": {"a": 1}},
    ]
    calls = [{"id": f"call_{n}", "type": "function", "function": one} for n, one in enumerate(functions)]
    output = json.loads(writer().whole(whole_answer({"tool_calls": calls}, "tool_calls")))["output"]
    function, custom, search = (
        {"type": f"{kind}_call", "status": "completed"} for kind in ("function", "custom_tool", "tool_search")
    )
    assert output == [
        {**function, "id": "fc_012300", "call_id": "call_0", "name": "f", "arguments": '{"a":1}'},
        {**custom, "id": "ctc_012301", "call_id": "call_1", "name": "apply_patch", "input": 'a\n"b"'},
        {**function, "id": "fc_012302", "call_id": "call_2", "name": "log", "namespace": "mcp__git", "arguments": "{}"},
        {**search, "id": "tsc_012303", "call_id": "call_3", "execution": "client", "arguments": {"query": "x"}},
        {**function, "id": "fc_012304", "call_id": "call_4", "name": "unheard_of", "arguments": '{"a": 1}'},
    ]


def test_an_answer_without_anything_has_no_output():
    response = json.loads(writer().whole(whole_answer({"content": ""})))
    assert (response["status"], response["output"]) == ("completed", [])


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"choices":[{"message":{"content":[5]}}]}', b'{"choices":5}'])
def test_an_answer_that_is_none_is_the_upstreams_fault(answer):
    with pytest.raises(UpstreamBroken):
        writer().whole(answer)


def test_sources_stay_with_their_text():
    place = {"start_index": 0, "end_index": 3, "title": "Yes", "url": "https://x"}
    message = {"content": "Yes", "annotations": [{"type": "url_citation", "url_citation": place}, {"type": "new"}]}
    (item,) = json.loads(writer().whole(whole_answer(message)))["output"]
    assert item["content"][0]["annotations"] == [{"type": "url_citation", **place}]


# Streams.


def test_a_stream_of_text_has_its_events_in_order():
    found = streamed(
        chunk({"role": "assistant", "content": ""}), chunk({"content": "He"}), chunk({"content": "y"}, "stop"), END
    )
    assert kinds(found) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert found[0]["response"]["status"] == "in_progress"
    assert final(found)["usage"]["cost"] == 0.000012


def test_reasoning_is_streamed_as_a_summary():
    found = streamed(chunk({"reasoning_content": "Hm"}), chunk({"reasoning": "."}), chunk({"content": "Yes."}), END)
    assert kinds(found)[2:8] == [
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.delta", "reasoning_summary_text.done", "reasoning_summary_part.done",
    ]  # fmt: skip
    assert final(found)["output"][0]["summary"] == [{"type": "summary_text", "text": "Hm."}]


def test_sources_are_streamed_as_they_come():
    places = [{"start_index": 0, "end_index": end, "title": "Yes", "url": "https://x"} for end in (2, 3)]
    sources = [chunk({"annotations": [{"type": "url_citation", "url_citation": place}]}) for place in places]
    found = streamed(chunk({"content": "Ye"}), sources[0], chunk({"content": "s"}), sources[1], END)
    told = [event for event in found if event["type"] == "response.output_text.annotation.added"]
    assert [event["annotation_index"] for event in told] == [0, 1]
    assert [event["annotation"] for event in told] == final(found)["output"][0]["content"][0]["annotations"]
    for event in found:
        _EVENT.validate_python(event)


def test_parallel_calls_keep_apart_even_when_their_pieces_mix():
    found = streamed(
        chunk(call("f", "", 0, "a")), chunk(call("f", "", 1, "b")), chunk(more('{"x"', 0)), chunk(more('{"y"', 1)),
        chunk(more(":1}", 0)), chunk(more(":2}", 1), "tool_calls"), END,
    )  # fmt: skip
    assert [(item["call_id"], item["arguments"]) for item in final(found)["output"]] == [
        ("a", '{"x":1}'),
        ("b", '{"y":2}'),
    ]


@pytest.mark.parametrize("index", [0, None])
def test_calls_that_a_server_gives_the_same_index_are_told_apart_by_their_ids(index):
    found = streamed(
        chunk(call("f", '{"x":1}', index, "a")), chunk(call("f", '{"y":2}', index, "b"), "tool_calls"), END
    )
    assert [(item["call_id"], item["arguments"]) for item in final(found)["output"]] == [
        ("a", '{"x":1}'),
        ("b", '{"y":2}'),
    ]


def test_a_call_whose_id_comes_with_every_piece_is_one_call():
    found = streamed(chunk(call("f", '{"x"', 0, "a")), chunk(call("f", ":1}", 0, "a")), END)
    assert [item["arguments"] for item in final(found)["output"]] == ['{"x":1}']


def test_a_call_without_an_id_gets_one():
    found = streamed(chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}), END)
    assert final(found)["output"][0]["call_id"].startswith("call_0123")


def test_free_text_of_a_custom_tool_is_streamed_while_it_comes():
    pieces = ['{"in', 'put": "*** Be', "gin\\", "nx \\u00", "e9 \\ud83d", '\\ude00 \\"q\\""', "}"]
    found = streamed(chunk(call("apply_patch", "")), *(chunk(more(piece)) for piece in pieces), END)
    deltas = [event["delta"] for event in found if event["type"] == "response.custom_tool_call_input.delta"]
    assert deltas == ["*** Be", "gin", "\nx ", "é ", '😀 "q"']
    assert final(found)["output"][0]["input"] == '*** Begin\nx é 😀 "q"'


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"a\nb"}', "a\nb"),  # a line break that nobody escaped
        ('{"patch":"*** Begin"}', "*** Begin"),
        ('{"reason":"x","input":"*** Begin"}', "*** Begin"),
        ("*** Begin Patch, and no JSON at all, but long enough to know that it is none of it", None),
        ('"*** Begin"', "*** Begin"),
        ('{"input":"cut in the mid', "cut in the mid"),
        ('{"input":"cut in an escape\\u00', "cut in an escape\\u00"),
        ('{"input":5}', '{"input":5}'),
        ("", ""),
        ('{"input":""}', ""),
    ],
)
def test_free_text_in_another_form_is_understood(arguments, text):
    found = streamed(chunk(call("apply_patch", arguments[:20])), chunk(more(arguments[20:])), END)
    assert final(found)["output"][0]["input"] == (arguments if text is None else text)


def test_half_a_character_waits_for_its_other_half():
    halves = (b"\\ud83d", b"\\ude00")
    chunks = [chunk({"content": "HALF"}).replace(b"HALF", half) for half in halves]
    found = streamed(*chunks, END)
    assert final(found)["output"][0]["content"][0]["text"] == "😀"


def test_half_a_character_of_free_text_waits_for_its_other_half():
    chunks = [chunk(more("HALF")).replace(b"HALF", half) for half in (b"\\ud83d", b"\\ude00")]
    found = streamed(chunk(call("apply_patch", '{"input":"')), *chunks, chunk(more('"}')), END)
    assert final(found)["output"][0]["input"] == "😀"


def test_comments_and_answers_nobody_asked_for_are_passed_over():
    second = chunk({"content": "no"}).replace(b'"index": 0', b'"index": 1')
    found = streamed(b": keep-alive\n\n" + chunk({"content": "yes"}) + second, END)
    assert final(found)["output"][0]["content"][0]["text"] == "yes"


def test_a_comment_that_keeps_the_connection_open_passes():
    assert writer().feed(b": thinking\n\n") == b": thinking\n\n"


def test_a_request_written_in_many_lines_is_repeated_in_one():
    found = streamed(chunk({"content": "Hey"}), END)
    assert final(found)["tools"] == REQUEST["tools"]
    assert final(found)["instructions"] == "Be\nbrief."


def test_a_chunk_that_cannot_be_read_is_the_upstreams_fault():
    made = writer()
    made.feed(chunk({"content": "He"}))
    with pytest.raises(UpstreamBroken):
        made.feed(b"data: {broken\n\n")


# Failures.


def upstream_error(code, status=400):
    return UpstreamRefused("why", http_status=status, status=status, type_="x", code=code)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (upstream_error("context_length_exceeded"), "context_length_exceeded"),
        (upstream_error("insufficient_quota", 429), "insufficient_quota"),
        (upstream_error(None, 429), "rate_limit_exceeded"),
        (RateLimited("why"), "rate_limit_exceeded"),
        (UpstreamInterrupted("why"), "upstream_interrupted"),
        (GatewayError("why"), "server_error"),
    ],
)
def test_a_failure_is_the_last_event_and_says_why(error, code):
    made = writer()
    found = events(made.feed(chunk({"content": "He"})) + made.failing(error))
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert found[-1]["type"] == "response.failed"
    assert final(found)["status"] == "failed"
    assert final(found)["error"] == {"code": code, "message": "why"}
    assert final(found)["id"] == found[0]["response"]["id"]


def test_a_failure_before_anything_came_is_a_response_all_the_same():
    found = events(writer().failing(UpstreamInterrupted("why")))
    assert kinds(found) == ["created", "in_progress", "failed"]
    assert final(found)["model"] == "m"


# What holds for every answer.

names = st.sampled_from(
    ("choices", "delta", "message", "content", "tool_calls", "function", "name", "arguments", "index", "id", "usage",
     "finish_reason", "reasoning_content", "thinking_blocks", "logprobs", "annotations", "created", "model", "text",
     "type")
)  # fmt: skip
values = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=5)
anything = st.recursive(
    values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
pieces_of_chat = st.fixed_dictionaries({}, optional={"delta": st.dictionaries(names, anything), "logprobs": anything})
chats = st.dictionaries(names, anything) | st.fixed_dictionaries({"choices": st.lists(pieces_of_chat)})


@settings(deadline=None)
@given(chats)
def test_whatever_an_upstream_sends_is_translated_or_its_fault(chat):
    data = json.dumps(chat).encode()
    made = writer()
    try:
        found = events(made.feed(b"data: " + data + b"\n\n" + DONE))
    except UpstreamBroken as broken:
        found = events(made.failing(broken))
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert found[-1]["type"] in {"response.completed", "response.failed"}


texts = st.text(max_size=30)
words = st.text(min_size=1, max_size=30)
calls = st.lists(
    st.one_of(
        st.tuples(st.just("f"), st.dictionaries(texts, texts, max_size=2).map(json.dumps)),
        st.tuples(st.just("apply_patch"), words.map(lambda text: json.dumps({"input": text}))),
        st.tuples(st.just("apply_patch"), words.map(lambda text: json.dumps({"input": text}, ensure_ascii=False))),
        st.tuples(st.just("mcp__git__log"), st.just("{}")),
    ),
    max_size=3,
)
finishes = st.sampled_from(["stop", "length", "content_filter", "tool_calls"])


def cut(text, draw):
    edges = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=4))})
    return [text[start:end] for start, end in pairwise(edges)] or [text]


@st.composite
def answers(draw):
    """A whole answer, and the chunks of a stream that says the same."""
    thought, content, refusal = draw(texts), draw(texts), draw(st.none() | words)
    functions = draw(calls)
    finish = draw(finishes)
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in cut(thought, draw)]
    deltas += [{"content": piece} for piece in cut(content, draw)]
    deltas += [{"refusal": piece} for piece in cut(refusal or "", draw)]
    for index, (name, arguments) in enumerate(functions):
        opener, *pieces = cut(arguments, draw)
        deltas += [call(name, opener, index, f"call_{index}"), *(more(piece, index) for piece in pieces)]
    message = {"content": content, "refusal": refusal, "reasoning_content": thought}
    message["tool_calls"] = [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for index, (name, arguments) in enumerate(functions)
    ]
    stream = b"".join([*(chunk(delta) for delta in deltas), chunk({}, finish), END])
    return whole_answer(message, finish), stream


@settings(max_examples=40, deadline=None)
@given(answers())
def test_a_stream_ends_as_the_whole_answer_reads(answer):
    whole, stream = answer
    found = streamed(*(event + b"\n\n" for event in stream.split(b"\n\n")[:-1]))
    assert final(found) == json.loads(writer().whole(whole))


@settings(max_examples=40, deadline=None)
@given(answers())
def test_every_event_is_one_of_the_api_and_none_is_missing(answer):
    found = streamed(answer[1])
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    for event in found:
        _EVENT.validate_python(event)


@settings(max_examples=40, deadline=None)
@given(answers())
def test_what_the_events_tell_of_an_item_is_what_the_response_holds(answer):
    found = streamed(answer[1])
    told = {}
    for event in found:
        kind = event["type"]
        if kind == "response.output_item.added":
            assert event["output_index"] == len(told)
            told[event["output_index"]] = [event["item"]["id"], "", None]
        elif kind.endswith(".delta"):
            assert event["item_id"] == told[event["output_index"]][0]
            told[event["output_index"]][1] += event["delta"]
        elif kind == "response.output_item.done":
            told[event["output_index"]][2] = event["item"]
    assert [item for _, _, item in told.values()] == final(found)["output"]
    for item_id, text, item in told.values():
        assert item["id"] == item_id
        assert text == text_of(item)


def text_of(item):
    match item["type"]:
        case "message":
            return "".join(part.get("text", "") + part.get("refusal", "") for part in item["content"])
        case "reasoning":
            return "".join(part["text"] for part in item["summary"])
        case "custom_tool_call":
            return item["input"]
        case _:
            return item["arguments"]


@settings(max_examples=30, deadline=None)
@given(answers())
def test_the_sdk_gathers_the_response_from_the_stream(answer):
    expected, shown = json.loads(writer().whole(answer[0])), writer().feed(answer[1])
    sse = httpx.Response(200, content=shown, headers={"content-type": "text/event-stream"})
    served = httpx.Client(transport=httpx.MockTransport(lambda _: sse))
    with (
        openai.OpenAI(api_key="x", http_client=served) as client,
        client.responses.stream(model="m", input="Hi") as told,
    ):
        last = list(told)[-1]
        assert last.type == f"response.{expected['status']}"
        gathered = told.get_final_response() if expected["status"] == "completed" else last.response
    assert [item.id for item in gathered.output] == [item["id"] for item in expected["output"]]
    parts = [part for item in expected["output"] for part in item.get("content", ())]
    assert gathered.output_text == "".join(part.get("text", "") for part in parts)
