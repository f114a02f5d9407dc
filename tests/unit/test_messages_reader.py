"""What a client sees of a stream of the Messages API, and what the ledger learns from it, however the bytes are cut.

The streams in ``data/messages`` have the shape of recorded ones: Anthropic's padding, its order, its fields.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.messages_reader import MessageStreamReader, WholeMessageReader
from gateway.domain import Usage
from gateway.errors import UpstreamBroken, UpstreamInterrupted

RECORDED = {path.stem: path.read_bytes() for path in (Path(__file__).parent / "data" / "messages").glob("*.sse")}
USAGES = {
    "thinking_and_tool": Usage(
        input_tokens=12 + 2100 + 18432,
        cached_input_tokens=18432,
        cache_write_tokens=1500,
        cache_write_long_tokens=600,
        output_tokens=187,
        reasoning_tokens=41,
    ),
    "web_search": Usage(
        input_tokens=10682 + 900 + 2000,
        cached_input_tokens=2000,
        cache_write_tokens=900,
        output_tokens=510,
        web_searches=3,
    ),
    # What wrote the summary stands beside the counts of the answer, and is charged all the same.
    "compaction": Usage(input_tokens=203_000, output_tokens=4500),
}
WORDS = {
    "thinking_and_tool": 'The user wants the weather in Kyōto.Let me look.get_weather{"city": "Kyōto"}',
    "web_search": 'web_search{"query": "weather NYC today"}Nineteen degrees.',
    "compaction": "Summary of the conversation.On we go.",
}
START = b'event: message_start\ndata: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":7}}}\n\n'
TEXT = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"words"}}\n\n'
)
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def delta(**fields):
    data = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, **fields}
    return b"event: message_delta\ndata: " + json.dumps(data).encode() + b"\n\n"


def feed(reader, stream, cuts=()):
    edges = [0, *sorted({min(cut, len(stream)) for cut in cuts}), len(stream)]
    shown = b""
    for start, end in pairwise(edges):
        if start != end and not reader.is_ended:
            shown += reader.feed(stream[start:end])
    return shown + reader.flush()


def read(stream, cuts=(), *, cost_nusd=0, keeps_text=False):
    reader = MessageStreamReader("req-1", keeps_text=keeps_text)
    shown = feed(reader, stream, cuts)
    return reader, shown + (reader.closing(cost_nusd) if reader.is_complete else b"")


def without_last_delta(stream):
    """The events of a stream as they came, but for the last ``message_delta``, which tells the cost."""
    events = stream.split(b"\n\n")
    last = max(number for number, event in enumerate(events) if event.startswith(b"event: message_delta"))
    return events[:last] + events[last + 1 :], events[last]


def data_of(event):
    return json.loads(event.partition(b"\ndata: ")[2])


names = st.sampled_from(sorted(RECORDED))
cuts = st.lists(st.integers(0, 4000), max_size=12)


@given(name=names, cuts=cuts, cost_nusd=st.integers(0, 10**12))
def test_a_stream_passes_byte_by_byte_but_for_the_cost_at_its_end(name, cuts, cost_nusd):
    stream = RECORDED[name]
    _, shown = read(stream, cuts, cost_nusd=cost_nusd)

    (others, last), (expected, original) = without_last_delta(shown), without_last_delta(stream)
    assert others == expected
    told, said = data_of(last), data_of(original)
    assert round(told["usage"].pop("cost") * 1e9) == cost_nusd
    assert told == said
    assert list(told) == list(said)


@given(name=names, cuts=cuts, crlf=st.booleans())
def test_all_that_the_upstream_reports_is_metered_however_the_bytes_are_cut(name, cuts, crlf):
    stream = RECORDED[name].replace(b"\n", b"\r\n") if crlf else RECORDED[name]
    reader, _ = read(stream, cuts)
    assert (reader.usage, reader.unreported_text()) == (USAGES[name], "")


@given(name=names, until=st.integers(0, 4000), cuts=cuts)
def test_a_stream_that_is_cut_anywhere_is_charged_for_its_input_and_for_all_words_that_no_report_covers(
    name, until, cuts
):
    whole = RECORDED[name]
    reader, shown = read(whole.rstrip()[: min(until, len(whole.rstrip()) - 1)], cuts)

    assert not reader.is_complete
    assert whole.startswith(shown)
    unreported = reader.unreported_text()
    if reader.usage is None:
        assert unreported == ""
    elif reader.usage.output_tokens == 0:  # the opening report: all words are still to be counted
        assert WORDS[name].startswith(unreported)
    else:
        assert WORDS[name].find(unreported) > 0 or not unreported


def test_the_opening_report_is_exact_about_the_input_and_silent_about_the_output():
    head = RECORDED["thinking_and_tool"].partition(b"event: content_block_stop")[0]
    reader, _ = read(head)
    assert reader.usage == Usage(
        input_tokens=20544, cached_input_tokens=18432, cache_write_tokens=1500, cache_write_long_tokens=600
    )
    assert reader.unreported_text() == "The user wants the weather in Kyōto."


def test_words_after_a_report_in_the_middle_are_not_reported():
    head = RECORDED["web_search"].partition(b"event: a_kind_of_event")[0]
    reader, _ = read(head)
    assert (reader.usage.output_tokens, reader.usage.web_searches) == (60, 1)
    assert reader.unreported_text() == "Nineteen degrees."


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_content_logging_gets_all_words_and_none_of_them_is_charged_twice(name):
    reader, _ = read(RECORDED[name], keeps_text=True)
    assert (reader.output_text(), reader.unreported_text()) == (WORDS[name], "")


def test_what_the_answer_says_of_itself_is_known():
    tool, search = read(RECORDED["thinking_and_tool"])[0], read(RECORDED["web_search"])[0]
    assert (tool.model_answered, tool.finish_reason) == ("claude-sonnet-4-5-20250929", "tool_use")
    assert (tool.service_tier, search.service_tier) == ("standard", "priority")
    assert search.finish_reason == "end_turn"


def test_the_fast_mode_is_a_tier_of_its_own():
    start = START.replace(b'"input_tokens":7', b'"input_tokens":7,"service_tier":"standard","speed":"fast"')
    reader, _ = read(start + TEXT + delta(usage={"output_tokens": 3}) + STOP)
    assert reader.service_tier == "fast"
    whole = WholeMessageReader()
    whole.feed(b'{"content":[],"usage":{"input_tokens":1,"service_tier":"standard","speed":"standard"}}')
    assert whole.service_tier == "standard"


def test_nothing_of_the_end_is_shown_before_it_is_asked_for():
    reader = MessageStreamReader()
    shown = reader.feed(START + TEXT + delta(usage={"output_tokens": 3}) + STOP)
    assert shown == START + TEXT
    assert reader.is_ended
    assert reader.closing(1_500_000_000).count(b'"cost":1.5') == 1


def test_a_closing_event_that_was_not_the_last_is_shown_in_its_place():
    first = delta(usage={"output_tokens": 1})
    _, shown = read(START + first + TEXT + TEXT + delta(usage={"output_tokens": 3}) + STOP)
    assert shown.startswith(START + first + TEXT + TEXT + b"event: message_delta\n")


def test_a_ping_does_not_wait_behind_the_end():
    reader = MessageStreamReader()
    reader.feed(START + TEXT + delta(usage={"output_tokens": 3}))
    assert reader.feed(PING) == PING


def test_the_opening_waits_for_more_so_that_another_deployment_may_still_answer():
    reader = MessageStreamReader()
    assert (reader.feed(START + PING), reader.has_data) == (b"", False)
    assert (reader.feed(TEXT), reader.has_data) == (START + PING + TEXT, True)


def test_an_error_that_follows_the_opening_at_once_is_not_charged():
    reader = MessageStreamReader()
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert feed(reader, START + b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n") == b""
    assert (reader.error.status, reader.error.type, reader.error.message) == (503, "overloaded_error", "Overloaded")
    assert (reader.usage, reader.has_data, reader.is_complete) == (None, False, False)


@pytest.mark.parametrize(
    ("kind", "status"), [("rate_limit_error", 429), ("api_error", 500), ("invalid_request_error", 400), ("new", 502)]
)
def test_an_error_in_the_middle_ends_the_stream_and_keeps_what_was_used(kind, status):
    reader = MessageStreamReader()
    error = {"type": "error", "error": {"type": kind, "message": "Its own words"}}
    assert feed(reader, START + TEXT + b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n") == START + TEXT
    assert (reader.error.status, reader.error.message) == (status, "Its own words")
    assert (reader.usage.input_tokens, reader.unreported_text(), reader.is_complete) == (7, "words", False)


def test_a_stream_without_its_end_mark_is_not_complete():
    reader, shown = read(START + TEXT + delta(usage={"output_tokens": 3}))
    assert (reader.is_complete, shown) == (False, START + TEXT)


def test_the_last_event_may_lack_its_blank_line():
    reader, shown = read(START + TEXT + delta(usage={"output_tokens": 3}) + STOP.rstrip(b"\n"))
    assert reader.is_complete
    assert shown.endswith(STOP)


@pytest.mark.parametrize("report", [{}, {"usage": None}, {"usage": {}}, {"usage": {"output_tokens": "many"}}])
def test_output_that_nobody_reports_is_counted_also_at_a_good_end(report):
    reader, _ = read(START + TEXT + delta(**report) + STOP)
    assert (reader.is_complete, reader.usage, reader.unreported_text()) == (True, Usage(input_tokens=7), "words")


def test_a_server_that_opens_with_zeros_is_believed_when_it_knows_more():
    start = START.replace(b'"input_tokens":7', b'"input_tokens":0,"output_tokens":0')
    assert read(start + TEXT)[0].usage is None
    usage = {"input_tokens": 5, "output_tokens": 2}
    assert read(start + TEXT + delta(usage=usage) + STOP)[0].usage == Usage(input_tokens=5, output_tokens=2)


@pytest.mark.parametrize("later", [0, None, "many"])
def test_an_end_that_does_not_know_the_input_leaves_it_as_the_opening_told_it(later):
    start = START.replace(b'"input_tokens":7', b'"input_tokens":1000,"cache_read_input_tokens":500')
    closing = {"input_tokens": later, "cache_read_input_tokens": later, "output_tokens": 50}
    reader, _ = read(start + TEXT + delta(usage=closing) + STOP)
    assert reader.usage == Usage(input_tokens=1500, cached_input_tokens=500, output_tokens=50)


def test_an_end_that_knows_the_input_better_is_believed():
    start = START.replace(b'"input_tokens":7', b'"input_tokens":1000')
    closing = {"input_tokens": 0, "cache_read_input_tokens": 900, "output_tokens": 50}
    reader, _ = read(start + TEXT + delta(usage=closing) + STOP)
    assert reader.usage == Usage(input_tokens=900, cached_input_tokens=900, output_tokens=50)


def test_the_sdks_find_the_output_in_the_end_also_where_we_had_to_count_it():
    reader = MessageStreamReader()
    reader.feed(START + TEXT + delta() + STOP)
    reader.usage = Usage(input_tokens=7, output_tokens=4)
    end = reader.closing(0).split(b"\n\n")[0]
    assert data_of(end)["usage"] == {"input_tokens": 7, "output_tokens": 4, "cost": 0}


def test_the_input_that_the_sdks_find_in_the_end_leaves_out_what_the_cache_took():
    reader = MessageStreamReader()
    reader.feed(START + TEXT + delta() + STOP)
    reader.usage = Usage(input_tokens=70, cached_input_tokens=20, cache_write_tokens=5, cache_write_long_tokens=3)
    end = reader.closing(0).split(b"\n\n")[0]
    assert data_of(end)["usage"]["input_tokens"] == 42


@pytest.mark.parametrize(
    "foreign",
    [
        b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n',
        b'event: message_start\ndata: {"type": 5}\n\n',
        b"data: <html>\n\n",
        b"data: []\n\n",
    ],
)
def test_what_is_no_event_of_this_api_is_a_broken_answer(foreign):
    reader = MessageStreamReader()
    assert feed(reader, foreign + STOP) == b""
    assert isinstance(reader.error, UpstreamBroken)
    assert not reader.is_complete


def test_an_error_object_without_a_type_is_an_error_all_the_same():
    reader = MessageStreamReader()
    feed(reader, b'data: {"error": {"message": "slow down", "type": "rate_limit_error"}}\n\n')
    assert (reader.error.status, reader.error.message) == (429, "slow down")


def test_an_end_mark_of_openais_is_not_passed_on():
    reader, shown = read(START + TEXT + b"data: [DONE]\n\n" + delta(usage={"output_tokens": 1}) + STOP)
    assert reader.is_complete
    assert b"[DONE]" not in shown


def test_a_broken_stream_ends_with_an_error_event_of_anthropics_form():
    for reader in (MessageStreamReader("req-1"), WholeMessageReader("req-1")):
        name, _, data = reader.failing(UpstreamInterrupted("It broke.")).strip(b"\n").partition(b"\n")
        assert name == b"event: error"
        error = {"type": "api_error", "message": "It broke.", "details": {"error_code": "upstream_interrupted"}}
        assert json.loads(data[6:]) == {"type": "error", "error": error, "request_id": "req-1"}
