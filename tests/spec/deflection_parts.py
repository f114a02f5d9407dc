"""What the specification of deflection shares: routes that deflect, and who sends them messages."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
from running_gateway import Gateway, UpstreamProcess

DEFLECTING_CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-up}
  responses: {kind: openai, base_url: "UPSTREAM", api_key: sk-up}
  messages: {kind: anthropic, base_url: "UPSTREAM", api_key: sk-up}
  gone: {kind: openai_compatible, base_url: "http://127.0.0.1:9/v1", api_key: sk-up}
deployments:
  - {name: good, provider: up, model: good, price: {input: 1, output: 2}}
  - {name: stores, provider: responses, model: good, price: {input: 1, output: 2}}
  - {name: speaks-messages, provider: messages, model: good, price: {input: 1, output: 2}}
  - {name: away, provider: gone, model: gone, price: {input: 1, output: 2}}
  - {name: dear, provider: up, model: dear, price: {input: 5, output: 25}}
routes:
  auto:
    deployments: [good]
    baseline: dear
    deflect: {answerers: [arithmetic, units, clock, currency, smalltalk], time_zone: Europe/Paris,
      currency: {as_of: 2026-11-29, per_usd: {EUR: 0.86}}}
  instructed: {deployments: [good], deflect: {answerers: [arithmetic, smalltalk], over_system_prompts: true}}
  arithmetic: {deployments: [good], deflect: {answerers: [arithmetic]}}
  storing: {deployments: [stores], deflect: {answerers: [arithmetic]}}
  claude: {deployments: [speaks-messages], deflect: {answerers: [arithmetic, smalltalk]}}
  gone: {deployments: [away], deflect: {answerers: [arithmetic]}}
  cached: {deployments: [good], cache: {exact: {any_temperature: true}}, deflect: {answerers: [arithmetic]}}
  faq: {deployments: [good], deflect: {answerers: [arithmetic, faq], faq: {wrong_answers_max: 0.05}}}
  off: {deployments: [good]}
"""
SUM, ANSWER = "what is 12 times 7", "12 \u00d7 7 = 84"
USER = {"role": "user", "content": SUM}
SYSTEM = {"role": "system", "content": "Answer in rhymes."}


class Messenger:
    """One key's requests, each with a user of its own by which the upstream's records are found."""

    def __init__(self, gateway: Gateway, upstream: UpstreamProcess, key: str) -> None:
        self._gateway, self._upstream, self._key = gateway, upstream, key
        self.user = f"user-{uuid.uuid4().hex}"

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        sent = {"authorization": f"Bearer {self._key}", **(headers or {})}
        return httpx.post(f"{self._gateway.base_url}/{path}", json=body, headers=sent, timeout=30)

    def chat(
        self, text: Any = SUM, *, model: str = "auto", headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "user": self.user, **fields}
        return self.post("chat/completions", body, headers)

    def heard(self) -> int:
        """How many calls reached the upstream."""
        return len(self._upstream.calls(self.user))


def entry_of(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    (entry,) = gateway.ledger(request=answer.headers["x-request-id"])
    return entry
