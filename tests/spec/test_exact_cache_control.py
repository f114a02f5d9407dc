"""What clients and operators say of kept answers: Cache-Control and purges."""

from __future__ import annotations

from uuid import uuid4

import pytest
from caching_parts import entry_of
from running_gateway import until


def test_clients_say_by_cache_control_what_they_take(asker):
    refused = asker.ask(headers={"cache-control": "only-if-cached"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (504, "not_cached")
    assert asker.calls() == 0
    assert asker.status(headers={"cache-control": "no-store"}) == "bypass"
    assert asker.status() == "miss"
    assert asker.status(headers={"cache-control": "only-if-cached"}) == "hit-exact"
    assert asker.status(headers={"cache-control": "max-age=600"}) == "hit-exact"
    assert asker.calls() == 2
    assert asker.status(headers={"cache-control": "no-cache"}) == "bypass"
    assert asker.status(headers={"cache-control": "no-store"}) == "bypass"
    assert asker.calls() == 4


def test_what_was_asked_for_anew_is_given_from_then_on(asker):
    first = asker.ask().content
    renewed = asker.ask(headers={"cache-control": "no-cache"})
    assert renewed.headers["x-obol-cache"] == "bypass"
    assert asker.ask().content == first  # the upstream says the same each time
    assert asker.calls() == 2


def test_an_answer_that_is_older_than_the_client_takes_is_asked_for_anew(asker):
    asker.ask()
    until(lambda: int(asker.ask().headers.get("age", "0")) >= 1, "the answer is a second old")
    assert asker.status(headers={"cache-control": "max-age=0"}) == "miss"
    assert asker.calls() == 2


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("max-age=600, max-age=0", "miss"),
        ("no-transform, MAX-AGE=0", "miss"),
        ("max-age", "miss"),
        ("max-age=soon", "miss"),
        ("max-age=-1", "miss"),
        ('max-age="600"', "hit-exact"),
        (f"max-age={'9' * 5000}", "hit-exact"),
        ("max-ages=0, =, ,, ;", "hit-exact"),
        ("No-Cache, only-if-cached=1, max-age=600", "not_cached"),
        ("no-store, max-age=600", "bypass"),
    ],
)
def test_of_several_words_the_strictest_counts_and_nonsense_means_nothing(asker, said, status):
    asker.ask()
    asker.ask(headers={"cache-control": "max-age=600"})
    answer = asker.ask(headers={"cache-control": said})
    found = answer.headers.get("x-obol-cache") or answer.json()["error"]["code"]
    assert found == status


def test_a_purge_forgets_at_once_what_a_team_was_answered_and_nothing_else(caching, asker):
    stranger = caching.make_key()
    strange = asker.other(stranger["key"])
    for one in (asker, strange):
        assert one.status() == "miss"
        assert one.status("by-all", script={}) in {"miss", "hit-exact"}
    purged = caching.admin("POST", "cache/purge", json={"team": stranger["team"]})
    assert purged.json() == {"organization_id": "org_default", "team_id": stranger["team"]}
    assert (strange.status(), asker.status()) == ("miss", "hit-exact")
    (row,) = caching.admin("GET", "audit", params={"object_id": stranger["team"], "object_kind": "team"}).json()[
        "data"
    ][:1]
    assert row["action"] == "purge"
    assert caching.admin("POST", "cache/purge", json={"organization": "org_default"}).status_code == 200
    assert (strange.status(), asker.status()) == ("miss", "miss")
    assert caching.admin("POST", "cache/purge", json={}).status_code == 400
    assert caching.admin("POST", "cache/purge", json={"team": "team_unknown"}).status_code == 404


@pytest.mark.parametrize("kind", ["key", "member"])
def test_a_purge_of_a_key_or_a_member_ends_what_it_was_answered_for_all_of_its_team(caching, asker, kind):
    team = caching.admin("POST", "teams", json={"name": uuid4().hex}).json()
    member = caching.admin("POST", "members", json={"name": "Ada", "team": team["id"]}).json()
    hers = {"name": "hers", "team": team["id"], "member": member["id"]}
    key = caching.admin("POST", "keys", json=hers).json()
    other_key = caching.admin("POST", "keys", json={"name": "his", "team": team["id"]}).json()
    ada, colleague = asker.other(key["key"]), asker.other(other_key["key"])
    assert (ada.status(), colleague.status()) == ("miss", "hit-exact")
    of = {"key": key["id"], "member": member["id"]}[kind]
    purged = caching.admin("POST", "purge", json={kind: of}).json()
    assert (purged["answers"], purged[f"{kind}_id"]) == (1, of)
    answer = colleague.ask()
    assert answer.headers["x-obol-cache"] == "miss"
    assert entry_of(caching, answer)["source"] == "upstream"
    assert caching.admin("POST", "purge", json={kind: of}).json()["answers"] == 0  # it is the colleague's now
    assert ada.status() == "hit-exact"
