"""One conversation over the Responses API with the openai package that PYTHONPATH offers; prints it as JSON.

``python responses_conversation.py <base url> <key> <model> <file with a turn of an agent>``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import openai

QUESTION = "What now?"


def synchronous(client: openai.OpenAI, model: str, turn: list[dict[str, Any]]) -> dict[str, Any]:
    answer = client.responses.create(model=model, input=QUESTION)
    told: dict[str, Any] = {
        "whole": answer.output_text,
        "tokens": answer.usage.total_tokens if answer.usage else None,
        "request_id": answer._request_id,
        "kept": client.responses.retrieve(answer.id).output_text,
    }
    with client.responses.stream(model=model, input=QUESTION) as stream:
        told["streamed"] = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        told["final"] = stream.get_final_response().output_text
    with client.responses.create(model=model, input=[], stream=True, extra_body={"script": {"events": turn}}) as raw:
        seen = list(raw)
    told["turn"] = [event.type for event in seen]
    items = seen[-1].response.output
    told["items"] = [item.type for item in items]
    told["encrypted"] = items[0].encrypted_content
    told["patch"] = items[-1].input
    told["cached"] = seen[-1].response.usage.input_tokens_details.cached_tokens
    broken = client.responses.create(model=model, input=QUESTION, stream=True, extra_body={"script": {"cut_after": 8}})
    last = list(broken)[-1]
    told["cut"] = [last.type, last.response.error.code]
    try:
        client.responses.create(model="no-such-model", input=QUESTION)
    except openai.NotFoundError as exc:
        told["error"] = exc.code
    return told


async def asynchronous(client: openai.AsyncOpenAI, model: str) -> str:
    stream = await client.responses.create(model=model, input=QUESTION, stream=True)
    streamed = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    await client.close()
    return "".join(streamed)


def main() -> None:
    base_url, key, model, turn = sys.argv[1:]
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        told = synchronous(client, model, json.loads(Path(turn).read_text()))
    late = openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0)
    print(json.dumps({"version": openai.__version__, **told, "async": asyncio.run(asynchronous(late, model))}))  # noqa: T201


if __name__ == "__main__":
    main()
