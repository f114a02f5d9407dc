"""Codex CLI as npm installs it, with the settings of its page, edits a file through the gateway."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import coding_upstream
import pytest
from agent_parts import Desk
from page import blocks
from scripted.messages import SIGNATURE
from scripted.responses import ENCRYPTED

pytestmark = pytest.mark.clients

COUNTED = {  # what Codex calls the ledger's columns
    "input_tokens": "input_tokens",
    "cached_input_tokens": "cached_input_tokens",
    "cache_write_input_tokens": "cache_write_tokens",
    "output_tokens": "output_tokens",
    "reasoning_output_tokens": "reasoning_tokens",
}


def codex(desk: Desk, model: str, *, top: str = "", provider: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """``top`` and ``provider``: lines that the page adds at the top and to the provider's table."""
    settings, *_ = blocks("codex.md", "toml")
    folder = desk.home / ".codex"
    folder.mkdir()
    config = top + settings.replace("\n[analytics]", f"{provider}\n[analytics]")
    (folder / "config.toml").write_text(desk.filled_in(config))
    (lines,) = blocks("codex.md", "sh")
    key, _example = desk.filled_in(lines).splitlines()
    # Its sandbox needs what not every kernel or container allows, and these commands are our own.
    options = ("--skip-git-repo-check", "--sandbox", "danger-full-access", "--json", "--model", model)
    return desk.run(key, "codex", "exec", *options, desk.task, **env)


def events(done: subprocess.CompletedProcess[str], kind: str) -> list[dict[str, Any]]:
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return [event for event in said if event["type"] == kind]


def last_message(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    items = [event["item"] for event in events(done, "item.completed")]
    return [item["text"] for item in items if item["type"] == "agent_message"][-1]


@pytest.mark.parametrize(
    ("model", "upstream_endpoint"),
    [
        # Codex offers each of these other tools: a patch tool, code that calls tools, a shell alone.
        ("responses/gpt-5.5", "responses"),
        ("responses/gpt-6.1-sol", "responses"),
        ("responses/qwen-coder", "responses"),
        ("chat/gpt-5.5", "chat/completions"),
        ("chat/gpt-6.1-sol", "chat/completions"),
        ("chat/qwen-coder", "chat/completions"),
        ("messages/gpt-5.5", "messages"),
        ("messages/claude-sonnet-5", "messages"),
    ],
)
def test_codex_edits_a_file_over_any_upstream_and_counts_what_the_ledger_counts(
    desk: Desk, model: str, upstream_endpoint: str
) -> None:
    done = codex(desk, model)
    assert last_message(done) == coding_upstream.DONE
    entries = desk.assert_edited_and_billed(upstream_endpoint)
    assert {entry["deployment"] for entry in entries} == {model}
    assert {entry["endpoint"] for entry in entries} == {"responses"}
    assert {tuple(entry["tags"]) for entry in entries} == {("codex", "team-a")}
    (turn,) = events(done, "turn.completed")
    assert turn["usage"] == {theirs: sum(entry[ours] for entry in entries) for theirs, ours in COUNTED.items()}


def test_what_codex_says_to_a_native_upstream_is_all_there(desk: Desk) -> None:
    codex(desk, "responses/gpt-5.5")
    bodies = [call["body"] for call in desk.asked()]
    (reasoning,) = (item for item in bodies[1]["input"] if item["type"] == "reasoning")
    assert reasoning["encrypted_content"] == ENCRYPTED
    assert {tool["type"] for tool in bodies[0]["tools"]} >= {"function", "custom", "web_search"}
    assert len({body["prompt_cache_key"] for body in bodies}) == 1
    assert all(body["client_metadata"] and body["store"] is False for body in bodies)


def test_signed_thinking_of_an_anthropic_model_comes_back_to_it(desk: Desk) -> None:
    codex(desk, "messages/gpt-5.5")
    _, second, _ = desk.asked()
    (answer,) = (message for message in second["body"]["messages"] if message["role"] == "assistant")
    assert answer["content"][0] == {"type": "thinking", "thinking": coding_upstream.THOUGHT, "signature": SIGNATURE}


def test_tags_from_the_environment_win_over_those_of_the_configuration(desk: Desk) -> None:
    _, _, from_environment = blocks("codex.md", "toml")
    codex(desk, "responses/gpt-5.5", provider=from_environment, OBOL_TAGS="nightly,team-b")
    assert {tuple(entry["tags"]) for entry in desk.entries()} == {("nightly", "team-b")}


def test_codex_keeps_to_the_window_that_it_is_told(desk: Desk) -> None:
    _, window, _ = blocks("codex.md", "toml")
    codex(desk, "chat/qwen-coder", top=window)
    (session,) = desk.home.rglob("rollout-*.jsonl")
    assert '"model_context_window":30400' in session.read_text()  # of 32,000, less what Codex keeps free


@pytest.mark.parametrize("trouble", ["busy-2", "limited-3"])
def test_codex_does_not_notice_an_upstream_that_refuses_for_a_moment(desk: Desk, trouble: str) -> None:
    assert last_message(codex(desk, f"responses/gpt-5.5-{trouble}-{desk.token}")) == coding_upstream.DONE
    desk.assert_edited_and_billed("responses")
    refused = [entry for entry in desk.entries() if entry["status"] == "failed"]
    status = 429 if "limited" in trouble else 503
    assert [(entry["http_status"], entry["cost_nusd"]) for entry in refused] == [(status, 0)] * int(trouble[-1])


def test_codex_gives_up_on_an_upstream_that_limits_it_and_does_not_say_for_how_long(desk: Desk) -> None:
    done = codex(desk, f"responses/gpt-5.5-curt-1-{desk.token}")
    assert done.returncode == 1
    assert "exceeded retry limit, last status: 429 Too Many Requests" in done.stdout


def test_a_route_goes_on_over_another_dialect_when_its_first_upstream_is_down(desk: Desk) -> None:
    done = codex(desk, "codex")
    assert last_message(done) == coding_upstream.DONE
    entries = desk.assert_edited_and_billed("chat/completions")
    assert {(entry["route"], entry["deployment"]) for entry in entries} == {("codex", "chat/gpt-5.5")}


def test_codex_says_that_its_key_is_revoked(desk: Desk) -> None:
    desk.gateway.admin("DELETE", f"keys/{desk.key['id']}").raise_for_status()
    done = codex(desk, "responses/gpt-5.5")
    assert done.returncode == 1
    assert "unexpected status 401 Unauthorized: Incorrect API key provided" in done.stdout
    assert desk.asked() == []


def test_codex_says_that_there_is_no_such_model(desk: Desk) -> None:
    done = codex(desk, "gpt-5.5-of-nobody")
    assert done.returncode == 1
    assert "The model 'gpt-5.5-of-nobody' does not exist or you do not have access to it." in done.stdout
