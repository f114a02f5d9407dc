"""What the specification of failing guards shares: whom guards ask and get no verdict from, and a plugin that fails."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS10ZXN0cy1vZi1ndWFyZHM="
NOBODY = "http://127.0.0.1:9"
# What a hook answers: the status, and the body of its own.
_BODIES: dict[str, tuple[int, bytes]] = {
    "passes": (200, b'{"verdict": "pass"}'),
    "html": (200, b"<!DOCTYPE html><html><body>All is well, said a proxy</body></html>"),
    "nonsense": (200, b'{"verdict": "perhaps"}'),
    "empty": (200, b""),
    "nested": (200, b'{"verdict": ' + b"[" * 100_000),
    "outside": (200, b'{"verdict":"block","spans":[{"text":0,"start":0,"end":1000000,"category":"x"}]}'),
    "nowhere": (200, b'{"verdict":"block","spans":[{"text":7,"start":0,"end":1,"category":"x"}]}'),
    "backwards": (200, b'{"verdict":"block","spans":[{"text":0,"start":2,"end":1,"category":"x"}]}'),
    "torn": (200, b'{"verdict":"pass","spans":[{"text":0,"start":0,"end":1,"category":"x"}]}'),
    "large": (200, b'{"verdict":"pass","why":"' + b"x" * 1_000_000 + b'"}'),
    "error-500": (500, b'{"verdict": "pass"}'),
    "error-429": (429, b'{"verdict": "pass"}'),
    "error-404": (404, b'{"verdict": "pass"}'),
    "redirect": (307, b'{"verdict": "pass"}'),
}
HOOK_FAULTS = (*(name for name in _BODIES if name != "passes"), "hang", "cut", "drop", "gone")
# Presets of the scripted upstream (``prose`` is none: it talks), and providers that nobody reaches.
UPSTREAM_FAULTS = ("error-500", "error-429", "html-200", "hang", "gone")
VERDICT_FAULTS = ("prose", "harmless-cut-short")
PLUGIN_FAULTS = ("raises", "leaves", "hangs", "waits", "none", "nonsense", "outside")
FAULTS = (
    *(f"webhook-{fault}" for fault in HOOK_FAULTS),
    *(f"moderation-{fault}" for fault in (*UPSTREAM_FAULTS, "truncated", "unscored")),
    *(f"judge-{fault}" for fault in (*UPSTREAM_FAULTS, *VERDICT_FAULTS, "error-401", "empty-200", "drop")),
    *(f"classifier-{fault}" for fault in ("error-500", "hang", *VERDICT_FAULTS, "classify")),
    *(f"plugin-{fault}" for fault in PLUGIN_FAULTS),
)
# Other guards by their names: what they ask, and what is stated.
_OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "flapping": ("flaps", {"mode": "block", "on_error": "closed"}),
    "redacting": ("error-500", {"mode": "redact", "on_error": "closed"}),
    "flagging": ("error-500", {"mode": "flag", "on_error": "closed"}),
    "in-the-dark": ("error-500", {"mode": "shadow", "on_error": "closed"}),
    "faltering-closed": ("falters", {"mode": "block", "on_error": "closed", "where": "output"}),
    "faltering-open": ("falters", {"mode": "block", "on_error": "open", "where": "output"}),
}
_SLOW = ("hang", "hangs", "waits")
PLUGIN = """
import asyncio
import time

WRONG = {"none": None, "nonsense": {"verdict": 1}}
SPAN = {"text": 0, "start": 0, "end": 10**6, "category": "x"}


class Fails:
    version = "1"

    def __init__(self, fault):
        self.fault = fault

    def look(self, texts, asking):
        match self.fault:
            case "raises":
                raise ZeroDivisionError("of the plugin's own")
            case "leaves":
                raise SystemExit(3)
            case "hangs":
                time.sleep(3)
            case "outside":
                return {"verdict": "block", "spans": [SPAN]}
        return WRONG.get(self.fault)


class Waits:
    version = "1"

    async def look(self, texts, asking):
        await asyncio.Event().wait()


def make(settings):
    return Waits() if settings["fault"] == "waits" else Fails(settings["fault"])
