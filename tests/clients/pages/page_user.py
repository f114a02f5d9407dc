"""Whoever follows a page, and what their calls cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from running_gateway import Gateway, UpstreamProcess, until

# Of each call of ``answering_upstream.USAGE`` at the prices of the catalog in conftest.py.
COST_NUSD = 40 * 1000 + 60 * 100 + 20 * 4000
COST_USD = "0.000126"
COUNTING = "count_tokens"  # calls that are free


@dataclass(frozen=True)
class User:
    """Somebody who follows a page: the environment it asks for, and what the ledger says of it afterwards."""

    gateway: Gateway
    upstream: UpstreamProcess
    key: dict[str, Any]
    calls_before: int

    @property
    def settings(self) -> dict[str, str]:
        return {"OBOL_URL": self.gateway.url, "OBOL_API_KEY": self.key["key"]}

    def paid_for(self, **calls: int) -> list[dict[str, Any]]:
        """The ledger rows, which are as many of each endpoint as told (``chat`` for chat/completions), each at the
        cost of what the upstream reported; and the upstream saw no other call. Counts of tokens are left out.
        """
        expected = Counter({"chat/completions" if name == "chat" else name: count for name, count in calls.items()})
        entries = until(lambda: self._entries(expected.total()), f"{expected.total()} calls are on the ledger")
        assert Counter(entry["endpoint"] for entry in entries) == expected
        for entry in entries:
            tokens = (entry["input_tokens"], entry["cached_input_tokens"], entry["output_tokens"])
            assert (entry["status"], entry["basis"], tokens) == ("succeeded", "reported", (100, 60, 20))
            assert (entry["cost_nusd"], entry["route"], entry["deployment"]) == (COST_NUSD, "auto", "only")
        asked = [call for call in self.upstream.calls()[self.calls_before :] if not call["path"].endswith(COUNTING)]
        assert len(asked) == len(entries)
        return entries

    def _entries(self, count: int) -> list[dict[str, Any]]:
        found = self.gateway.ledger(key=self.key["id"])
        entries = [entry for entry in found if not entry["endpoint"].endswith(COUNTING)]
        return entries if len(entries) >= count else []
