"""An upstream that plays a model which edits a file, for coding agents with tools of their own, in all dialects.

Asked "In the file PATH, replace OLD by NEW.", it reads the file with the agent's tool, then edits it, then says
``DONE``. Where it stands it sees from the tool results in the conversation; which tools it has, from the request.
What else an agent asks, such as a title of its session, is answered with ``ASIDE``. What each answer costs: ``usage``.

A model whose name holds ``busy-2-`` is overloaded for its first two calls; one with ``limited-2-`` answers those that
they came too fast, and when to come again; one with ``curt-2-`` does not say when; one with ``down`` is overloaded for
ever.

As a process: prints ``{"port": 12345}`` and serves until it is terminated.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from scripted.script import MESSAGES_PRESETS, Script
from scripted.server import serve

Object = dict[str, Any]
DONE = "The file now says what you want."
TITLE = "A friendly file"
ASIDE = json.dumps({"title": TITLE})
LOST = "The tool did not show the file."
THOUGHT = "I must look first."
_REFUSING = re.compile(r"(busy|limited|curt)-(\d)-|(down)")
_SOON = {"retry-after": "1"}
_TOO_FAST: Object = {"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}
_REFUSALS: Mapping[tuple[str, bool], Script] = {  # by kind of trouble, and whether it is Anthropic who says so
    ("busy", False): Script(status=503, body={"error": {"message": "Overloaded.", "type": "server_error"}}),
    ("busy", True): MESSAGES_PRESETS["error-529"],
    ("limited", False): Script(status=429, headers=_SOON, body=_TOO_FAST),
    ("limited", True): Script(status=429, headers=_SOON, body=MESSAGES_PRESETS["error-429"].body),
    ("curt", False): Script(status=429, body=_TOO_FAST),
    ("curt", True): Script(status=429, body=MESSAGES_PRESETS["error-429"].body),
}
_TASK = re.compile(r"In the file (/\S+), replace (\w+) by (\w+)\.")


def usage(endpoint: str, step: int) -> Object:
    """What the upstream reports for the answer of a step: no two numbers alike, so that no mix-up goes unseen."""
    fresh, cached, written, hour_long, output, thought = 100 + step, 2000 + 7 * step, 300 + 5 * step, 41, 60 + step, 17
    if endpoint == "messages":
        return {
            "input_tokens": fresh,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": written + hour_long,
            "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": hour_long},
            "output_tokens": output,
            "output_tokens_details": {"thinking_tokens": thought},
            "service_tier": "standard",
        }
    asked = fresh + cached + written
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    if endpoint == "responses":
        return {
            "input_tokens": asked,
            "input_tokens_details": details,
            "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": asked + output,
        }
    return {
        "prompt_tokens": asked,
        "prompt_tokens_details": details,
        "completion_tokens": output,
        "completion_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": asked + output,
    }


@dataclass(frozen=True)
class Tool:
    """One that the agent offers: ``schema`` of its arguments, ``None`` for one that takes plain text."""

    name: str
    namespace: str | None
    schema: Object | None

    def called(self, arguments: Object | str) -> dict[str, str]:
        """The call as scripts write it; plain text goes into the only argument of a tool that needs one."""
        place = {} if self.namespace is None else {"namespace": self.namespace}
        if self.schema is None:
            assert isinstance(arguments, str)
            return {"name": self.name, "input": arguments, **place}
        if isinstance(arguments, str):
            arguments = {self.schema["required"][0]: arguments}
        return {"name": self.name, "arguments": json.dumps(arguments), **place}


class Model:
    """Decides what to answer. Keeps nothing but whom it has refused."""

    def __init__(self) -> None:
        self._refused: Counter[str] = Counter()

    def script_of(self, endpoint: str, body: Object) -> Script:
        model = str(body.get("model"))
        trouble = _REFUSING.search(model)
        if trouble and (trouble[3] or self._refused[model] < int(trouble[2])):
            self._refused[model] += 1
            return _REFUSALS[trouble[1] or "busy", endpoint == "messages"]
        task = _TASK.search("\n".join(_asked(body)))
        results = list(_results(body))
        if task is None or not _tools(body):
            return Script(text=ASIDE, usage=usage(endpoint, 0))
        step = min(len(results), 2)
        reported = usage(endpoint, step + 1)
        if step == 0:
            return Script(reasoning=THOUGHT, tool_calls=[_reading(body, *task.groups())], usage=reported)
        if task[2] not in results[0]:
            return Script(text=f"{LOST} {results[0]}", usage=reported)
        if step == 1:
            call = {"id": "call_edit", **_editing(body, *task.groups())}
            return Script(preamble="Now I edit it.", tool_calls=[call], usage=reported)
        return Script(text=DONE, usage=reported)


def _reading(body: Object, path: str, *_: str) -> dict[str, str]:
    tools = _tools(body)
    command = f"cat {path}"
    if "exec" in tools:
        return tools["exec"].called(f"text(await tools.exec_command({{cmd: {json.dumps(command)}}}));")
    if "exec_command" in tools:
        return tools["exec_command"].called({"cmd": command})
    return tools["Read"].called({"file_path": path})


def _editing(body: Object, path: str, old: str, new: str) -> dict[str, str]:
    tools = _tools(body)
    name = Path(path).name
    patch = f"*** Begin Patch\n*** Update File: {name}\n@@\n-{old}\n+{new}\n*** End Patch\n"
    if "exec" in tools:
        return tools["exec"].called(f"text(await tools.apply_patch({json.dumps(patch)}));")
    if "apply_patch" in tools:
        return tools["apply_patch"].called(patch)
    if "exec_command" in tools:
        return tools["exec_command"].called({"cmd": f"apply_patch <<'EOF'\n{patch}EOF\n"})
    return tools["Edit"].called({"file_path": path, "old_string": old, "new_string": new})


def _tools(body: Object) -> dict[str, Tool]:
    """What the request offers, by the name that the agent gave it."""
    items = body.get("input")
    offered = list(body.get("tools") or [])
    for item in items if isinstance(items, list) else []:
        if item.get("type") == "additional_tools":
            offered += item["tools"]
    # A translation may have put the namespace before the name.
    return {tool.name.rpartition("__")[2]: tool for tool in _flat(offered, None)}


def _flat(offered: list[Object], namespace: str | None) -> Iterator[Tool]:
    for tool in offered:
        match tool:
            case {"type": "namespace"}:
                yield from _flat(tool["tools"], tool["name"])
            case {"type": "custom"}:
                yield Tool(tool.get("custom", tool)["name"], namespace, None)
            case {"function": function}:
                yield Tool(function["name"], namespace, function["parameters"])
            case {"name": name, "parameters": schema} | {"name": name, "input_schema": schema}:
                yield Tool(name, namespace, schema)


def _asked(body: Object) -> Iterator[str]:
    """All texts that the user wrote, and what agents add in the user's name."""
    messages = body.get("input", body.get("messages", []))
    for message in [{"role": "user", "content": messages}] if isinstance(messages, str) else messages:
        if message.get("role") == "user":
            yield from _texts(message.get("content"))


def _results(body: Object) -> Iterator[str]:
    """What the agent's tools have said so far, in order."""
    for item in body.get("input", []):
        if item.get("type") in ("function_call_output", "custom_tool_call_output"):
            yield "\n".join(_texts(item["output"]))
    for message in body.get("messages", []):
        if message["role"] == "tool":
            yield "\n".join(_texts(message["content"]))
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block["type"] == "tool_result":
                yield "\n".join(_texts(block["content"]))


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (part["text"] for part in content if isinstance(part.get("text"), str))


if __name__ == "__main__":
    asyncio.run(serve(script_of=Model().script_of))
