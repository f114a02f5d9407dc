"""What a catalog may say of how its routes pick: capabilities, places, tags, weights and targets."""

from __future__ import annotations

import json

import pytest
from catalog_parts import ISSUE_EXAMPLE, refusal, snapshot, with_deployment
from pricelist_parts import chat, listing

from gateway.catalog.show import main_show
from gateway.domain import Capability, Cascade, ExactCache, Placement, Sharing
from gateway.settings import Settings

TOOLS, SCHEMA, VISION, AUDIO, FILES = Capability
ROUTING = """\
providers: {gpu: {kind: vllm, base_url: "http://gpu:8000/v1"}, p: {kind: openai}}
deployments:
  - {name: own, provider: gpu, model: m, price: free, region: eu, tags: [gdpr, own], capabilities: [tools, vision]}
  - {name: mini, provider: p, model: gpt-5-mini, region: us, tags: [gdpr]}
routes:
  r:
    {deployments: [own, mini], policy: weighted, weights: {own: 3, mini: 0.5},
     regions: [eu, us], tags: [gdpr], first_token_p95_s_max: 1.5}
  fast: {deployments: [own, mini], policy: lowest_latency, cost_max_usd: 0.0025, keep_prompts_days: 30}
  capped: {deployments: [own, mini], policy: cheapest_adequate, cost_max_usd: 0.0025}
  bounded: {deployments: [own, mini], policy: cheapest_adequate, quality_loss_max: 0.1, cost_max_usd: 0.000000001}
"""


def test_a_route_says_how_it_picks_and_from_where():
    catalog = snapshot(ROUTING)
    route = catalog.route("r")
    assert (route.policy, route.weights, route.first_token_p95_s_max) == ("weighted", {"own": 3, "mini": 0.5}, 1.5)
    assert route.placement == Placement(frozenset({"eu", "us"}), frozenset({"gdpr"}))
    assert catalog.route("fast").policy == "lowest_latency"
    assert (catalog.deployment("own").region, catalog.deployment("own").tags) == ("eu", {"gdpr", "own"})


def test_a_route_caps_what_a_call_may_cost_and_where_it_says_nothing_of_quality_the_best_is_wanted():
    found = {name: snapshot(ROUTING).route(name) for name in ("fast", "capped", "bounded", "r")}
    assert [one.cost_max_nusd for one in found.values()] == [2_500_000, 2_500_000, 1, None]
    assert [one.is_best_wanted for one in found.values()] == [True, True, False, False]


def test_a_route_keeps_prompts_only_where_it_says_for_how_long():
    catalog = snapshot(ROUTING)
    assert [catalog.route(name).keep_prompts_days for name in ("fast", "r")] == [30, None]
    assert "  fast: lowest_latency, a call to cost at most $0.0025, prompts kept for 30 days" in "\n".join(
        catalog.describe()
    )


def test_another_target_or_quality_is_another_catalog():
    for changed in (
        ("0.1", "0.2"),
        ("quality_loss_max: 0.1, ", ""),
        ("cost_max_usd: 0.000000001", "cost_max_usd: 1"),
        ("price: free,", "price: free, quality: 0.5,"),
    ):
        assert snapshot(ROUTING).hash != snapshot(ROUTING.replace(*changed)).hash


@pytest.mark.parametrize(
    "more",
    [
        "cache: {exact: {}}",
        "cache: {exact: {ttl_s: 60}}",
        "cache: {exact: {}, semantic: {}}",
        "cache: {exact: {}, semantic: {wrong_answers_max: 0.02}}",
        "deflect: {answerers: [units]}",
        "deflect: {answerers: [units], time_zone: Europe/Paris}",
        "deflect: {answerers: [currency], currency: {as_of: 2026-11-29, per_usd: {EUR: 0.86}}}",
        "conversations: {sticky: true}",
        "policy: cascade, cascade: {gate: {logprob_min: 0.8}}",
    ],
)
def test_whatever_a_route_says_makes_another_catalog_of_it(more):
    def found(said):
        return snapshot(f"{ROUTING}  c: {{deployments: [own, mini]{said}}}\n").hash

    others = {found(""), found(", cache: {exact: {ttl_s: 61}}"), found(", deflect: {answerers: [clock]}")}
    assert len({*others, found(f", {more}")}) == 4
    assert found(f", {more}") == found(f", {more}")


def test_a_deployment_without_its_capabilities_stated_lacks_what_the_price_list_knows_it_to_lack():
    catalog = snapshot(ROUTING)
    assert catalog.deployment("own").lacks == {SCHEMA, AUDIO, FILES}
    assert catalog.deployment("mini").lacks == {AUDIO}
    assert with_deployment("{name: m, provider: p, model: gpt-3.5-turbo}").deployment("m").lacks >= {VISION, FILES}
    stated = "{name: m, provider: p, model: gpt-3.5-turbo, capabilities: [vision, tools, json_schema, audio, files]}"
    assert with_deployment(stated).deployment("m").lacks == set()
    assert with_deployment("{name: m, provider: p, model: x, capabilities: []}").deployment("m").lacks == {*Capability}


