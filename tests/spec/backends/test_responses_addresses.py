"""Where the backend asks for responses and for what stands below one, at OpenAI's kind of server and at Azure's."""

from __future__ import annotations

import pytest

from backends.openai_compatible import OpenAICompatible
from gateway.domain import Call, Deployment, Endpoint, Provider
from gateway.errors import UpstreamRefused


def call_at(base_url, kind="openai", query=None, **fields):
    provider = Provider("p", kind, base_url, "sk-upstream", query=query or {})
    return Call(Deployment("d", provider, "gpt x"), Endpoint.RESPONSES, **{"body": b"", "headers": {}, **fields})


@pytest.mark.parametrize(
    ("method", "item", "path"),
    [
        ("GET", ("resp_1",), "/v1/responses/resp_1"),
        ("DELETE", ("resp_1",), "/v1/responses/resp_1"),
        ("GET", ("resp_1", "input_items"), "/v1/responses/resp_1/input_items"),
        ("POST", ("resp_1", "cancel"), "/v1/responses/resp_1/cancel"),
        ("GET", ("a?b#c",), "/v1/responses/a?b#c"),
    ],
)
async def test_what_stands_below_a_response_is_asked_for_with_its_method_and_parameters(
    upstream, transport, method, item, path
):
    asked = call_at(upstream.base_url, query={"v": "2"}, is_stream=False, method=method, item=item)
    with pytest.raises(UpstreamRefused) as refused:
        await OpenAICompatible(transport).open(asked)
    assert refused.value.http_status == 404
    (call,) = upstream.calls
    assert (call.method, call.path, call.query, call.body) == (method, path, {"v": "2"}, "")
    assert call.headers["authorization"] == "Bearer sk-upstream"


async def test_a_parameter_that_was_given_twice_travels_twice(upstream, transport):
    call = Call(
        call_at(upstream.base_url, is_stream=False).deployment,
        Endpoint.RESPONSES,
        b"",
        is_stream=False,
        headers={},
        query={"include[]": ("a", "b"), "limit": "3"},
        method="GET",
        item=("resp_1",),
    )
    address = OpenAICompatible(transport)._address(call)
    assert address.query_string == "include[]=a&include[]=b&limit=3"


@pytest.mark.parametrize("suffix", ["", "/openai", "/openai/v1", "/openai/deployments/x"])
@pytest.mark.parametrize("item", [(), ("resp_1",)])
async def test_azure_has_responses_beside_its_deployments(transport, suffix, item):
    backend = OpenAICompatible(transport, is_azure=True)
    call = call_at(f"https://r.openai.azure.com{suffix}", "azure", is_stream=False, item=item)
    below = "/resp_1" if item else ""
    assert str(backend._address(call)) == f"https://r.openai.azure.com/openai/v1/responses{below}"


async def test_azure_has_them_in_the_older_api_where_the_operator_names_its_version(transport):
    backend = OpenAICompatible(transport, is_azure=True)
    version = {"api-version": "2025-04-01-preview"}
    call = call_at("https://r.openai.azure.com", "azure", version, is_stream=False, item=("resp_1",))
    expected = "https://r.openai.azure.com/openai/responses/resp_1?api-version=2025-04-01-preview"
    assert str(backend._address(call)) == expected
