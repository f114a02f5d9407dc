"""Tenants at work: whose calls are whose, rotated keys, keys of certain addresses, and administrators with a scope."""

from __future__ import annotations

import json
import os
import subprocess
import uuid

import httpx
import openai
import pytest
from running_gateway import ADMIN_KEY, OBOL, until

HI = [{"role": "user", "content": "Hi!"}]


def made(gateway, kind, **body):
    return gateway.admin("POST", kind, json=body).raise_for_status().json()


@pytest.fixture
def team(gateway):
    organization = made(gateway, "organizations", name=uuid.uuid4().hex)
    return made(gateway, "teams", name="search", organization=organization["id"])


def asked(gateway, secret, model):
    with openai.OpenAI(base_url=gateway.base_url, api_key=secret, max_retries=0) as client:
        return client.chat.completions.create(model=model, messages=HI, user="somebody else")


def test_a_call_is_of_the_member_that_its_key_is_bound_to(gateway, team, model):
    member = made(gateway, "members", name="Ada", team=team["id"])
    key = made(gateway, "keys", name="laptop", team=team["id"], member=member["id"])

    asked(gateway, key["key"], model)

    (entry,) = gateway.ledger(key=key["id"])
    assert (entry["organization_id"], entry["team_id"]) == (team["organization_id"], team["id"])
    assert (entry["member_id"], entry["end_user"]) == (member["id"], "somebody else")


def test_both_secrets_of_a_rotated_key_spend_as_one(gateway, team, model):
    key = made(gateway, "keys", name="laptop", team=team["id"])
    rotated = gateway.admin("POST", f"keys/{key['id']}/rotate", json={"overlap_s": 60}).raise_for_status().json()

    for secret in (key["key"], rotated["key"]):
        asked(gateway, secret, model)

    assert len(gateway.ledger(key=key["id"])) == 2


def test_a_secret_without_overlap_is_refused_from_now_on(gateway, second_gateway, team, model):
    key = made(gateway, "keys", name="laptop", team=team["id"])
    for replica in (gateway, second_gateway):
        asked(replica, key["key"], model)

    gateway.admin("POST", f"keys/{key['id']}/rotate", json={"overlap_s": 0}).raise_for_status()

    for replica in (gateway, second_gateway):
        until(lambda replica=replica: _status(replica, key["key"]) == 401, "the old secret is refused")


def _status(gateway, secret, **headers):
    return httpx.get(f"{gateway.base_url}/models", headers={"authorization": f"Bearer {secret}", **headers}).status_code


def test_a_key_serves_only_where_it_may_on_every_path(gateway, team, model):
    away = made(gateway, "keys", name="away", team=team["id"], allowed_ips=["192.0.2.0/24"])
    here = made(gateway, "keys", name="here", team=team["id"], allowed_ips=["127.0.0.0/8", "::1"])

    assert asked(gateway, here["key"], model).choices
    with pytest.raises(openai.PermissionDeniedError) as caught:
        asked(gateway, away["key"], model)
    assert caught.value.code == "ip_not_allowed"
    for method, path in (("GET", "models"), ("GET", f"models/{model}"), ("GET", "responses/resp_1"), ("GET", "me")):
        refused = httpx.request(
            method, f"{gateway.base_url}/{path}", headers={"authorization": f"Bearer {away['key']}"}
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "ip_not_allowed"), path
    assert gateway.ledger(key=away["id"]) == []


def test_only_a_trusted_proxy_is_believed_where_a_call_comes_from(gateway, second_gateway, team):
    key = made(gateway, "keys", name="away", team=team["id"], allowed_ips=["192.0.2.0/24"])
    forwarded = {"x-forwarded-for": "203.0.113.9, 192.0.2.7"}

    assert _status(gateway, key["key"], **forwarded) == 403
    assert _status(second_gateway, key["key"], **forwarded) == 200
    assert _status(second_gateway, key["key"], **{"x-forwarded-for": "192.0.2.7, 203.0.113.9"}) == 403
    assert _status(second_gateway, key["key"]) == 403


def test_an_administrator_of_a_team_sees_the_spend_of_that_team_alone(gateway, team, model):
    other = made(gateway, "teams", name="other", organization=team["organization_id"])
    for one in (team, other):
        asked(gateway, made(gateway, "keys", name="k", team=one["id"])["key"], model)
    viewer = made(gateway, "admin-keys", name="ops", role="viewer", scope={"team": team["id"]})
    gateway.ledger(team=other["id"])  # both are on the ledger now

    headers = {"authorization": f"Bearer {viewer['key']}"}
    seen = httpx.get(f"{gateway.url}/admin/ledger", headers=headers).raise_for_status().json()["data"]

    assert {entry["team_id"] for entry in seen} == {team["id"]}


