"""What clients of Messages get of a chat stream, however it was cut: the official SDK puts it together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import anthropic
import httpx2
import pytest
from chat_answer_parts import DONE, USAGE, call, chunk, deltas, event, told, translator, usage_chunk, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RateLimited, UpstreamBroken


def accumulated(stream: bytes) -> anthropic.types.Message:
    """What the official SDK makes of a stream."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        anthropic.Anthropic(api_key="k", base_url="http://x.invalid", http_client=http, max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as events,
    ):
        return events.get_final_message()


def test_a_stream_tells_the_message_event_by_event():
    events = told(
        chunk(role="assistant", content=""),
        chunk(content="Hel"),
        chunk(content="lo."),
        chunk(finish_reason="stop"),
        usage_chunk({**USAGE, "cost": 0.5}) + DONE,
    )

    assert [name for name, _ in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(data["type"] == name for name, data in events)
    start = events[0][1]["message"]
    assert (start["id"], start["model"], start["content"], start["stop_reason"]) == ("msg_7", "m-1", [], None)
    assert deltas(events) == [{"type": "text_delta", "text": "Hel"}, {"type": "text_delta", "text": "lo."}]
    assert events[-2][1]["usage"]["cost"] == 0.5


def test_each_kind_of_text_is_a_block_of_its_own():
    events = told(chunk(reasoning_content="Hm."), chunk(content="Hello."), chunk(refusal="No."), DONE)

    starts = [(data["index"], data["content_block"]["type"]) for name, data in events if name == "content_block_start"]
    assert starts == [(0, "thinking"), (1, "text")]
    assert events[-2][1]["delta"]["stop_reason"] == "refusal"


def test_fragments_of_a_tool_call_are_shown_as_they_come():
    answer = translator()

    answer.feed(chunk(tool_calls=[call(0, "c", "f")]))

    assert deltas(told(chunk(tool_calls=[call(0, arguments='{"x"')]), answer=answer)) == [
        {"type": "input_json_delta", "partial_json": '{"x"'}
    ]


def test_the_next_call_is_shown_as_it_comes_once_the_one_before_is_whole():
    answer = translator()
    answer.feed(chunk(tool_calls=[call(0, "a", "f", '{"x": 1}')]))

    events = told(chunk(tool_calls=[call(1, "b", "g", '{"y"')]), answer=answer)

    assert [name for name, _ in events[:2]] == ["content_block_stop", "content_block_start"]
    assert "".join(delta["partial_json"] for delta in deltas(events)) == '{"y"'


def test_interleaved_calls_become_one_block_after_the_other():
    events = told(
        chunk(tool_calls=[call(0, "a", "f", '{"x"'), call(1, "b", "g", '{"y"')]),
        chunk(tool_calls=[call(1, arguments=": 2}"), call(0, arguments=": 1}")]),
        chunk(finish_reason="tool_calls"),
        DONE,
    )

    by_block = {}
    for name, data in events:
        if name == "content_block_delta":
            by_block.setdefault(data["index"], []).append(data["delta"]["partial_json"])
    assert {index: "".join(parts) for index, parts in by_block.items()} == {0: '{"x": 1}', 1: '{"y": 2}'}


@pytest.mark.parametrize("index", [0, None])
def test_calls_that_a_server_all_gives_the_same_index_are_told_apart_by_id(index):
    events = told(
        chunk(tool_calls=[{**call(0, "a", "f", "{}"), "index": index}]),
        chunk(tool_calls=[{**call(0, "b", "f", "{}"), "index": index}]),
        DONE,
    )

    assert [data["content_block"]["id"] for name, data in events if name == "content_block_start"] == ["a", "b"]


def test_text_behind_a_call_comes_after_it():
    calls = [call(0, "a", "f", '{"x"')], [call(0, arguments=": 1}")]

    events = told(chunk(tool_calls=calls[0]), chunk(content="So."), chunk("tool_calls", tool_calls=calls[1]), DONE)

    kinds = [data["content_block"]["type"] for name, data in events if name == "content_block_start"]
    assert kinds == ["tool_use", "text"]


def test_a_comment_of_the_upstream_keeps_the_client_waiting_too():
    answer = translator()

    assert answer.feed(b": processing\n\n") == b""
    answer.feed(chunk(content="x"))
    assert told(b": processing\n\n", answer=answer) == [("ping", {"type": "ping"})]


def test_an_event_that_is_none_of_chats_is_passed_over_once_the_answer_has_begun():
    events = told(chunk(content="one"), b'event: news\ndata: {"type":"news"}\n\n', chunk(content="two"), DONE)

    assert [delta["text"] for delta in deltas(events)] == ["one", "two"]


def test_only_the_first_of_several_choices_is_told():
    events = told(chunk(content="one"), chunk(content="other", index=1), DONE)

    assert deltas(events) == [{"type": "text_delta", "text": "one"}]


def test_half_an_emoji_comes_out_as_it_came():
    high, low = (chunk(content="HALF").replace(b"HALF", half) for half in (rb"\ud83d", rb"\ude00"))

    shown = b"".join(map(translator().feed, [chunk(content="x") + high, low]))

    assert rb'"text":"\ud83d"' in shown
    assert rb'"text":"\ude00"' in shown


def test_an_emoji_that_was_cut_in_a_tool_call_is_whole_again():
    opener = chunk(tool_calls=[call(0, "a", "f", '{"x": "'), call(1, "b", "f", '{"x": "HALF')])
    rest = chunk(tool_calls=[call(1, arguments='HALF"}'), call(0, arguments='"}')])
    cut = [opener.replace(b"HALF", rb"\ud83d"), rest.replace(b"HALF", rb"\ude00")]

    events = told(*cut, chunk(finish_reason="tool_calls"), DONE)

    assert json.loads(deltas(events)[-1]["partial_json"]) == {"x": "\N{GRINNING FACE}"}


def test_half_an_emoji_in_a_whole_answer_comes_out_as_it_came():
    answer = translator().whole(rb'{"id":"c","choices":[{"message":{"content":"cut \ud83d"}}]}')

    assert rb'"text":"cut \ud83d"' in answer


@pytest.mark.parametrize(
    "blocks",
    [
        [event(type="message_start")],
        [b"data: {]\n\n"],
        [chunk(content={"x": 1})],
        [chunk(tool_calls=[call(0, "c")])],
        [chunk(tool_calls=[call(0, "c", "f", "oops")]), chunk(finish_reason="tool_calls")],
        [chunk(tool_calls=[call(0, "c", "f", '{"x": "unf')]), DONE],
        [chunk(finish_reason="stop"), chunk(tool_calls=[call(0, "c", "f", '{"x": "unf')]), DONE],
        [
            chunk(tool_calls=[call(0, "a", "f", "{}"), call(1, "b", "f", "{}")]),
            chunk(tool_calls=[call(0, arguments="more")]),
        ],
    ],
)
def test_an_event_that_cannot_be_told_is_a_broken_upstream(blocks):
    answer = translator()

    with pytest.raises(UpstreamBroken):
        list(map(answer.feed, blocks))


def test_a_call_that_the_limit_cut_off_stays_the_fragment_that_it_is():
    events = told(chunk(tool_calls=[call(0, "c", "f", '{"x": "unf')]), chunk(finish_reason="length"), DONE)

    assert deltas(events)[-1]["partial_json"] == '{"x": "unf'
    assert events[-2][1]["delta"]["stop_reason"] == "max_tokens"


@pytest.mark.parametrize("blocks", [[], [chunk(content="x")], [chunk(tool_calls=[call(0, "c", "f")])]])
def test_a_stream_that_breaks_off_ends_in_an_error_event(blocks):
    answer = translator()
    list(map(answer.feed, blocks))

    name, data = answer.failing(RateLimited("Too many.")).decode().strip().split("\n")

    assert name == "event: error"
    said = json.loads(data.removeprefix("data: "))
    assert (said["type"], said["error"]["type"]) == ("error", "rate_limit_error")
    assert said["error"]["message"] == "Too many."


# --- properties -------------------------------------------------------------------------------------------------------

_TEXTS = st.text(max_size=12)
_ARGUMENTS = st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.integers(-9, 9), max_size=3)


