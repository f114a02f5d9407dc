"""One request towards deployments of different dialects: what is asked of each, and what is made of its usage."""

from __future__ import annotations

import json

import pytest

from gateway.api.arrival import Arrival
from gateway.api.dialects import APIS, ClientDialect
from gateway.domain import Deployment, Endpoint, Provider, Usage

CHAT = Deployment("c", Provider("p", "openai_compatible"), "m")
MESSAGES = Deployment("a", Provider("q", "anthropic"), "claude", speaks=frozenset({Endpoint.MESSAGES}))
HEADERS = {"anthropic-beta": "context-1m", "openai-beta": "x", "traceparent": "t"}
USAGE = b'"usage":{"input_tokens":9,"output_tokens":8}'
STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","model":"m","content":[],'
    + USAGE
    + b"}}\n\n"
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"Hi"}}\n\n'
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},' + USAGE + b"}\n\n"
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def dialect(endpoint=Endpoint.CHAT, **fields):
    said = {"input": "Hi"} if endpoint is Endpoint.RESPONSES else {"messages": [{"role": "user", "content": "Hi"}]}
    data = json.dumps({"model": "m", **said, **fields}).encode()
    arrival = Arrival(request_id="r", endpoint=endpoint, data=data, headers=HEADERS, query={"beta": "true"})
    return ClientDialect(APIS[endpoint].parse(arrival))


def test_a_search_that_nobody_counted_is_charged_where_chat_was_spoken():
    asked = dialect(web_search_options={})
    assert asked.with_unreported(CHAT, Usage(output_tokens=5)).web_searches == 1


def test_a_search_that_anthropic_did_not_count_was_not_made():
    asked = dialect(web_search_options={})
    assert asked.with_unreported(MESSAGES, Usage(output_tokens=5)).web_searches == 0


def test_headers_and_parameters_of_an_api_go_where_it_is_spoken():
    asked = dialect()
    assert asked.call(CHAT).headers == HEADERS
    assert asked.call(CHAT).query == {"beta": "true"}
    assert asked.call(MESSAGES).headers == {"anthropic-beta": "context-1m", "traceparent": "t"}
    assert asked.call(MESSAGES).query == {}
    assert dialect(Endpoint.MESSAGES).call(CHAT).headers == {"traceparent": "t"}


@pytest.mark.parametrize("wants_usage", [True, False])
def test_a_chat_client_is_shown_usage_only_if_it_asked_for_it(wants_usage):
    asked = dialect(stream=True, stream_options={"include_usage": wants_usage})
    reader = asked.reader(MESSAGES)
    shown = reader.feed(STREAM) + reader.closing(cost_nusd=1_500_000_000)
    assert shown.endswith(b"data: [DONE]\n\n")
    assert (b'"cost":1.5' in shown) is wants_usage
    assert (b'"usage"' in shown) is wants_usage


def test_a_responses_client_behind_two_translations_is_told_the_usage():
    reader = dialect(Endpoint.RESPONSES, stream=True).reader(MESSAGES)
    last = (reader.feed(STREAM) + reader.closing(cost_nusd=1_500_000_000)).split(b"data: ")[-1]
    response = json.loads(last)["response"]
    assert response["status"] == "completed"
    assert (response["usage"]["input_tokens"], response["usage"]["cost"]) == (9, 1.5)


def test_nothing_of_the_end_is_shown_before_the_charge_is_durable():
    asked = dialect(stream=True, stream_options={"include_usage": True})
    shown = asked.reader(MESSAGES).feed(STREAM)
    assert b'"content":"Hi"' in shown
    assert b'"finish_reason":"stop"' not in shown
    assert b"[DONE]" not in shown
