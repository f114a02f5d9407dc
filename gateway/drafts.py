"""Chat answers that nobody has seen yet, as the gates of a cascade look at them, and the calls that judge them.

All of it is OpenAI's chat, the client's own dialect: whatever the upstream speaks was translated before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec

from gateway.domain import Body, Request
from policies.gates import RUBRIC, Draft, ToolCall

#: How samples are drawn where the client states no temperature, or 0, at which all of them would be the first answer.
SAMPLE_TEMPERATURE = 0.7
_TRUE, _NULL = msgspec.Raw(b"true"), msgspec.Raw(b"null")
_NOT_SAMPLED = frozenset({"stream", "stream_options", "seed"})  # a seed would give the same answer again
_encode = msgspec.json.encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_choices = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def draft_of(shown: bytes, *, is_stream: bool) -> Draft:
    """What an answer says, from the bytes that its client would get: of one choice."""
    text, refusal, finish_reason = "", "", None
    calls: dict[object, list[str]] = {}
    logprobs: list[float] = []
    for choice in _choices_in(shown, is_stream=is_stream):
        said = choice.get("delta" if is_stream else "message")
        if isinstance(said, dict):
            text += _text(said.get("content"))
            refusal += _text(said.get("refusal"))
            _collect(calls, said)
        if isinstance(reason := choice.get("finish_reason"), str):
            finish_reason = reason
        match choice.get("logprobs"):
            case {"content": [*tokens]}:
                logprobs += _logprobs(tokens)
    tools = tuple(ToolCall(name, arguments) for name, arguments in calls.values())
    return Draft(text, refusal, finish_reason, tools, logprobs)


def asks_logprobs(request: Request) -> bool:
    """Whether the client itself wants to see them."""
    return request.body.fields.get("logprobs", _NULL) == _TRUE


def with_logprobs(request: Request) -> Request:
    """The request for an answer that tells how probable its tokens were."""
    return request if asks_logprobs(request) else _with(request, logprobs=_TRUE)


def without_logprobs(shown: bytes, *, is_stream: bool) -> bytes:
    """The answer as if nobody had asked for them; all else in it stays byte for byte."""
    if b'"logprobs"' not in shown:
        return shown
    if not is_stream:
        return _stripped(shown)
    events = shown.split(b"\n\n")
    return b"\n\n".join(
        b"data: " + _stripped(one[5:].strip()) if one.startswith(b"data:") and b'"logprobs"' in one else one
        for one in events
    )


def sample_request(request: Request) -> Request:
    """The same question once more, for comparing answers: whole, and drawn anew."""
    kept = {name: raw for name, raw in request.body.fields.items() if name not in _NOT_SAMPLED}
    plain = replace(request, body=Body(kept), is_stream=False, wants_usage=False, stream_options={})
    if msgspec.json.decode(kept.get("temperature", _NULL)):
        return plain
    return _with(plain, temperature=msgspec.Raw(_encode(SAMPLE_TEMPERATURE)))


def verifier_request(request: Request, task: str, draft: Draft) -> Request:
    """What asks a verifier for the score of an answer. ``task``: all text of the question."""
    graded = _encode({"task": task, "answer": draft.text}).decode()
    messages = [{"role": "system", "content": RUBRIC}, {"role": "user", "content": graded}]
    raw = msgspec.Raw(_encode(messages))
    return replace(
        request,
        body=Body({"model": msgspec.Raw(_encode(request.model)), "messages": raw}),
        body_bytes=len(bytes(raw)),
        is_stream=False,
        wants_usage=False,
        stream_options={},
        output_tokens_max=None,
        service_tier=None,
        media_bytes=0,
        needs=frozenset(),
    )


def _with(request: Request, **changes: msgspec.Raw) -> Request:
    return replace(request, body=Body({**request.body.fields, **changes}))


def _stripped(answer: bytes) -> bytes:
    """The object without what was not asked for; one of another form as it is."""
    try:
        fields = _fields(answer)
        choices = _choices(fields["choices"])
    except (*_UNREADABLE, KeyError):
        return answer
    for choice in choices:
        if "logprobs" in choice:
            choice["logprobs"] = _NULL
    return _encode({**fields, "choices": choices})


def _choices_in(shown: bytes, *, is_stream: bool) -> Iterator[Mapping[str, object]]:
    parts = [one[5:] for one in shown.split(b"\n") if one.startswith(b"data:")] if is_stream else [shown]
    for part in parts:
        try:
            answer = msgspec.json.decode(part)
        except _UNREADABLE:
            continue  # the end mark; what is no JSON was refused by the reader
        choices = answer.get("choices") if isinstance(answer, dict) else None
        yield from (one for one in _items(choices) if isinstance(one, dict))


def _collect(calls: dict[object, list[str]], said: Mapping[str, object]) -> None:
    """Add the tool calls of a message, or the pieces of them in a delta, by their index."""
    for place, call in enumerate(_items(said.get("tool_calls"))):
        if isinstance(call, dict):
            _add(calls, call.get("index", place), call.get("function"))
    if "function_call" in said and said["function_call"] is not None:
        _add(calls, None, said["function_call"])


def _add(calls: dict[object, list[str]], key: object, function: object) -> None:
    known = calls.setdefault(key if isinstance(key, int) else None, ["", ""])
    if isinstance(function, dict):
        known[0] += _text(function.get("name"))
        known[1] += _text(function.get("arguments"))


def _logprobs(tokens: Sequence[object]) -> list[float]:
    found = [one.get("logprob") for one in tokens if isinstance(one, dict)]
    return [float(one) for one in found if isinstance(one, int | float) and not isinstance(one, bool)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()
