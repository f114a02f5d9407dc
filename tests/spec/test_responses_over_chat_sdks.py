"""The official SDKs, old and new, take a turn of an agent that an upstream gave as chat."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running_gateway import Gateway, until

HERE = Path(__file__).parent
FUNCTION = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
TOOLS = [FUNCTION, {"type": "custom", "name": "apply_patch", "description": "Edits files."}]
PATCH = '*** Begin Patch\n+"hello"\n*** End Patch'
SCRIPT = {
    "reasoning": "Let me think.",
    "tool_calls": [
        {"name": "weather", "arguments": '{"city": "Köln"}'},
        {"name": "apply_patch", "arguments": json.dumps({"input": PATCH})},
    ],
    "usage": {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27},
}


def check(gateway: Gateway, command: list[str], model: str, **environment: str) -> str:
    """Run a turn and look at what it tells; its SDK's version."""
    key = gateway.make_key()
    done = subprocess.run(
        [*command, gateway.base_url, key["key"], model, json.dumps(TOOLS), json.dumps(SCRIPT)],
        cwd=HERE / "node",
        env={name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["items"] == told["whole"] == ["reasoning", "function_call", "custom_tool_call"]
    assert told["thought"] == "Let me think."
    assert told["patch"] == told["input"] == PATCH
    assert json.loads(told["arguments"]) == {"city": "Köln"}
    assert told["tokens"] == 27
    assert told["cut"] == ["response.failed", "upstream_interrupted"]
    entries = until(lambda: len(found := gateway.ledger(key=key["id"])) == 3 and found, "every call was entered")
    assert sorted(entry["status"] for entry in entries) == ["interrupted", "succeeded", "succeeded"]
    return str(told["version"])


@pytest.mark.parametrize(("folder", "version"), [(".venv-openai-1-last", "1."), (None, "2."), (".venv-openai-3", "3.")])
def test_a_version_of_the_python_sdk_takes_a_turn(
    gateway: Gateway, model: str, folder: str | None, version: str
) -> None:
    packages = {}
    if folder is not None:
        place = HERE.parents[1] / folder
        if not (place / "installed").exists():
            pytest.fail(f"{folder} is missing: `make test` installs it", pytrace=False)
        packages["PYTHONPATH"] = str(place)
    command = [sys.executable, "-P", str(HERE / "sdk" / "responses_over_chat_conversation.py")]
    assert check(gateway, command, model, **packages).startswith(version)


def test_the_node_sdk_takes_a_turn(gateway: Gateway, model: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is missing: install Node.js 20 or newer (Debian: nodejs and npm)", pytrace=False)
    assert check(gateway, [node, "responses_over_chat.mjs"], model)
