"""What the OpenAPI document says of the admin API, and that the API keeps to it."""

from __future__ import annotations

import re

import httpx
import pytest
from admin_parts import ADMIN_KEY

from gateway.api.admin.fields import NAME_PATTERN


@pytest.fixture(scope="module")
def document(app):
    return app.openapi()


def operations(document):
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_refusal_is_documented_as_an_error_object(document):
    for name, operation in operations(document):
        refusals = {status: one for status, one in operation["responses"].items() if status[0] in "45"}
        assert {"400", "401", "403", "404", "409", "413", "503"} <= set(refusals), name
        for refusal in refusals.values():
            schema = refusal["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}, name


def test_nothing_is_refused_with_422(document):
    assert not [name for name, operation in operations(document) if "422" in operation["responses"]]


def test_every_good_answer_has_a_shape(document):
    for name, operation in operations(document):
        good = next(one for status, one in operation["responses"].items() if status[0] == "2")
        assert "$ref" in good["content"]["application/json"]["schema"], name


def test_every_operation_needs_an_admin_key(document):
    for name, operation in operations(document):
        assert operation["security"] == [{"admin key": []}], name


def test_ids_in_paths_are_bounded(document):
    for name, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                assert {"pattern", "maxLength"} <= set(parameter["schema"]), name


async def test_a_method_that_is_not_there_is_told_all_that_are(app):
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x", headers=headers) as client:
        refused = await client.put("/admin/keys/key_1")

    assert refused.status_code == 405
    assert refused.headers["allow"] == "DELETE, GET, PATCH"
    assert refused.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("name", ["a", " a ", "détaché", "検索 チーム", "a b", "👩", "-"])  # fmt: skip
async def test_names_that_fit_the_documented_pattern_are_taken(app, name):
    assert re.search(NAME_PATTERN, name)
    assert (await _asked(app, name)).status_code == 404  # the team, not the name, is what is wrong


@pytest.mark.parametrize(
    "name", ["", " ", "a\n", "a\tb", "a\0", "\x7f", "a\u00a0b", "a\u202eb", "a\u200bb", "\u3000", "a\U000e0041"]
)
async def test_names_that_do_not_are_refused(app, name):
    assert not re.search(NAME_PATTERN, name) or name.endswith("\n")
    refused = await _asked(app, name)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "name")


async def _asked(app, name):
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x", headers=headers) as client:
        return await client.post("/admin/members", json={"team": "team_none", "name": name})
