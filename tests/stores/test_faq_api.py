"""A team's list of questions over the admin API."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from admin_parts import ADMIN_KEY, Admin, tenants_app
from faq_parts import LIST

from gateway.answer_ports import IndexAway

ENTRIES = [
    {"id": name, "question": texts[0], "paraphrases": list(texts[1:]), "answer": f"This is about\n{name}."}
    for name, texts in LIST.items()
]
ENTRY = ENTRIES[0]


async def nobody(_texts, **_urgency):
    raise IndexAway("nobody is there")


@pytest.fixture(scope="module")
def owner(engine):
    return Admin(tenants_app(engine), ADMIN_KEY)


@pytest.fixture
def unaided(engine, monkeypatch):
    """The owner of a gateway whose embedder is away for good."""
    monkeypatch.setattr("gateway.stores.faq_cache._ATTEMPT_S", 0)
    return Admin(tenants_app(engine, embed=nobody), ADMIN_KEY)


@pytest.fixture
async def team(owner):
    return (await owner.post("teams", name=uuid4().hex))["id"]


@pytest.fixture
def faq(team):
    return f"teams/{team}/faq"


async def test_a_list_is_read_as_it_was_put_and_tells_who_changed_it(owner, faq, team):
    assert await owner.get(faq) == {
        "team_id": team,
        "version": 0,
        "created_at": None,
        "changed_by": None,
        "entries": [],
    }
    put = await owner.put(faq, version=0, entries=ENTRIES)
    read = await owner.get(faq)

    assert (read["version"], read["entries"], read["changed_by"]) == (1, ENTRIES, "operator (admin)")
    assert put == read | {"problems": []}


async def test_versions_are_listed_and_read(owner, faq):
    await owner.put(faq, version=0, entries=ENTRIES)
    await owner.put(faq, version=1, entries=ENTRIES[:1])

    listed = await owner.get(f"{faq}/versions")
    assert [one["version"] for one in listed["data"]] == [2, 1]
    assert listed["next_cursor"] is None
    assert (await owner.get(faq, version=1))["entries"] == ENTRIES
    assert await owner.refused("GET", faq, query={"version": "3"}) == (404, "not_found", "version")
    assert (await owner.refused("GET", faq, query={"version": "first"}))[0] == 400


async def test_a_change_of_an_older_version_is_refused(owner, faq):
    await owner.put(faq, version=0, entries=ENTRIES)
    assert await owner.refused("PUT", faq, {"version": 0, "entries": []}) == (409, "version_changed", "version")
    assert (await owner.get(faq))["entries"] == ENTRIES


async def test_questions_that_read_alike_are_told(owner, faq):
    twin = {"id": "refund", "question": "How do I return my orders?", "answer": "Another."}
    problems = (await owner.put(faq, version=0, entries=[*ENTRIES, twin]))["problems"]
    assert {"entry": "refund", "question": twin["question"], "answered_as": "returns"} in problems


async def test_a_message_is_tried(owner, faq):
    await owner.put(faq, version=0, entries=ENTRIES)

    found = await owner.post(f"{faq}/try", text="hi, how can i return an order?")
    assert (found["entry"], found["answer"], found["doubt"]) == ("returns", "This is about\nreturns.", None)
    assert found["version"] == 1
    assert 0 <= found["risk"] <= 0.02
    found = await owner.post(f"{faq}/try", text="hi, how can i return an order?", wrong_answers_max=0)
    assert (found["entry"], found["answer"], found["nearest"], found["doubt"]) == (None, None, "returns", "unsure")
    found = await owner.post(f"{faq}/try", text="I cannot return my order")
    assert (found["entry"], found["doubt"]) == (None, "polarity")


async def test_where_nothing_is_on_the_list_nothing_can_be_tried(owner, faq):
    assert await owner.refused("POST", f"{faq}/try", {"text": "hello"}) == (404, "not_found", "team_id")


async def test_a_list_is_kept_though_nothing_can_be_compared_just_now(unaided):
    faq = f"teams/{(await unaided.post('teams', name=uuid4().hex))['id']}/faq"

    put = await unaided.put(faq, version=0, entries=ENTRIES)

    assert (put["version"], put["problems"]) == (1, None)
    assert (await unaided.refused("POST", f"{faq}/try", {"text": "hello"}))[0] == 503


async def test_a_teams_admin_changes_its_list_and_a_viewer_reads_and_tries_it(owner, faq, team):
    admin, viewer = [await owner.become(role, {"team": team}) for role in ("team_admin", "viewer")]
    await admin.put(faq, version=0, entries=ENTRIES)

    assert (await viewer.get(faq))["version"] == 1
    assert (await viewer.post(f"{faq}/try", text="return my order"))["entry"] == "returns"
    refused = await viewer.refused("PUT", faq, {"version": 1, "entries": []})
    assert refused == (403, "role_not_allowed", None)


@pytest.mark.parametrize(
    ("entries", "param"),
    [
        ([ENTRY | {"id": "has space"}], "entries.0.id"),
        ([ENTRY | {"id": ""}], "entries.0.id"),
        ([ENTRY | {"id": "é"}], "entries.0.id"),
        ([ENTRY | {"question": "a\nb"}], "entries.0.question"),
        ([ENTRY | {"question": "q" * 301}], "entries.0.question"),
        ([ENTRY | {"paraphrases": ["word"] * 101}], "entries.0.paraphrases"),
        ([ENTRY | {"answer": ""}], "entries.0.answer"),
        ([ENTRY | {"answer": "a\0"}], "entries.0.answer"),
        ([ENTRY | {"answer": "a" * 8001}], "entries.0.answer"),
        ([ENTRY | {"wordings": []}], "entries.0.wordings"),
        ([ENTRY | {"id": f"e{number}"} for number in range(501)], "entries"),
    ],
)
async def test_a_list_has_its_limits(owner, faq, entries, param):
    status, _, named = await owner.refused("PUT", faq, {"version": 0, "entries": entries})
    assert status == 400
    assert (named or "").endswith(param)


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([ENTRY, ENTRY], "duplicate_entry"),
        ([ENTRY | {"question": "?!"}], "question_without_words"),
        ([ENTRY | {"paraphrases": [" "]}], "question_without_words"),
        ([ENTRY | {"id": f"e{number}", "paraphrases": ["word"] * 100} for number in range(20)], "too_many_questions"),
    ],
)
async def test_a_list_that_cannot_be_is_a_conflict(owner, faq, entries, code):
    assert await owner.refused("PUT", faq, {"version": 0, "entries": entries}) == (409, code, "entries")


async def test_a_list_may_be_as_large_as_is_said(unaided):
    faq = f"teams/{(await unaided.post('teams', name=uuid4().hex))['id']}/faq"
    wordings = [f"what about thing {number}" for number in range(3)]
    entries = [ENTRY | {"id": f"e{number}", "paraphrases": wordings} for number in range(500)]
    assert len(json.dumps(entries)) < 1 << 20
    assert len((await unaided.put(faq, version=0, entries=entries))["entries"]) == 500
