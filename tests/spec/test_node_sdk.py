"""The official Node SDK, unchanged: chat, stream, tools, embeddings, errors, abort."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import COST_NUSD, COST_USD, TEXT, Books

FOLDER = Path(__file__).parent / "node"


def test_the_official_node_sdk_works_unchanged(
    gateway: Gateway, upstream: UpstreamProcess, books: Books, model: str
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is missing: install Node.js 20 or newer (Debian: nodejs and npm)", pytrace=False)
    if not (FOLDER / "node_modules" / "openai").exists():
        pytest.fail("its packages are missing: `make test` installs them", pytrace=False)
    key = gateway.make_key()
    command = [node, "conversation.mjs", gateway.base_url, key["key"], model]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert (told["whole"], told["tokens"], told["cost"]) == (TEXT, 17, COST_USD)
    assert books.entry(told["requestId"])["cost_nusd"] == COST_NUSD
    assert told["streamed"] == TEXT
    assert (told["streamedUsage"]["total_tokens"], told["streamedUsage"]["cost"]) == (17, float(COST_USD))
    assert told["tools"] == [{"name": "weather", "arguments": '{"town": "Köln"}'}, {"name": "clock", "arguments": "{}"}]
    assert told["finish"] == "tool_calls"
    assert told["vector"] == [0.5, -0.5]
    assert told["vectorFromBase64"] == [0.25, -1.0]
    assert told["flagged"] is False
    assert {"in-order", "free"} <= set(told["models"])
    assert told["unknownModel"] == {"name": "NotFoundError", "status": 404, "code": "model_not_found"}
    assert told["badKey"] == {"name": "AuthenticationError", "status": 401, "code": "invalid_api_key"}
    assert told["badBody"]["name"] == "BadRequestError"
    assert told["cut"] == {"name": "APIError", "status": None, "code": "upstream_interrupted"}
    until(lambda: upstream.calls("node-aborts")[-1]["is_client_gone"], "the upstream saw the abort")
    until(lambda: len(gateway.ledger(key=key["id"])) == 8, "every call was entered")
    statuses = sorted(entry["status"] for entry in gateway.ledger(key=key["id"]))
    assert statuses == ["cancelled", "interrupted"] + ["succeeded"] * 6
