"""The official Python SDK, old and new, and LangChain: one conversation each, with nothing changed but the address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running_gateway import Gateway
from spec_parts import COST_NUSD, TEXT, Books

SCRIPTS = Path(__file__).parent / "sdk"
FOLDERS = Path(__file__).parents[2]


def converse(gateway: Gateway, script: str, folder: str | None, key: str, model: str) -> dict[str, Any]:
    """Run a script of ``sdk/`` with the packages of a folder before all others."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "LANG"))}
    if folder is not None:
        if not (FOLDERS / folder / "installed").exists():
            pytest.fail(f"{folder} is missing: `make test` installs it", pytrace=False)
        environment["PYTHONPATH"] = str(FOLDERS / folder)
    command = [sys.executable, "-P", str(SCRIPTS / script), gateway.base_url, key, model]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(("folder", "version"), [(".venv-openai-1", "1."), (None, "2."), (".venv-openai-3", "3.")])
def test_a_version_of_the_official_sdk_works_unchanged(
    gateway: Gateway, books: Books, folder: str | None, version: str
) -> None:
    key = gateway.make_key()
    told = converse(gateway, "conversation.py", folder, key["key"], "fall-back-rates")
    assert told["version"].startswith(version)
    assert (told["whole"], told["tokens"]) == (TEXT, 17)
    assert (told["streamed"], told["streamed_tokens"]) == (TEXT, 17)
    assert told["async"] == {"whole": TEXT, "streamed": TEXT}
    assert told["vector"] == [0.5, -0.5]
    assert told["models"] is True
    assert told["error"] == "model_not_found"
    assert told["cut"] == "upstream_interrupted"
    costs = [books.entry(told[name])["cost_nusd"] for name in ("request_id", "streamed_request_id")]
    assert costs == [9 * 3000 + 8 * 7000] * 2
    assert len(gateway.ledger(key=key["id"])) == 6  # whole, streamed, embedding, cut, and two by the async client


def test_langchain_works_unchanged(gateway: Gateway, model: str) -> None:
    key = gateway.make_key()
    told = converse(gateway, "langchain_conversation.py", ".venv-langchain", key["key"], model)
    assert told["whole"] == told["streamed"] == told["async"] == TEXT
    for usage in (told["tokens"], told["streamed_tokens"]):
        assert (usage["input_tokens"], usage["output_tokens"]) == (9, 8)
    assert told["vectors"] == [[0.5, -0.5], [0.5, -0.5]]
    entries = gateway.ledger(key=key["id"])
    assert [entry["cost_nusd"] for entry in entries if entry["endpoint"] == "chat/completions"] == [COST_NUSD] * 3
    assert [entry["status"] for entry in entries] == ["succeeded"] * 4
