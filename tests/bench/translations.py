"""What a translation costs by itself: bodies as coding agents send them, answers as upstreams stream them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from gateway.api.dialects import TRANSLATIONS
from gateway.domain import Body, Deployment, Endpoint, Provider
from gateway.translation.contract import Translation
from tests.bench.dialects import CHAT, DIALECTS, MESSAGES

EVENTS = 2000
_REPEATS = 40  # of the request, in one run
_SCHEMA = {
    "type": "object",
    "properties": {
        f"argument_{number}": {"type": "string", "description": "What the tool should look at. " * 4}
        for number in range(8)
    },
    "required": ["argument_0"],
    "additionalProperties": False,
}
_RULES = "Work step by step. Read before you write. Say what you did and why.\n" * 350  # 24 kB
_OUTPUT = 'def price(tokens: int) -> int:\n    return tokens * RATE  # "nano-dollars"\n' * 14  # about 1 kB
_UPSTREAMS = {
    Endpoint.CHAT: Provider("upstream", "openai_compatible"),
    Endpoint.MESSAGES: Provider("upstream", "anthropic"),
}


@dataclass(frozen=True, slots=True)
class _Case:
    """One translation at work: a client's body on its way up, an upstream's events on their way down."""

    steps: Sequence[Translation]
    body: Body
    deployment: Deployment
    events: Sequence[bytes]

    def request(self) -> list[tuple[Translation, Body]]:
        done, body = [], self.body
        for step in self.steps:
            done.append((step, body))
            body = step.request(body, self.deployment)
        body.encoded_with({"model": self.deployment.model})
        return done

    def stream(self) -> None:
        answers = [step.answer(asked) for step, asked in reversed(self.request())]
        for event in self.events:
            shown = event
            for answer in answers:
                shown = answer.feed(shown) if shown else b""


def measure(runs: int) -> Iterator[tuple[str, list[float], list[float]]]:
    """For each translation: its name, milliseconds of CPU per request of 100 kB, microseconds per upstream event."""
    for (asked, target), steps in TRANSLATIONS.items():
        upstream = DIALECTS[CHAT if target is Endpoint.CHAT else MESSAGES]
        case = _Case(
            steps,
            Body(msgspec.json.decode(_BODIES[asked](), type=dict[str, msgspec.Raw])),
            Deployment("upstream", _UPSTREAMS[target], "bench", speaks=frozenset({target})),
            [event + b"\n\n" for event in upstream.chunks(EVENTS)],
        )
        request_ms = [_cpu_s(case.request, _REPEATS) * 1000 for _ in range(runs)]
        event_us = [_cpu_s(case.stream, 1) * 1e6 / EVENTS for _ in range(runs)]
        yield f"{asked} -> {target}", request_ms, event_us


def _cpu_s(work: Callable[[], object], repeats: int) -> float:
    gc.collect()
    before = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - before) / repeats


def _chat_body() -> bytes:
    messages: list[object] = [{"role": "system", "content": _RULES}, {"role": "user", "content": "Fix the price."}]
    for number in range(36):
        call = {"id": f"call_{number}", "type": "function", "function": {"name": "tool_1", "arguments": '{"a": 1}'}}
        messages.append({"role": "assistant", "content": "I look.", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"call_{number}", "content": _OUTPUT})
    tools = [
        {"type": "function", "function": {"name": f"tool_{number}", "description": "Looks.", "parameters": _SCHEMA}}
        for number in range(18)
    ]
    return msgspec.json.encode({"model": "m", "messages": messages, "tools": tools, "stream": True, "max_tokens": 8000})


def _responses_body() -> bytes:
    items: list[object] = [{"role": "user", "content": [{"type": "input_text", "text": "Fix the price."}]}]
    for number in range(36):
        items.append({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]})
        call = {"type": "function_call", "call_id": f"call_{number}", "name": "tool_1", "arguments": '{"a": 1}'}
        items += [call, {"type": "function_call_output", "call_id": f"call_{number}", "output": _OUTPUT}]
    tools = [
        {"type": "function", "name": f"tool_{number}", "description": "Looks.", "parameters": _SCHEMA, "strict": False}
        for number in range(18)
    ]
    asked = {"model": "m", "instructions": _RULES, "input": items, "tools": tools, "stream": True, "store": False}
    return msgspec.json.encode(asked)


def _messages_body() -> bytes:
    messages: list[object] = [{"role": "user", "content": "Fix the price."}]
    for number in range(36):
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": "tool_1", "input": {"a": 1}}
        messages.append({"role": "assistant", "content": [{"type": "text", "text": "I look."}, call]})
        result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": _OUTPUT}
        messages.append({"role": "user", "content": [result]})
    tools = [{"name": f"tool_{number}", "description": "Looks.", "input_schema": _SCHEMA} for number in range(18)]
    system = [{"type": "text", "text": _RULES, "cache_control": {"type": "ephemeral"}}]
    asked = {"model": "m", "system": system, "messages": messages, "tools": tools, "stream": True, "max_tokens": 8000}
    return msgspec.json.encode(asked)


_BODIES: dict[Endpoint, Callable[[], bytes]] = {
    Endpoint.CHAT: _chat_body,
    Endpoint.RESPONSES: _responses_body,
    Endpoint.MESSAGES: _messages_body,
}