def test_of_a_model_that_no_list_knows_everything_is_assumed():
    own = with_deployment("{name: m, provider: p, model: x, price: free}", "{kind: vllm, base_url: 'http://gpu/v1'}")
    assert own.deployment("m").lacks == set()


@pytest.mark.parametrize(
    ("entry", "lacks"),
    [
        ({}, set()),
        ({"supports_function_calling": True}, {VISION, FILES}),  # an entry that tells, and tells of no sight
        ({"supports_function_calling": False, "supports_vision": True}, {TOOLS}),
        ({"supports_vision": True}, set()),
        ({"supports_vision": False}, {VISION, FILES}),
        ({"supports_vision": False, "supports_pdf_input": True}, {VISION}),
        ({"supports_response_schema": False, "supports_audio_input": False, "supports_vision": True}, {SCHEMA, AUDIO}),
        ({"supported_modalities": ["text"]}, {VISION, AUDIO, FILES}),
        ({"supported_modalities": ["text", "image"]}, {AUDIO}),
        ({"supported_modalities": ["text", "audio"], "supports_vision": True}, set()),
        ({"supports_vision": None, "supported_modalities": "image"}, set()),
    ],
)
def test_silence_of_the_price_list_is_a_no_only_where_it_can_be_trusted(entry, lacks):
    assert listing(m=chat(**entry)).get("m").lacks == lacks


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        ("policy: weighted, weights: {m: 1, zzz: 2}", "the route has no deployment 'zzz'"),
        ("policy: weighted, weights: {m: -1}", "greater than or equal to 0"),
        ("policy: weighted, weights: {m: true}", "expected a number"),
        ("policy: weighted, weights: {m: 0, n: 0}", "all weights are 0"),
        ("policy: weighted, weights: {}", "routes.r.weights"),
        ("weights: {m: 1}", "only policy: weighted has weights"),
        ("cascade: {gate: {schema: true}}", "only policy: cascade has a cascade"),
        ("policy: cascade, cascade: {gate: {schema: true}}, repair: {json: true}", "judges its answers by its gate"),
        ("repair: {}", "repair.json: is missing"),
        ("repair: {json: false}", "Input should be True"),
        ("repair: {json: true, re_ask: true}", "unknown key re_ask (did you mean reask?)"),
        ("policy: cascade", "policy: cascade needs a cascade with its gate"),
        ("policy: cascade, cascade: {steps_max: 2}", "cascade.gate: is missing"),
        ("policy: cascade, cascade: {gate: {}}", "state at least one of logprob_min, schema, agreement, verifier"),
        ("policy: cascade, cascade: {gate: {schema: false}}", "state at least one"),
        ("policy: cascade, cascade: {gate: {logprob: 0.8}}", "unknown key logprob (did you mean logprob_min?)"),
        ("policy: cascade, cascade: {gate: {schemas: true}}", "unknown key schemas (did you mean schema?)"),
        ("policy: cascade, cascade: {gate: {logprob_min: 0}}", "greater than 0"),
        ("policy: cascade, cascade: {gate: {logprob_min: 1.1}}", "less than or equal to 1"),
        ("policy: cascade, cascade: {gate: {schema: true}, steps_max: 1}", "greater than or equal to 2"),
        ("policy: cascade, cascade: {gate: {agreement: {samples: 1, share_min: 0.6}}}", "greater than or equal to 2"),
        ("policy: cascade, cascade: {gate: {verifier: {deployment: mm, score_min: 0.7}}}", "no deployment 'mm' (did"),
        (
            "regions: [eu], policy: cascade, cascade: {gate: {verifier: {deployment: n, score_min: 0.7}}}",
            "'n' is not where the route wants its questions: region: not stated, where the route wants eu",
        ),
        ("policy: cascade, cascade: {gate: {schema: true}}, quality_loss_max: 0.1", "only policy: cheapest_adequate"),
        ("quality_loss_max: 0.1", "only policy: cheapest_adequate has a quality_loss_max"),
        ("policy: cheapest_adequate, quality_loss_max: 1", "less than 1"),
        ("policy: cheapest_adequate, quality_loss_max: -0.1", "greater than or equal to 0"),
        ("keep_prompts_days: 0", "greater than or equal to 1"),
        ("keep_prompts_days: 3651", "less than or equal to 3650"),
        ("keep_prompts_days: true", "expected a number"),
        ("cost_max_usd: 0", "greater than 0"),
        ("cost_max_usd: 0.0000000001", "9 decimal places"),
        ("cost_max_usd: true", "expected a number"),
        ("policy: lowest_latency, weights: {m: 1}", "only policy: weighted has weights"),
        ("policy: wieghted", "routes.r.policy"),
        ("regions: []", "routes.r.regions"),
        ("regions: ['e u']", "expected a word such as eu-west-1"),
        ("tags: 'gdpr'", "routes.r.tags"),
        (
            "regions: [asia]",
            "no deployment is where the route wants it: m: region: eu, where the route wants asia; n: ",
        ),
        ("tags: [own]", "m: tag: without own, which the route wants; n: tag: without own"),
        ("first_token_p95_s_max: 0", "routes.r.first_token_p95_s_max"),
        ("region: eu", "unknown key region (did you mean regions?)"),
    ],
)
def test_a_route_that_makes_no_sense_is_refused_on_its_line(route, reason):
    members = "{name: m, provider: p, model: gpt-4o, region: eu}, {name: n, provider: p, model: gpt-4o-mini}"
    text = refusal(
        f"providers: {{p: {{kind: openai}}}}\ndeployments: [{members}]\n"
        f"routes:\n  r: {{deployments: [m, n], {route}}}\n"
    )
    assert "catalog.yaml:4: " in text
    assert reason in text


