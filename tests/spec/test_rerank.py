"""Reranking: verbatim, charged by search units or tokens as the upstream reports them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from running_gateway import UpstreamProcess
from spec_parts import Books, error_of

QUERY_NUSD = 2_000_000


def asked(model: str, documents: int = 3, **more: Any) -> dict[str, Any]:
    return {"model": model, "query": "Which?", "documents": ["This one."] * documents, **more}


def meters(entry: dict[str, Any]) -> dict[str, int]:
    return {reading["meter"]: reading["quantity"] for reading in entry["meters"]}


def test_documents_are_ranked_and_charged_by_the_units_that_the_upstream_reports(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    body = asked("rank/cohere", top_n=2, user=user, later=1.0)
    ranked = http.post("/v1/rerank", json=body)
    assert [result["index"] for result in ranked.json()["results"]] == [0, 1, 2]
    assert ranked.headers["x-obol-cost-usd"] == "0.002"
    entry = books.entry(ranked.headers["x-request-id"])
    assert (entry["endpoint"], entry["basis"], entry["end_user"]) == ("rerank", "reported", user)
    assert (meters(entry), entry["cost_nusd"]) == ({"query": 1}, QUERY_NUSD)
    (call,) = upstream.calls(user)
    assert call["path"] == "/v1/rerank"
    assert call["body"] == {**body, "model": "cohere"}


@pytest.mark.parametrize("used", [{"total_tokens": 200}, {"total_tokens": 200, "prompt_tokens": 200}])
def test_documents_are_charged_by_the_tokens_that_the_upstream_reports(
    http: httpx.Client, books: Books, used: dict[str, int]
) -> None:
    ranked = http.post("/v1/rerank", json=asked("rank-tokens/jina", script={"usage": used}))
    assert ranked.json()["usage"] == used
    entry = books.entry(ranked.headers["x-request-id"])
    assert (entry["basis"], entry["input_tokens"], entry["cost_nusd"]) == ("reported", 200, 200 * 50)


@pytest.mark.parametrize(("documents", "units"), [(1, 1), (100, 1), (101, 2)])
def test_a_unit_is_a_query_with_a_hundred_documents_where_none_is_reported(
    http: httpx.Client, books: Books, documents: int, units: int
) -> None:
    ranked = http.post("/v1/rerank", json=asked("rank/silent", documents, script={"no_usage": True}))
    entry = books.entry(ranked.headers["x-request-id"])
    assert (entry["basis"], meters(entry), entry["cost_nusd"]) == ("estimated", {"query": units}, units * QUERY_NUSD)


def test_an_answer_without_results_is_no_answer(http: httpx.Client, books: Books) -> None:
    ranked = http.post("/v1/rerank", json=asked("rank/broken", script={"body": {"id": "x"}}))
    assert ranked.status_code == 502
    assert error_of(ranked)["code"] == "upstream_bad_response"
    assert books.entry(ranked.headers["x-request-id"])["cost_nusd"] == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "rank/x", "documents": ["x"]}, "query"),
        ({"model": "rank/x", "query": "x"}, "documents"),
        ({"model": "rank/x", "query": "x", "documents": "x"}, "documents"),
        ({"query": "x", "documents": ["x"]}, "model"),
    ],
)
def test_a_request_that_lacks_something_is_refused_by_its_name(
    http: httpx.Client, body: dict[str, object], param: str
) -> None:
    answer = http.post("/v1/rerank", json=body)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param
