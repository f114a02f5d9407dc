"""What a client says of an answer is kept with the request that it is about: of its own team's requests alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from running_gateway import Gateway
from spec_parts import error_of, question

Say = Callable[..., httpx.Response]


@pytest.fixture
def key(gateway: Gateway) -> dict[str, Any]:
    return gateway.make_key()


@pytest.fixture
def request_id(gateway: Gateway, key: dict[str, Any], model: str) -> str:
    """Of an answer that the key has just got."""
    with openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client:
        response = client.chat.completions.with_raw_response.create(**question(model))
    return response.headers["x-request-id"]


@pytest.fixture
def say(gateway: Gateway, key: dict[str, Any]) -> Say:
    """Sends feedback with the key, or with another one."""

    def send(secret: str = key["key"], **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {secret}"}
        return httpx.post(f"{gateway.base_url}/feedback", json=body, headers=headers, timeout=60)

    return send


def kept(gateway: Gateway, **filters: str) -> list[dict[str, Any]]:
    page = gateway.admin("GET", "feedback", params=filters).raise_for_status().json()
    found: list[dict[str, Any]] = page["data"]
    return found


def test_feedback_on_an_answer_is_kept_with_who_gave_it(
    gateway: Gateway, key: dict[str, Any], request_id: str, say: Say
) -> None:
    answer = say(request_id=request_id, score=0.5, label="late", who="reviewer 7", comment="But right.")

    assert answer.status_code == 200
    given = answer.json()
    assert given.keys() == {"id", "object", "request_id", "created_at"}
    assert (given["object"], given["request_id"]) == ("feedback", request_id)
    (found,) = kept(gateway, request=request_id)
    (entry,) = gateway.ledger(request=request_id)
    assert (found["id"], found["created_at"]) == (given["id"], given["created_at"])
    assert (found["team_id"], found["key_id"]) == (entry["team_id"], key["id"])
    assert (found["score"], found["label"], found["who"], found["comment"]) == (0.5, "late", "reviewer 7", "But right.")


def test_the_same_said_again_is_the_same_feedback_and_something_else_is_another(
    gateway: Gateway, request_id: str, say: Say
) -> None:
    first, again = (say(request_id=request_id, score=1).json() for _ in range(2))
    other = say(request_id=request_id, score=0).json()

    assert first == again
    assert [one["id"] for one in kept(gateway, request=request_id)] == [other["id"], first["id"]]


def test_another_key_of_the_team_may_speak_of_its_requests(
    gateway: Gateway, key: dict[str, Any], request_id: str, say: Say
) -> None:
    body = {"team": key["team"], "name": "another"}
    colleague = gateway.admin("POST", "keys", json=body).raise_for_status().json()

    assert say(colleague["key"], request_id=request_id, score=1).status_code == 200
    assert [one["key_id"] for one in kept(gateway, request=request_id)] == [colleague["id"]]


def test_another_teams_request_cannot_be_told_from_one_that_never_was(
    gateway: Gateway, request_id: str, say: Say
) -> None:
    stranger = gateway.make_key()["key"]
    theirs, nobodys = say(stranger, request_id=request_id, score=1), say(stranger, request_id="req_none", score=1)

    assert theirs.status_code == nobodys.status_code == 404
    error = error_of(theirs)
    assert error == {**error_of(nobodys), "message": error["message"]}
    assert error["message"].replace(request_id, "req_none") == error_of(nobodys)["message"]
    assert kept(gateway, request=request_id) == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "score"),
        ({"score": 2}, "score"),
        ({"label": "x" * 65}, "label"),
        ({"score": 1, "stars": 5}, "stars"),
        ({"score": 1, "request_id": None}, "request_id"),
    ],
)
def test_a_body_that_says_nothing_or_too_much_is_refused(
    gateway: Gateway, request_id: str, say: Say, body: dict[str, Any], param: str
) -> None:
    refused = say(**({"request_id": request_id} | body))

    assert refused.status_code == 400
    assert error_of(refused)["param"] == param
    assert kept(gateway, request=request_id) == []


def test_feedback_needs_a_key_before_anything_of_it_is_read(gateway: Gateway) -> None:
    refused = httpx.post(f"{gateway.base_url}/feedback", content=b"no JSON")

    assert (refused.status_code, error_of(refused)["code"]) == (401, "missing_api_key")


def test_a_body_that_is_far_too_large_is_refused(request_id: str, say: Say) -> None:
    refused = say(request_id=request_id, score=1, comment="x" * 100_000)

    assert (refused.status_code, error_of(refused)["code"]) == (413, "request_too_large")
