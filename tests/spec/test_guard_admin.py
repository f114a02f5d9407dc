"""Guards that administrators set and try, and what becomes of requests then."""

from __future__ import annotations

import json
import subprocess
import uuid

import openai
import pytest
from running_gateway import ADMIN_KEY, OBOL, until
from spec_parts import CATALOG

HI = "Hi, this is about Blue Heron."
CODENAMES = {
    "name": "codenames",
    "kind": "patterns",
    "mode": "block",
    "on_error": "closed",
    "deny": {"projects": {"words": ["Blue Heron"]}},
}
GUARDS = """
guards:
  mail: {kind: pii, mode: redact, on_error: closed, where: both, kinds: [EMAIL_ADDRESS]}
  words: {kind: patterns, mode: block, on_error: closed, deny: {rivals: {words: [Acme]}}}
"""


@pytest.fixture(scope="module")
def guarded(beside):
    with beside(CATALOG + GUARDS) as running:
        yield running


@pytest.fixture
def team(guarded):
    return guarded.admin("POST", "teams", json={"name": uuid.uuid4().hex}).raise_for_status().json()


@pytest.fixture
def key(guarded, team):
    return guarded.admin("POST", "keys", json={"name": "k", "team": team["id"]}).raise_for_status().json()


def asked(gateway, key, text=HI, model="any/guarded"):
    with openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client:
        return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])


def refused(gateway, key, text=HI):
    with pytest.raises(openai.APIStatusError) as caught:
        asked(gateway, key, text)
    return caught.value


def names_of(gateway):
    return [one["name"] for one in gateway.admin("GET", "guards").json()["data"]]


def set_guards(gateway, kind, one, guards):
    changed = gateway.admin("PATCH", f"{kind}/{one['id']}", json={"guards": guards}).raise_for_status().json()
    assert changed["guards"] == guards


@pytest.mark.parametrize("kind", ["teams", "keys"])
def test_a_guard_that_is_added_blocks_from_the_next_request_on_until_it_is_taken_away(guarded, team, key, kind):
    assert asked(guarded, key).choices
    one = team if kind == "teams" else key

    set_guards(guarded, kind, one, [CODENAMES])
    error = refused(guarded, key)
    assert (error.status_code, error.code) == (400, "content_filter")
    assert "codenames" in error.message
    assert "Blue Heron" not in error.message
    blocked = guarded.ledger(key=key["id"])[0]
    assert (blocked["cost_nusd"], blocked["error_code"], blocked["status"]) == (0, "content_filter", "rejected")
    assert [(one["guard"], one["verdict"], one["categories"]) for one in blocked["guards"]] == [
        ("codenames", "blocked", ["projects"])
    ]

    set_guards(guarded, kind, one, [])
    assert asked(guarded, key).choices


def test_a_guard_that_the_catalog_loses_lets_nothing_pass(guarded, team, key):
    set_guards(guarded, "teams", team, ["words"])
    whole = guarded.catalog.read_text()
    try:
        guarded.catalog.write_text(whole.replace("  words: {kind: patterns", "  other: {kind: patterns"))
        until(lambda: names_of(guarded) == ["mail", "other"], "the new catalog is in force")
        error = refused(guarded, key, "harmless")
    finally:
        guarded.catalog.write_text(whole)
        until(lambda: names_of(guarded) == ["mail", "words"], "the old catalog is in force again")

    assert (error.status_code, error.code) == (503, "guard_unavailable")
    entry = guarded.ledger(key=key["id"])[0]
    assert [(one["guard"], one["verdict"]) for one in entry["guards"]] == [("words", "failed")]
    assert "the catalog has no guard 'words'" in entry["guards"][0]["error"]


def obol(gateway, *words):
    command = [OBOL, "guards", *map(str, words), "--url", gateway.url, "--admin-key", ADMIN_KEY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_guards_are_listed_from_a_shell(guarded):
    assert [line.split()[:5] for line in obol(guarded, "list").splitlines()[-2:]] == [
        ["mail", "pii", "both", "redact", "closed"],
        ["words", "patterns", "input", "block", "closed"],
    ]


def test_a_file_is_tried_from_a_shell_and_nothing_is_sent_on(guarded, upstream, tmp_path):
    calls = len(upstream.calls())
    file = tmp_path / "prompt.txt"
    file.write_text("Acme is ada@example.com")

    told = obol(guarded, "try", file, "--guards", "mail,words").splitlines()

    assert [line.split()[:4] for line in told[1:3]] == [
        ["mail", "redact", "redacted", "EMAIL_ADDRESS"],
        ["words", "block", "blocked", "rivals"],
    ]
    assert told[-1] == "Acme is [EMAIL_ADDRESS_1]"
    assert len(upstream.calls()) == calls


def test_lines_of_json_are_tried_each_alone(guarded, tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in ["fine"] * 120 + ["Acme", "a@b.example"]))

    told = obol(guarded, "try", file, "--guards", '["mail", {"guard": "words", "mode": "flag"}]')

    assert ["121", "words", "flag", "flagged", "rivals"] in [line.split()[:5] for line in told.splitlines()]
    assert ["words", "passed", "121"] in [line.split() for line in told.splitlines()]
    found = json.loads(obol(guarded, "try", file, "--guards", "mail", "--json"))
    assert (found[-1]["line"], found[-1]["text"]) == (122, "[EMAIL_ADDRESS_1]")


def test_a_team_is_given_guards_from_a_shell(guarded, team):
    command = [OBOL, "teams", "update", team["id"], "--url", guarded.url, "--admin-key", ADMIN_KEY, "--guards"]
    for text, guards in (("mail, words", ["mail", "words"]), (json.dumps([CODENAMES]), [CODENAMES]), ("", [])):
        subprocess.run([*command, text], check=True, capture_output=True, timeout=60)
        assert guarded.admin("GET", f"teams/{team['id']}").json()["guards"] == guards
