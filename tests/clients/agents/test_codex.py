"""Codex CLI as npm installs it, with the settings of its page, edits a file through the gateway."""

from __future__ import annotations

import subprocess

import coding_upstream
import pytest
from agent_parts import Desk
from page import blocks

pytestmark = pytest.mark.clients


def codex(desk: Desk, model: str) -> subprocess.CompletedProcess[str]:
    (config,) = blocks("codex.md", "toml")
    folder = desk.home / ".codex"
    folder.mkdir()
    (folder / "config.toml").write_text(desk.filled_in(config))
    (lines,) = blocks("codex.md", "sh")
    options = ("--skip-git-repo-check", "--sandbox", "workspace-write", "--model", model)
    return desk.run(desk.filled_in(lines), "codex", "exec", *options, desk.task)


@pytest.mark.parametrize("model", ["responses/gpt-5.5", "responses/gpt-6.1-sol", "responses/qwen-coder"])
def test_codex_edits_a_file_with_a_native_upstream(desk: Desk, model: str) -> None:
    done = codex(desk, model)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == coding_upstream.DONE
    desk.assert_edited_and_billed("responses")


@pytest.mark.parametrize("model", ["chat/gpt-5.5", "chat/gpt-6.1-sol", "chat/qwen-coder"])
def test_codex_edits_a_file_with_an_upstream_that_speaks_chat(desk: Desk, model: str) -> None:
    done = codex(desk, model)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == coding_upstream.DONE
    desk.assert_edited_and_billed("chat/completions")


def test_codex_edits_a_file_with_an_upstream_that_speaks_messages(desk: Desk) -> None:
    done = codex(desk, "messages/claude-opus")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == coding_upstream.DONE
    desk.assert_edited_and_billed("messages")