@st.composite
def answers(draw):
    """An answer: what it reasons and says, the tools that it calls, why it ends, what it used."""
    arguments = draw(st.lists(_ARGUMENTS, max_size=3))
    return {
        "reasoning_content": draw(_TEXTS),
        "content": draw(_TEXTS),
        "calls": [call(n, f"call_{n}", "f", json.dumps(one)) for n, one in enumerate(arguments)],
        "finish_reason": "tool_calls" if arguments else draw(st.sampled_from(["stop", "length", "content_filter"])),
    }


def pieces(draw, text: str) -> Iterator[str]:
    while text:
        cut = draw(st.integers(1, len(text)))
        yield text[:cut]
        text = text[cut:]


def chunks_of(draw, answer) -> Iterable[bytes]:
    """The answer cut anywhere, its tool calls interleaved in any way."""
    yield chunk(role="assistant", content="")
    for name in ("reasoning_content", "content"):
        yield from (chunk(**{name: piece}) for piece in pieces(draw, answer[name]))
    waiting = [
        [one, *(call(one["index"], arguments=piece) for piece in pieces(draw, one["function"]["arguments"]))]
        for one in answer["calls"]
    ]
    openers = [{**one[0], "function": {"name": "f", "arguments": ""}} for one in waiting]
    rests = [one[1:] for one in waiting]
    opened = 0
    while opened < len(openers) or any(rests[:opened]):
        choices = [n for n in range(opened) if rests[n]] + ([opened] if opened < len(openers) else [])
        picked = draw(st.sampled_from(choices))
        if picked == opened:
            opened += 1
            yield chunk(tool_calls=[openers[picked]])
        else:
            yield chunk(tool_calls=[rests[picked].pop(0)])
    yield chunk(finish_reason=answer["finish_reason"])
    yield usage_chunk(USAGE)
    yield DONE


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_stream_in_any_chunks_is_the_same_message_as_the_whole_answer(data):
    answer = data.draw(answers())
    said = {name: answer[name] for name in ("reasoning_content", "content")}
    expected = whole({**said, "tool_calls": answer["calls"]}, answer["finish_reason"])
    in_stream, shown, waiting = translator(), b"", b""
    for one in chunks_of(data.draw, answer):
        waiting += one
        if data.draw(st.booleans()):
            shown, waiting = shown + in_stream.feed(waiting), b""
    shown += in_stream.feed(waiting)

    message = accumulated(shown)

    assert message.model_dump(exclude_unset=True, exclude={"stop_details"}, mode="json") == expected
