"""What the specification shares: the catalog, the answer of the upstream, and readers of ledger and streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import httpx
import openai
from media_parts import MEDIA_DEPLOYMENTS, MEDIA_ROUTES
from running_gateway import Gateway

#: Runs one more gateway, of that catalog, on the stores of the first (a fixture of conftest.py).
Beside = Callable[[str], AbstractContextManager[Gateway]]
UPSTREAM_KEY = "sk-upstream-key-that-nobody-may-see"
TEXT = "Hello from the scripted upstream, word by word."
INPUT_TOKENS, OUTPUT_TOKENS = 9, 8  # of that text, as the upstream reports them
INPUT_NUSD, OUTPUT_NUSD = 1000, 2000  # per token, at the deployments any/*
COST_NUSD = INPUT_TOKENS * INPUT_NUSD + OUTPUT_TOKENS * OUTPUT_NUSD
COST_USD = "0.000025"
# Per token, at the deployments messages/* and responses/*: no two of them alike, so that no mix-up goes unseen.
AGENT_RATES_NUSD = {
    "input": 1000,
    "cached_input": 100,
    "cache_write": 1250,
    "cache_write_long": 1900,
    "output": 2000,
    "reasoning": 3000,
}

# any/<x> is a deployment of its own for each x, and asks the upstream for its model <x>: a preset or anything.
# The letters before the slash set apart deployments of different tests that ask for the same preset.
_WILDCARDS = ("any", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")
ROUTES: Mapping[str, tuple[str, ...]] = {
    "in-order": ("a/first", "a/second"),
    "second-is-good": ("a/error-503", "a/good"),
    "all-broken": ("b/error-500", "b/error-503"),
    "first-hangs": ("slow/hang", "b/good"),
    "first-is-gone": ("gone/x", "c/good"),
    "first-cuts": ("c/cut", "d/good"),
    "first-drops": ("c/drop", "e/good"),
    "first-is-html": ("c/html-200", "f/good"),
    "first-is-unauthorized": ("c/error-401", "g/good"),
    "first-has-no-money": ("c/error-quota", "h/good"),
    "first-refuses-input": ("c/error-400", "i/good"),
    "first-is-switched-off": ("switched-off", "i/good"),
    "first-is-limited": ("one-a-minute", "j/good"),
    "breaks": ("k/error-503", "k/good"),
    "cools-down": ("k/error-429", "j/good"),
    "unpriced-first": ("unpriced", "i/good"),
    "dear-to-free": ("dear", "a/cheap", "free"),
    "fails-twice-then-next": ("any/error-503~money", "all-meters"),
    "fails-again-then-next": ("any/error-503~again", "all-meters"),
    "decided-then-falls-back": ("any/error-503~decided", "a/good"),
    "decided-in-vain": ("any/error-503~in-vain",),
    "down-the-ladder": ("dear", "a/middle", "discounted"),
    **MEDIA_ROUTES,
    "first-message-fails": ("messages/error-529", "messages/good"),
    "first-message-is-unpaid": ("messages/error-quota", "messages/good"),
    "first-message-errs-at-once": ("messages/overloaded-at-once", "messages/good"),
    "first-does-not-count": ("b/good", "messages/good"),
    "first-response-fails": ("responses/failed", "responses/good"),
    "first-response-is-refused": ("responses/error-503", "responses/good"),
    "responses-of-two-providers": ("more-responses/x", "responses/good"),
}
_AGENT_PRICE = json.dumps({meter: rate_nusd / 1000 for meter, rate_nusd in AGENT_RATES_NUSD.items()})

CATALOG = (
    f"""
providers:
  up: {{kind: openai_compatible, base_url: UPSTREAM, api_key: {UPSTREAM_KEY}}}
  slow:
    kind: openai_compatible
    base_url: UPSTREAM
    api_key: {UPSTREAM_KEY}
    timeouts: {{first_token_s: 0.5, between_tokens_s: 0.5, total_s: 1.5}}
  gone: {{kind: openai_compatible, base_url: "http://127.0.0.1:9/v1", api_key: {UPSTREAM_KEY}}}
  cheap: {{kind: openai_compatible, base_url: UPSTREAM, api_key: {UPSTREAM_KEY}, discount_pct: 12.5}}
  speaks-messages: {{kind: anthropic, base_url: UPSTREAM, api_key: {UPSTREAM_KEY}}}
  speaks-messages-too: {{kind: openai_compatible, dialects: [messages], base_url: UPSTREAM, api_key: {UPSTREAM_KEY}}}
  speaks-responses: {{kind: openai, base_url: UPSTREAM, api_key: {UPSTREAM_KEY}}}
  speaks-responses-too: {{kind: openai, base_url: UPSTREAM, api_key: {UPSTREAM_KEY}}}
