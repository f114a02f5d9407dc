"""Images: made and edited with the official SDK, verbatim, charged by token or by the piece of their size."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import httpx
import openai
import pytest
from media_parts import picture
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import Books, error_of

IMAGE_NUSD = 40_000_000
PROMPT = "A gateway of gold"
USED = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 20, "image_tokens": 30},
    "output_tokens": 1056,
    "total_tokens": 1106,
}
USED_NUSD = 20 * 5000 + 30 * 10_000 + 1056 * 40_000


def meters(entry: dict[str, Any]) -> dict[str, int]:
    return {reading["meter"]: reading["quantity"] for reading in entry["meters"]}


def test_images_are_charged_by_the_piece(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    made = client.images.with_raw_response.generate(
        model="paint/dall-e", prompt=PROMPT, n=3, user=user, extra_body={"later": 1.0}
    )
    assert [base64.b64decode(image.b64_json or "") for image in made.parse().data or []] == [b"image"] * 3
    assert made.headers["x-obol-cost-usd"] == "0.12"
    entry = books.entry(made.headers["x-request-id"])
    assert (entry["endpoint"], entry["basis"], entry["end_user"]) == ("images/generations", "reported", user)
    assert (meters(entry), entry["cost_nusd"]) == ({"image_generated": 3}, 3 * IMAGE_NUSD)
    (call,) = upstream.calls(user)
    assert call["body"] == {"model": "dall-e", "prompt": PROMPT, "n": 3, "user": user, "later": 1.0}


@pytest.mark.parametrize(
    ("asked", "tier", "cost_nusd"),
    [
        ({"size": "1024x1792", "quality": "hd"}, "hd/1024x1792", 120_000_000),
        ({"size": "256x256"}, "256x256", 16_000_000),
        ({"size": "256x256", "quality": "hd"}, "256x256", 16_000_000),
        ({"size": "1024x1792"}, None, IMAGE_NUSD),
    ],
)
def test_a_size_with_a_price_of_its_own_is_charged_that(
    client: openai.OpenAI, books: Books, asked: dict[str, Any], tier: str | None, cost_nusd: int
) -> None:
    made = client.images.with_raw_response.generate(model="paint/dall-e", prompt=PROMPT, **asked)
    entry = books.entry(made.headers["x-request-id"])
    assert (entry["service_tier"], entry["cost_nusd"]) == (tier, cost_nusd)


def test_images_are_charged_by_the_tokens_that_the_upstream_reports(client: openai.OpenAI, books: Books) -> None:
    made = client.images.with_raw_response.generate(
        model="paint-tokens/gpt-image", prompt=PROMPT, extra_body={"script": {"usage": USED}}
    )
    entry = books.entry(made.headers["x-request-id"])
    assert meters(entry) == {"input": 20, "image": 30, "image_output": 1056}
    assert (entry["basis"], entry["cost_nusd"]) == ("reported", USED_NUSD)


def test_partial_images_stream_and_are_charged_with_the_last_one(client: openai.OpenAI, books: Books) -> None:
    with client.images.with_streaming_response.generate(
        model="paint-tokens/gpt-image",
        prompt=PROMPT,
        stream=True,
        partial_images=2,
        extra_body={"script": {"usage": USED}},
    ) as made:
        assert made.headers["content-type"].startswith("text/event-stream")
        text = made.read().decode()
        entry = books.entry(made.headers["x-request-id"])
    events = [event.split("\n") for event in text.split("\n\n") if event]
    kinds = ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event[0] for event in events] == [f"event: {kind}" for kind in kinds]
    assert json.loads(events[-1][1][6:])["usage"] == USED
    assert (entry["is_stream"], entry["basis"], entry["cost_nusd"]) == (True, "reported", USED_NUSD)


def test_the_sdk_reads_a_stream_of_images(client: openai.OpenAI) -> None:
    made = client.images.generate(
        model="paint/stream", prompt=PROMPT, stream=True, extra_body={"script": {"usage": USED}}
    )
    assert [event.type for event in made] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]


def test_a_stream_of_images_that_breaks_off_is_charged_as_asked(client: openai.OpenAI, gateway: Gateway) -> None:
    key = gateway.make_key()
    made = client.with_options(api_key=key["key"]).images.generate(
        model="paint/cut-stream", prompt=PROMPT, stream=True, extra_body={"script": {"cut_after": 1}}
    )
    with pytest.raises(openai.APIError, match="broke off"):
        list(made)
    (entry,) = until(lambda: gateway.ledger(key=key["id"]), "the call was charged")
    assert (entry["status"], entry["basis"], entry["cost_nusd"]) == ("interrupted", "estimated", IMAGE_NUSD)


@pytest.mark.parametrize("images", [1, 2])
def test_images_are_edited_from_files(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str, images: int
) -> None:
    files = [(f"{number}.png", picture(), "image/png") for number in range(images)]
    made = client.images.with_raw_response.edit(
        model="paint-tokens/gpt-image",
        image=files if images > 1 else files[0],
        mask=("mask.png", picture()),
        prompt=PROMPT,
        n=1,
        user=user,
        extra_body={"script": json.dumps({"usage": USED})},
    )
    entry = books.entry(made.headers["x-request-id"])
    assert (entry["endpoint"], entry["cost_nusd"]) == ("images/edits", USED_NUSD)
    (call,) = upstream.calls(user)
    digest = hashlib.sha256(picture()).hexdigest()
    names = ["image[]"] * images if images > 1 else ["image"]
    parts = {(name, filename) for name, filename, *_, found in call["body"]["form"] if found == digest}
    assert parts == {(name, f"{number}.png") for number, name in enumerate(names)} | {("mask", "mask.png")}
    assert call["body"]["model"] == "gpt-image"


def test_images_are_edited_from_references(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    body = {"model": "paint/x", "prompt": PROMPT, "images": [{"file_id": "file-1"}], "user": user}
    made = http.post("/v1/images/edits", json=body)
    assert books.entry(made.headers["x-request-id"])["cost_nusd"] == IMAGE_NUSD
    assert upstream.calls(user)[0]["body"] == {**body, "model": "x"}


def test_variations_of_an_image_are_charged_by_the_piece(client: openai.OpenAI, books: Books) -> None:
    made = client.images.with_raw_response.create_variation(
        image=("a.png", picture()), model="paint/dall-e", n=2, size="256x256"
    )
    entry = books.entry(made.headers["x-request-id"])
    assert (entry["endpoint"], entry["service_tier"]) == ("images/variations", "256x256")
    assert (meters(entry), entry["cost_nusd"]) == ({"image_generated": 2}, 2 * 16_000_000)


def test_an_answer_without_an_image_is_no_answer(http: httpx.Client, books: Books) -> None:
    script = {"body": {"created": 1, "data": []}}
    made = http.post("/v1/images/generations", json={"model": "paint/none", "prompt": PROMPT, "script": script})
    assert made.status_code == 502
    assert error_of(made)["code"] == "upstream_bad_response"
    assert books.entry(made.headers["x-request-id"])["cost_nusd"] == 0


def test_a_refused_image_costs_nothing(client: openai.OpenAI, books: Books) -> None:
    error = {"message": "not that", "type": "image_generation_user_error", "param": None, "code": "moderation_blocked"}
    with pytest.raises(openai.BadRequestError, match="not that") as refused:
        client.images.generate(
            model="paint/blocked",
            prompt=PROMPT,
            extra_body={"script": {"status": 400, "body": {"error": error}}},
        )
    assert refused.value.code == "moderation_blocked"
    assert books.entry(refused.value.request_id)["basis"] == "unbilled"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("generations", {"model": "paint/x"}, "prompt"),
        ("generations", {"prompt": PROMPT}, "model"),
        ("generations", {"model": "paint/x", "prompt": PROMPT, "n": "many"}, "n"),
    ],
)
def test_a_request_that_lacks_something_is_refused_by_its_name(
    http: httpx.Client, path: str, body: dict[str, object], param: str
) -> None:
    answer = http.post(f"/v1/images/{path}", json=body)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


@pytest.mark.parametrize(
    ("form", "param"), [({"model": "paint/x", "prompt": "x"}, "image"), ({"model": "paint/x", "n": "2.5"}, "n")]
)
def test_a_form_that_lacks_something_is_refused_by_its_name(
    http: httpx.Client, form: dict[str, str], param: str
) -> None:
    files = {"image" if param != "image" else "mask": picture()}
    answer = http.post("/v1/images/edits", data=form, files=files)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param
