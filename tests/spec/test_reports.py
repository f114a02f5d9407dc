"""Reports at a running gateway: what the ledger holds, over HTTP and from a shell."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from typing import Any

import openai
import pytest
from running_gateway import ADMIN_KEY, OBOL, Gateway
from spec_parts import COST_NUSD


@pytest.fixture
def key(gateway: Gateway) -> dict[str, Any]:
    """A key with two answered calls, one with a tag, and one that failed."""
    made = gateway.make_key()
    with openai.OpenAI(base_url=gateway.base_url, api_key=made["key"], max_retries=0) as client:
        for model, tags in (("any/good~reports", "blue"), ("any/good~reports", ""), ("any/error-400~reports", "")):
            try:
                client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": "x"}], extra_headers={"x-obol-tags": tags}
                )
            except openai.BadRequestError:
                assert "error-400" in model
    return made


def costs(gateway: Gateway, **query: str) -> dict[str, Any]:
    answer = gateway.admin("GET", "reports/costs", params=query)
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def run(gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    url = gateway.base_url.removesuffix("/v1")
    command = [str(OBOL), "report", *arguments, "--url", url, "--admin-key", ADMIN_KEY]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_report_is_what_the_entries_of_the_ledger_add_up_to(gateway: Gateway, key: dict[str, Any]) -> None:
    report = costs(gateway, key=key["id"], group_by="key,deployment,tag", bucket="hour")

    entries = gateway.ledger(key=key["id"])
    totals = report["totals"]
    assert totals["cost_nusd"] == sum(entry["cost_nusd"] for entry in entries) == 2 * COST_NUSD
    assert (totals["requests"], totals["attempts"], totals["failed"]) == (3, 3, 1)
    assert {(row["deployment"], row["tag"], row["cost_nusd"]) for row in report["data"]} == {
        (entry["deployment"], (entry["tags"] or [None])[0], entry["cost_nusd"]) for entry in entries
    }
    assert {(row["key"], row["key_name"]) for row in report["data"]} == {(key["id"], key["name"])}


def test_the_command_shows_a_table_json_and_csv(gateway: Gateway, key: dict[str, Any]) -> None:
    asked = ("costs", "--key", key["id"], "--group-by", "key")

    shown, as_json, as_csv = (run(gateway, *asked, "--format", form) for form in ("table", "json", "csv"))

    assert "$0.00005" in shown.stdout.splitlines()[-1]
    assert shown.stdout.splitlines()[-1].startswith("total")
    assert json.loads(as_json.stdout)["totals"]["cost_nusd"] == 2 * COST_NUSD
    (row,) = csv.DictReader(io.StringIO(as_csv.stdout))
    assert (row["key_name"], row["cost_nusd"]) == (key["name"], str(2 * COST_NUSD))


def test_the_command_takes_groups_as_its_flags_are_written(gateway: Gateway) -> None:
    answered = run(gateway, "costs", "--group-by", "end-user,key", "--format", "json")

    assert json.loads(answered.stdout)["group_by"] == ["end_user", "key"]


def test_the_command_says_what_was_asked_wrongly(gateway: Gateway) -> None:
    refused = run(gateway, "costs", "--group-by", "colour")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "colour" in refused.stderr


def test_a_budget_is_reported_with_what_the_ledger_says_was_spent(gateway: Gateway, key: dict[str, Any]) -> None:
    body = {"scope": {"key": key["id"]}, "limit_usd": "1.00", "window": "month"}
    budget = gateway.admin("POST", "budgets", json=body).json()["id"]

    rows = gateway.admin("GET", "reports/budgets", params={"limit": 1000}).json()["data"]
    (row,) = (row for row in rows if row["budget"] == budget)
    shown = run(gateway, "budgets")

    assert (row["spent_nusd"], row["held_nusd"], row["remaining_nusd"]) == (2 * COST_NUSD, 0, 10**9 - 2 * COST_NUSD)
    assert (row["scope"], row["limit_usd"], row["on_exhausted"]) == ({"key": key["id"]}, "1.00", "refuse")
    assert any(line.endswith(budget) and "$0.00005" in line for line in shown.stdout.splitlines())