deployments:
  - {{name: "messages/*", provider: speaks-messages, model: "*", price: {_AGENT_PRICE}}}
  - {{name: "more-messages/*", provider: speaks-messages-too, model: "*", price: {_AGENT_PRICE}}}
  - {{name: "responses/*", provider: speaks-responses, model: "*", price: {_AGENT_PRICE}}}
  - {{name: "more-responses/*", provider: speaks-responses-too, model: "*", price: {_AGENT_PRICE}}}
  - {{name: "slow/*", provider: slow, model: "*", price: {{input: 1, output: 2}}}}
  - {{name: "gone/*", provider: gone, model: "*", price: {{input: 1, output: 2}}}}
  - {{name: switched-off, provider: up, model: x, price: {{input: 1, output: 2}}, enabled: false}}
  - {{name: one-a-minute, provider: up, model: x, price: {{input: 1, output: 2}}, requests_per_minute: 1}}
  - {{name: only-one-a-minute, provider: up, model: x, price: {{input: 1, output: 2}}, requests_per_minute: 1}}
  - {{name: another-one-a-minute, provider: up, model: x, price: {{input: 1, output: 2}}, requests_per_minute: 1}}
  - {{name: unpriced, provider: up, model: nobody-knows-its-price}}
  - {{name: unpriced-allowed, provider: up, model: nobody-knows-its-price, unpriced: allow}}
  - {{name: free, provider: up, model: x, price: free}}
  - {{name: discounted, provider: cheap, model: x, price: {{input: 0.37, output: 1.13}}}}
  - {{name: dear, provider: up, model: x, price: {{input: 5, output: 25}}}}
  - {{name: no-usage-asked, provider: up, model: x, price: {{input: 1, output: 2}}, asks_stream_usage: false}}
  - name: all-meters
    provider: up
    model: x
    price:
      input: 1.25
      cached_input: 0.125
      cache_write: 1.5
      output: 10
      reasoning: 12
      audio_input: 32
      audio_output: 64
      above_200k: {{input: 2.5, cached_input: 0.25, output: 15}}
      flex: {{input: 0.625, output: 5}}
  - {{name: blind, provider: up, model: blind, price: {{input: 1, output: 2}}, capabilities: [tools, json_schema]}}
  - {{name: short, provider: up, model: short, price: {{input: 1, output: 2}}, context_tokens_max: 1000}}
  - {{name: in-eu, provider: up, model: in-eu, price: {{input: 1, output: 2}}, region: eu, tags: [gdpr, own]}}
  - {{name: in-us, provider: up, model: in-us, price: {{input: 1, output: 2}}, region: us, tags: [own]}}
  - {{name: fall-back-rates, provider: up, model: x, price: {{input: 3, output: 7}}}}
  - {{name: guard-model, provider: up, model: omni-moderation, price: free, mode: moderation}}
"""
    + "".join(
        f'  - {{name: "{word}/*", provider: up, model: "*", price: {{input: 1, output: 2}}}}\n' for word in _WILDCARDS
    )
    + MEDIA_DEPLOYMENTS.lstrip("\n")
    + "routes:\n"
    + "".join(f"  {name}: {{deployments: [{', '.join(names)}]}}\n" for name, names in ROUTES.items())
    + "  with-baseline: {deployments: [a/cheap-one], baseline: dear}\n"
    + "  keeping: {deployments: [a/good], keep_prompts_days: 30}\n"
    + "  with-a-maximum: {deployments: [a/limited], output_tokens_max_default: 33}\n"
    + "  blind-first: {deployments: [blind, any/sees]}\n"
    + "  all-blind: {deployments: [blind]}\n"
    + "  short-first: {deployments: [short, any/long]}\n"
    + "  all-short: {deployments: [short]}\n"
    + "  somewhere: {deployments: [in-us, in-eu]}\n"
    + "  gdpr: {deployments: [in-us, in-eu], regions: [eu, us], tags: [gdpr]}\n"
    + "  shared-out: {deployments: [a/one, a/other], policy: weighted, weights: {a/one: 1, a/other: 1}}\n"
    + "  one-of-two: {deployments: [b/other, b/one], policy: weighted, weights: {b/other: 0}}\n"
    + "  soon: {deployments: [any/late-start, any/soon], first_token_p95_s_max: 0.1}\n"
    + "  soonest: {deployments: [any/late-start, any/soon], policy: lowest_latency}\n"
    + "  late: {deployments: [any/late-start], first_token_p95_s_max: 0.1}\n"
    + "  early: {deployments: [any/soon]}\n"
    + "  with-baseline-off: {deployments: [a/cheap-one], baseline: switched-off}\n"
    + "defaults: {moderations: guard-model}\n"
)


class Books:
    """The ledger over HTTP."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def entries(self, request_id: str | None) -> list[dict[str, Any]]:
        """All entries of a request, by attempt."""
        assert request_id
        return sorted(self._gateway.ledger(request=request_id), key=lambda entry: entry["attempt"])

    def entry(self, request_id: str | None) -> dict[str, Any]:
        """The only entry of a request."""
        (entry,) = self.entries(request_id)
        return entry


class Keyed:
    """A new key of a new team, and the official SDK with it, which must not hide an error by asking again."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.key = gateway.make_key()
        self.sdk = openai.OpenAI(base_url=gateway.base_url, api_key=self.key["key"], max_retries=0)


def question(model: str, user: str | None = None, script: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Keyword arguments of ``client.chat.completions.create``."""
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "What now?"}]}
    if user is not None:
        asked["user"] = user
    if script is not None:
        asked["extra_body"] = {"script": script}
    return asked


def payloads(stream: str) -> list[str]:
    """The data of each event of a stream, comments left out."""
    assert "\r" not in stream
    events = [event for event in stream.split("\n\n") if event and not event.startswith(":")]
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [event.removeprefix("data: ") for event in events]


def chunks(stream: str) -> list[dict[str, Any]]:
    """The JSON of each event of a stream that ends well."""
    found = payloads(stream)
    assert found[-1] == "[DONE]"
    assert "[DONE]" not in found[:-1]
    return [json.loads(one) for one in found[:-1]]


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error of a refusal, whose form holds for every one of them."""
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"]
    body = response.json()
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert error["code"] is None or (isinstance(error["code"], str) and not error["code"].isdigit())
    return error
