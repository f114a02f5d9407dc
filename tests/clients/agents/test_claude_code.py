"""Claude Code as npm installs it, with the settings of its page, edits a file through the gateway."""

from __future__ import annotations

import json
import subprocess

import coding_upstream
import pytest
from agent_parts import NODE, Desk
from page import blocks

pytestmark = pytest.mark.clients


def claude(desk: Desk, model: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    lines, *_ = blocks("claude-code.md", "sh")
    # npm runs no install script that would put the binary where `claude` is looked for: its own launcher finds it.
    launcher = ("node", str(NODE / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"))
    usual = ("--print", "--output-format", "json", "--permission-mode", "acceptEdits", "--model", model)
    return desk.run(desk.filled_in(lines), *launcher, *usual, *options, desk.task, **environment)


@pytest.mark.parametrize("model", ["messages/claude-sonnet-5", "messages/x", "messages/opus"])
def test_claude_code_edits_a_file_with_a_native_upstream(desk: Desk, model: str) -> None:
    done = claude(desk, model)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"] == coding_upstream.DONE
    desk.assert_edited_and_billed("messages")
