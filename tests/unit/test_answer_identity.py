"""Which requests are the same: any change of a field is another request, and the order of keys is none."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pipeline_parts import CALLER, SMALL

from gateway.api.arrival import Arrival
from gateway.api.chat import parse
from gateway.api.messages import parse as parse_message
from gateway.domain import Endpoint, ExactCache, Provider, Sharing
from policies.answer_identity import NEUTRAL, NotKeyed, answer_key, is_bypassed

SECRET = b"of the installation"
RULES = ExactCache()
USER = {"role": "user", "content": "say hello now"}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(-5, 2**40) | st.floats(-10, 10, allow_nan=False)
names = st.text("abcdefgh_", min_size=1, max_size=6)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
schemas = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(names, st.fixed_dictionaries({"type": texts}))}
)
parts = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts}),
    st.fixed_dictionaries(
        {
            "type": st.just("image_url"),
            "image_url": st.fixed_dictionaries({"url": texts.map(lambda text: f"data:image/png;base64,{text}")}),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("input_audio"), "input_audio": st.fixed_dictionaries({"data": texts, "format": texts})}
    ),
    st.fixed_dictionaries({"type": st.just("file"), "file": st.fixed_dictionaries({"file_data": texts})}),
)
functions = st.fixed_dictionaries({"name": texts, "arguments": texts})
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"])},
    optional={
        "content": st.none() | texts | st.lists(parts, max_size=2),
        "name": texts,
        "refusal": st.none() | texts,
        "tool_call_id": texts,
        "tool_calls": st.lists(
            st.fixed_dictionaries({"id": texts, "type": st.just("function"), "function": functions}), max_size=2
        ),
    },
)
tools = st.fixed_dictionaries(
    {
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {"name": texts, "parameters": schemas}, optional={"strict": st.booleans(), "description": texts}
        ),
    }
)
bodies = st.fixed_dictionaries(
    {"model": st.just("auto"), "messages": st.lists(messages, min_size=1, max_size=3)},
    optional={
        "temperature": numbers,
        "top_p": numbers,
        "n": st.integers(1, 4),
        "seed": st.integers(0, 2**63 - 1),
        "max_tokens": st.integers(1, 9999),
        "max_completion_tokens": st.integers(1, 9999),
        "frequency_penalty": numbers,
        "presence_penalty": numbers,
        "logit_bias": st.dictionaries(names, st.integers(-100, 100), max_size=3),
        "logprobs": st.booleans(),
        "top_logprobs": st.integers(0, 20),
        "stop": texts | st.lists(texts, max_size=4),
        "response_format": st.fixed_dictionaries(
            {"type": st.just("json_schema"), "json_schema": st.fixed_dictionaries({"name": texts, "schema": schemas})}
        ),
        "tools": st.lists(tools, max_size=2),
        "tool_choice": texts,
        "parallel_tool_calls": st.booleans(),
        "reasoning_effort": texts,
        "verbosity": texts,
        "service_tier": texts,
        "prediction": st.fixed_dictionaries({"type": st.just("content"), "content": texts}),
        "user": texts,
        "an_unknown_one": values,
    },
)


def asked(body, headers=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse(Arrival("req_1", Endpoint.CHAT, data, headers=headers or {}))


def digest(body, *, secret=SECRET, rules=RULES, caller=CALLER, deployment=SMALL, tokens=None, headers=None):
    return answer_key(secret, rules, asked(body, headers), caller, deployment, tokens).digest


def paths_in(value, path=()):
    """The path of every value below, the inner nodes too."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in children:
        yield (*path, step)
        yield from paths_in(child, (*path, step))


def changed(value, path, new):
    made = copy.deepcopy(value)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = new
    return made


def shuffled(value, draw):
    if isinstance(value, dict):
        return {name: shuffled(value[name], draw) for name in draw(st.permutations(list(value)))}
    return [shuffled(one, draw) for one in value] if isinstance(value, list) else value


@given(bodies, st.data())
def test_the_order_of_keys_changes_nothing_at_any_depth(body, data):
    assert digest(shuffled(body, data.draw)) == digest(body)


@given(bodies, values, st.data())
def test_any_change_of_any_value_makes_another_key(body, new, data):
    path = data.draw(st.sampled_from([path for path in paths_in(body) if path != ("model",)]))
    made = changed(body, path, new)
    assume(json.dumps(made, sort_keys=True) != json.dumps(body, sort_keys=True))
    assume(not isinstance(made["messages"], dict | str | int | float | bool | None))
    try:
        assert digest(made) != digest(body)
    except NotKeyed:
        pass  # looked for nowhere
    except Exception as exc:  # noqa: BLE001 - what no upstream could answer is no request at all
        assert type(exc).__name__ == "BadRequest"  # noqa: PT017


