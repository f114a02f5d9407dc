"""Guards whose other end dies, and gateways that die while a guard is asked."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import redis
from guard_asking_parts import QUESTION, ask
from running_gateway import Gateway, UpstreamProcess, until

from gateway.stores.child import leave_terminal_and_die_with_parent

SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS10ZXN0cy1vZi1ndWFyZHM="
TIMEOUT_S = 1.0
FAILURES_TO_OPEN = 5


class HookProcess:
    """A webhook in a process; ``start`` again keeps its address."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self, answers_after_s: float = 0) -> None:
        program = str(Path(__file__).with_name("hook_process.py"))
        self._process = subprocess.Popen(
            [sys.executable, program, str(self.port), str(answers_after_s)],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=leave_terminal_and_die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - plain system calls only
        )
        self.port = int(self._said())

    def _said(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def wait_for_a_look(self) -> None:
        assert self._said() == "\n"

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@pytest.fixture(scope="module")
def hooks() -> Iterator[dict[str, HookProcess]]:
    """One for each test, each with a circuit of its own."""
    started = {name: HookProcess() for name in ("stopped", "killed")}
    for one in started.values():
        one.start()
    yield started
    for one in started.values():
        one.kill()


@pytest.fixture(scope="module")
def gateway(
    upstream: UpstreamProcess, hooks: dict[str, HookProcess], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    guards: dict[str, Any] = {
        f"{name}-{on_error}": {
            "kind": "webhook",
            "url": f"http://127.0.0.1:{hook.port}/{on_error}",
            "secret": SECRET,
            "retries": 0,
            "mode": "block",
            "on_error": on_error,
            "timeout_s": TIMEOUT_S,
        }
        for name, hook in hooks.items()
        for on_error in ("closed", "open")
    }
    rubric = {"deployment": "judge", "rubric": "Nobody may speak of it."}
    guards["judged"] = {"kind": "judge", "mode": "block", "on_error": "closed", "timeout_s": 60, **rubric}
    catalog = {
        "providers": {"up": {"kind": "openai_compatible", "base_url": upstream.base_url, "api_key": "sk-up"}},
        "deployments": [
            {"name": "good", "provider": "up", "model": "good", "price": {"input": 1, "output": 2}},
            {"name": "judge", "provider": "up", "model": "hang", "price": {"input": 1, "output": 2}},
        ],
        "guards": guards,
        "routes": {name: {"deployments": ["good"], "guards": [name]} for name in guards},
    }
    with Gateway.running(tmp_path_factory.mktemp("guards"), json.dumps(catalog)) as running:
        yield running


def looks(gateway: Gateway, key: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The verdicts of so many requests, in their order."""
    until(lambda: len(gateway.ledger(key=key["id"])) >= count, f"{count} entries")
    entries = sorted(gateway.ledger(key=key["id"]), key=lambda one: str(one["created_at"]))
    assert len(entries) == count
    return [entry["guards"][0] for entry in entries]


@pytest.mark.parametrize(("on_error", "status"), [("closed", 503), ("open", 200)])
def test_nobody_waits_for_a_hook_that_does_not_answer_any_more_and_it_is_asked_again_when_it_is_back(
    gateway: Gateway, hooks: dict[str, HookProcess], upstream: UpstreamProcess, on_error: str, status: int
) -> None:
    hook, route, key = hooks["stopped"], f"stopped-{on_error}", gateway.make_key()
    assert ask(gateway, key, route) == (200, "passed")
    hook.signal(signal.SIGSTOP)  # it takes connections, and no more
    told = [ask(gateway, key, route) for _ in range(FAILURES_TO_OPEN + 5)]
    assert told == [(status, "failed")] * (FAILURES_TO_OPEN + 5)
    passed, *failed = looks(gateway, key, 1 + len(told))
    assert passed["verdict"] == "passed"
    assert {one["verdict"] for one in failed} == {"failed"}
    assert all("no answer within" in one["error"] for one in failed[:FAILURES_TO_OPEN])
    assert all("left alone" in one["error"] for one in failed[FAILURES_TO_OPEN:])
    assert all(one["ms"] < 1000 * TIMEOUT_S / 2 for one in failed[FAILURES_TO_OPEN:]), "nobody waits"
    hook.signal(signal.SIGCONT)
    until(lambda: ask(gateway, key, route) == (200, "passed"), "it is asked again", 60)
    assert [ask(gateway, key, route) for _ in range(3)] == [(200, "passed")] * 3
    if on_error == "closed":
        assert len(upstream.calls(key["id"])) == 5


@pytest.mark.parametrize(("on_error", "status"), [("closed", 503), ("open", 200)])
def test_a_hook_that_is_killed_while_it_looks_has_failed_and_is_asked_again_when_it_is_back(
    gateway: Gateway, hooks: dict[str, HookProcess], upstream: UpstreamProcess, on_error: str, status: int
) -> None:
    hook, route, key = hooks["killed"], f"killed-{on_error}", gateway.make_key()
    hook.kill()
    hook.start(answers_after_s=60)
    killer = threading.Thread(target=lambda: (hook.wait_for_a_look(), hook.kill()))
    killer.start()
    assert ask(gateway, key, route) == (status, "failed")
    killer.join()
    told = [ask(gateway, key, route) for _ in range(FAILURES_TO_OPEN + 1)]  # nobody is there at all
    assert told == [(status, "failed")] * (FAILURES_TO_OPEN + 1)
    assert {one["verdict"] for one in looks(gateway, key, 1 + len(told))} == {"failed"}
    hook.start()
    until(lambda: ask(gateway, key, route) == (200, "passed"), "it is asked again", 60)
    if on_error == "closed":
        assert len(upstream.calls(key["id"])) == 1


def test_of_a_gateway_that_is_killed_while_a_guard_is_asked_the_guards_call_alone_is_an_orphan(
    gateway: Gateway, upstream: UpstreamProcess
) -> None:
    key = gateway.make_key()
    scope = {"scope": {"key": key["id"]}}
    budget = {**scope, "limit_usd": "1", "window": "month", "on_exhausted": "refuse"}
    gateway.admin("POST", "budgets", json=budget).raise_for_status()
    gateway.admin("POST", "limits", json={**scope, "parallel_requests": 1}).raise_for_status()
    until(lambda: me(gateway, key).get("budgets") and me(gateway, key).get("limits"), "the rules are in force")
    asked = threading.Thread(target=lost, args=(gateway, key))
    asked.start()
    until(lambda: open_purposes(gateway, key) == ["guard"] and upstream.calls_of("hang"), "the judge is asked")
    assert float(me(gateway, key)["budgets"][0]["held_usd"]) > 0
    gateway.kill_workers()
    asked.join()
    (entry,) = until(lambda: gateway.ledger(key=key["id"]), "the orphan is charged", 60)
    assert (entry["purpose"], entry["stage"]) == ("guard", "prompt_moderation")
    assert (entry["basis"], entry["status"], entry["deployment"]) == ("orphaned", "orphaned", "judge")
    assert upstream.calls(key["id"]) == []  # its client was answered by nobody

    def is_settled() -> bool:
        if not (told := me(gateway, key)):
            return False
        held, places = float(told["budgets"][0]["held_usd"]), told["limits"][0]["used"]["parallel_requests"]
        return (held, places) == (0, 0)

    until(is_settled, "what it held is given back", 60)
    spent_nusd = round(float(me(gateway, key)["budgets"][0]["spent_usd"]) * 10**9)
    assert spent_nusd == entry["cost_nusd"] > 0
    assert open_purposes(gateway, key) == []
    assert len(gateway.ledger(key=key["id"])) == 1


def lost(gateway: Gateway, key: dict[str, Any]) -> None:
    with (
        openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.chat.completions.create(model="judged", messages=QUESTION, user=key["id"])


def me(gateway: Gateway, key: dict[str, Any]) -> dict[str, Any]:
    """What the key is told of its rules; nothing while nobody serves."""
    try:
        reply = httpx.get(f"{gateway.url}/v1/me", headers={"authorization": f"Bearer {key['key']}"}, timeout=30)
    except httpx.TransportError:
        return {}
    told: dict[str, Any] = reply.json() if reply.is_success else {}
    return told


def open_purposes(gateway: Gateway, key: dict[str, Any]) -> list[str]:
    """Of the calls that would be charged if the gateway died now."""
    with redis.Redis.from_url(gateway.store_urls["OBOL_REDIS_URL"]) as stored:
        found = [json.loads(one) for name in stored.scan_iter("obol:{*}:open:*") for one in stored.hvals(name)]
    return [one["purpose"] for one in found if one["key_id"] == key["id"]]
