"""What the scripted upstream says on OpenAI's Responses API, and the answers that it keeps there."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from scripted.openai_chat import CREATED
from scripted.script import Script, fragments_of, framed, pieces_of

_ECHOED: dict[str, Any] = {  # of the request, with OpenAI's defaults
    "background": False, "instructions": None, "max_output_tokens": None, "max_tool_calls": None, "metadata": {},
    "parallel_tool_calls": True, "previous_response_id": None, "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None}, "safety_identifier": None, "service_tier": "default",
    "store": True, "temperature": 1.0, "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto", "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "user": None,
}  # fmt: skip
ENCRYPTED = "gAAAAABscripted+/=="
Error = dict[str, Any]


def usage_of(script: Script, words: int) -> dict[str, Any]:
    if script.usage is not None:
        return script.usage
    return {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": words,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 9 + words,
    }


def token_count(script: Script) -> dict[str, Any]:
    count = (script.usage or {}).get("input_tokens", 9)
    return {"object": "response.input_tokens", "input_tokens": count, **script.extra}


def compaction(script: Script) -> dict[str, Any]:
    item = {"id": "cmp_1", "type": "compaction", "encrypted_content": ENCRYPTED}
    usage = usage_of(script, len(pieces_of(script.text)))
    return {
        "id": "resp_compacted",
        "object": "response.compaction",
        "created_at": CREATED,
        "output": [item],
        "usage": usage,
    }


class ResponsesAnswer:
    """One answer: the object as it is at the end, and the events that lead there."""

    def __init__(self, body: dict[str, Any], script: Script) -> None:
        self._script = script
        self._token = uuid.uuid4().hex
        self._number = 0
        echoed = {name: body.get(name, default) for name, default in _ECHOED.items()}
        if echoed["service_tier"] == "auto":
            echoed["service_tier"] = "default"
        self._begun: dict[str, Any] = {
            "id": f"resp_{self._token}",
            "object": "response",
            "created_at": CREATED,
            "status": "in_progress",
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "model": script.answered_model or body.get("model"),
            "output": [],
            "usage": None,
            **echoed,
            **script.extra,
        }
        self._items = list(self._output(is_encrypted="reasoning.encrypted_content" in (body.get("include") or [])))

    @property
    def queued(self) -> dict[str, Any]:
        """What a background request is answered with."""
        return self._begun | {"status": "queued"}

    @property
    def whole(self) -> dict[str, Any]:
        script = self._script
        whole = self._begun | {"output": self._items, "status": "completed", "completed_at": CREATED + 1}
        if script.failure is not None:
            return whole | {"status": "failed", "error": script.failure, "output": [], "usage": script.usage}
        if script.finish_reason is not None:
            whole |= {"status": "incomplete", "incomplete_details": {"reason": script.finish_reason}}
        if not script.no_usage:
            whole["usage"] = usage_of(script, len(pieces_of(script.text)))
        return whole

    def _output(self, *, is_encrypted: bool) -> Iterator[dict[str, Any]]:
        script = self._script
        if script.reasoning is not None:
            summary = [{"type": "summary_text", "text": script.reasoning}] if script.reasoning else []
            item = {"id": f"rs_{self._token}", "type": "reasoning", "summary": summary}
            yield {**item, "encrypted_content": ENCRYPTED} if is_encrypted else item
        said = script.preamble if script.tool_calls else script.text
        if script.refusal is not None:
            yield self._message({"type": "refusal", "refusal": script.refusal})
        elif said:
            yield self._message({"type": "output_text", "annotations": [], "logprobs": [], "text": said})
        for number, tool in enumerate(script.tool_calls):
            kind, prefix = ("custom_tool_call", "ctc") if "input" in tool else ("function_call", "fc")
            rest = {name: value for name, value in tool.items() if name != "id"}
            call_id = tool.get("id", f"call_{number}")
            item_id = f"{prefix}_{self._token}{number}"
            yield {"id": item_id, "type": kind, "status": "completed", "call_id": call_id, **rest}

    def _message(self, part: dict[str, Any]) -> dict[str, Any]:
        item_id = f"msg_{self._token}"
        return {"id": item_id, "type": "message", "status": "completed", "role": "assistant", "content": [part]}

    def events(self) -> Iterator[bytes]:
        """The events of a stream, each as the bytes of one SSE event."""
        yield self._event("response.created", response=self._begun)
        yield self._event("response.in_progress", response=self._begun)
        if self._script.failure is None:
            for index, item in enumerate(self._items):
                yield from self._item_events(index, item)
        if not self._script.omit_done:
            whole = self.whole
            yield self._event(f"response.{whole['status']}", response=whole)

    def error_event(self) -> bytes:
        error = {"code": None, "message": "", "param": None, **(self._script.error_event or {}), "type": "error"}
        return framed(json.dumps({**error, "sequence_number": self._script.cut_after}), self._script, "error")

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = json.dumps({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return framed(data, self._script, kind)

    def _item_events(self, index: int, item: dict[str, Any]) -> Iterator[bytes]:
        place = {"item_id": item["id"], "output_index": index}
        match item["type"]:
            case "reasoning":
                opened, inner = {**item, "summary": []}, self._summary_events(place, item)
            case "message":
                opened, inner = {**item, "status": "in_progress", "content": []}, self._part_events(place, item)
            case "function_call":
                opened, inner = {**item, "status": "in_progress", "arguments": ""}, self._argument_events(place, item)
            case _:
                opened, inner = {**item, "status": "in_progress", "input": ""}, self._input_events(place, item)
        yield self._event("response.output_item.added", output_index=index, item=opened)
        yield from inner
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _summary_events(self, place: dict[str, Any], item: dict[str, Any]) -> Iterator[bytes]:
        for number, part in enumerate(item["summary"]):
            where = {**place, "summary_index": number}
            yield self._event("response.reasoning_summary_part.added", **where, part={**part, "text": ""})
            for piece in pieces_of(part["text"]):
                yield self._event("response.reasoning_summary_text.delta", **where, delta=piece, obfuscation="x")
            yield self._event("response.reasoning_summary_text.done", **where, text=part["text"])
            yield self._event("response.reasoning_summary_part.done", **where, part=part)

    def _part_events(self, place: dict[str, Any], item: dict[str, Any]) -> Iterator[bytes]:
        (part,) = item["content"]
        where = {**place, "content_index": 0}
        field, kind = ("refusal", "refusal") if part["type"] == "refusal" else ("text", "output_text")
        logprobs = {"logprobs": []} if kind == "output_text" else {}
        yield self._event("response.content_part.added", **where, part={**part, field: ""})
        for piece in pieces_of(part[field]):
            yield self._event(f"response.{kind}.delta", **where, delta=piece, **logprobs, obfuscation="x")
        yield self._event(f"response.{kind}.done", **where, **{field: part[field]}, **logprobs)
        yield self._event("response.content_part.done", **where, part=part)

    def _argument_events(self, place: dict[str, Any], item: dict[str, Any]) -> Iterator[bytes]:
        for piece in fragments_of(item["arguments"]):
            yield self._event("response.function_call_arguments.delta", **place, delta=piece, obfuscation="x")
        yield self._event(
            "response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"]
        )

    def _input_events(self, place: dict[str, Any], item: dict[str, Any]) -> Iterator[bytes]:
        for piece in fragments_of(item["input"]):
            yield self._event("response.custom_tool_call_input.delta", **place, delta=piece, obfuscation="x")
        yield self._event("response.custom_tool_call_input.done", **place, input=item["input"])


class Shelf:
    """Answers that the upstream keeps: what the paths below ``/v1/responses/{id}`` are about."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}

    def keep(self, answer: dict[str, Any], body: dict[str, Any]) -> None:
        """Remember an answer and what was asked, unless the request wants it forgotten."""
        if body.get("store", True) is False:
            return
        asked = body.get("input", [])
        items = [{"type": "message", "role": "user", "content": asked}] if isinstance(asked, str) else asked
        self._kept[answer["id"]] = (answer, [{"id": f"item_{number}", **one} for number, one in enumerate(items)])

    def misses(self, previous_id: object) -> Error | None:
        """What OpenAI says to a ``previous_response_id`` that it does not have."""
        if previous_id is None or previous_id in self._kept:
            return None
        return _error(
            f"Previous response with id '{previous_id}' not found.",
            "previous_response_id",
            "previous_response_not_found",
        )

    def look_up(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body for ``{id}``, ``{id}/input_items`` and ``{id}/cancel``."""
        response_id, _, rest = path.partition("/")
        if response_id not in self._kept:
            return 404, _error(f"Response with id '{response_id}' not found.", None, None)
        answer, items = self._kept[response_id]
        status = 200
        match method, rest:
            case "GET", "":
                found = answer
            case "DELETE", "":
                del self._kept[response_id]
                found = {"id": response_id, "object": "response", "deleted": True}
            case "GET", "input_items":
                ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {}
                found = {"object": "list", "data": items, "has_more": False, **ends}
            case "POST", "cancel" if answer["background"]:
                found = answer | {"status": "cancelled"}
                self._kept[response_id] = (found, items)
            case "POST", "cancel":
                status, found = 400, _error("Cannot cancel a synchronous response.", None, None)
            case _:
                status, found = 404, _error("no such endpoint", None, None)
        return status, found


def _error(message: str, param: str | None, code: str | None) -> Error:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
