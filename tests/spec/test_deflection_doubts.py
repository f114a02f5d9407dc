"""Where anything in a request may change the answer, or might, a route that deflects asks a model."""

from __future__ import annotations

import json

import pytest
from deflection_parts import ANSWER, SUM, SYSTEM, USER, entry_of

PARIS = [{"role": "user", "content": "What is the capital of France?"}, {"role": "assistant", "content": "Paris."}]
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [FUNCTION]},
        {"functions": [FUNCTION["function"]]},
        {"tool_choice": "none"},
        {"response_format": {"type": "json_object"}},
        {"stop": ["8"]},
        {"n": 2},
        {"logprobs": True},
        {"logit_bias": {"50256": -100}},
        {"store": True},
        {"reasoning_effort": "high"},
        {"modalities": ["text", "audio"]},
        {"web_search_options": {}},
        {"an_unknown_field": None},
        {"max_tokens": 2},
        {"messages": [SYSTEM, USER]},
        {"messages": [{**SYSTEM, "role": "developer"}, USER]},
        {"messages": [USER, SYSTEM]},
        {"messages": [*PARIS, USER]},
        {"messages": [USER, USER]},
        {"messages": [USER, {"role": "assistant", "content": "It is"}]},
        {"messages": [{**USER, "name": "Ann"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": SUM}, PIXEL]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": SUM}, {"type": "text", "text": "!"}]}]},
        {"messages": [*PARIS, {"role": "user", "content": "hello"}]},
        {"messages": [*PARIS, {"role": "user", "content": "ok, thanks"}]},
        {"messages": [PARIS[0], {**PARIS[1], "content": "Shall I go on?"}, {"role": "user", "content": "thanks"}]},
        {"messages": [PARIS[0], {"role": "user", "content": "thanks"}]},
        {"messages": [{"role": "user", "content": f"{SUM}, and why?"}]},
        {"messages": [{"role": "user", "content": f"{SUM}" + " " * 5000}]},
        {"messages": [{"role": "user", "content": "1+1=" * 20_000}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": {"text": SUM}}]},
        {"messages": [{"content": SUM}]},
        {"messages": [SUM]},
        {"messages": []},
        {"model": "off"},
        {"model": "good"},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)  # fmt: skip
def test_in_any_doubt_the_upstream_is_asked(deflecting, messenger, fields):
    answer = messenger.post("chat/completions", {"model": "auto", "messages": [USER], "user": messenger.user, **fields})
    assert "x-obol-deflector" not in answer.headers
    assert messenger.heard() == 1
    assert entry_of(deflecting, answer)["source"] == "upstream"


@pytest.mark.parametrize(
    "fields",
    [
        {"instructions": "Answer in rhymes."},
        {"text": {"format": {"type": "json_object"}}},
        {"background": True},
        {"previous_response_id": "resp_1"},
        {"tools": [{"type": "web_search"}]},
        {"reasoning": {"effort": "high"}},
        {"include": ["message.output_text.logprobs"]},
        {"input": [*PARIS, USER]},
        {"input": [{"type": "item_reference", "id": "msg_1"}, USER]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,aaaa"}]}]},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)  # fmt: skip
def test_in_any_doubt_a_response_is_left_to_the_upstream(messenger, fields):
    answer = messenger.post("responses", {"model": "auto", "input": SUM, "user": messenger.user, **fields})
    assert answer.headers.get("x-obol-source") != "deflected"


@pytest.mark.parametrize(
    "fields",
    [
        {"system": "Answer in rhymes."},
        {"system": [{"type": "text", "text": "Answer in rhymes."}]},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"stop_sequences": ["8"]},
        {"tools": [{"name": "f", "input_schema": {"type": "object"}}]},
        {"messages": [*PARIS, USER]},
        {"messages": [USER, {"role": "assistant", "content": "It is"}]},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)  # fmt: skip
def test_in_any_doubt_a_message_is_left_to_the_upstream(messenger, fields):
    body = {
        "model": "claude",
        "max_tokens": 2000,
        "messages": [USER],
        "metadata": {"user_id": messenger.user},
        **fields,
    }
    answer = messenger.post("messages", body)
    assert answer.headers.get("x-obol-source") != "deflected"
    assert messenger.heard() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.7, "top_p": 0.9, "seed": 7, "n": 1, "presence_penalty": 0, "max_completion_tokens": 500},
        {"metadata": {"a": "b"}, "service_tier": "auto", "prompt_cache_key": "k"},
        {"tools": [], "stop": None, "response_format": None, "store": False, "logprobs": False},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": SUM}]}]},
        {"messages": [{"role": "system", "content": ""}, USER]},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)  # fmt: skip
def test_what_changes_no_short_answer_may_stand_besides(messenger, fields):
    answer = messenger.post("chat/completions", {"model": "auto", "messages": [USER], "user": messenger.user, **fields})
    assert answer.headers["x-obol-source"] == "deflected"


def test_a_route_may_deflect_over_system_prompts(messenger):
    answer = messenger.post("chat/completions", {"model": "instructed", "messages": [SYSTEM, USER]})
    assert answer.json()["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize(
    ("text", "told"), [("Thanks a lot!", "You're welcome!"), ("bye", "Goodbye!"), ("merci", "De rien !")]
)
def test_thanks_and_goodbyes_are_answered_in_conversations_too(messenger, text, told):
    answer = messenger.post(
        "chat/completions", {"model": "auto", "messages": [*PARIS, {"role": "user", "content": text}]}
    )
    assert answer.headers["x-obol-deflector"] == "smalltalk"
    assert answer.json()["choices"][0]["message"]["content"] == told


def test_only_what_the_route_lists_is_answered(messenger):
    assert messenger.chat("hello", model="arithmetic").headers["x-obol-source"] == "upstream"
