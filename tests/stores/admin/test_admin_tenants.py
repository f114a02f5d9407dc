"""Organizations, teams, members and keys over the admin API: made, read, changed, listed and ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from gateway.stores.key_secrets import digest


@pytest.fixture
async def member(owner, team):
    return await owner.post("members", name="Ada", team=team["id"], email="ada@example.com")


@pytest.fixture
async def key(owner, team, member):
    return await owner.post("keys", name="laptop", team=team["id"], member=member["id"])


async def test_an_organization_has_a_name_and_a_contact(owner):
    name = uuid4().hex

    made = await owner.post("organizations", name=name, contact="owner@example.com")

    assert set(made) == {"id", "name", "contact", "created_at"}
    assert (made["name"], made["contact"]) == (name, "owner@example.com")
    assert await owner.get(f"organizations/{made['id']}") == made
    assert made["id"] in await owner.listed("organizations")


async def test_a_team_belongs_to_the_organization_it_was_made_for(owner, organization, team):
    assert team["organization_id"] == organization["id"]
    assert await owner.listed("teams", organization=organization["id"]) == [team["id"]]


async def test_the_path_knows_the_targets_of_a_keys_team(owner, keys, organization):
    targets = {"quality_loss_max": 0.05, "call_cost_max_usd": "0.0025"}
    made = await owner.post("teams", name="frugal", organization=organization["id"], **targets)
    key = await owner.post("keys", name="k", team=made["id"])

    caller = await keys.lookup(digest(key["key"]))

    assert {name: made[name] for name in targets} == targets
    assert (caller.quality_loss_max, caller.cost_max_nusd) == (0.05, 2_500_000)
    bare = await owner.patch(f"teams/{made['id']}", quality_loss_max=None, call_cost_max_usd=None)
    assert (bare["quality_loss_max"], bare["call_cost_max_usd"]) == (None, None)
    caller = await keys.lookup(digest(key["key"]))
    assert (caller.quality_loss_max, caller.cost_max_nusd) == (None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("quality_loss_max", value) for value in (-0.1, 1, 1.5, "0.02", True)),
        *(("call_cost_max_usd", value) for value in (0, -1, "1e-3", "0.0000000001", 9_000_001, True)),
    ],
)
async def test_a_target_that_means_nothing_is_refused_by_its_name(owner, team, field, value):
    for method, path, body in (("POST", "teams", {"name": uuid4().hex}), ("PATCH", f"teams/{team['id']}", {})):
        assert await owner.refused(method, path, body | {field: value}) == (400, "invalid_value", field)


async def test_a_team_of_no_stated_organization_belongs_to_the_default_one(owner):
    assert (await owner.post("teams", name=uuid4().hex))["organization_id"] == "org_default"


async def test_a_member_belongs_to_a_team(owner, organization, team, member):
    assert set(member) == {"id", "name", "email", "team", "organization_id", "created_at"}
    assert (member["team"], member["organization_id"]) == (team["id"], organization["id"])
    assert await owner.listed("members", team=team["id"]) == [member["id"]]
    assert await owner.get(f"members/{member['id']}") == member


async def test_the_path_knows_whose_key_it_is(keys, member, key):
    caller = await keys.lookup(digest(key["key"]))

    assert (caller.key_id, caller.member_id) == (key["id"], member["id"])


async def test_a_key_of_a_member_of_another_team_is_refused(owner, organization, member):
    other = await owner.post("teams", name="other", organization=organization["id"])
    body = {"name": "k", "team": other["id"], "member": member["id"]}

    assert await owner.refused("POST", "keys", body) == (404, "not_found", "member")
    key = await owner.post("keys", name="k", team=other["id"])
    assert await owner.refused("PATCH", f"keys/{key['id']}", {"member": member["id"]}) == (404, "not_found", "member")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("organizations", {"name": "renamed {}", "contact": "new@example.com"}),
        ("teams", {"name": "renamed {}", "contact": "new@example.com"}),
        ("teams", {"quality_loss_max": 0.05, "call_cost_max_usd": "0.0025"}),
        ("members", {"name": "renamed {}", "email": "new@example.com"}),
        ("keys", {"name": "renamed {}", "models": ["auto"], "allowed_ips": ["192.0.2.0/24"]}),
        ("keys", {"expires_at": "2090-01-31T12:00:00Z"}),
    ],
)
async def test_a_change_sets_what_it_names_and_leaves_the_rest(owner, organization, team, member, key, kind, changes):
    before = {"organizations": organization, "teams": team, "members": member, "keys": key}[kind]
    changes = {name: value.format(uuid4().hex) if name == "name" else value for name, value in changes.items()}

    after = await owner.patch(f"{kind}/{before['id']}", **changes)

    expected = {name: value for name, value in before.items() if name != "key"} | changes
    assert after == expected
    assert await owner.get(f"{kind}/{before['id']}") == expected


async def test_null_takes_an_optional_field_away(owner, member, key):
    await owner.patch(f"keys/{key['id']}", models=["auto"], expires_at="2090-01-31T12:00:00Z")

    bare = await owner.patch(f"keys/{key['id']}", models=None, expires_at=None, member=None)

    assert (bare["models"], bare["expires_at"], bare["member"]) == (None, None, None)
    assert (await owner.patch(f"members/{member['id']}", email=None))["email"] is None


@pytest.mark.parametrize("kind", ["organizations", "teams", "members", "keys"])
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": None}, "name"),
        ({"name": " "}, "name"),
        ({"id": "x"}, "id"),
        ({"organization": "org_default"}, "organization"),
        ({"team": "team_default"}, "team"),
    ],
)
async def test_a_change_of_what_cannot_change_is_refused_by_its_name(
    owner, organization, team, member, key, kind, body, param
):
    one = {"organizations": organization, "teams": team, "members": member, "keys": key}[kind]

    assert await owner.refused("PATCH", f"{kind}/{one['id']}", body) == (400, "invalid_value", param)


async def test_a_name_is_taken_while_its_holder_lives(owner, organization, team, member):
    for kind, body in (
        ("organizations", {"name": organization["name"]}),
        ("teams", {"name": team["name"], "organization": organization["id"]}),
        ("members", {"name": member["name"], "team": team["id"]}),
    ):
        assert await owner.refused("POST", kind, body) == (409, "already_exists", "name")

    other = await owner.post("members", name="Grace", team=team["id"])
    taken = {"name": member["name"]}
    assert await owner.refused("PATCH", f"members/{other['id']}", taken) == (409, "already_exists", "name")
    await owner.delete(f"members/{member['id']}")
    assert (await owner.patch(f"members/{other['id']}", **taken))["name"] == member["name"]


@pytest.mark.parametrize("kind", ["organizations", "teams", "members", "keys", "admin-keys"])
async def test_what_is_not_there_is_not_found(owner, kind):
    expected = (404, "not_found", kind.removesuffix("s").replace("-", "_"))

    assert await owner.refused("GET", f"{kind}/none") == expected
    assert await owner.refused("DELETE", f"{kind}/none") == expected
    if kind != "admin-keys":
        assert await owner.refused("PATCH", f"{kind}/none", {"name": "x"}) == expected


async def test_an_organization_goes_after_its_teams(owner, organization, team):
    place = f"organizations/{organization['id']}"

    assert await owner.refused("DELETE", place) == (409, "has_teams", None)
    await owner.delete(f"teams/{team['id']}")
    assert await owner.delete(place) == {"id": organization["id"], "deleted": True}

    assert (await owner.refused("GET", place))[0] == 404
    assert organization["id"] not in await owner.listed("organizations")
    body = {"name": "late", "organization": organization["id"]}
    assert await owner.refused("POST", "teams", body) == (404, "not_found", "organization")
    assert (await owner.post("organizations", name=organization["name"]))["id"] != organization["id"]


async def test_no_team_outlives_an_organization_that_is_deleted_while_it_is_made(owner):
    for _ in range(4):
        organization = await owner.post("organizations", name=uuid4().hex)
        body = {"name": "racing", "organization": organization["id"]}

        made, gone = await asyncio.gather(
            owner.send("POST", "teams", body), owner.send("DELETE", f"organizations/{organization['id']}")
        )

        assert {made.status_code, gone.status_code} in ({201, 409}, {404, 200})


async def test_the_default_organization_stays(owner):
    await owner.post("teams", name=uuid4().hex)

    assert await owner.refused("DELETE", "organizations/org_default") == (409, "default_organization", None)


async def test_a_deleted_team_takes_its_members_and_keys_along(owner, keys, team, member, key):
    await owner.delete(f"teams/{team['id']}")

    assert (await owner.refused("GET", f"members/{member['id']}"))[0] == 404
    (gone,) = (await owner.get("keys", team=team["id"]))["data"]
    assert gone["revoked_at"] is not None
    assert await keys.lookup(digest(key["key"])) is None


async def test_a_deleted_member_takes_its_own_keys_along(owner, keys, team, member, key):
    other = await owner.post("keys", name="other", team=team["id"])

    await owner.delete(f"members/{member['id']}")

    assert await keys.lookup(digest(key["key"])) is None
    assert (await keys.lookup(digest(other["key"]))).key_id == other["id"]
    body = {"name": "k", "team": team["id"], "member": member["id"]}
    assert await owner.refused("POST", "keys", body) == (404, "not_found", "member")


async def test_lists_come_by_pages_newest_first(owner, organization):
    made = [
        (await owner.post("teams", name=f"team {number}", organization=organization["id"]))["id"] for number in range(3)
    ]

    first = await owner.get("teams", organization=organization["id"], limit=2)
    rest = await owner.get("teams", organization=organization["id"], limit=2, cursor=first["next_cursor"])

    assert [team["id"] for team in first["data"] + rest["data"]] == made[::-1]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("kind", ["organizations", "teams", "members", "keys", "admin-keys", "audit"])
@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"temas": "x"}, "temas"),
    ],
)
async def test_a_list_asked_for_wrongly_is_refused_by_the_name_of_the_parameter(owner, kind, query, param):
    status, _, blamed = await owner.refused("GET", kind, query=query)

    assert (status, blamed) == (400, param)


@pytest.mark.parametrize("kind", ["teams", "members", "keys"])
async def test_a_filter_with_a_nul_is_refused(owner, kind):
    assert (await owner.refused("GET", kind, query={"organization": "a\0"}))[::2] == (400, "organization")


BAD_NETWORKS = [
    [],
    ["here"],
    ["192.0.2.1/24"],
    ["fe80::1%eth0"],
    ["192.0.2.0/33"],
    [5],
    "192.0.2.1",
    ["10.0.0.1"] * 1001,
]


@pytest.mark.parametrize("allowed", BAD_NETWORKS, ids=lambda value: repr(value)[:30])
async def test_allowed_addresses_that_are_none_are_refused(owner, team, allowed):
    status, _, param = await owner.refused("POST", "keys", {"name": "k", "team": team["id"], "allowed_ips": allowed})

    assert status == 400
    assert param.split(".")[0] == "allowed_ips"


async def test_allowed_addresses_are_kept_in_one_spelling(owner, team, keys):
    spelled = ["192.0.2.7", "192.0.2.7/32", "::ffff:10.0.0.0/104", "2001:DB8::/32"]

    made = await owner.post("keys", name="k", team=team["id"], allowed_ips=spelled)

    assert made["allowed_ips"] == ["192.0.2.7", "192.0.2.7", "10.0.0.0/8", "2001:db8::/32"]
    caller = await keys.lookup(digest(made["key"]))
    assert [str(network) for network in caller.allowed_ips] == [
        "192.0.2.7/32", "192.0.2.7/32", "10.0.0.0/8", "2001:db8::/32",
    ]  # fmt: skip


async def test_a_rotated_key_keeps_its_id_and_both_secrets_serve_for_a_day(owner, keys, key):
    rotated = await owner.post(f"keys/{key['id']}/rotate")

    assert rotated["id"] == key["id"]
    assert rotated["key"] != key["key"]
    assert rotated["key"].startswith(rotated["prefix"])
    ends = datetime.fromisoformat(rotated["previous_expires_at"])
    assert timedelta(hours=23) < ends - datetime.now(UTC) < timedelta(hours=25)
    new, old = await keys.lookup(digest(rotated["key"])), await keys.lookup(digest(key["key"]))
    assert (new.key_id, new.expires_at_s) == (key["id"], None)
    assert (old.key_id, old.expires_at_s) == (key["id"], ends.timestamp())
    shown = await owner.get(f"keys/{key['id']}")
    assert shown == {name: value for name, value in rotated.items() if name != "key"}


async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(owner, keys, key):
    rotated = await owner.post(f"keys/{key['id']}/rotate", overlap_s=0)

    assert await keys.lookup(digest(key["key"])) is None
    assert (await keys.lookup(digest(rotated["key"]))).key_id == key["id"]
    assert rotated["previous_expires_at"] is None


async def test_a_second_rotation_ends_the_first_secret(owner, keys, key):
    second = await owner.post(f"keys/{key['id']}/rotate", overlap_s=3600)
    third = await owner.post(f"keys/{key['id']}/rotate", overlap_s=3600)

    live = [await keys.lookup(digest(one["key"])) is not None for one in (key, second, third)]
    assert live == [False, True, True]


async def test_an_old_secret_does_not_outlive_the_key(owner, keys, team):
    ends = datetime.now(UTC) + timedelta(hours=1)
    key = await owner.post("keys", name="k", team=team["id"], expires_at=ends.isoformat())

    await owner.post(f"keys/{key['id']}/rotate", overlap_s=7200)

    assert (await keys.lookup(digest(key["key"]))).expires_at_s == ends.timestamp()


async def test_a_revoked_key_does_not_come_back_by_rotation(owner, keys, key):
    rotated = await owner.post(f"keys/{key['id']}/rotate")
    await owner.delete(f"keys/{key['id']}")

    assert await keys.lookup(digest(rotated["key"])) is None
    assert await keys.lookup(digest(key["key"])) is None
    assert await owner.refused("POST", f"keys/{key['id']}/rotate", {}) == (409, "key_revoked", None)


async def test_a_revoked_key_is_listed_and_no_longer_found_or_changed(owner, team, key):
    revoked = await owner.delete(f"keys/{key['id']}")

    assert await owner.refused("GET", f"keys/{key['id']}") == (404, "not_found", "key")
    assert await owner.refused("PATCH", f"keys/{key['id']}", {"name": "n"}) == (409, "key_revoked", None)
    assert (await owner.get("keys", team=team["id"]))["data"] == [revoked]
    assert await owner.delete(f"keys/{key['id']}") == revoked


@pytest.mark.parametrize("overlap_s", [-1, 30 * 86_400 + 1, "60", 1.5, None, True])
async def test_an_overlap_that_is_none_is_refused(owner, key, overlap_s):
    refusal = await owner.refused("POST", f"keys/{key['id']}/rotate", {"overlap_s": overlap_s})

    assert refusal == (400, "invalid_value", "overlap_s")


async def test_rotations_that_run_together_leave_two_secrets(owner, keys, key):
    rotated = await asyncio.gather(*(owner.post(f"keys/{key['id']}/rotate") for _ in range(4)))

    live = [await keys.lookup(digest(one["key"])) is not None for one in rotated]
    assert sum(live) == 2