def test_a_cascade_says_by_which_gates_it_accepts():
    judges = "agreement: {samples: 3, share_min: 0.67}, verifier: {deployment: mini, score_min: 0.7}"
    gates = f"{{logprob_min: 0.8, schema: true, {judges}}}"
    catalog = snapshot(f"{ROUTING}  c: {{deployments: [own, mini], policy: cascade, cascade: {{gate: {gates}}}}}\n")
    assert catalog.route("c").cascade == Cascade(0.8, True, 3, 0.67, "mini", 0.7, steps_max=2)
    assert catalog.route("r").cascade is None
    assert "c: cascade by logprob, schema, agreement, verifier mini, baseline none" in "\n".join(catalog.describe())


def test_a_route_says_which_answers_it_gives_again_and_to_whom():
    stated = "ttl_s: 60, scope: organization, tool_calls: true, any_temperature: true, bytes_max: 2048"
    catalog = snapshot(
        f"{ROUTING}  c: {{deployments: [own], cache: {{exact: {{{stated}}}}}}}\n"
        "  d: {deployments: [own], cache: {exact: {}}}\n"
    )
    assert catalog.route("c").exact_cache == ExactCache(
        60, Sharing.ORGANIZATION, keeps_tool_calls=True, any_temperature=True, bytes_max=2048
    )
    assert catalog.route("d").exact_cache == ExactCache(ttl_s=3600, shared_by=Sharing.TEAM, bytes_max=262_144)
    assert catalog.route("r").exact_cache is None
    assert "answers given again for 60 s within the same organization" in "\n".join(catalog.describe())


@pytest.mark.parametrize("stated", ["{}", "{exact: {scope: everybody}}", "{exact: {ttl_s: 0}}", "{exact: {ttl: 5}}"])
def test_a_cache_that_is_none_is_refused(stated):
    assert "routes.c.cache" in refusal(f"{ROUTING}  c: {{deployments: [own], cache: {stated}}}\n")


def test_weights_of_deployments_that_do_not_state_any_are_one():
    catalog = snapshot(ROUTING.replace("{own: 3, mini: 0.5}", "{own: 0}"))
    assert catalog.route("r").weights == {"own": 0}
    assert "r: weighted 0 : 1, in eu or us" in "\n".join(catalog.describe())


@pytest.mark.parametrize(
    ("deployment", "reason"),
    [
        ("region: 'a,b'", "expected a word such as eu-west-1"),
        ("tags: [ok, '']", "expected a word such as eu-west-1"),
        ("capabilities: [sight]", "deployments.0.capabilities.0"),
    ],
)
def test_a_deployment_that_is_nowhere_or_can_what_nobody_knows_is_refused(deployment, reason):
    text = refusal(
        f"providers: {{p: {{kind: openai}}}}\ndeployments:\n  - {{name: m, provider: p, model: gpt-4o, {deployment}}}\n"
    )
    assert "catalog.yaml:3: " in text
    assert reason in text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("own: 3", "own: 4"),
        ("regions: [eu, us]", "regions: [eu]"),
        ("tags: [gdpr], first", "tags: [gdpr, own], first"),
        ("1.5", "1.6"),
        ("region: eu", "region: us"),
        ("tags: [gdpr, own]", "tags: [gdpr]"),
        ("[tools, vision]", "[tools]"),
        ("lowest_latency", "ordered"),
    ],
)
def test_the_hash_changes_with_what_decides_who_answers(old, new):
    assert old in ROUTING
    assert snapshot(ROUTING).hash != snapshot(ROUTING.replace(old, new)).hash


def test_obol_catalog_show_tells_how_routes_pick_and_what_deployments_lack(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text(ROUTING)
    shown = main_show(Settings(catalog=path), {})
    assert "r: weighted 3 : 0.5, in eu or us, tagged gdpr, first token p95 to be at most 1.5 s, baseline none" in shown
    assert "own  (m at gpu, in eu, tagged gdpr, tagged own)  free, without audio, files, json_schema" in shown
    assert "weights: {own: 3, mini: 0.5}" in shown
    assert "capabilities: [tools, vision]" in shown


def test_a_catalog_that_says_nothing_of_it_asks_nothing(tmp_path):
    (tmp_path / "prices.json").write_text(json.dumps({"gpt-5-mini": chat(litellm_provider="openai")}))
    route = snapshot(ISSUE_EXAMPLE, data_dir=tmp_path).route("auto")
    assert (route.weights, route.placement, route.first_token_p95_s_max) == ({}, Placement(), None)
