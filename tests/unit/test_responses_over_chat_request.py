"""The parameters of a Responses request on their way to an upstream that speaks chat, and what becomes of junk."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from responses_over_chat_request_parts import ANTHROPIC, COMPATIBLE, FUNCTION, OPENAI, refusal, translated

from gateway.errors import BadRequest


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"temperature": 0.5, "top_p": 0.9, "user": "u", "service_tier": "flex"}, None),
        ({"stream": True}, None),
        (
            {"seed": 7, "chat_template_kwargs": {"a": 1}, "new_parameter": None},
            {"seed": 7, "chat_template_kwargs": {"a": 1}},
        ),
        ({"max_output_tokens": 9}, {"max_tokens": 9}),
        ({"reasoning": {"effort": "high", "summary": "auto"}}, {"reasoning_effort": "high"}),
        ({"reasoning": {"effort": None}, "text": None, "include": None, "temperature": None}, {}),
        ({"text": {"verbosity": "low", "format": {"type": "text"}}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": 1.0}, "strict": True}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"a": 1.0}, "strict": True},
                }
            },
        ),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"top_logprobs": 0}, {}),
        ({"include": ["reasoning.encrypted_content"], "store": True, "truncation": "auto"}, {}),
        ({"metadata": {"a": "b"}, "client_metadata": {"c": "d"}, "max_tool_calls": 3, "store": False}, {}),
        ({"stream_options": {"include_obfuscation": False}, "context_management": [{"type": "compaction"}]}, {}),
        ({"prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s"}, {}),
        ({"background": False, "previous_response_id": None, "conversation": None, "prompt": None, "n": 1}, {}),
    ],
)
def test_each_parameter_has_its_place_or_none(fields, expected):
    asked = translated(**fields)
    del asked["model"], asked["messages"]
    assert asked == (fields if expected is None else expected)


def test_openai_gets_what_only_openai_knows():
    own = {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s"}
    asked = translated(OPENAI, max_output_tokens=9, **own)
    assert asked.items() >= {"max_completion_tokens": 9, **own}.items()
    assert "max_tokens" not in asked


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prompt_cache_key": "k"}, {"type": "ephemeral"}),
        ({"prompt_cache_key": "k", "prompt_cache_retention": "in_memory"}, {"type": "ephemeral"}),
        ({"prompt_cache_key": "k", "prompt_cache_retention": "24h"}, {"type": "ephemeral", "ttl": "1h"}),
        ({"prompt_cache_key": "k", "cache_control": {"type": "mine"}}, {"type": "mine"}),
        ({"prompt_cache_key": None}, None),
    ],
)
def test_who_names_a_cache_gets_one_from_an_upstream_that_must_be_asked(fields, expected):
    assert translated(ANTHROPIC, **fields).get("cache_control") == expected
    assert translated(COMPATIBLE, **fields).get("cache_control") == fields.get("cache_control")


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}},
        {"background": True},
        {"moderation": {"model": "omni"}},
        {"messages": []},
        {"n": 2},
    ],
)
def test_what_a_client_would_rely_on_in_vain_is_refused_by_name(fields):
    (name,) = fields
    error = refusal(**fields)
    assert (error.status, error.param) == (400, name)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning": "high"}, "reasoning"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": []}, "text"),
        ({"include": "all"}, "include"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools.0.name"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]}, "tools.0.tools.0.type"),
        ({"instructions": ["a"]}, "instructions"),
    ],
)
def test_a_parameter_of_another_form_is_refused_by_name(fields, param):
    assert refusal(**fields).param == param


_words = st.sampled_from(
    (
        "type", "role", "content", "text", "name", "arguments", "output", "call_id", "tools", "format", "function",
        "summary", "encrypted_content", "message", "input_text", "input", "strict", "image_url", "mode", "schema",
    )
)  # fmt: skip
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    value=anything,
    field=st.sampled_from(
        ("input", "tools", "tool_choice", "text", "reasoning", "include", "instructions", "top_logprobs")
    ),
    kind=st.sampled_from(("message", "function_call", "function_call_output", "reasoning", "custom", "namespace", "")),
    deployment=st.sampled_from((COMPATIBLE, OPENAI, ANTHROPIC)),
)
def test_whatever_a_client_sends_is_translated_or_refused_by_name(value, field, kind, deployment):
    if isinstance(value, dict) and kind:
        value = [{**value, "type": kind}]
    named = "no refusal"
    try:
        translated(deployment, **{"tools": [FUNCTION], field: value})
    except BadRequest as error:
        named = error.param
    assert named
