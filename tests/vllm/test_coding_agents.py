"""Codex CLI and Claude Code, unmodified and as their pages say, on a real vLLM.

Its model answers nonsense, so no file is edited here (tests/clients does that); it is the whole of the agents' real
prompts, some 40 to 100 kB, that goes through vLLM's own Responses and Messages APIs and is billed to the token.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from books import Books
from gateway_under_test import Gateway, cost_nusd, tokens_of
from vllm_server import NotReady, Tokens, wait_for

CLIENTS = Path(__file__).parents[1] / "clients"
sys.path.insert(0, str(CLIENTS / "pages"))
from page import Elsewhere, blocks  # noqa: E402 - it lies beside the tests of the other clients

pytestmark = pytest.mark.vllm

NODE = CLIENTS / "node" / "node_modules"
SECONDS_MAX = 400  # a prompt of 40,000 tokens on one busy core
TASK = "Say hello."


class Desk:
    """A user of an agent: a home, a folder to work in, and nothing else of ours in the environment."""

    def __init__(self, gateway: Gateway, elsewhere: Elsewhere, folder: Path) -> None:
        self._gateway = gateway
        self._elsewhere = elsewhere
        self.home = folder / "home"
        self._work = folder / "work"
        self.home.mkdir()
        self._work.mkdir()

    def filled_in(self, text: str) -> str:
        """Lines of a page, with our address, key and model where it shows examples."""
        return text.replace("http://127.0.0.1:8080", self._gateway.url).replace("sk-obol-...", self._gateway.first_key)

    def run(self, lines: str, *command: str) -> subprocess.CompletedProcess[str]:
        if not (NODE / "installed").exists():
            pytest.fail("the agents are missing: `make test-vllm` installs them", pytrace=False)
        path = f"{NODE / '.bin'}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", f'{lines}\nexec "$@"', "bash", *command],
            cwd=self._work,
            env={"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", **self._elsewhere.settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_MAX,
        )


@pytest.fixture
def desk(gateway: Gateway, tmp_path: Path) -> Iterator[Desk]:
    elsewhere = Elsewhere()
    yield Desk(gateway, elsewhere, tmp_path)
    elsewhere.close()


def assert_all_billed(gateway: Gateway, books: Books, known: set[str], endpoint: str) -> None:
    """What this agent's calls have on the ledger is what vLLM counted, to the token."""
    books.server.wait_until_idle()

    def charged() -> Tokens:
        return sum((tokens_of(entry) for entry in new()), start=Tokens())

    def new() -> list[dict[str, object]]:
        return [entry for entry in gateway.entries() if entry["id"] not in known]

    try:
        wait_for(lambda: charged() == books.counted(), "all on the ledger", within_s=20)
    except NotReady:
        assert charged() == books.counted()
    answers = [entry for entry in new() if entry["endpoint"] == endpoint]
    assert answers
    assert all(entry["cost_nusd"] == cost_nusd(tokens_of(entry)) > 0 for entry in answers)


@pytest.mark.timeout(2 * SECONDS_MAX)
def test_codex_talks_to_vllm_and_all_of_it_is_billed(desk: Desk, gateway: Gateway, books: Books) -> None:
    known = {entry["id"] for entry in gateway.entries()}
    config, *_ = blocks("codex.md", "toml")
    folder = desk.home / ".codex"
    folder.mkdir()
    (folder / "config.toml").write_text(desk.filled_in(config))
    lines, *_ = blocks("codex.md", "sh")
    done = desk.run(desk.filled_in(lines), "codex", "exec", "--skip-git-repo-check", "--model", "tiny-llama", TASK)

    assert done.returncode == 0, done.stderr
    assert_all_billed(gateway, books, known, "responses")


@pytest.mark.timeout(2 * SECONDS_MAX)
def test_claude_code_talks_to_vllm_and_all_of_it_is_billed(desk: Desk, gateway: Gateway, books: Books) -> None:
    known = {entry["id"] for entry in gateway.entries()}
    lines, *_ = blocks("claude-code.md", "sh")
    launcher = ("node", str(NODE / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"))
    done = desk.run(
        f"{desk.filled_in(lines)}\nexport ANTHROPIC_DEFAULT_HAIKU_MODEL=tiny-llama CLAUDE_CODE_MAX_OUTPUT_TOKENS=300",
        *launcher,
        *("--print", "--output-format", "json", "--model", "tiny-llama", TASK),
    )

    said = json.loads(done.stdout)
    assert said["usage"]["output_tokens"] > 0, done.stderr
    # Nonsense seldom ends by itself: Claude Code has it continued a few times, and then calls that an error.
    assert done.returncode == 0 or said["api_error"] == "max_output_tokens", said
    assert_all_billed(gateway, books, known, "messages")
