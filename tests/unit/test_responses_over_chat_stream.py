"""What becomes of a chat stream for a client of the Responses API, to its end or its failure."""

from __future__ import annotations

import pytest
from responses_over_chat_answer_parts import (
    DONE,
    END,
    EVENT,
    REQUEST,
    call,
    chunk,
    events,
    final,
    kinds,
    more,
    streamed,
    writer,
)

from gateway.errors import GatewayError, RateLimited, UpstreamBroken, UpstreamInterrupted, UpstreamRefused


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
        EVENT.validate_python(event)


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
    found = streamed(chunk(call("apply_patch", arguments[:20])), chunk(more(arguments[20:]), "tool_calls"), END)
    assert final(found)["output"][0]["input"] == (arguments if text is None else text)


@pytest.mark.parametrize("arguments", ["", '{"inp', '{"input":"cut in the mid', "*** Begin Patch"])
def test_free_text_that_the_stream_ends_in_the_middle_of_is_broken(arguments):
    with pytest.raises(UpstreamBroken):
        streamed(chunk(call("apply_patch", arguments)), DONE)


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