@given(bodies, names.filter(lambda name: name not in NEUTRAL), values)
def test_a_field_that_comes_or_goes_makes_another_key(body, name, value):
    assume(name not in body and not name.endswith("url"))
    assert digest({**body, name: value}) != digest(body)


@pytest.mark.parametrize("name", ["stream_options", "metadata"])
def test_what_changes_no_answer_does_not_count(name):
    body = {"model": "auto", "messages": [USER]}
    assert digest({**body, name: {"a": 1}}) == digest(body)
    assert digest({**body, "stream": True}) == digest(body)


def test_who_asks_does_not_count_where_it_is_documented_to_be_for_abuse_and_warm_caches_alone():
    body = {"model": "auto", "messages": [USER]}
    at_openai = replace(SMALL, provider=Provider("p", "openai"))
    for name in ("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"):
        assert digest({**body, name: "a"}, deployment=at_openai) == digest(body, deployment=at_openai)
        assert digest({**body, name: "a"}) != digest(body)


def test_numbers_count_as_they_are_written():
    def with_number(text):
        return b'{"model":"auto","messages":[],"x":%s}' % text

    written = [b"1", b"1.0", b"1e0", b'"1"', b"10000000000000000000000001", b"10000000000000000000000002", b"0.1"]
    written += [b"0.1000000000000000055511151231257827", b"true", b"[1]", b"{}", b"null"]
    assert len({digest(with_number(text)) for text in written}) == len(written)
    assert digest(b'{"model":"auto","messages":[] , "x": 1 }') == digest(with_number(b"1"))
    assert digest(b'{"model":"auto","messages":[],"x":"\\u0041"}') == digest(b'{"model":"auto","messages":[],"x":"A"}')


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 1}',
        b'[{"a": {"b": 1, "b": 2}}]',
        b'"\\ud800"',
        b'{"file_id": "file-1"}',
        b'{"image_url": "https://x/y.png"}',
        b'{"url": "gs://bucket/x"}',
        b'{"fileUri": "https://x/y"}',
        b'{"file": {"file_data": "https://x/y.pdf"}}',
        b'{"role": "assistant", "audio": {"id": "audio_1"}}',
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_what_is_elsewhere_or_can_be_read_in_two_ways_has_no_key(text):
    try:
        request = asked(b'{"model":"auto","messages":[],"x":' + text + b"}")
    except Exception as exc:  # noqa: BLE001 - nested too deeply for anybody
        assert type(exc).__name__ == "BadRequest"  # noqa: PT017
        return
    with pytest.raises(NotKeyed):
        answer_key(SECRET, RULES, request, CALLER, SMALL)


