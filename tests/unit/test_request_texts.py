"""The texts of requests: all that somebody may read, no word of the API, put back without touching anything else."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.multipart import parse_form
from gateway.api.request_texts import RequestTexts
from gateway.api.wire import parse_body
from gateway.domain import Body, Endpoint, Request

MAIL = "ada@example.org"
TO = json.dumps({"to": MAIL})
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
    b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nAsk ada@example.org\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\x00\xff\r\n--b--\r\n'
)
BODIES = {
    "chat": {
        "messages": [
            {"role": "system", "content": MAIL},
            {"role": "user", "name": MAIL, "content": [{"type": "text", "text": MAIL}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "send", "arguments": json.dumps({"to": MAIL})},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": MAIL},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "send",
                    "description": MAIL,
                    "parameters": {
                        "type": "object",
                        "properties": {"to": {"type": "string", "description": MAIL}},
                        "required": ["to"],
                    },
                },
            }
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"description": MAIL}}},
        "user": MAIL,
        "metadata": {MAIL: MAIL},
        "safety_identifier": MAIL,
        "stop": ["\n", MAIL],
        "prediction": {"type": "content", "content": MAIL},
    },
    "responses": {
        "instructions": MAIL,
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": MAIL}]},
            {"type": "function_call", "call_id": "c", "name": "send", "arguments": json.dumps({"to": [MAIL]})},
            {"type": "function_call_output", "call_id": "c", "output": MAIL},
        ],
        "prompt": {"id": "pmpt_1", "variables": {"whom": MAIL}},
    },
    "messages": {
        "system": [{"type": "text", "text": MAIL}],
        "messages": [
            {"role": "user", "content": MAIL},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t", "name": "send", "input": {MAIL: {"x": MAIL}}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": MAIL}]},
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "title": MAIL,
                        "source": {"type": "text", "media_type": "text/plain", "data": MAIL},
                    }
                ],
            },
        ],
    },
    "completions": {"prompt": [MAIL, "x"], "suffix": MAIL},
    "embeddings": {"input": [MAIL]},
    "rerank": {"query": MAIL, "documents": [MAIL, {"text": MAIL}]},
    "images": {"prompt": MAIL},
    "unknown fields": {"vendor": {"deep": [{"er": MAIL}]}},
}


def asked(body: object, endpoint: Endpoint = Endpoint.CHAT) -> Request:
    source = body if isinstance(body, bytes) else msgspec.json.encode({"model": "m", **body})
    return Request("req_1", endpoint, "m", parse_body(source), len(source))


def sent(request: Request) -> bytes:
    return request.body.encoded_with({})


@pytest.mark.parametrize("name", BODIES)
def test_every_text_is_found_and_where_it_is_replaced_nothing_of_it_is_left(name: str) -> None:
    request = asked(BODIES[name])
    read = RequestTexts(request)
    texts = read.texts()
    changed = read.with_texts([text.replace(MAIL, "[A]") for text in texts])
    expected = sent(request).replace(MAIL.encode(), b"[A]")
    assert sent(changed) == expected
    assert changed.body_bytes == len(expected)
    assert not {"user", "system", "call_1", "send", "function", "text", "pmpt_1"} & set(texts)


json_values = st.recursive(
    st.one_of(st.text(max_size=12), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["messages", "input", "metadata", "tools", "vendor", "user"]), json_values))
def test_texts_that_are_put_back_as_they_were_leave_every_byte_as_it_came(fields: dict[str, object]) -> None:
    request = asked(json.dumps({"model": "m", **fields}).encode())
    read = RequestTexts(request)
    assert sent(read.with_texts(read.texts())) == sent(request)


@settings(deadline=None)
@given(json_values, st.booleans())
def test_the_texts_of_json_in_a_string_are_found_without_their_escapes(value: object, is_ascii: bool) -> None:
    arguments = json.dumps({"value": value, "mail": MAIL}, ensure_ascii=is_ascii).replace("@", "\\u0040")
    request = asked({"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": arguments}}]}]})
    read = RequestTexts(request)
    assert MAIL in read.texts()
    changed = read.with_texts(["[A]" if text == MAIL else text for text in read.texts()])
    call = msgspec.json.decode(changed.body.fields["messages"])[0]["tool_calls"][0]["function"]
    assert json.loads(call["arguments"]) == {"value": value, "mail": "[A]"}


def test_numbers_and_what_is_there_twice_stay_as_they_came() -> None:
    source = b'{"model":"m","messages":[{"content":"one","content":"two","x":1e400,"y":0.10, "z":1.0}]}'
    read = RequestTexts(asked(source))
    assert read.texts() == ["one", "two"]
    assert sent(read.with_texts(["1", "2"])) == source.replace(b'"one"', b'"1"').replace(b'"two"', b'"2"')


def test_long_numbers_in_arguments_are_texts_and_become_strings_when_they_are_replaced() -> None:
    read = RequestTexts(asked({"messages": [{"function_call": {"arguments": '{"card": 4111111111111111, "n": 2}'}}]}))
    assert read.texts() == ["card", "4111111111111111", "n"]
    changed = read.with_texts(["card", "[CREDIT_CARD_1]", "n"])
    arguments = msgspec.json.decode(changed.body.fields["messages"])[0]["function_call"]["arguments"]
    assert json.loads(arguments) == {"card": "[CREDIT_CARD_1]", "n": 2}


def test_media_and_encoded_bytes_are_no_texts() -> None:
    data = "QUJD" * 400
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
    ]
    assert RequestTexts(asked({"messages": [{"role": "user", "content": parts}]})).texts() == []


def test_a_fraction_is_no_number_of_anybodys_and_stays_one_number() -> None:
    read = RequestTexts(
        asked({"metadata": {"score": 0.4111111111111111, "n": -4111111111111111}, "top_p": 0.123456789})
    )
    assert read.texts() == ["score", "n", "-4111111111111111"]
    sent_again = sent(read.with_texts(["score", "n", "[A]"]))
    assert json.loads(sent_again)["metadata"] == {"score": 0.4111111111111111, "n": "[A]"}


@pytest.mark.parametrize(
    "content",
    [
        f"data: my mail is {MAIL}",
        f"data:text/plain,{MAIL}",
        f"data:text/plain;base64,{MAIL}",
        [{"type": "file", "file": {"file_data": f"data:text/plain,{MAIL}"}}],
        [{"type": "image_url", "image_url": {"url": f"data:{MAIL};base64,QUJD"}}],
    ],
)
def test_what_only_begins_like_the_address_of_a_medium_is_a_text(content: object) -> None:
    assert any(
        MAIL in text for text in RequestTexts(asked({"messages": [{"role": "user", "content": content}]})).texts()
    )


@pytest.mark.parametrize("text", ['a"b\\c\n\u2028\U0001f600', "[", '{"', "[[[[", "[INST] hello"])
def test_odd_texts_are_given_and_taken_as_they_are(text: str) -> None:
    request = asked(json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode())
    changed = RequestTexts(request).with_texts([text])
    assert json.loads(bytes(changed.body.fields["messages"])) == [{"role": "user", "content": text}]
    assert RequestTexts(asked(sent(changed))).texts() == [text]


def test_what_is_nested_without_end_is_read_without_recursion() -> None:
    bomb = "[" * 5000 + json.dumps(MAIL) + "]" * 5000
    read = RequestTexts(Request("r", Endpoint.CHAT, "m", Body({"messages": msgspec.Raw(bomb.encode())}), len(bomb)))
    assert read.texts() == [MAIL]


def test_texts_of_forms_are_found_and_replaced_and_their_files_stay() -> None:
    form = parse_form(FORM, "multipart/form-data; boundary=b")
    request = Request("r", Endpoint.TRANSCRIPTIONS, "m", form, len(FORM))
    read = RequestTexts(request)
    assert read.texts() == ["Ask ada@example.org"]
    assert sent(read.with_texts(["Ask [A]"])) == FORM.replace(MAIL.encode(), b"[A]")