class Shell:
    """`obol` beside the running gateway."""

    def __init__(self, gateway) -> None:
        self._gateway = gateway

    def run(self, *arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OBOL_")}
        flags = ("--data-dir", str(self._gateway.data_dir), "--url", self._gateway.url)
        return subprocess.run(
            [str(OBOL), *arguments, *flags],
            env=environment | {"OBOL_ADMIN_KEY": ADMIN_KEY},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def json(self, *arguments):
        run = self.run(*arguments, "--json")
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)


@pytest.fixture
def shell(gateway):
    return Shell(gateway)


def test_tenants_are_administered_from_a_shell(gateway, shell):
    name = uuid.uuid4().hex
    organization = shell.json("organizations", "create", name, "--contact", "owner@example.com")
    team = shell.json("teams", "create", "search", "--organization", organization["id"])
    member = shell.json("members", "create", "Ada", "--team", team["id"], "--email", "ada@example.com")
    key = made(gateway, "keys", name="k", team=team["id"])

    assert shell.json("organizations", "show", organization["id"]) == organization
    assert shell.json("members", "list", "--team", team["id"]) == [member]
    assert shell.json("members", "update", member["id"], "--email", "")["email"] is None
    changed = shell.json("keys", "update", key["id"], "--member", member["id"], "--allowed-ips", "127.0.0.1,::1")
    assert (changed["member"], changed["allowed_ips"]) == (member["id"], ["127.0.0.1", "::1"])
    rotated = shell.json("keys", "rotate", key["id"], "--overlap-s", "60")
    assert _status(gateway, rotated["key"]) == 200
    admin = shell.json("admin-keys", "create", "ops", "--role", "team_admin", "--scope-team", team["id"])
    assert admin["scope"] == {"team": team["id"]}
    assert shell.json("admin-keys", "delete", admin["id"])["revoked_at"] is not None
    assert shell.json("teams", "delete", team["id"]) == {"id": team["id"], "deleted": True}
    changes = shell.json("audit", "list", "--object-id", key["id"])
    assert [change["action"] for change in changes] == ["rotate", "update", "create"]


def test_what_a_member_left_is_purged_from_a_shell(gateway, shell, team, model):
    member = made(gateway, "members", name="Ada", team=team["id"])
    key = made(gateway, "keys", name="laptop", team=team["id"], member=member["id"])
    asked(gateway, key["key"], model)
    (entry,) = gateway.ledger(key=key["id"])
    said = {"request_id": entry["request_id"], "score": 1.0, "comment": "good"}
    headers = {"authorization": f"Bearer {key['key']}"}
    httpx.post(f"{gateway.base_url}/feedback", json=said, headers=headers).raise_for_status()

    purged = shell.run("purge", "--member", member["id"])

    assert purged.stdout == "erased: 0 answers, 0 questions, 1 feedback, 0 prompts\n"
    assert gateway.admin("GET", "feedback", params={"request": entry["request_id"]}).json()["data"] == []
    assert gateway.ledger(key=key["id"]) == [entry]
    (row,) = [one for one in shell.json("audit", "list", "--object-id", member["id"]) if one["action"] == "purge"]
    assert row["after"] == {"answers": 0, "questions": 0, "feedback": 1, "prompts": 0}
    assert "is given to nobody again" in shell.run("cache", "purge", "--team", team["id"]).stdout
    assert "There is no member" in shell.run("purge", "--member", "nobody").stderr


def test_a_shell_says_so_when_there_is_nothing(shell, team):
    assert shell.run("members", "list", "--team", team["id"]).stdout == "There are no members.\n"


def test_a_shell_shows_names_whole_and_its_columns_straight(shell, team):
    long, wide = "n" * 150, "日本"
    for name in (wide, long):
        shell.json("members", "create", name, "--team", team["id"], "--email", "x@example.com")

    header, of_long, of_wide = shell.run("members", "list", "--team", team["id"]).stdout.splitlines()

    at = header.index("email")
    assert (of_long.index("x@example.com"), of_wide.index("x@example.com")) == (at, at - len(wide))
    assert long in of_long


def test_a_shell_shows_lists_as_tables_and_objects_line_by_line(shell, team):
    listed = shell.run("teams", "list", "--organization", team["organization_id"]).stdout.splitlines()
    assert listed[0].split() == ["id", "name", "organization_id", "contact", "created_at"]
    assert listed[1].split()[:4] == [team["id"], "search", team["organization_id"], "-"]

    shown = shell.run("teams", "show", team["id"]).stdout.splitlines()
    assert dict(line.split(maxsplit=1) for line in shown)["name"] == "search"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("teams", "show", "team_none"), "There is no team"),
        (("organizations", "delete", "org_default"), "default organization"),
        (("keys", "rotate", "key_none", "--overlap-s", "soon"), "--overlap-s 'soon': must be a whole number"),
        (("members", "create", "x", "--team", "../teams"), "There is no team"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(shell, arguments, said):
    run = shell.run(*arguments)

    assert run.returncode == 1
    assert run.stderr.startswith("obol: ")
    assert said in run.stderr
    assert run.stderr.count("\n") == 1
