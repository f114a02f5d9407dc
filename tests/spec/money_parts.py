"""A key with a budget and a limit of its own, and what must be true of its money after whatever happened to a call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx
from running_gateway import Gateway, until
from spec_parts import question

from policies.demand import OVERHEAD_TOKENS

TOKENS_PER_MINUTE = 10_000_000
PLACES = 5


def nusd(dollars: str) -> int:
    return int(Decimal(dollars) * 10**9)


def usd(amount_nusd: int) -> str:
    return f"{amount_nusd // 10**9}.{amount_nusd % 10**9:09d}"


class Purse:
    """A key of a team of its own. Its budget and limit, and those that a test adds, are in force when made."""

    def __init__(self, gateway: Gateway, limit_nusd: int = 10**12, on_exhausted: str = "refuse") -> None:
        self.gateway = gateway
        self.key = gateway.make_key()
        self.headers = {"authorization": f"Bearer {self.key['key']}"}
        self.http = httpx.Client(base_url=gateway.url, headers=self.headers, timeout=60)
        key = {"key": self.key["id"]}
        self.budget = self.make("budgets", key, limit_usd=usd(limit_nusd), window="month", on_exhausted=on_exhausted)
        self.limit = self.make("limits", key, tokens_per_minute=TOKENS_PER_MINUTE, parallel_requests=PLACES)

    def make(self, kind: str, scope: Mapping[str, str], **fields: Any) -> dict[str, Any]:
        """Make a rule about calls of this key and wait until the gateway knows it."""
        response = self.gateway.admin("POST", kind, json={"scope": scope, **fields})
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        if "end_user" not in scope and scope.get("each") != "end_user":  # those a key is not told of
            until(lambda: any(one["id"] == made["id"] for one in self.me()[kind]), "the rule is in force")
        return made

    def me(self) -> dict[str, Any]:
        told: dict[str, Any] = self.http.get("/v1/me").raise_for_status().json()
        return told

    def balance(self) -> dict[str, Any]:
        """What stands of the budget, as the key is told."""
        (found,) = [one for one in self.me()["budgets"] if one["id"] == self.budget["id"]]
        return {name: nusd(found[f"{name}_usd"]) for name in ("limit", "spent", "held", "remaining")}

    def used(self) -> dict[str, int]:
        (found,) = [one for one in self.me()["limits"] if one["id"] == self.limit["id"]]
        used: dict[str, int] = found["used"]
        return used

    def ask(self, model: str, script: Mapping[str, Any] | None = None, **fields: Any) -> httpx.Response:
        """A chat question."""
        asked = question(model)
        if script is not None:
            asked["script"] = script
        return self.post("chat/completions", {**asked, **fields})

    def post(self, endpoint: str, body: Mapping[str, Any], **headers: str) -> httpx.Response:
        content = {"content": json.dumps(body), "headers": {"content-type": "application/json", **headers}}
        return self.http.post(f"/v1/{endpoint}", **content)  # type: ignore[arg-type]

    def entries(self, count: int = 1, tokens: int | None = None) -> list[dict[str, Any]]:
        """The entries of all calls, oldest first, once there are so many; then all money must be accounted for.

        Spent is what the ledger says, nothing is held, no place is taken, and tokens are counted as they were charged,
        or as ``tokens`` says.
        """
        until(lambda: len(self.gateway.ledger(key=self.key["id"])) >= count, f"{count} calls were charged")
        until(lambda: self.balance()["held"] == 0 and self.used()["parallel_requests"] == 0, "all is given back")
        found = sorted(self.gateway.ledger(key=self.key["id"]), key=lambda one: (one["created_at"], one["attempt"]))
        assert len(found) == count
        assert self.balance()["spent"] == sum(one["cost_nusd"] for one in found)
        (reported,) = [
            one
            for one in self.gateway.admin("GET", "reports/budgets", params={"team": self.key["team"]}).json()["data"]
            if one["budget"] == self.budget["id"]
        ]
        assert reported["spent_nusd"] == sum(one["cost_nusd"] for one in found)
        assert reported["held_nusd"] == 0
        charged = sum(one["input_tokens"] + one["output_tokens"] for one in found)
        counted = charged if tokens is None else tokens
        until(lambda: self.used()["tokens_per_minute"] == counted, f"{counted} tokens are counted")
        return found

    def entry(self) -> dict[str, Any]:
        """The only entry."""
        (only,) = self.entries()
        return only


def chat_hold(response: httpx.Response, output_tokens: int, input_nusd: int, output_nusd: int) -> int:
    """By hand: a token for each byte of the body and what templates put before it, and all that may be written."""
    return (len(response.request.content) + OVERHEAD_TOKENS) * input_nusd + output_tokens * output_nusd


def facts(entry: Mapping[str, Any]) -> tuple[str, str, int]:
    """How a call ended, how its usage is known, and what it costs."""
    return entry["status"], entry["basis"], entry["cost_nusd"]
