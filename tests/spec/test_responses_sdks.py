"""The Responses API as the official SDKs speak it: three generations of Python and Node, nothing changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from running_gateway import Gateway
from spec_parts import AGENT_RATES_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, TEXT, Books

HERE = Path(__file__).parent
FOLDERS = HERE.parents[1]
AGENT_TURN = HERE.parent / "unit" / "data" / "responses" / "agent_turn.json"
COST_NUSD = INPUT_TOKENS * AGENT_RATES_NUSD["input"] + OUTPUT_TOKENS * AGENT_RATES_NUSD["output"]
PYTHON = [sys.executable, "-P", str(HERE / "sdk" / "responses_conversation.py")]


def converse(gateway: Gateway, command: list[str], key: str, folder: str | None = None) -> dict[str, Any]:
    """Run a conversation, for Python with the packages of a folder before all others."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    if folder is not None:
        if not (FOLDERS / folder / "installed").exists():
            pytest.fail(f"{folder} is missing: `make test` installs it", pytrace=False)
        environment["PYTHONPATH"] = str(FOLDERS / folder)
    model = f"responses/{uuid.uuid4().hex}"
    command = [*command, gateway.base_url, key, model, str(AGENT_TURN)]
    done = subprocess.run(
        command, env=environment, cwd=HERE / "node", capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def check(told: dict[str, Any], gateway: Gateway, books: Books, key_id: str) -> None:
    """What each SDK must have understood, and what its five calls cost."""
    turn = json.loads(AGENT_TURN.read_text())
    ended = turn[-1]["response"]
    assert told["whole"] == told["kept"] == told["streamed"] == told["final"] == told["async"] == TEXT
    assert told["tokens"] == INPUT_TOKENS + OUTPUT_TOKENS
    assert told["turn"] == [event["type"] for event in turn]
    assert told["items"] == [item["type"] for item in ended["output"]]
    assert told["encrypted"] == ended["output"][0]["encrypted_content"]
    assert told["patch"] == ended["output"][-1]["input"]
    assert told["cached"] == ended["usage"]["input_tokens_details"]["cached_tokens"]
    assert told["cut"] == ["response.failed", "upstream_interrupted"]
    assert told["error"] == "model_not_found"
    assert books.entry(told["request_id"])["cost_nusd"] == COST_NUSD
    entries = gateway.ledger(key=key_id)
    assert sorted({entry["status"] for entry in entries}) == ["interrupted", "succeeded"]
    assert [entry["cached_input_tokens"] for entry in entries if entry["cached_input_tokens"]] == [told["cached"]]


@pytest.mark.parametrize(("folder", "version"), [(".venv-openai-1-last", "1."), (None, "2."), (".venv-openai-3", "3.")])
def test_a_version_of_the_official_sdk_speaks_responses_unchanged(
    gateway: Gateway, books: Books, folder: str | None, version: str
) -> None:
    key = gateway.make_key()
    told = converse(gateway, PYTHON, key["key"], folder)
    assert told["version"].startswith(version)
    check(told, gateway, books, key["id"])


def test_the_official_node_sdk_speaks_responses_unchanged(gateway: Gateway, books: Books) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is missing: install Node.js 20 or newer (Debian: nodejs and npm)", pytrace=False)
    if not (HERE / "node" / "node_modules" / "openai").exists():
        pytest.fail("its packages are missing: `make test` installs them", pytrace=False)
    key = gateway.make_key()
    check(converse(gateway, [node, "responses.mjs"], key["key"]), gateway, books, key["id"])