def test_a_tool_may_have_a_parameter_of_any_name():
    parameters = {"type": "object", "properties": {"file_id": {"type": "string"}, "url": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    assert digest({"model": "auto", "messages": [USER], "tools": [tool]})


def test_what_is_asked_of_whom_by_whom_counts_too():
    body = {"model": "auto", "messages": [USER]}
    azure = Provider("p", "azure", base_url="https://one")
    found = [
        digest(body),
        digest(body, secret=b"another"),
        digest(body, caller=replace(CALLER, team_id="team_2")),
        digest(body, caller=replace(CALLER, organization_id="org_2")),
        digest(body, rules=ExactCache(shared_by=Sharing.KEY)),
        digest(body, rules=ExactCache(shared_by=Sharing.ORGANIZATION)),
        digest(body, rules=ExactCache(shared_by=Sharing.ALL)),
        digest(body, rules=ExactCache(keeps_tool_calls=True)),
        digest(body, rules=ExactCache(ttl_s=60)),
        digest(body, deployment=replace(SMALL, model="another")),
        digest(body, deployment=replace(SMALL, region="eu")),
        digest(body, deployment=replace(SMALL, tags=frozenset({"gdpr"}))),
        digest(body, deployment=replace(SMALL, provider=Provider("p", "vllm"))),
        digest(body, deployment=replace(SMALL, provider=azure)),
        digest(body, deployment=replace(SMALL, provider=replace(azure, base_url="https://two"))),
        digest(body, tokens=33),
        digest(body, headers={"anthropic-beta": "x"}),
        digest(body, headers={"openai-beta": "x"}),
    ]
    assert len(set(found)) == len(found)


def test_scopes_that_do_not_tell_callers_apart_do_not_count_them():
    body = {"model": "auto", "messages": [USER]}
    other_key = replace(CALLER, key_id="key_2")
    other_team = replace(other_key, team_id="team_2")
    other_organization = replace(other_team, organization_id="org_2")
    for sharing, caller, other in (
        (Sharing.TEAM, other_key, other_team),
        (Sharing.ORGANIZATION, other_team, other_organization),
        (Sharing.ALL, other_organization, None),
        (Sharing.KEY, CALLER, other_key),
    ):
        rules = ExactCache(shared_by=sharing)
        assert digest(body, rules=rules, caller=caller) == digest(body, rules=rules)
        assert other is None or digest(body, rules=rules, caller=other) != digest(body, rules=rules)


def test_deployments_of_one_kind_and_model_answer_for_each_other_whatever_they_are_called():
    body = {"model": "auto", "messages": [USER]}
    twin = replace(SMALL, name="twin", provider=Provider("another", "fake"))
    assert digest(body, deployment=twin) == digest(body)
    assert digest(body, headers={"traceparent": "x", "session-id": "y"}) == digest(body)


@pytest.mark.parametrize(
    ("fields", "bypassed"),
    [
        ({"temperature": 0}, False),
        ({"temperature": 0.0, "n": 2, "seed": 3}, False),
        ({}, True),
        ({"temperature": None}, True),
        ({"temperature": 0.01}, True),
        ({"temperature": "0"}, True),
        ({"temperature": False}, True),
        ({"temperature": 0, "store": False}, False),
        ({"temperature": 0, "store": True}, True),
        ({"temperature": 0, "tools": [{"type": "function"}, {"type": "custom"}]}, False),
        ({"temperature": 0, "tools": [{"type": "mcp"}]}, True),
        ({"temperature": 0, "web_search_options": {}}, True),
        ({"temperature": 0, "plugins": [{"id": "web"}]}, True),
        ({"temperature": 0, "search_parameters": {"mode": "auto"}}, True),
        ({"temperature": 0, "data_sources": [{"type": "azure_search"}]}, True),
        ({"temperature": 0, "enable_search": False}, False),
        ({"temperature": 0, "modalities": ["text", "audio"]}, True),
    ],
)
def test_what_may_come_out_otherwise_is_bypassed(fields, bypassed):
    body = {"model": "auto", "messages": [USER], **fields}
    assert is_bypassed(asked(body), RULES) is bypassed
    if "temperature" not in fields or len(fields) == 1:
        assert is_bypassed(asked(body), ExactCache(any_temperature=True)) is False


@pytest.mark.parametrize(
    ("fields", "bypassed"),
    [
        ({}, False),
        ({"tools": [{"name": "f", "input_schema": {}}, {"type": "custom", "name": "g"}]}, False),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, True),
        ({"mcp_servers": [{"type": "url", "name": "x"}]}, True),
        ({"container": "container_1"}, True),
        ({"thread": "thread_1"}, True),
    ],
)
def test_messages_go_by_the_same_rules_in_their_own_words(fields, bypassed):
    body = {"model": "auto", "max_tokens": 9, "temperature": 0, "messages": [USER], **fields}
    request = parse_message(Arrival("req_1", Endpoint.MESSAGES, json.dumps(body).encode()))
    assert is_bypassed(request, RULES) is bypassed
    as_chat = replace(request, endpoint=Endpoint.CHAT)
    one, other = (answer_key(SECRET, RULES, each, CALLER, SMALL) for each in (request, as_chat))
    assert one.digest != other.digest


def test_by_whom_messages_say_they_are_asked_counts_where_a_server_may_know_its_users():
    def digest_at(kind, user):
        body = {"model": "auto", "max_tokens": 9, "messages": [USER], "metadata": {"user_id": user}}
        request = parse_message(Arrival("req_1", Endpoint.MESSAGES, json.dumps(body).encode()))
        return answer_key(SECRET, RULES, request, CALLER, replace(SMALL, provider=Provider("p", kind))).digest

    assert digest_at("openai_compatible", "a") != digest_at("openai_compatible", "b")
    for kind in ("anthropic", "openai", "azure"):
        assert digest_at(kind, "a") == digest_at(kind, "b")
