"""One conversation with the openai package that PYTHONPATH offers; prints what came of it as JSON.

``python conversation.py <base url> <key> <model>``. Uses only what every version since 1.0 has.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import openai

QUESTION: list[Any] = [{"role": "user", "content": "What now?"}]


def synchronous(client: openai.OpenAI, model: str) -> dict[str, Any]:
    answer = client.chat.completions.create(model=model, messages=QUESTION)
    streamed = client.chat.completions.create(
        model=model, messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(streamed)
    vector = client.embeddings.create(model=model, input="text").data[0].embedding
    told = {
        "whole": answer.choices[0].message.content,
        "tokens": answer.usage.total_tokens if answer.usage else None,
        "request_id": answer._request_id,
        "streamed": "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
        "streamed_tokens": chunks[-1].usage.total_tokens if chunks[-1].usage else None,
        "streamed_request_id": streamed.response.headers["x-request-id"],
        "vector": vector,
        "models": model in [one.id for one in client.models.list()],
    }
    try:
        client.chat.completions.create(model="no-such-model", messages=QUESTION)
    except openai.NotFoundError as exc:
        told["error"] = exc.code
    try:
        broken = client.chat.completions.create(
            model=model, messages=QUESTION, stream=True, extra_body={"script": {"cut_after": 3}}
        )
        list(broken)
    except openai.APIError as exc:
        told["cut"] = exc.code
    return told


async def asynchronous(client: openai.AsyncOpenAI, model: str) -> dict[str, Any]:
    answer = await client.chat.completions.create(model=model, messages=QUESTION)
    stream = await client.chat.completions.create(model=model, messages=QUESTION, stream=True)
    streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    await client.close()
    return {"whole": answer.choices[0].message.content, "streamed": streamed}


def main() -> None:
    base_url, key, model = sys.argv[1:]
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        told = synchronous(client, model)
    late = openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0)
    print(json.dumps({"version": openai.__version__, **told, "async": asyncio.run(asynchronous(late, model))}))  # noqa: T201


if __name__ == "__main__":
    main()
