"""A route that asks a team's own list of questions: its answers are the team's words, at no cost, and of a version."""

from __future__ import annotations

import pytest
from deflection_parts import ANSWER, entry_of
from faq_parts import LIST
from running_gateway import until

ASKED = "Hi, how can I return an order?"


@pytest.fixture
def listed(deflecting, deflecting_key, messenger):
    """The team's list, once it is in force: a function that replaces it."""

    def put(version, tail):
        entries = [
            {"id": name, "question": texts[0], "paraphrases": texts[1:], "answer": f"This is about {name}{tail}"}
            for name, texts in LIST.items()
        ]
        path = f"teams/{deflecting_key['team']}/faq"
        deflecting.admin("PUT", path, json={"version": version, "entries": entries}, timeout=60).raise_for_status()

        def is_in_force():
            answer = messenger.chat(ASKED, model="faq")
            return answer.headers.get("x-obol-faq", "").endswith(f"@{version + 1}") and answer

        return until(is_in_force, "the list is in force")

    return put


def test_what_stands_on_the_list_is_answered_in_the_teams_words_and_the_entry_and_version_are_told(deflecting, listed):
    answer = listed(0, ".")
    entry_id = answer.headers["x-obol-faq"].partition("@")[0]
    assert answer.json()["choices"][0]["message"]["content"] == f"This is about {entry_id}."
    assert (answer.headers["x-obol-source"], answer.headers["x-obol-deflector"]) == ("deflected", "faq")
    entry = entry_of(deflecting, answer)
    assert (entry["source"], entry["deflector"], entry["cost_nusd"]) == ("deflected", "faq", 0)
    assert entry["model_answered"] == f"{entry_id}@1"

    changed = listed(1, ", and more.")
    assert changed.json()["choices"][0]["message"]["content"] == f"This is about {entry_id}, and more."


def test_what_is_computed_comes_first_and_what_is_on_no_list_is_asked_of_a_model(messenger, listed):
    listed(0, ".")
    assert messenger.chat(model="faq").json()["choices"][0]["message"]["content"] == ANSWER
    assert messenger.chat("Write a poem about the sea.", model="faq").headers["x-obol-source"] == "upstream"


def test_a_list_is_its_teams_alone_and_asked_on_routes_that_name_it(deflecting, upstream, messenger, listed):
    listed(0, ".")
    assert messenger.chat(ASKED).headers["x-obol-source"] == "upstream"
    other = type(messenger)(deflecting, upstream, deflecting.make_key()["key"])
    assert other.chat(ASKED, model="faq").headers["x-obol-source"] == "upstream"


def test_who_asks_again_asks_a_model(messenger, listed):
    first = listed(0, ".").json()["choices"][0]["message"]
    said = [{"role": "user", "content": ASKED}]
    again = messenger.post("chat/completions", {"model": "faq", "messages": [*said, first, *said]})
    assert again.headers["x-obol-source"] == "upstream"


def test_explain_says_so(messenger, listed):
    listed(0, ".")
    told = messenger.post("route/explain", {"model": "faq", "messages": [{"role": "user", "content": ASKED}]}).json()
    assert told["deflector"] == "faq"
