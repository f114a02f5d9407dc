"""What tests of guards that fail share: a question to a route that has one, and what its client is told of it."""

from __future__ import annotations

from typing import Any

import openai
from running_gateway import Gateway

QUESTION: list[Any] = [{"role": "user", "content": "What now?"}]


def ask(gateway: Gateway, key: dict[str, Any], model: str) -> tuple[int, str]:
    """The status, and what the client is told of the guard, or else of the error."""
    with openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client:
        try:
            raw = client.chat.completions.with_raw_response.create(model=model, messages=QUESTION, user=key["id"])
        except openai.APIStatusError as exc:
            return exc.status_code, exc.response.headers.get("x-obol-guards", exc.message).partition("=")[2]
        return raw.status_code, raw.headers.get("x-obol-guards", "").partition("=")[2]
