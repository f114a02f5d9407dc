"""What is served without a catalog file: known providers by their variables, a local vLLM, else the simulator."""

from __future__ import annotations

import json
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gateway.catalog.discovery import KNOWN_PROVIDERS, discover, find, load, probe_vllm
from gateway.catalog.file import read_snapshot
from gateway.catalog.pricelist import PriceList, packaged_path, read
from gateway.catalog.show import main_show
from gateway.catalog.text import CatalogError
from gateway.domain import Endpoint, Meter
from gateway.settings import Settings

TODAY = date(2030, 1, 1)


def nobody():
    return ()


def chat(price_in, price_out, **more):
    return {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": price_in / 1e6,
        "output_cost_per_token": price_out / 1e6,
        "max_input_tokens": 200_000,
        "supports_function_calling": True,
        "supports_reasoning": True,
    } | more


def listing(**models) -> PriceList:
    return PriceList(json.dumps(models).encode(), "list.json")


def auto(models, env=None):
    found = discover(env or {"OPENAI_API_KEY": "k"}, listing(**models), (), TODAY)
    return found.data["routes"]["auto"]["deployments"] if "routes" in found.data else []


def served(env, tmp_path, probe=nobody):
    return load(Settings(data_dir=tmp_path), env, probe=probe, today=lambda: TODAY).current


@pytest.fixture
def http_server():
    servers = []

    def start(status, body):
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status if self.path == "/v1/models" else 404)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_simulator_stands_in_and_says_so_loudly(tmp_path):
    catalog = served({}, tmp_path)
    assert catalog.uses_simulator
    assert catalog.route("auto").deployments == ("sim-small", "sim-large")
    assert (catalog.route("auto").policy, catalog.route("auto").baseline) == ("cheapest_adequate", "sim-large")
    assert catalog.default_model(Endpoint.MODERATIONS) == "sim-moderation"
    assert catalog.deployment("sim-embedding").mode == "embedding"
    assert "SIMULATOR" in "\n".join(catalog.describe())


def test_an_empty_variable_reveals_nothing(tmp_path):
    assert served({"OPENAI_API_KEY": ""}, tmp_path).uses_simulator


@pytest.mark.parametrize("known", KNOWN_PROVIDERS, ids=lambda known: known.name)
def test_each_known_provider_makes_a_catalog_that_loads(known, tmp_path):
    catalog = served({known.variable: "secret-key"}, tmp_path)
    if known.name == "openrouter":  # the price list has no prices of it
        assert catalog.uses_simulator
        assert "OPENROUTER_API_KEY is set, but" in "\n".join(catalog.describe())
        return
    assert not catalog.uses_simulator
    for name in catalog.route("auto").deployments:
        deployment = catalog.deployment(name)
        assert deployment.provider.api_key == "secret-key"
        assert deployment.tariff.cards["standard"].rates[Meter.OUTPUT] > 0
    assert catalog.route("auto").baseline == catalog.route("auto").deployments[-1]
    assert catalog.route("auto").policy == "cheapest_adequate"


def test_every_priced_model_of_a_found_provider_is_callable(tmp_path):
    catalog = served({"OPENAI_API_KEY": "k"}, tmp_path)
    expected = {name for name, _ in read(packaged_path()).of_provider("openai")}
    assert {name for name, owner in catalog.names() if owner == "openai"} == expected
    assert catalog.default_model(Endpoint.MODERATIONS) == "omni-moderation-latest"


def test_anthropic_is_spoken_to_in_its_own_dialect_and_gemini_through_its_openai_endpoint(tmp_path):
    catalog = served({"ANTHROPIC_API_KEY": "a", "GEMINI_API_KEY": "g"}, tmp_path)
    claude = catalog.deployment("claude-sonnet-4-5")
    assert (claude.provider.kind, claude.speaks) == ("anthropic", {Endpoint.MESSAGES})
    assert claude.provider.base_url == "https://api.anthropic.com/v1"
    gemini = catalog.deployment("gemini-2.5-pro").provider
    assert (gemini.kind, gemini.base_url.endswith("/openai")) == ("openai_compatible", True)


def test_the_usual_base_url_variable_is_respected(tmp_path):
    catalog = served({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "https://proxy.example/v1/"}, tmp_path)
    assert catalog.deployment("gpt-4o").provider.base_url == "https://proxy.example/v1"
    assert "OPENAI_BASE_URL is set" in "\n".join(catalog.describe())
    catalog = served({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "https://proxy.example"}, tmp_path)
    assert catalog.deployment("claude-sonnet-4-5").provider.base_url == "https://proxy.example/v1"


def test_a_name_that_is_taken_gets_the_providers_name_before_it():
    both = listing(
        same=chat(1, 2),
        **{"groq/same": chat(1, 2, litellm_provider="groq"), "groq/auto": chat(1, 2, litellm_provider="groq")},
    )
    found = discover({"OPENAI_API_KEY": "k", "GROQ_API_KEY": "k"}, both, (), TODAY)
    assert [one["name"] for one in found.data["deployments"]] == ["same", "groq/same", "groq/auto"]


def test_a_local_vllm_serves_for_free_and_first(tmp_path):
    catalog = served({"OPENAI_API_KEY": "k"}, tmp_path, probe=lambda: ("meta/llama",))
    route = catalog.route("auto")
    assert route.deployments[0] == "meta/llama"
    assert not any(catalog.deployment("meta/llama").tariff.cards["standard"].rates.values())
    assert catalog.deployment(route.baseline).provider.name == "openai"
    assert "priced as free" in "\n".join(catalog.describe())


