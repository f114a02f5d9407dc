"""What becomes of a whole chat answer for a client of the Responses API."""

from __future__ import annotations

import base64
import json

import pytest
from openai.types.responses import Response
from responses_over_chat_answer_parts import REQUEST, whole_answer, writer

from gateway.errors import UpstreamBroken


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


NO_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "many"}, []])
def test_usage_that_nobody_can_read_is_zeros_as_sdks_insist_on_figures(usage):
    assert json.loads(writer().whole(whole_answer({"content": "Hello."}, usage=usage)))["usage"] == NO_USAGE


def test_usage_that_is_not_there_is_zeros_too():
    answer = json.loads(whole_answer({"content": "Hello."}))
    del answer["usage"]
    assert json.loads(writer().whole(json.dumps(answer).encode()))["usage"] == NO_USAGE


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
