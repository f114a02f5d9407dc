"""An organization of a test's own on replicas: its keys and rules, and whether its books are right."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
from proofs import IS_WHOLE
from replicas import Replicas
from running_gateway import OBOL, Gateway, until
from scripted.server import user_of

#: An orphan is entered within 15 s of the death (docs/money.md). Where that process was just rebuilding balances, its
#: mark keeps the journals from emptying for another minute at most (gateway/stores/balances.py).
AT_REST_WITHIN_S = 80.0


@dataclass(frozen=True, slots=True)
class Counted:
    """What was found. ``orphans``: entries of calls whose process died; ``uncalled``: those without a call."""

    calls: int
    entries: int
    orphans: int
    uncalled: int
    spent_nusd: int
    balances: int


class House:
    """An organization of a test's own, with what it needs to know of it."""

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas
        self.id: str = replicas.admin("POST", "organizations", json={"name": f"house {uuid4().hex}"})["id"]
        self.prefix = f"house-{uuid4().hex}-"
        self.keys: list[dict[str, Any]] = []
        self._end_users = 0

    # What it is made of.

    def team(self) -> str:
        """The id of a new team."""
        made = {"name": f"team {uuid4().hex}", "organization": self.id}
        return str(self.replicas.admin("POST", "teams", json=made)["id"])

    def member(self, team: str) -> str:
        """The id of a new member."""
        return str(self.replicas.admin("POST", "members", json={"team": team, "name": f"member {uuid4().hex}"})["id"])

    def key(self, team: str, **fields: Any) -> dict[str, Any]:
        """A new key with its secret as ``key``; ``member`` binds it to one."""
        made: dict[str, Any] = self.replicas.admin("POST", "keys", json={"team": team, "name": "key", **fields})
        self.keys.append(made)
        return made

    def budget(self, scope: Mapping[str, str], limit_nusd: int, **fields: Any) -> dict[str, Any]:
        """A budget by the month of what the scope names, in force everywhere; make the keys it covers first."""
        limit_usd = f"{limit_nusd // 10**9}.{limit_nusd % 10**9:09d}"
        return self._rule("budgets", {"scope": self._scope(scope), "limit_usd": limit_usd, "window": "month", **fields})

    def limit(self, scope: Mapping[str, str], **rates: int) -> dict[str, Any]:
        """A limit of what the scope names, in force everywhere; make the keys it covers first."""
        return self._rule("limits", {"scope": self._scope(scope), **rates})

    def user(self) -> str:
        """A name for the ``user`` field of one request, by which its calls and entries are found."""
        self._end_users += 1
        return f"{self.prefix}{self._end_users}"

    def me(self, key: Mapping[str, Any], gateway: Gateway | None = None) -> dict[str, Any]:
        """What a replica tells a key of itself."""
        asked = gateway or self.replicas.gateways[0]
        answer = httpx.get(f"{asked.url}/v1/me", headers={"authorization": f"Bearer {key['key']}"}, timeout=30)
        told: dict[str, Any] = answer.raise_for_status().json()
        return told

    def _scope(self, scope: Mapping[str, str]) -> dict[str, str]:
        return {"organization": self.id, **scope} if scope.keys().isdisjoint({"team", "member", "key"}) else {**scope}

    def _rule(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self.replicas.admin("POST", kind, json=body)
        scope = body["scope"]
        if "end_user" in scope or scope.get("each") == "end_user":  # those a key is not told of
            return made
        for gateway in self.replicas.gateways:
            until(lambda: self._is_told(made["id"], kind, gateway), "a key that the rule covers is told of it")  # noqa: B023
        return made

    def _is_told(self, rule_id: str, kind: str, gateway: Gateway) -> bool:
        return any(one["id"] == rule_id for key in self.keys for one in self.me(key, gateway)[kind])

    # What happened.

    def entries(self) -> list[dict[str, Any]]:
        """All its ledger entries, newest first."""
        return self.replicas.gateways[0].ledger(organization=self.id)

    def calls(self) -> list[dict[str, Any]]:
        """What the upstream saw of it."""
        return self.replicas.upstream.calls(self.prefix)

    def is_at_rest(self) -> bool:
        """Nothing is open, held, taken or on its way to the ledger."""
        return not self._unfinished()

    def _unfinished(self) -> list[str]:
        """Keys of what is open, held, taken or on its way to the ledger."""
        stored = self.replicas.stores.redis
        prefix = f"obol:{{{self.id}}}:"
        kinds = ("open:*", "holds:*", "places:*", "journal:*", "parallel", "rebuilding")
        return [key.decode() for kind in kinds for key in stored.scan_iter(f"{prefix}{kind}", count=1000)]

    def books_are_right(self) -> Counted:
        """Wait until all is at rest, then hold upstream, ledger and balances against each other.

        Each upstream call has exactly one entry, an entry without a call is an orphan, every balance that a key can
        draw on is the sum of the ledger with nothing held, and `obol ledger verify` finds no difference.
        """
        called = Counter(user_of(call["body"]) for call in self.calls())
        try:
            until(self.is_at_rest, "nothing is open, held or journaled", AT_REST_WITHIN_S)
        except AssertionError as error:
            error.add_note(f"left: {self._unfinished()}")
            raise
        found = self.entries()
        # A correction is a further row about the same call; what it takes back was never called.
        taken_back = {one["corrects"] for one in found if one["status"] == "voided"}
        first = [one for one in found if one["corrects"] is None and one["id"] not in taken_back]
        entered = Counter(str(one["end_user"]) for one in first)
        assert len({one["id"] for one in found}) == len(found)
        orphaned = Counter(str(one["end_user"]) for one in first if one["basis"] == "orphaned")
        missing, more = called - entered, entered - called
        assert not missing, f"calls without an entry: {missing}"
        assert more <= orphaned, f"entries without a call: {more - orphaned}"
        balances = self._balances_are_right(found)
        self._verify(balances)
        return Counted(
            calls=called.total(),
            entries=len(found),
            orphans=orphaned.total(),
            uncalled=more.total(),
            spent_nusd=sum(one["cost_nusd"] for one in found),
            balances=balances,
        )

    def _balances_are_right(self, entries: Sequence[Mapping[str, Any]]) -> int:
        """How many balances its keys draw on; each is what the entries of its scope cost."""
        seen: set[tuple[str, str]] = set()
        for key in self.keys:
            told = self.me(key)
            for one in told["limits"]:
                assert one["used"]["parallel_requests"] == 0
            for one in told["budgets"]:
                scope = {name: value for name, value in one["scope"].items() if name != "each"}
                if one["value"] is not None:
                    scope[one["scope"]["each"]] = one["value"]
                costs = [entry["cost_nusd"] for entry in entries if _is_within(entry, scope)]
                assert (nusd(one["spent_usd"]), nusd(one["held_usd"])) == (sum(costs), 0), one
                seen.add((one["id"], str(one["value"])))
        return len(seen)

    def _verify(self, balances: int) -> None:
        """`obol ledger verify`. In the whole form it is asked until it looks at all: budgets settle for 10 s."""

        def said() -> str:
            text = self.obol("ledger", "verify")
            assert "no differences" in text
            return text

        if IS_WHOLE:
            until(lambda: f" {balances} balances" in said(), f"{balances} balances are compared")
        else:
            said()

    def obol(self, *command: str) -> str:
        """What the command says of this organization; it fails if there is anything to complain of."""
        environment = os.environ | self.replicas.stores.settings
        whole = [str(OBOL), *command, "--organization", self.id]
        done = subprocess.run(whole, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout


def nusd(dollars: str) -> int:
    return int(Decimal(dollars) * 10**9)


def _is_within(entry: Mapping[str, Any], scope: Mapping[str, str]) -> bool:
    columns = {"organization": "organization_id", "team": "team_id", "member": "member_id", "key": "key_id"}
    return all(
        value in (entry["model_asked"], entry["deployment"], entry["model"])
        if name == "model"
        else entry[columns.get(name, name)] == value
        for name, value in scope.items()
    )
