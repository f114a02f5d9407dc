"""What stands below /v1/responses/{id}, over fakes: streams that are taken up again, and what must not leak."""

from __future__ import annotations

from types import MappingProxyType, SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from gateway.api.stored_responses import stored_responses_router
from gateway.api.surface import install_errors
from gateway.domain import Caller, Deployment, Endpoint, Provider, StoredResponse
from gateway.errors import StoreUnavailable, UpstreamInterrupted, UpstreamRefused, UpstreamUnreachable

CALLER = Caller("key_1", "k", "team_1", "t", "org_1")
SECRET = "sk-upstream-secret"
PROVIDER = Provider("p", "fake", api_key=SECRET)
DEPLOYMENT = Deployment("d", PROVIDER, "m", speaks=frozenset({Endpoint.RESPONSES}))
EVENTS = [b'event: response.output_text.delta\ndata: {"sequence_number":4}\n\n', b"event: x\ndata: {}\n\n"]


class Reply:
    http_status, upstream_request_id, headers = 200, None, MappingProxyType({})

    def __init__(self, first, *rest):
        self.first, self.rest, self.is_closed = first, list(rest), False

    async def next(self):
        block = self.rest.pop(0) if self.rest else None
        if isinstance(block, Exception):
            raise block
        return block

    def close(self):
        self.is_closed = True

    finish = close


class Upstream:
    def __init__(self, script):
        self.script, self.calls = script, []

    async def open(self, call):
        self.calls.append(call)
        if isinstance(self.script, Exception):
            raise self.script
        return self.script


class Shelf:
    def __init__(self):
        self.kept = {"resp_1": StoredResponse("resp_1", "org_1", "team_1", "key_1", "d")}
        self.is_away = False

    async def find(self, response_id):
        if self.is_away:
            raise StoreUnavailable("The database is not available right now. Please retry.")
        return self.kept.get(response_id)

    async def forget(self, response_id):
        del self.kept[response_id]


class Pipeline:
    """As where there are no guards."""

    def __init__(self, services) -> None:
        assert services.guards is None

    def is_screened(self, deployment, caller):
        del deployment, caller
        return False

    async def screened_again(self, kept, request, dialect, caller):
        del request, dialect, caller
        return kept


class Keys:
    async def find(self, _secret):
        return CALLER


def surface(script, *, deployments=(DEPLOYMENT,)):
    by_name = {one.name: one for one in deployments}
    services = SimpleNamespace(
        keys=Keys(),
        trusted_proxies=(),
        stored=Shelf(),
        backends={"fake": Upstream(script)},
        catalog=lambda: SimpleNamespace(deployment=by_name.get),
        guards=None,
    )
    framework = FastAPI()
    install_errors(framework)
    framework.include_router(stored_responses_router(services, Pipeline(services)))
    transport = httpx.ASGITransport(framework)
    headers = {"authorization": "Bearer key"}
    return services, httpx.AsyncClient(transport=transport, base_url="http://x/v1/responses", headers=headers)


async def test_a_stream_is_taken_up_again_where_the_client_left_it():
    reply = Reply(*EVENTS)
    services, client = surface(reply)
    answer = await client.get("/resp_1", params={"stream": "true", "starting_after": 3})
    assert (answer.content, answer.headers["content-type"]) == (b"".join(EVENTS), "text/event-stream; charset=utf-8")
    (call,) = services.backends["fake"].calls
    assert (call.is_stream, call.method, call.item) == (True, "GET", ("resp_1",))
    assert call.query == {"stream": "true", "starting_after": "3"}
    assert reply.is_closed


async def test_a_stream_that_breaks_again_ends_with_an_error_that_tells_no_secret():
    _, client = surface(Reply(EVENTS[0], UpstreamInterrupted(f"cut {SECRET}")))
    answer = await client.get("/resp_1", params={"stream": "true"})
    assert answer.text.endswith(
        'event: error\ndata: {"type":"error","sequence_number":5,"code":"upstream_interrupted",'
        '"message":"cut [secret]","param":null}\n\n'
    )


async def test_the_beginning_of_an_event_that_was_cut_is_not_shown():
    _, client = surface(Reply(EVENTS[0], b'event: x\ndata: {"seq', UpstreamInterrupted("cut")))
    answer = await client.get("/resp_1", params={"stream": "true"})
    assert answer.content.startswith(EVENTS[0] + b"event: error\n")


async def test_a_cut_answer_is_an_error():
    _, client = surface(Reply(b'{"id"', UpstreamInterrupted("cut")))
    assert (await client.get("/resp_1")).status_code == 502


async def test_what_the_upstream_refuses_comes_back_without_our_secrets():
    refused = UpstreamRefused(f"not with {SECRET}", http_status=400, status=400, type_="invalid", code="no")
    _, client = surface(refused)
    answer = await client.post("/resp_1/cancel")
    assert answer.status_code == 400
    assert answer.json()["error"] == {"message": "not with [secret]", "type": "invalid", "param": None, "code": "no"}


async def test_what_the_upstream_has_forgotten_is_not_found_like_anything_unknown():
    _, client = surface(UpstreamRefused("who?", http_status=404, status=404, type_="x", code="model_not_found"))
    forgotten, unknown = await client.get("/resp_1"), await client.get("/resp_2")
    assert forgotten.status_code == unknown.status_code == 404
    assert forgotten.json() == {"error": {**unknown.json()["error"], "message": "Response with id 'resp_1' not found."}}


async def test_a_response_whose_deployment_left_the_catalog_says_so():
    _, client = surface(Reply(b"{}"), deployments=())
    answer = await client.get("/resp_1")
    assert answer.status_code == 404
    assert "its deployment 'd' is not in the catalog any more" in answer.json()["error"]["message"]


async def test_a_response_is_kept_when_its_deletion_fails():
    services, client = surface(UpstreamUnreachable("The upstream cannot be reached."))
    assert (await client.delete("/resp_1")).status_code == 502
    assert "resp_1" in services.stored.kept


async def test_a_deleted_response_is_forgotten():
    services, client = surface(Reply(b'{"id":"resp_1","deleted":true}'))
    assert (await client.delete("/resp_1")).json() == {"id": "resp_1", "deleted": True}
    assert services.stored.kept == {}


@pytest.mark.parametrize("path", ["/resp_1", "/resp_1/input_items"])
async def test_while_nobody_can_tell_whose_it_is_nothing_is_shown(path):
    services, client = surface(Reply(b"{}"))
    services.stored.is_away = True
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert services.backends["fake"].calls == []
