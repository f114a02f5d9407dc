"""What is held before a call: never less than its charge, whatever its upstream does within what was asked."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.arrival import Arrival
from gateway.api.dialects import APIS
from gateway.domain import BUDGET_NUSD_MAX, Deployment, Endpoint, Meter, Provider, Tariff, Usage
from policies.demand import (
    IMAGE_TOKENS_MAX,
    OVERHEAD_TOKENS,
    TOOL_CALLS_MAX,
    TOOLS_OVERHEAD_TOKENS,
    UNKNOWN_SOUND_S,
    demand,
)
from policies.holding import UNKNOWN_TOKENS_MAX, hold, input_tokens_max, output_tokens_max
from policies.pricing import SERVICE_TIERS, STANDARD, charge, free_tariff, make_rate_card

USD = 10**9
CHAT_BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def priced(rates, *, kind="openai", context=None, output=None, tiers=None, **cards):
    """A deployment by its rates in nano-dollars per million; ``tiers`` are by context, ``cards`` by service tier."""
    standard = make_rate_card(rates, tiers)
    others = {name: make_rate_card(card, standard=standard) for name, card in cards.items()}
    return Deployment(
        "d",
        Provider("p", kind),
        "m",
        Tariff({STANDARD: standard, **others}),
        context_tokens_max=context,
        output_tokens_max=output,
    )


def asked(endpoint=Endpoint.CHAT, **fields):
    body = json.dumps({**(CHAT_BODY if endpoint is Endpoint.CHAT else {"model": "m"}), **fields}).encode()
    return APIS[endpoint].parse(Arrival("req_1", endpoint, body))


def lines(deployment, request, default=None):
    return {line.meter: line.quantity for line in hold(deployment, demand(request), default).lines}


PLAIN = priced({Meter.INPUT: USD, Meter.OUTPUT: 4 * USD})


def test_input_is_held_by_its_bytes_and_output_by_the_clients_maximum():
    request = asked(max_tokens=100)
    held = hold(PLAIN, demand(request))
    assert held.cost_nusd == (request.body_bytes + OVERHEAD_TOKENS) * 1000 + 100 * 4000


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({"max_tokens": 100, "n": 3}, 300),
        ({"max_completion_tokens": 100}, 100),
        ({"max_completion_tokens": 1, "max_tokens": 100}, 100),
        ({"max_tokens": 10**9}, 5000),
        ({"max_tokens": -1}, 5000),
        ({"max_tokens": 0}, 5000),
        ({}, 5000),
        ({"n": 2}, 10_000),
    ],
)
def test_output_is_held_for_every_choice_and_never_beyond_what_the_model_can(fields, most):
    deployment = priced({Meter.OUTPUT: USD}, output=5000)
    assert lines(deployment, asked(**fields))[Meter.OUTPUT] == most


@pytest.mark.parametrize(
    ("maxima", "default", "most"),
    [
        ({"output": 700, "context": 9000}, None, 700),
        ({"context": 9000}, None, 9000),
        ({}, None, UNKNOWN_TOKENS_MAX),
        ({"context": 9000}, 50, 50),
        ({"output": 20}, 50, 20),
    ],
)
def test_without_a_clients_maximum_the_routes_then_the_models_then_a_constant_is_held(maxima, default, most):
    assert lines(priced({Meter.OUTPUT: USD}, **maxima), asked(), default)[Meter.OUTPUT] == most


@pytest.mark.parametrize(
    ("fields", "outputs"),
    [
        ({"prompt": "one"}, 1),
        ({"prompt": ["one", "two", "three"]}, 3),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": ["one", "two"], "n": 2, "best_of": 5}, 10),
        ({"prompt": "one", "n": 5, "best_of": 2}, 5),
    ],
)
def test_completions_are_held_for_each_prompt_and_for_the_best_of_how_many(fields, outputs):
    request = asked(Endpoint.COMPLETIONS, max_tokens=7, **fields)
    assert lines(PLAIN, request)[Meter.OUTPUT] == 7 * outputs


def test_long_input_is_held_up_to_what_the_model_takes():
    request = asked(messages=[{"role": "user", "content": "x" * 50_000}])
    assert input_tokens_max(priced({Meter.INPUT: 1}, context=8000), demand(request)) == 8000


def test_many_embeddings_are_not_bounded_by_one_context():
    request = asked(Endpoint.EMBEDDINGS, input=["x" * 1000] * 50)
    embedding = priced({Meter.INPUT: USD}, context=512)
    assert lines(embedding, request) == {Meter.INPUT: request.body_bytes + OVERHEAD_TOKENS}


OUTSIDE = [
    {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
    {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://x"}}]}]},
    {"messages": [{"role": "assistant", "audio": {"id": "a"}}]},
    {"tools": [{"type": "web_search"}]},
    {"web_search_options": {}},
]


@pytest.mark.parametrize("fields", OUTSIDE)
def test_what_stands_outside_the_request_is_held_at_all_that_the_model_takes(fields):
    assert input_tokens_max(priced({}, context=77_000), demand(asked(**fields))) == 77_000
    assert input_tokens_max(priced({}), demand(asked(**fields))) == UNKNOWN_TOKENS_MAX


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "go on", "previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"input": [{"type": "item_reference", "id": "i"}]},
        {"input": [{"type": "message", "content": [{"type": "input_file", "file_url": "https://x"}]}]},
    ],
)
def test_a_response_that_goes_on_from_stored_ones_is_held_at_all_that_the_model_takes(fields):
    request = asked(Endpoint.RESPONSES, **fields)
    assert input_tokens_max(priced({}, context=77_000), demand(request)) == 77_000


def test_a_chat_with_a_template_of_its_own_which_may_loop_is_held_at_all_that_the_model_takes():
    request = asked(chat_template="{% for _ in range(9999) %}word {% endfor %}")
    assert input_tokens_max(priced({}, context=77_000), demand(request)) == 77_000


def test_a_name_that_hides_behind_an_escape_is_found():
    body = (
        rb'{"model":"m","messages":[{"role":"user","content":[{"type":"fil\u0065","fil\u0065":{"file_i\u0064":"f"}}]}]}'
    )
    request = APIS[Endpoint.CHAT].parse(Arrival("req_1", Endpoint.CHAT, body))
    assert input_tokens_max(priced({}, context=77_000), demand(request)) == 77_000


def test_words_about_files_and_pictures_are_only_words():
    words = 'the "file" and the "image_url", see \n "document"'
    request = asked(messages=[{"role": "user", "content": words}])
    assert input_tokens_max(priced({}, context=77_000), demand(request)) == request.body_bytes + OVERHEAD_TOKENS


def test_a_small_picture_is_held_at_the_dearest_that_pictures_are():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    request = asked(messages=[{"role": "user", "content": [picture]}])
    assert demand(request).input_tokens >= request.body_bytes + IMAGE_TOKENS_MAX


@pytest.mark.parametrize(
    ("endpoint", "fields", "calls"),
    [
        (Endpoint.CHAT, {"web_search_options": {}}, {Meter.WEB_SEARCH: TOOL_CALLS_MAX}),
        (Endpoint.RESPONSES, {"tools": [{"type": "web_search"}]}, {Meter.WEB_SEARCH: TOOL_CALLS_MAX}),
        (Endpoint.RESPONSES, {"tools": [{"type": "web_search"}], "max_tool_calls": 3}, {Meter.WEB_SEARCH: 3}),
        (Endpoint.RESPONSES, {"tools": [{"type": "code_interpreter"}]}, {Meter.CODE_SESSION: TOOL_CALLS_MAX}),
        (Endpoint.MESSAGES, {"tools": [{"type": "web_search_20250305", "max_uses": 4}]}, {Meter.WEB_SEARCH: 4}),
        (Endpoint.MESSAGES, {"tools": [{"name": "web_search", "input_schema": {}}]}, {}),
    ],
)
def test_tools_of_the_upstream_are_held_at_what_the_request_lets_them_do(endpoint, fields, calls):
    given_input = {"messages": []} if endpoint is not Endpoint.RESPONSES else {"input": "x"}
    searching = priced({Meter.WEB_SEARCH: USD, Meter.CODE_SESSION: USD})
    got = lines(searching, asked(endpoint, **given_input, **fields))
    assert {meter: got[meter] for meter in got if meter not in {Meter.INPUT, Meter.OUTPUT}} == calls


def test_tools_of_the_client_make_room_for_what_upstreams_say_of_them():
    plain, with_tools = asked(), asked(tools=[])
    more = len(b', "tools": []')
    assert demand(with_tools).input_tokens - demand(plain).input_tokens == TOOLS_OVERHEAD_TOKENS + more


def test_what_costs_nothing_or_has_no_price_holds_nothing():
    free = Deployment("d", Provider("p", "vllm"), "m", free_tariff())
    unpriced = Deployment("d", Provider("p", "openai"), "m", None, is_unpriced_allowed=True)
    assert [hold(one, demand(asked())).cost_nusd for one in (free, unpriced)] == [0, 0]


@pytest.mark.parametrize("endpoint", [Endpoint.COUNT_TOKENS, Endpoint.INPUT_TOKENS])
def test_counting_holds_nothing(endpoint):
    assert hold(PLAIN, demand(asked(endpoint, input="x", messages=[]))).cost_nusd == 0


def test_no_hold_is_larger_than_a_window_can_be():
    request = asked(max_tokens=10**18, n=100)
    assert hold(PLAIN, demand(request)).cost_nusd == BUDGET_NUSD_MAX


@pytest.mark.parametrize(
    ("tier", "cost_nusd"),
    [(None, 40), ("auto", 40), ("default", 10), ("flex", 10), ("priority", 40), ("batch", 10)],
)
def test_the_dearest_tier_that_may_serve_is_held(tier, cost_nusd):
    rates = {"flex": {Meter.OUTPUT: 5 * USD}, "priority": {Meter.OUTPUT: 40 * USD}, "batch": {Meter.OUTPUT: 4 * USD}}
    deployment = priced({Meter.OUTPUT: 10 * USD}, **rates)
    fields = {} if tier is None else {"service_tier": tier}
    assert hold(deployment, demand(asked(max_tokens=1, **fields))).cost_nusd == cost_nusd * 1000


def test_fast_mode_is_held_where_it_is_asked_for():
    deployment = priced({Meter.OUTPUT: USD}, fast={Meter.OUTPUT: 6 * USD})
    fast, plain = (asked(Endpoint.MESSAGES, messages=[], max_tokens=1, **more) for more in ({"speed": "fast"}, {}))
    assert [hold(deployment, demand(one)).cost_nusd for one in (plain, fast)] == [1000, 6000]


@pytest.mark.parametrize(
    ("endpoint", "fields", "expected"),
    [
        (Endpoint.SPEECH, {"input": "hello", "voice": "v"}, {Meter.CHARACTER: 5}),
        (Endpoint.IMAGES, {"prompt": "a cat", "n": 3}, {Meter.IMAGE_GENERATED: 3}),
        (Endpoint.RERANK, {"query": "q", "documents": ["d"] * 101}, {Meter.QUERY: 2}),
    ],
)
def test_media_are_held_by_what_the_request_counts(endpoint, fields, expected):
    got = lines(priced(dict.fromkeys(expected, USD)), asked(endpoint, **fields))
    assert expected.items() <= got.items()


def test_sound_of_unknown_length_is_held_for_an_hour():
    form = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    body = form % (b"model", b"m") + form % (b"file_url", b"https://x") + b"--b--\r\n"
    arrival = Arrival("req_1", Endpoint.TRANSCRIPTIONS, body, content_type="multipart/form-data; boundary=b")
    request = APIS[Endpoint.TRANSCRIPTIONS].parse(arrival)
    assert lines(priced({Meter.SECOND: USD}), request)[Meter.SECOND] == UNKNOWN_SOUND_S


def test_pictures_are_held_at_the_dearest_size():
    deployment = priced({Meter.IMAGE_GENERATED: USD}, **{"hd/1024x1024": {Meter.IMAGE_GENERATED: 9 * USD}})
    assert hold(deployment, demand(asked(Endpoint.IMAGES, prompt="a cat"))).cost_nusd == 9000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
RATE = st.integers(0, 100 * USD)
RATES = st.dictionaries(st.sampled_from(Meter), RATE)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": st.integers(1, 2000),
        "n": st.integers(1, 4),
        "service_tier": st.sampled_from(["auto", "default", "flex", "priority"]),
        "modalities": st.just(["text", "audio"]),
        "prompt_cache_key": st.just("k"),
        "prompt_cache_retention": st.just("24h"),
        "web_search_options": st.just({}),
        "messages": st.lists(
            st.sampled_from(
                [
                    {"role": "user", "content": "hello there " * 20},
                    {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"ttl": "1h"}}]},
                    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA"}}]},
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]},
                ]
            ),
            max_size=3,
        ),
    },
)


@st.composite
def deployments(draw):
    tiers = draw(st.dictionaries(st.integers(1, 3000), RATES, max_size=2))
    cards = draw(st.dictionaries(st.sampled_from(SERVICE_TIERS), RATES))
    kind = draw(st.sampled_from(["openai", "anthropic", "openai_compatible"]))
    maxima = {name: draw(st.none() | st.integers(1, 4000)) for name in ("context", "output")}
    return priced(draw(RATES), kind=kind, tiers=tiers, **maxima, **cards)


@st.composite
def usages(draw, deployment, request):
    """Any usage that an upstream may report for the request: no part that its body rules out."""
    bounds = demand(request)
    into = draw(st.integers(0, input_tokens_max(deployment, bounds)))
    out = draw(st.integers(0, output_tokens_max(deployment, bounds, None)))
    part, written = st.integers(0, into), st.integers(0, out)
    has_marks = bounds.has_cache_marks or deployment.provider.kind != "anthropic"
    others = bounds.others or Usage()
    return Usage(
        input_tokens=into,
        cached_input_tokens=draw(part),
        cache_write_tokens=draw(part) if has_marks else 0,
        cache_write_long_tokens=draw(part) if bounds.has_long_cache_marks else 0,
        audio_input_tokens=draw(part) if bounds.has_sound else 0,
        image_input_tokens=draw(part),
        output_tokens=out,
        reasoning_tokens=draw(written),
        audio_output_tokens=draw(written) if bounds.makes_media else 0,
        image_output_tokens=draw(written),
        web_searches=draw(st.integers(0, others.web_searches)),
    )


@given(st.data(), deployments(), BODIES)
@settings(max_examples=300)
def test_no_charge_within_the_bounds_exceeds_its_hold(data, deployment, fields):
    request = asked(**fields)
    usage = data.draw(usages(deployment, request))
    tier = request.service_tier
    served = data.draw(
        st.sampled_from(["flex", "priority", "default"] if tier in {None, "auto"} else ["default", tier])
    )
    assert charge(deployment.tariff, usage, served).cost_nusd <= hold(deployment, demand(request)).cost_nusd


@given(deployments(), BODIES)
@settings(max_examples=50)
def test_the_lines_of_a_hold_add_up_to_it(deployment, fields):
    held = hold(deployment, demand(asked(**fields)))
    assert held.cost_nusd == -(-sum(line.quantity * line.rate_nusd_per_mtok for line in held.lines) // 10**6)


@given(JSON)
def test_no_value_of_a_field_that_is_looked_at_breaks_the_bounds(value):
    names = ("tools", "max_tool_calls", "prediction", "web_search_options", "speed", "modalities", "prompt")
    body = msgspec.json.encode({**CHAT_BODY, **dict.fromkeys(names, value)})
    request = APIS[Endpoint.CHAT].parse(Arrival("req_1", Endpoint.CHAT, body))
    assert hold(PLAIN, demand(request)).cost_nusd > 0
