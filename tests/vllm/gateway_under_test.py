"""A real gateway in front of the vLLM servers: its own data directory, its own catalog, its own ports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx
from vllm_server import Process, Tokens, VllmServer, free_port, wait_for

START_S_MAX = 120.0  # the stores are made first, on a machine that may be busy
LEDGER_S_MAX = 30.0
ADMIN_KEY = "admin-key-of-the-vllm-tests"
MTOK = 1_000_000
# Nano-dollars per million tokens; no two amounts of tokens below a thousand cost the same by accident.
INPUT_NUSD, CACHED_NUSD, OUTPUT_NUSD, EMBED_NUSD = 500_000_000, 50_000_000, 2_000_000_000, 20_000_000
CATALOG = """
providers:
  gpu: {{kind: vllm, base_url: "{chat}/v1"}}
  pool: {{kind: vllm, base_url: "{embeddings}/v1"}}
deployments:
  - {{name: tiny-llama, provider: gpu, model: tiny, price: {{input: 0.5, cached_input: 0.05, output: 2}}}}
  - {{name: tiny-vectors, provider: pool, model: tiny-embed, price: {{input: 0.02}}}}
guards:
  personal: {{kind: pii, mode: redact, on_error: closed, timeout_s: 30}}
routes:
  auto: {{deployments: [tiny-llama], policy: ordered, baseline: tiny-llama}}
  private: {{deployments: [tiny-llama], baseline: tiny-llama, guards: [personal]}}
"""


def tokens_of(entry: dict[str, Any]) -> Tokens:
    return Tokens(input=entry["input_tokens"], cached=entry["cached_input_tokens"], output=entry["output_tokens"])


def cost_nusd(used: Tokens) -> int:
    """What tiny-llama charges: the sum over the meters, divided once, rounded up."""
    total = (used.input - used.cached) * INPUT_NUSD + used.cached * CACHED_NUSD + used.output * OUTPUT_NUSD
    return -(-total // MTOK)


class Gateway:
    """One running `obol serve`."""

    def __init__(self, directory: Path, chat: VllmServer, embeddings: VllmServer) -> None:
        catalog = directory / "catalog.yaml"
        catalog.write_text(CATALOG.format(chat=chat.url, embeddings=embeddings.url))
        self._data = directory / "data"
        self.url = f"http://127.0.0.1:{free_port()}"
        environment = {
            "OBOL_CATALOG": str(catalog),
            "OBOL_DATA_DIR": str(self._data),
            "OBOL_HOST": "127.0.0.1",
            "OBOL_PORT": self.url.rpartition(":")[2],
            "OBOL_WORKERS": "1",
            "OBOL_ADMIN_KEY": ADMIN_KEY,
            "OBOL_DATABASE_URL": "",
            "OBOL_REDIS_URL": "",
        }
        command = [str(Path(sys.executable).with_name("obol")), "serve"]
        self._process = Process(command, environment, directory / "gateway.log")

    def wait_until_ready(self) -> None:
        self._process.wait_until_ready(f"{self.url}/health/ready", within_s=START_S_MAX)

    def stop(self) -> None:
        self._process.stop()

    @property
    def first_key(self) -> str:
        return (self._data / "first-key").read_text().strip()

    def entries(self, request_id: str | None = None) -> list[dict[str, Any]]:
        """What stands in the ledger, newest first: of one request, or the last thousand."""
        asked = {"limit": "1000"} | ({"request": request_id} if request_id else {})
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        reply = httpx.get(f"{self.url}/admin/ledger", params=asked, headers=headers, timeout=30)
        reply.raise_for_status()
        found: list[dict[str, Any]] = reply.json()["data"]
        return found

    def entry(self, request_id: str) -> dict[str, Any]:
        """The one settled entry of a request; entries reach Postgres a moment after the answer."""
        wait_for(lambda: bool(self.entries(request_id)), f"in the ledger: {request_id}", within_s=LEDGER_S_MAX)
        (entry,) = self.entries(request_id)
        return entry
