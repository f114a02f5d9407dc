"""Deployments that guards ask and that hang: after some failures nobody waits for them, until they are well again."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from guard_asking_parts import ask
from running_gateway import Gateway, UpstreamProcess, until

FAILURES_TO_OPEN, MORE = 5, 7
VERDICT = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "j",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": '{"adverse": false}'}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
}


class Judges:
    """Chat models that let everything pass. While they are not well they take calls and never answer."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()  # by model
        self.is_well = threading.Event()
        self.is_well.set()
        self._is_over = threading.Event()
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                model = json.loads(self.rfile.read(int(self.headers["content-length"])))["model"]
                told.asked[model] += 1
                if not told.is_well.is_set():
                    told._is_over.wait()
                    self.close_connection = True
                    return
                answer = json.dumps(VERDICT).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._is_over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def judges() -> Iterator[Judges]:
    made = Judges()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(upstream: UpstreamProcess, judges: Judges, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Each guard has a judge of its own."""
    price = {"price": {"input": 1, "output": 2}}
    stated = {"kind": "judge", "rubric": "Nobody may speak of it.", "mode": "block", "timeout_s": 0.5}
    names = ("closed", "open")
    catalog = {
        "providers": {
            "up": {"kind": "openai_compatible", "base_url": upstream.base_url, "api_key": "sk-up"},
            "judges": {"kind": "openai_compatible", "base_url": judges.base_url, "api_key": "sk-judge"},
        },
        "deployments": [
            {"name": "good", "provider": "up", "model": "good", **price},
            *({"name": f"judge-{name}", "provider": "judges", "model": name, **price} for name in names),
        ],
        "guards": {name: {**stated, "deployment": f"judge-{name}", "on_error": name} for name in names},
        "routes": {name: {"deployments": ["good"], "guards": [name]} for name in names},
    }
    with Gateway.running(tmp_path_factory.mktemp("circuits"), json.dumps(catalog)) as running:
        yield running


def of_purpose(gateway: Gateway, key: dict[str, Any], purpose: str, count: int) -> list[dict[str, Any]]:
    """So many entries, in the order of their requests."""

    def found() -> list[dict[str, Any]]:
        return [one for one in gateway.ledger(key=key["id"]) if one["purpose"] == purpose]

    until(lambda: len(found()) >= count, f"{count} entries")
    entries = sorted(found(), key=lambda one: str(one["created_at"]))
    assert len(entries) == count
    return entries


@pytest.mark.parametrize(("on_error", "status"), [("closed", 503), ("open", 200)])
def test_nobody_waits_for_a_judge_that_hangs_once_its_circuit_is_open_and_it_is_asked_again_once_it_is_well(
    gateway: Gateway, judges: Judges, upstream: UpstreamProcess, on_error: str, status: int
) -> None:
    key = gateway.make_key()
    assert ask(gateway, key, on_error) == (200, "passed")
    judges.is_well.clear()
    told = [ask(gateway, key, on_error) for _ in range(FAILURES_TO_OPEN + MORE)]
    assert told == [(status, "failed")] * (FAILURES_TO_OPEN + MORE)
    assert judges.asked[on_error] == 1 + FAILURES_TO_OPEN

    answers = of_purpose(gateway, key, "answer", 1 + len(told))
    passed, *failed = (entry["guards"][0] for entry in answers)
    assert (passed["verdict"], {one["verdict"] for one in failed}) == ("passed", {"failed"})
    assert all("no answer within" in one["error"] for one in failed[:FAILURES_TO_OPEN])
    assert all("circuit open" in one["error"] for one in failed[FAILURES_TO_OPEN:])
    calls = of_purpose(gateway, key, "guard", 1 + FAILURES_TO_OPEN)  # what was not asked has no entry
    assert [one["status"] for one in calls] == ["succeeded"] + ["cancelled"] * FAILURES_TO_OPEN
    assert len(upstream.calls(key["id"])) == (1 if on_error == "closed" else 1 + len(told))

    assert ask(gateway, key, f"judge-{on_error}")[0] == 503, "the circuit is that of everybody who asks it"
    assert judges.asked[on_error] == 1 + FAILURES_TO_OPEN

    judges.is_well.set()
    if on_error == "closed":
        until(lambda: ask(gateway, key, on_error) == (200, "passed"), "it is asked again", 60)
        assert judges.asked[on_error] == 2 + FAILURES_TO_OPEN
        assert [ask(gateway, key, on_error) for _ in range(3)] == [(200, "passed")] * 3
