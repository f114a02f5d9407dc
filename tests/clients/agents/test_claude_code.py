"""Claude Code as npm installs it, with the settings of its page, edits a file through the gateway."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import coding_upstream
import pytest
from agent_parts import NODE, SECONDS_MAX, Desk
from page import blocks
from running_gateway import until
from scripted.messages import SIGNATURE

pytestmark = pytest.mark.clients

EVERYWHERE, ON_SMALL_MODELS = 0, 1  # the page's lines for the shell
# npm runs no install script that would put the binary where `claude` is looked for: its own launcher finds it.
LAUNCHER = ("node", str(NODE / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"))


def claude(desk: Desk, *options: str, lines: str | None = None, prompt: str = "") -> subprocess.CompletedProcess[str]:
    lines = blocks("claude-code.md", "sh")[EVERYWHERE] if lines is None else lines
    usual = ("--print", "--output-format", "json", "--permission-mode", "acceptEdits")
    return desk.run(desk.filled_in(lines), *LAUNCHER, *usual, *options, prompt or desk.task)


def settle_in(desk: Desk) -> None:
    """What a user has answered the first time: the theme, and that this folder is theirs."""
    known = {"hasCompletedOnboarding": True, "projects": {str(desk.work): {"hasTrustDialogAccepted": True}}}
    (desk.home / ".claude.json").write_text(json.dumps(known))


def result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 0) is not said["is_error"], done.stdout + done.stderr
    return said


@pytest.mark.parametrize(
    ("model", "upstream_endpoint"),
    [
        ("messages/claude-sonnet-5", "messages"),
        ("messages/own-model", "messages"),
        ("chat/claude-sonnet-5", "chat/completions"),
        ("chat/own-model", "chat/completions"),
        ("responses/gpt-5.5", "chat/completions"),  # OpenAI speaks chat as well
    ],
)
def test_claude_code_edits_a_file_over_any_upstream_and_counts_what_the_ledger_counts(
    desk: Desk, model: str, upstream_endpoint: str
) -> None:
    said = result(claude(desk, "--model", model))
    assert said["result"] == coding_upstream.DONE
    entries = desk.assert_edited_and_billed(upstream_endpoint)
    assert {entry["deployment"] for entry in entries} == {model}
    assert {entry["endpoint"] for entry in entries} == {"messages"}
    assert {tuple(entry["tags"]) for entry in entries} == {("claude-code", "team-a")}
    (session,) = {entry["end_user"] for entry in entries}
    assert said["session_id"] in session
    assert_counted_alike(said["usage"], entries)


def assert_counted_alike(usage: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    """What the agent believes to have used is what the ledger says; its ``input_tokens`` leave the cached ones out."""
    total = {name: sum(entry[name] for entry in entries) for name in entries[0] if name.endswith("_tokens")}
    read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    assert (read, written) == (total["cached_input_tokens"], total["cache_write_tokens"])
    assert usage["input_tokens"] + read + written == total["input_tokens"]
    assert usage["output_tokens"] == total["output_tokens"]


def test_what_claude_code_says_to_a_native_upstream_is_all_there(desk: Desk) -> None:
    claude(desk, "--model", "messages/claude-sonnet-5")
    first, second, _ = desk.asked()
    assert first["query"] == {"beta": "true"}
    assert "claude-code-20250219" in first["headers"]["anthropic-beta"]
    assert any("cache_control" in block for block in first["body"]["system"])
    (answer,) = (message for message in second["body"]["messages"] if message["role"] == "assistant")
    assert answer["content"][0] == {"type": "thinking", "thinking": coding_upstream.THOUGHT, "signature": SIGNATURE}


def test_the_settings_file_does_what_the_shell_does(desk: Desk) -> None:
    (settings,) = blocks("claude-code.md", "json")
    (desk.home / ".claude").mkdir()
    (desk.home / ".claude" / "settings.json").write_text(desk.filled_in(settings))
    said = result(claude(desk, lines="export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"))
    assert said["result"] == coding_upstream.DONE
    assert {entry["deployment"] for entry in desk.assert_edited_and_billed("messages")} == {"messages/claude-opus-5-5"}


def test_an_api_key_does_as_well_as_a_token(desk: Desk) -> None:
    lines = blocks("claude-code.md", "sh")[EVERYWHERE].replace("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY")
    assert result(claude(desk, "--model", "sonnet", lines=lines))["result"] == coding_upstream.DONE
    assert {entry["deployment"] for entry in desk.assert_edited_and_billed("messages")} == {"messages/claude-sonnet-5"}


def test_the_family_of_small_models_means_the_deployment_of_the_page(desk: Desk) -> None:
    assert result(claude(desk, "--model", "haiku"))["result"] == coding_upstream.DONE
    assert {entry["deployment"] for entry in desk.assert_edited_and_billed("messages")} == {"messages/claude-haiku-5"}


def test_in_a_terminal_it_edits_the_file_as_well_and_calls_nobody_else(desk: Desk) -> None:
    settle_in(desk)
    lines = desk.filled_in(blocks("claude-code.md", "sh")[EVERYWHERE])
    options = ("--model", "sonnet", "--permission-mode", "acceptEdits")
    with desk.in_terminal(lines, *LAUNCHER, *options, desk.task) as shown:
        until(lambda: "Thefilenowsays" in shown().replace(" ", ""), "it says that it is done", SECONDS_MAX)
    desk.assert_edited_and_billed("messages")


def test_in_a_terminal_a_small_model_names_the_session_whatever_it_speaks(desk: Desk) -> None:
    settle_in(desk)
    lines = desk.filled_in(blocks("claude-code.md", "sh")[EVERYWHERE]).replace("messages/claude-haiku-5", "chat/small")
    lines += "unset CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"
    with desk.in_terminal(lines, *LAUNCHER, "--model", "sonnet", desk.task) as shown:
        until(lambda: coding_upstream.TITLE in shown(), "the terminal shows the title", SECONDS_MAX)
    (titling,) = (call for call in desk.asked() if call["body"]["model"] == "small")
    assert titling["path"] == "/v1/chat/completions"
    assert titling["body"]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize("model", ["messages/own-model", "chat/own-model"])
def test_a_small_model_gets_no_more_than_it_can_take(desk: Desk, model: str) -> None:
    everywhere, on_small_models = blocks("claude-code.md", "sh")
    said = result(claude(desk, "--model", model, lines=everywhere + on_small_models))
    assert said["modelUsage"][model]["contextWindow"] == 32000
    bodies = [call["body"] for call in desk.asked()]
    assert {body["max_tokens"] for body in bodies} == {4096}
    assert not any("x-anthropic-billing-header" in json.dumps(body) for body in bodies)


def test_counting_tokens_asks_an_upstream_that_counts_and_costs_nothing(desk: Desk) -> None:
    said = result(claude(desk, "--model", "messages/claude-sonnet-5", prompt="/context"))
    assert "Tokens" in said["result"]
    assert {call["path"] for call in desk.asked()} == {"/v1/messages/count_tokens"}
    assert {(entry["endpoint"], entry["cost_nusd"]) for entry in desk.entries()} == {("messages/count_tokens", 0)}


def test_counting_tokens_works_where_no_upstream_counts(desk: Desk) -> None:
    said = result(claude(desk, "--model", "chat/own-model", prompt="/context"))
    assert "Tokens" in said["result"]
    assert desk.asked() == []


def test_a_large_file_is_counted_before_it_is_shown(desk: Desk) -> None:
    desk.file.write_text("hello\n" + "one line of many\n" * 6000)
    assert result(claude(desk, "--model", "sonnet"))["result"] == coding_upstream.DONE
    assert desk.file.read_text().startswith("goodbye\n")
    assert "/v1/messages/count_tokens" in {call["path"] for call in desk.asked()}


@pytest.mark.parametrize(
    ("model", "status"),
    [("messages/claude-busy-1", 529), ("messages/claude-curt-1", 429), ("chat/own-model-busy-1", 503)],
)
def test_claude_code_does_not_notice_an_upstream_that_refuses_for_a_moment(desk: Desk, model: str, status: int) -> None:
    assert result(claude(desk, "--model", f"{model}-{desk.token}"))["result"] == coding_upstream.DONE
    refused, *_ = desk.entries()
    assert (refused["status"], refused["http_status"], refused["cost_nusd"]) == ("failed", status, 0)


def test_claude_code_outlasts_an_overload_of_some_seconds(desk: Desk) -> None:
    said = result(claude(desk, "--model", f"messages/claude-busy-2-{desk.token}"))
    assert said["result"] == coding_upstream.DONE


def test_claude_code_says_that_an_upstream_stays_overloaded(desk: Desk) -> None:
    impatient = blocks("claude-code.md", "sh")[EVERYWHERE] + "\nexport CLAUDE_CODE_MAX_RETRIES=1"
    said = result(claude(desk, "--model", f"messages/claude-down-{desk.token}", lines=impatient))
    assert said["api_error_status"] == 529
    assert said["result"].startswith("API Error: 529 Overloaded")


def test_a_route_goes_on_over_another_dialect_when_its_first_upstream_is_down(desk: Desk) -> None:
    assert result(claude(desk, "--model", "claude"))["result"] == coding_upstream.DONE
    entries = desk.assert_edited_and_billed("chat/completions")
    assert {(entry["route"], entry["deployment"]) for entry in entries} == {("claude", "chat/claude-sonnet-5")}


def test_claude_code_says_at_once_that_its_key_is_revoked(desk: Desk) -> None:
    desk.gateway.admin("DELETE", f"keys/{desk.key['id']}").raise_for_status()
    said = result(claude(desk, "--model", "sonnet"))
    assert said["result"].startswith("Failed to authenticate. API Error: 401 Incorrect API key provided")
    assert desk.asked() == []


def test_claude_code_says_that_there_is_no_such_model(desk: Desk) -> None:
    said = result(claude(desk, "--model", "nobody/knows"))
    assert said["api_error_status"] == 404
    assert said["result"].startswith("There's an issue with the selected model")
