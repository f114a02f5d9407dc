"""What the tests of kept answers share: a catalog of routes with a cache, and who asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import httpx
from running_gateway import Gateway, UpstreamProcess

CACHING_CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-up}
  messages: {kind: anthropic, base_url: "UPSTREAM", api_key: sk-up}
  responses: {kind: openai, base_url: "UPSTREAM", api_key: sk-up}
deployments:
  - {name: "any/*", provider: up, model: "*", price: {input: 1, output: 2}}
  - {name: "b/*", provider: up, model: "*", price: {input: 1, output: 2}}
  - {name: "messages/*", provider: messages, model: "*", price: {input: 1, output: 2}}
  - {name: "responses/*", provider: responses, model: "*", price: {input: 1, output: 2}}
  - {name: in-eu, provider: up, model: placed, price: {input: 1, output: 2}, region: eu}
  - {name: in-us, provider: up, model: placed, price: {input: 1, output: 2}, region: us}
  - {name: dear, provider: up, model: dear, price: {input: 5, output: 25}}
routes:
  cached: {deployments: [any/good], baseline: dear, cache: {exact: {}}}
  by-key: {deployments: [any/good], cache: {exact: {scope: key}}}
  by-organization: {deployments: [any/good], cache: {exact: {scope: organization}}}
  by-all: {deployments: [any/good], cache: {exact: {scope: all}}}
  any-temperature: {deployments: [any/good], cache: {exact: {any_temperature: true}}}
  with-tools: {deployments: [any/good], cache: {exact: {tool_calls: true}}}
  small: {deployments: [any/good], cache: {exact: {bytes_max: 1024}}}
  over-messages: {deployments: [messages/good], cache: {exact: {}}}
  over-responses: {deployments: [responses/good], baseline: dear, cache: {exact: {}}}
  over-responses-with-tools: {deployments: [responses/good], cache: {exact: {tool_calls: true}}}
  over-responses-by-all: {deployments: [responses/good], cache: {exact: {scope: all}}}
  falls-back: {deployments: [any/error-503, b/other], cache: {exact: {}}}
  other: {deployments: [b/other], cache: {exact: {}}}
  placed: {deployments: [in-eu, in-us], cache: {exact: {}}}
  uncached: {deployments: [any/good]}
""" + "".join(  # of which each may fail five times in a row before its circuit opens
    f"  {speaks}-fails-{number}: {{deployments: [{speaks}/fails-{number}], cache: {{exact: {{}}}}}}\n"
    for speaks in ("any", "responses")
    for number in range(6)
)


# How each endpoint is asked a prompt.
_ASKED: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "chat/completions": lambda prompt: {"messages": [{"role": "user", "content": prompt}]},
    "responses": lambda prompt: {"input": prompt, "store": False},
    "messages": lambda prompt: {"messages": [{"role": "user", "content": prompt}], "max_tokens": 100},
    "completions": lambda prompt: {"prompt": prompt},
    "embeddings": lambda prompt: {"input": prompt},
}


class Asker:
    """One key's requests, and what the upstream heard of a prompt."""

    def __init__(
        self, gateway: Gateway, upstream: UpstreamProcess, key: str, prompt: str, endpoint: str = "chat/completions"
    ) -> None:
        self._gateway, self._upstream, self._key, self._prompt = gateway, upstream, key, prompt
        self._endpoint = endpoint

    def ask(self, model: str = "cached", *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        sent = self._authorization | (headers or {})
        return httpx.post(self._url, json=self._body(model, fields), headers=sent, timeout=30)

    def streaming(self, model: str = "cached", **fields: Any) -> AbstractContextManager[httpx.Response]:
        """The answer as it comes; leaving the block leaves the gateway."""
        return httpx.stream("POST", self._url, json=self._body(model, fields), headers=self._authorization, timeout=30)

    def _body(self, model: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"model": model, "temperature": 0, **_ASKED[self._endpoint](self._prompt), **fields}

    @property
    def _url(self) -> str:
        return f"{self._gateway.base_url}/{self._endpoint}"

    @property
    def _authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._key}"}

    def status(self, model: str = "cached", **options: Any) -> str:
        answer = self.ask(model, **options)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-obol-cache"]

    def calls(self) -> int:
        return sum(self._prompt in str(call["body"]) for call in self._upstream.calls())

    def other(self, key: str) -> Asker:
        return Asker(self._gateway, self._upstream, key, self._prompt, self._endpoint)

    def at(self, endpoint: str) -> Asker:
        """The same one, asking there."""
        return Asker(self._gateway, self._upstream, self._key, self._prompt, endpoint)


def entry_of(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    (entry,) = gateway.ledger(request=answer.headers["x-request-id"])
    return entry
