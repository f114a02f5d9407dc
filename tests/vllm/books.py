"""Compares two sets of books: what the gateway charged, and what vLLM says it has done."""

from __future__ import annotations

import contextlib
from typing import Any

from gateway_under_test import Gateway, cost_nusd, tokens_of
from vllm_server import NotReady, Tokens, VllmServer, wait_for

COUNTED_S_MAX = 10.0
PROMPT = "Hello what is the weather in Paris"
LONG_PROMPT = f"{PROMPT}. " * 12  # several blocks of the prefix cache, of 32 tokens each


def said(text: str) -> list[Any]:
    """The messages of a one-line chat."""
    return [{"role": "user", "content": text}]


class Books:
    """The ledger and vLLM's counters, from the start of one test on. Nothing else may call the server meanwhile."""

    def __init__(self, gateway: Gateway, server: VllmServer) -> None:
        self.gateway = gateway
        self.server = server
        self._opening = server.tokens()

    def counted(self) -> Tokens:
        """What vLLM has counted in this test, once it is at rest."""
        self.server.wait_until_idle()
        return self.server.tokens() - self._opening

    def assert_counted(self, expected: Tokens) -> None:
        """Exact; the counters may lag the answer by a moment."""
        with contextlib.suppress(NotReady):
            wait_for(lambda: self.counted() == expected, "counted", within_s=COUNTED_S_MAX)
        assert self.counted() == expected

    def balanced(self, request_id: str, *, choices: int = 1) -> dict[str, Any]:
        """The entry of the one request of this test, after checking that both books agree on it to the token.

        vLLM counts the prompt, and what of it was cached, once for each of the ``choices``; usage counts it once.
        """
        entry = self.gateway.entry(request_id)
        used = tokens_of(entry)
        self.assert_counted(Tokens(used.input * choices, used.cached * choices, used.output))
        assert (entry["basis"], entry["status"], entry["source"]) == ("reported", "succeeded", "upstream")
        assert entry["cost_nusd"] == cost_nusd(used)
        assert entry["baseline_nusd"] == entry["cost_nusd"]
        return entry
