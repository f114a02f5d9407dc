"""A turn of an agent over the Responses API with the openai package that PYTHONPATH offers; prints it as JSON.

``python responses_over_chat_conversation.py <base url> <key> <model> <tools> <script of the upstream>``.
"""

from __future__ import annotations

import json
import sys

import openai


def main() -> None:
    base_url, key, model, tools, script = sys.argv[1:]
    asked = {"model": model, "input": "What now?", "tools": json.loads(tools)}
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        with client.responses.stream(**asked, extra_body={"script": json.loads(script)}) as stream:
            seen = list(stream)
            turn = stream.get_final_response()
        whole = client.responses.create(**asked, extra_body={"script": json.loads(script)})
        cut = list(client.responses.create(**asked, stream=True, extra_body={"script": {"cut_after": 4}}))
    told = {
        "version": openai.__version__,
        "items": [item.type for item in turn.output],
        "whole": [item.type for item in whole.output],
        "thought": "".join(event.delta for event in seen if event.type == "response.reasoning_summary_text.delta"),
        "patch": "".join(event.delta for event in seen if event.type == "response.custom_tool_call_input.delta"),
        "arguments": turn.output[1].arguments,
        "input": turn.output[2].input,
        "tokens": turn.usage.total_tokens,
        "cut": [cut[-1].type, cut[-1].response.error.code],
    }
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main()
