"""An upstream that plays a model well enough for any client: it calls the tools it is given and obeys schemas.

No client's page needs anything but what a user would write, so what to answer is read off the request alone, in each
of the three dialects: offered a tool, it calls the first one once; told what the tool said, it repeats that; asked for
a JSON schema, it answers with the least that fits (of objects, strings and numbers); told to edit a file (``TASK``), it
does so with aider's blocks or Continue's tools; otherwise it says ``TEXT``. Each call costs ``USAGE``.

As a process: prints ``{"port": 12345}`` and serves until it is terminated.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))
from scripted.script import Script
from scripted.server import serve

TEXT = "A coin that pays a passage."
DONE = "The file says it now."
TASK = re.compile(r"In the file (\S+), replace (\w+) by (\w+)\.")
WORD, NUMBER = "Rome", 7  # every string and every number of an answer that fits a schema
# The same call in the words of each dialect: 100 tokens in, of which 60 were cached, and 20 out. Anthropic's API counts
# the cached ones apart.
USAGE: Mapping[str, dict[str, Any]] = {
    "chat/completions": {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
    "responses": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 120,
    },
    "messages": {
        "input_tokens": 40,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 60,
        "output_tokens": 20,
    },
}
Objects = list[dict[str, Any]]


def script_of(endpoint: str, body: dict[str, Any]) -> Script:
    usage = USAGE.get(endpoint)
    tools, results = list(_tools(body)), list(_tool_results(body))
    edit = _edit(body, dict(tools), results)
    if edit is not None:
        return msgspec.structs.replace(edit, usage=usage)
    if tools and not results:
        name, schema = tools[0]
        call = {"id": "call_1", "name": name, "arguments": json.dumps(fitting(schema, schema))}
        return Script(tool_calls=[call], usage=usage)
    schema = _schema(body)
    if schema is not None:
        return Script(text=json.dumps(fitting(schema, schema)), usage=usage)
    return Script(text=f"The tool said: {results[-1]}" if results else TEXT, usage=usage)


def fitting(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """The least value that fits a JSON schema; ``root`` is where its references lead."""
    if "$ref" in schema:
        _, place, name = schema["$ref"].split("/")
        return fitting(root[place][name], root)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {name: fitting(part, root) for name, part in fields.items() if name in schema.get("required", [])}
        case "integer" | "number":
            return NUMBER
        case _:
            return WORD


def _edit(body: dict[str, Any], tools: Mapping[str, Any], results: list[str]) -> Script | None:
    """What a model does that is told to edit a file, as far as it has got."""
    texts = [_text(message["content"]) for message in _conversation(body) if message.get("role") in ("user", "system")]
    task = TASK.search("\n".join(texts))
    if task is None:
        return None
    name, old, new = task.groups()
    if any("SEARCH/REPLACE" in text for text in texts):
        line = next(line for text in texts for line in text.splitlines() if old in line and not TASK.search(line))
        edit = f"<<<<<<< SEARCH\n{line}\n=======\n{line.replace(old, new)}\n>>>>>>> REPLACE"
        return Script(text=f"{name}\n```python\n{edit}\n```\n")
    if "Edit" not in tools:
        return None
    steps = (("Read", {"filepath": name}), ("Edit", {"file_path": name, "old_string": old, "new_string": new}))
    if len(results) == len(steps):
        return Script(text=DONE)
    tool, arguments = steps[len(results)]
    return Script(tool_calls=[{"id": f"call_{tool}", "name": tool, "arguments": json.dumps(arguments)}])


def _tools(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and schema of each function that may be called."""
    for tool in body.get("tools") or []:
        function = tool.get("function", tool)
        schema = function.get("parameters") or function.get("input_schema")
        if schema is not None:
            yield function["name"], schema


def _tool_results(body: dict[str, Any]) -> Iterator[str]:
    for message in _conversation(body):
        if message.get("role") == "tool":
            yield _text(message["content"])
        if message.get("type") == "function_call_output":
            yield _text(message["output"])
        for block in _blocks(message):
            if block.get("type") == "tool_result":
                yield _text(block["content"])


def _conversation(body: dict[str, Any]) -> Objects:
    said = body.get("messages") or body.get("input") or []
    return said if isinstance(said, list) else []


def _blocks(message: dict[str, Any]) -> Objects:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _text(content: str | Objects) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON schema that the answer shall fit."""
    chat = body.get("response_format") or {}
    responses = (body.get("text") or {}).get("format") or {}
    messages = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    for wished in (chat.get("json_schema") or {}, responses, messages):
        if "schema" in wished:
            schema: dict[str, Any] = wished["schema"]
            return schema
    return None


if __name__ == "__main__":
    asyncio.run(serve(script_of=script_of))