"""


def install_plugin(folder: Path) -> str:
    """An installed package, as far as Python can tell; what PYTHONPATH must be for it."""
    (folder / "failing_plugin.py").write_text(PLUGIN)
    info = folder / "failing_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: failing-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[obol.guards]\nfailing = failing_plugin:make\n")
    return str(folder)


class Hook:
    """A webhook that fails as the first part of its path says."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._is_down = False  # what flaps: at every other message it is
        self._is_over = threading.Event()
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                told.messages.append(body)
                fault = self.path.split("/")[1]
                if fault == "flaps":
                    told._is_down = not told._is_down
                    fault = "drop" if told._is_down else "passes"
                elif fault == "falters":  # once it has let something pass
                    fault = "passes" if told.looks_of(body["request_id"]) == 1 else "drop"
                if fault == "hang":
                    told._is_over.wait()
                if fault in ("hang", "drop"):
                    self.close_connection = True
                    return
                status, answer = _BODIES.get(fault) or _BODIES["passes"]
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer) + (50 if fault == "cut" else 0)))
                if fault == "redirect":
                    self.send_header("location", "/passes")
                self.end_headers()
                self.wfile.write(answer)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """The gateway left, as it should where the answer is too long."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def looks_of(self, request_id: str) -> int:
        return sum(message["request_id"] == request_id for message in self.messages)

    def stop(self) -> None:
        self._is_over.set()
        self._server.shutdown()
        self._server.server_close()


def guard_of(fault: str, hook: str, name: str) -> dict[str, Any]:
    """A guard that fails so: what is of its kind alone."""
    kind, _, why = fault.partition("-")
    timeout_s = 0.3 if why in _SLOW else 20
    match kind:
        case "webhook":
            url = f"{NOBODY if why == 'gone' else hook}/{why}/{name}"  # circuits are by address
            return {"kind": "webhook", "url": url, "secret": SECRET, "timeout_s": timeout_s}
        case "moderation":
            thresholds = {"thresholds": {"violence": 0.5}} if why == "unscored" else {}
            return {"kind": "moderation_api", "deployment": f"{fault}~{name}", "timeout_s": timeout_s, **thresholds}
        case "judge":
            asked = {"deployment": f"{fault}~{name}", "rubric": "Nobody may speak of it."}
            return {"kind": "judge", "timeout_s": timeout_s, **asked}
        case "classifier":
            asked = {"classifier": f"{fault}~{name}", "escalate_at": 0.001, "block_at": 1.0}
            asked_as = "classify" if why == "classify" else "judge"
            return {"kind": "injection", "timeout_s": timeout_s, "asked_as": asked_as, **asked}
        case _:
            settings = {"plugin": "failing", "settings": {"fault": why}}
            return {"kind": "plugin", "timeout_s": timeout_s, **settings}


def catalog_of(upstream: str, hook: str) -> dict[str, Any]:
    """Routes and guards ``fault-closed`` and ``-open`` (of prompts), ``-out-closed`` and ``-out-open`` (of answers)."""
    price = {"input": 1, "output": 2}
    deployments = [{"name": "good", "provider": "up", "model": "good", "price": price}]
    guards: dict[str, Any] = {}
    for fault in FAULTS:
        for where in ("input", "output"):
            for on_error in ("closed", "open"):
                name = f"{fault}{'-out' if where == 'output' else ''}-{on_error}"
                kind, _, why = fault.partition("-")
                stated = {"mode": "block", "on_error": on_error, "where": where}
                guards[name] = {**stated, **guard_of(fault, hook, name)}
                if kind in ("moderation", "judge", "classifier"):
                    model = f"{why}~{name}"
                    provider = "gone" if why == "gone" else "slow" if why == "hang" else "up"
                    mode = {"mode": "moderation"} if kind == "moderation" or why == "classify" else {}
                    asked = {"name": f"{fault}~{name}", "provider": provider, "model": model, "price": price}
                    deployments.append({**asked, **mode})
    for name, (fault, stated) in _OTHERS.items():
        asked = {"kind": "webhook", "url": f"{hook}/{fault}/{name}", "secret": SECRET, "retries": 0, "timeout_s": 20}
        guards[name] = {**asked, **stated}
    return {
        "providers": {
            "up": {"kind": "openai_compatible", "base_url": upstream, "api_key": "sk-up"},
            "slow": {"kind": "openai_compatible", "base_url": upstream, "api_key": "sk-up"},
            "gone": {"kind": "openai_compatible", "base_url": f"{NOBODY}/v1", "api_key": "sk-up"},
        },
        "deployments": deployments,
        "guards": guards,
        "routes": {name: {"deployments": ["good"], "guards": [name]} for name in guards},
    }
