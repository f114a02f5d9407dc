"""What requests of each dialect are seen to need, by every form in which they can say it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from gateway.api.arrival import Arrival
from gateway.api.dialects import APIS
from gateway.domain import Capability, Endpoint

CHAT, MESSAGES, RESPONSES = Endpoint.CHAT, Endpoint.MESSAGES, Endpoint.RESPONSES
TOOLS, SCHEMA, VISION, AUDIO, FILES = Capability
DATA = "iVBORw0KGgo" * 100
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}
SOUND = {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}
FILE = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{DATA}", "filename": "a.pdf"}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
DOCUMENT = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": DATA}}
NOTE = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}
TEXT = {"type": "text", "text": "x"}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"image_url": {}}}}}


def asked(endpoint, is_route=lambda _: True, **fields):
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}
    if endpoint is RESPONSES:
        body = {"model": "m", "input": "x", **fields}
    arrival = Arrival("req_1", endpoint, json.dumps(body).encode(), is_route=is_route)
    return APIS[endpoint].parse(arrival)


def said(*parts):
    return {"messages": [{"role": "user", "content": [TEXT, *parts]}]}


def given(*parts):
    return {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}, *parts]}]}


@pytest.mark.parametrize(
    ("endpoint", "fields", "needed"),
    [
        (CHAT, {}, set()),
        (CHAT, said(), set()),
        (CHAT, {"tools": [FUNCTION]}, {TOOLS}),
        (CHAT, {"tools": []}, set()),
        (CHAT, {"tools": None, "functions": [{"name": "f"}]}, {TOOLS}),
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": {}}}, {SCHEMA}),
        (CHAT, {"response_format": {"type": "json_object"}}, set()),
        (CHAT, {"response_format": "json_schema"}, set()),
        (CHAT, said(PICTURE), {VISION}),
        (CHAT, said(SOUND), {AUDIO}),
        (CHAT, {"modalities": ["text", "audio"], "audio": {"voice": "alloy"}}, {AUDIO}),
        (CHAT, said(FILE), {FILES}),
        (CHAT, said(PICTURE, SOUND, FILE) | {"tools": [FUNCTION]}, {VISION, AUDIO, FILES, TOOLS}),
        (CHAT, {"messages": [{"role": "user", "content": '"type":"image_url"'}]}, set()),
        (CHAT, {"messages": [{"role": "tool", "content": '[{"type":"image"}]'}]}, set()),
        (CHAT, {"messages": [TEXT, "image_url", PICTURE]}, set()),  # no upstream takes it
        (MESSAGES, said(IMAGE), {VISION}),
        (MESSAGES, said(DOCUMENT), {FILES}),
        (MESSAGES, said(NOTE), set()),
        (MESSAGES, said({"type": "tool_result", "content": [TEXT, IMAGE]}), {VISION}),
        (MESSAGES, said({"type": "tool_use", "input": {"parts": [IMAGE]}}), set()),
        (MESSAGES, {"tools": [{"name": "f", "input_schema": {}}]}, {TOOLS}),
        (MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": {}}}}, {SCHEMA}),
        (MESSAGES, {"output_format": {"type": "json_schema", "schema": {}}}, {SCHEMA}),
        (RESPONSES, {}, set()),
        (RESPONSES, given(), set()),
        (RESPONSES, given({"type": "input_image", "image_url": "https://x/y.png"}), {VISION}),
        (RESPONSES, given({"type": "input_image", "file_id": "file-1"}), {VISION}),
        (RESPONSES, given({"type": "input_file", "file_data": DATA}), {FILES}),
        (RESPONSES, {"input": [{"type": "image_generation_call", "result": DATA}]}, {VISION}),
        (RESPONSES, {"input": [{"type": "computer_call_output", "output": {"type": "computer_screenshot"}}]}, {VISION}),
        (RESPONSES, {"input": [{"type": "function_call_output", "output": [{"type": "input_image"}]}]}, {VISION}),
        (RESPONSES, {"tools": [{"type": "web_search"}]}, {TOOLS}),
        (RESPONSES, {"text": {"format": {"type": "json_schema", "schema": {}}}}, {SCHEMA}),
        (RESPONSES, {"text": {"format": None}}, set()),
        (RESPONSES, {"text": "x"}, set()),
    ],
)
def test_a_request_is_seen_to_need_what_it_asks_for_and_no_more(endpoint, fields, needed):
    assert asked(endpoint, **fields).needs == needed


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        (CHAT, said(PICTURE)),
        (CHAT, said(SOUND)),
        (CHAT, said(FILE)),
        (MESSAGES, said(IMAGE)),
        (MESSAGES, said({"type": "tool_result", "content": [DOCUMENT]})),
        (RESPONSES, given({"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"})),
        (RESPONSES, given({"type": "input_file", "file_data": DATA})),
        (RESPONSES, {"input": [{"type": "image_generation_call", "result": DATA}]}),
    ],
)
def test_the_bytes_of_media_are_no_tokens_of_text(endpoint, fields):
    request = asked(endpoint, **fields)
    assert request.media_bytes >= len(DATA)
    assert request.text_tokens < 100


def test_the_tokens_of_a_text_are_estimated_by_all_its_bytes():
    request = asked(CHAT, messages=[{"role": "user", "content": "word" * 1000}])
    assert request.text_tokens == -(-request.body_bytes // 4)


@pytest.mark.parametrize("endpoint", [CHAT, MESSAGES, RESPONSES])
def test_nothing_is_looked_for_where_a_deployment_is_asked_for_by_its_name(endpoint):
    request = asked(endpoint, is_route=lambda _: False, tools=[FUNCTION], **said(PICTURE), **given(PICTURE))
    assert (request.needs, request.media_bytes) == (frozenset(), 0)


def test_a_conversation_that_is_nested_without_end_is_looked_into_as_far_as_one_can_be():
    part = IMAGE
    for _ in range(200):
        part = {"type": "tool_result", "content": [part]}
    assert asked(MESSAGES, **said(part)).needs == set()


WORDS = st.sampled_from(
    ["type", "content", "output", "source", "image", "image_url", "file", "document", "json_schema"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.sampled_from(["é", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize("endpoint", [CHAT, MESSAGES, RESPONSES])
@given_any(parts=st.lists(ANYTHING, max_size=4), other=ANYTHING)
def test_a_body_of_whatever_form_is_looked_into_without_breaking(endpoint, parts, other):
    names = ("tools", "functions", "audio", "response_format", "output_config", "output_format", "text")
    request = asked(endpoint, messages=parts, input=parts, **dict.fromkeys(names, other))
    assert request.needs <= set(Capability)
    assert 0 <= request.media_bytes <= request.body_bytes
    assert request.text_tokens >= 0