def test_a_local_vllm_alone_is_a_catalog(tmp_path):
    catalog = served({}, tmp_path, probe=lambda: ("m",))
    assert (catalog.route("auto").deployments, catalog.route("auto").baseline) == (("m",), "m")
    assert not catalog.uses_simulator


def test_auto_goes_from_cheap_to_dear():
    models = {"m-1": chat(5, 25), "m-1-small": chat(0.1, 0.5), "m-1-mid": chat(1, 5), "m-1-other": chat(4, 20)}
    assert auto(models) == ["m-1-small", "m-1-mid", "m-1"]


@pytest.mark.parametrize(
    "unfit",
    [
        {"deprecation_date": "2029-12-31"},
        {"supports_function_calling": False},
        {"supports_reasoning": False},
        {"max_input_tokens": 32_000},
        {"mode": "responses"},
        {"supported_endpoints": ["/v1/responses"]},
        {"output_cost_per_token": 31e-6},
        {"input_cost_per_token": 0, "output_cost_per_token": 0},
    ],
)
def test_auto_leaves_out_what_is_unfit(unfit):
    assert auto({"good-1": chat(1, 2), "bad-1": chat(0.5, 1) | unfit}) == ["good-1"]


def test_a_deprecation_that_lies_ahead_does_not_matter_yet():
    assert auto({"good-1": chat(1, 2, deprecation_date="2030-01-02")}) == ["good-1"]


@pytest.mark.parametrize(
    "variant",
    ["m-2-2029-08-07", "m-2-preview", "m-2-latest", "m-2-audio", "m-2-codex", "m-2-20290807", "m-2-0309", "search-m-2"],
)
def test_auto_leaves_out_variants(variant):
    assert auto({"m-1": chat(1, 2), variant: chat(0.5, 1)}) == ["m-1"]


def test_auto_leaves_out_what_a_newer_version_has_made_pointless():
    models = {"m-4.20": chat(2, 4), "m-4.7": chat(1, 4), "m-3-cheap": chat(0.1, 0.2), "m-5-dear": chat(9, 20)}
    assert auto(models) == ["m-3-cheap", "m-4.7", "m-5-dear"]


def test_sizes_are_no_versions():
    assert auto({"llama-120b": chat(0.1, 0.2), "llama-20b": chat(1, 2)}) == ["llama-120b", "llama-20b"]


def test_what_is_found_does_not_depend_on_the_clock_beyond_the_date_given():
    prices = read(packaged_path())
    env = {known.variable: "k" for known in KNOWN_PROVIDERS}
    assert discover(env, prices, ("m",), TODAY) == discover(env, prices, ("m",), TODAY)


def test_secrets_are_named_not_copied():
    found = discover({"OPENAI_API_KEY": "secret-key"}, listing(m=chat(1, 2)), (), TODAY)
    assert "secret-key" not in json.dumps(found.data)
    assert found.data["providers"]["openai"]["api_key"] == "${OPENAI_API_KEY}"


def test_what_was_found_can_be_shown_and_saved_as_a_file(tmp_path):
    env = {"GROQ_API_KEY": "secret-key"}
    shown = main_show(Settings(data_dir=tmp_path), env, probe=nobody)
    assert "secret-key" not in shown
    assert read_snapshot(shown, "saved.yaml", env, tmp_path).deployment("openai/gpt-oss-20b") is not None


def test_a_catalog_file_is_served_alone(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "providers: {s: {kind: simulator}}\ndeployments: [{name: only, provider: s, model: x, price: free}]\n"
    )

    def never():
        raise AssertionError("a catalog file needs no looking around")

    catalog = load(Settings(catalog=path, data_dir=tmp_path), {"OPENAI_API_KEY": "k"}, probe=never).current
    assert list(catalog.names()) == [("only", "s")]


def test_a_catalog_file_that_is_missing_is_refused_by_name(tmp_path):
    with pytest.raises(CatalogError, match=r"none\.yaml:1: cannot be read"):
        load(Settings(catalog=tmp_path / "none.yaml", data_dir=tmp_path), {})


def test_a_broken_price_list_is_refused_by_name(tmp_path):
    (tmp_path / "prices.json").write_text("[]")
    with pytest.raises(CatalogError, match=r"prices\.json: not a price list"):
        find(Settings(data_dir=tmp_path), {"OPENAI_API_KEY": "k"}, probe=nobody)


def test_the_probe_finds_the_models_of_a_vllm(http_server):
    body = json.dumps({"object": "list", "data": [{"id": "a/b", "owned_by": "vllm", "max_model_len": 5}]}).encode()
    assert probe_vllm(http_server(200, body)) == ("a/b",)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"data": [{"id": "gpt-4o", "owned_by": "openai"}]}'),
        (200, b"<html>"),
        (200, b"[]"),
        (404, b""),
        (401, b'{"data": [{"id": "x", "owned_by": "vllm"}]}'),
    ],
)
def test_the_probe_takes_nothing_else_for_a_vllm(http_server, status, body):
    assert probe_vllm(http_server(status, body)) == ()


def test_the_probe_minds_nobody_there():
    assert probe_vllm("http://127.0.0.1:1") == ()
