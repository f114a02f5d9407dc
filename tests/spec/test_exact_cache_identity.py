"""Which requests a route with a cache takes for the same, and for whom."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("fields", "is_same"),
    [
        ({"max_tokens": 7}, False),
        ({"an_unknown_field": {"a": 1, "b": 2}}, False),
        ({"metadata": {"a": "b"}}, True),
        ({"stream": True, "stream_options": {"include_usage": True}}, True),
        ({"user": "somebody"}, False),  # elsewhere than at OpenAI's a server may know its users
        ({"temperature": 0.0}, False),  # written otherwise: a miss is never wrong
    ],
)
def test_every_field_counts_but_those_that_change_no_answer(asker, fields, is_same):
    assert asker.status() == "miss"
    assert asker.status(**fields) == ("hit-exact" if is_same else "miss")


def test_the_order_of_keys_does_not_count(asker):
    assert asker.status(an_unknown_field={"a": {"b": 1, "c": [2, 3]}, "d": 4}) == "miss"
    assert asker.status(an_unknown_field={"d": 4, "a": {"c": [2, 3], "b": 1}}) == "hit-exact"
    assert asker.status(an_unknown_field={"d": 4, "a": {"c": [3, 2], "b": 1}}) == "miss"


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.7},
        {"temperature": None},
        {"store": True},
        {"web_search_options": {}},
        {"tools": [{"type": "web_search"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
    ],
)
def test_what_may_be_answered_otherwise_next_time_is_not_looked_for(asker, fields):
    assert [asker.status(**fields) for _ in range(2)] == ["bypass", "bypass"]


def test_a_route_may_give_answers_of_any_temperature_again(asker):
    assert [asker.status("any-temperature", temperature=1) for _ in range(2)] == ["miss", "hit-exact"]


def test_an_image_that_is_in_the_request_counts_as_its_content(asker):
    def asked(data: str) -> dict[str, Any]:
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        return {"messages": [{"role": "user", "content": [part]}]}

    assert [asker.status(**asked(data)) for data in ("aaaa", "aaaa", "aaab")] == ["miss", "hit-exact", "miss"]


def test_teams_are_apart_and_keys_of_a_team_are_not_unless_the_route_says_otherwise(caching, asker):
    team = caching.admin("GET", "keys").json()["data"][0]["team"]
    mate = caching.admin("POST", "keys", json={"team": team, "name": "mate"}).json()["key"]
    stranger = caching.make_key()["key"]
    seen = {}
    for route in ("cached", "by-key", "by-organization", "by-all"):
        asker.status(route, script={"extra": {"of": route}})
        seen[route] = tuple(
            asker.other(one).status(route, script={"extra": {"of": route}}) == "hit-exact" for one in (mate, stranger)
        )
    assert seen == {
        "cached": (True, False),
        "by-key": (False, False),
        "by-organization": (True, True),
        "by-all": (True, True),
    }


def test_an_answer_of_one_region_is_not_given_to_who_asks_for_another(asker):
    assert asker.status("placed") == "miss"
    assert asker.status("placed", headers={"x-obol-regions": "us"}) == "miss"
    assert asker.status("placed", headers={"x-obol-regions": "eu"}) == "hit-exact"
