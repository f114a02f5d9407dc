"""What an answer says where JSON was asked for, and the same answer with other texts in these places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from gateway.answers.telling import TELLINGS
from gateway.domain import Endpoint, RepairStatus, Request
from gateway.drafts import draft_of
from gateway.guard_ports import AnswerEvent, AnswerTexts
from policies.gates import Form
from policies.repair.mending import CHARACTERS_MAX, keeps, mended

_TEXTS = frozenset({"content", "text"})
_GOOD_ENDS = frozenset({"stop", "tool_calls", "function_call", "end_turn", "tool_use", "stop_sequence", "completed"})
_REFUSED = "refusal"


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of an answer, as its client may get it. ``close``: likewise what ends it.

    ``said``, ``schema`` and ``is_call``: of the first part that does not keep to what was asked. ``can_improve``: it
    was not cut off and is not too long to tell, so that another one may be better.
    """

    status: RepairStatus
    shown: bytes
    close: Callable[[bytes], bytes] | None = None
    said: str = ""
    schema: object = True
    is_call: bool = False
    can_improve: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """A text that must be JSON. ``channel``: where it stands, ``None`` where it is none, or in several places."""

    text: str
    schema: object
    channel: str | None = None
    is_call: bool = False
    is_missing: bool = False  # it is what was said in its place


def judged(
    texts: AnswerTexts, held: bytes, request: Request, form: Form, finish_reason: str | None, *, mends: bool = True
) -> Judged:
    """The answer as it came where it is as asked, else mended where that can be.

    What was cut off is not mended: it would look as if it were whole. ``mends`` false: it is only looked at, which is
    quick.
    """
    try:
        events = texts.read(held)
    except ValueError:
        return Judged(RepairStatus.FAILED, held)
    said, sources = _said(events)
    if finish_reason == _REFUSED or any(text for name, text in said.items() if _kind(name) == _REFUSED):
        return Judged(RepairStatus.NONE, held)
    others: dict[str, str] = {}
    for part in _parts(said, sources, held, request, form):
        if not part.is_missing and keeps(part.text, part.schema):
            continue
        is_ended = finish_reason in _GOOD_ENDS
        better = mended(part.text, part.schema) if mends and is_ended and part.channel is not None else None
        if better is None or part.channel is None:
            return Judged(
                RepairStatus.FAILED,
                held,
                None,
                part.text,
                part.schema,
                part.is_call,
                is_ended and len(part.text) <= CHARACTERS_MAX,
            )
        others[part.channel] = better
    if not others:
        return Judged(RepairStatus.NONE, held)
    begun: set[str] = set()
    return Judged(RepairStatus.REPAIRED, _with(events, others, begun), partial(_closed, texts, others, begun))


def _said(events: Sequence[AnswerEvent]) -> tuple[dict[str, str], set[str]]:
    """The texts by their channels, and which of these must be JSON."""
    pieces: defaultdict[str, list[str]] = defaultdict(list)
    sources: set[str] = set()
    for event in events:
        for slot in event.slots:
            if not slot.is_whole:
                pieces[slot.channel].append(slot.text)
            if slot.is_json:
                sources.add(slot.channel)
    return {channel: "".join(texts) for channel, texts in pieces.items()}, sources


def _parts(said: Mapping[str, str], sources: set[str], held: bytes, request: Request, form: Form) -> Sequence[_Part]:
    calls = _calls(held, request)
    if calls:
        return _called(calls, said, form) if form.tools else ()
    channels = [name for name, text in said.items() if _kind(name) in _TEXTS and text]
    if form.tools:  # it had to call one
        whole = "".join(said[name] for name in channels)
        return [_Part(whole, next(iter(form.tools.values())), is_call=True, is_missing=True)]
    channels = [name for name in channels if name in sources]
    if len(channels) == 1:
        return [_Part(said[channels[0]], form.schema, channels[0])]
    return [_Part("".join(said[name] for name in channels), form.schema)]


def _called(calls: Sequence[tuple[str, str]], said: Mapping[str, str], form: Form) -> Sequence[_Part]:
    """What tools are called with. Places and calls come in the same order."""
    channels = [name for name, text in said.items() if _kind(name) == "arguments" and text]
    stated = [arguments for _, arguments in calls if arguments]
    is_clear = stated == [said[name] for name in channels]
    places = iter(channels if is_clear else ())
    parts = []
    for name, arguments in calls:
        place = next(places, None) if arguments else None
        if name in form.tools:
            parts.append(_Part(arguments, form.tools[name], place, is_call=True))
    return parts


def _calls(held: bytes, request: Request) -> Sequence[tuple[str, str]]:
    """Which tools of the client's are called, and with what."""
    if request.endpoint is Endpoint.CHAT:
        return [(one.name, one.arguments) for one in draft_of(held, is_stream=request.is_stream).tool_calls]
    whole = TELLINGS[request.endpoint].whole_of(held, is_stream=request.is_stream, usage=None)
    try:
        answer = msgspec.json.decode(whole or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    found = answer.get("output" if request.endpoint is Endpoint.RESPONSES else "content")
    calls: list[tuple[str, str]] = []
    for item in found if isinstance(found, list) else ():
        match item:
            case {"type": "function_call", "name": str(name), "arguments": str(arguments)}:
                calls.append((name, arguments))
            case {"type": "tool_use", "name": str(name)}:
                calls.append((name, ""))
    return calls


def _closed(texts: AnswerTexts, others: Mapping[str, str], begun: set[str], closing: bytes) -> bytes:
    """What ends the answer, which may repeat all of it."""
    return _with(texts.read(closing), others, begun)


def _with(events: Sequence[AnswerEvent], others: Mapping[str, str], begun: set[str]) -> bytes:
    """These events with these texts on their channels, each of them at once where it begins."""
    shown: list[bytes] = []
    for event in events:
        texts: list[str] = []
        for slot in event.slots:
            text = slot.text
            if slot.channel in others:
                text = others[slot.channel] if slot.is_whole or slot.channel not in begun else ""
                begun.add(slot.channel)
            texts.append(text)
        is_same = texts == [slot.text for slot in event.slots]
        shown.append(event.encoded() if is_same else event.encoded(texts))
    return b"".join(shown)


def _kind(channel: str) -> str:
    return channel.rpartition(".")[2]
