"""Which requests are the same, and which are looked for at all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pipeline_parts import CALLER, SMALL

from gateway.api.arrival import Arrival
from gateway.api.chat import parse
from gateway.api.messages import parse as parse_message
from gateway.api.responses import parse as parse_response
from gateway.domain import Endpoint, ExactCache, Provider, Sharing
from policies.answer_identity import NotKeyed, answer_key, is_bypassed

SECRET = b"of the installation"
RULES = ExactCache()
USER = {"role": "user", "content": "say hello now"}


def asked(body, headers=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse(Arrival("req_1", Endpoint.CHAT, data, headers=headers or {}))


def digest(body, *, secret=SECRET, rules=RULES, caller=CALLER, deployment=SMALL, tokens=None, headers=None):
    return answer_key(secret, rules, asked(body, headers), caller, deployment, tokens).digest


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


def response_asked(**fields):
    body = {"model": "auto", "temperature": 0, "input": "say hello now", **fields}
    return parse_response(Arrival("req_1", Endpoint.RESPONSES, json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("fields", "bypassed"),
    [
        ({}, False),
        ({"store": False, "background": False, "previous_response_id": None}, False),
        ({"temperature": 1}, True),
        ({"store": True}, True),
        ({"background": True}, True),
        ({"previous_response_id": "resp_1"}, True),
        ({"conversation": {"id": "conv_1"}}, True),
        ({"prompt": {"id": "pmpt_1"}}, True),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]}, False),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, True),
    ],
)
def test_responses_go_by_the_same_rules_in_their_own_words(fields, bypassed):
    assert is_bypassed(response_asked(**fields), RULES) is bypassed


def test_a_response_has_a_key_only_where_nobody_stores_it():
    native = replace(SMALL, speaks=frozenset({Endpoint.RESPONSES}))
    for fields in ({}, {"store": None}, {"store": True}):
        with pytest.raises(NotKeyed):
            answer_key(SECRET, RULES, response_asked(**fields), CALLER, native)
    assert answer_key(SECRET, RULES, response_asked(store=False), CALLER, native)
    assert answer_key(SECRET, RULES, response_asked(), CALLER, SMALL)


@pytest.mark.parametrize(
    "item", [{"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}, {"type": None, "id": "msg_1"}]
)
def test_a_response_to_items_that_its_upstream_keeps_has_no_key(item):
    said = {"type": "message", "role": "user", "content": "say hello now"}
    assert answer_key(SECRET, RULES, response_asked(input=[{**said, "id": "msg_2"}]), CALLER, SMALL)
    with pytest.raises(NotKeyed):
        answer_key(SECRET, RULES, response_asked(input=[said, item]), CALLER, SMALL)


def test_what_one_account_sealed_is_not_given_where_another_is_asked():
    def digest_at(name, request):
        deployment = replace(SMALL, provider=Provider(name, "openai"))
        return answer_key(SECRET, RULES, request, CALLER, deployment).digest

    response = response_asked(store=False)
    assert digest_at("one", response) != digest_at("two", response)
    assert digest_at("one", asked({"model": "auto", "messages": []})) == digest_at(
        "two", asked({"model": "auto", "messages": []})
    )


def test_completions_are_drawn_and_embeddings_are_not():
    def bypassed(endpoint, body):
        return is_bypassed(parse(Arrival("req_1", endpoint, json.dumps({"model": "auto", **body}).encode())), RULES)

    assert bypassed(Endpoint.COMPLETIONS, {"prompt": "x"})
    assert not bypassed(Endpoint.COMPLETIONS, {"prompt": "x", "temperature": 0})
    assert not bypassed(Endpoint.EMBEDDINGS, {"input": "x"})
    assert bypassed(Endpoint.MODERATIONS, {"input": "x", "temperature": 0})
