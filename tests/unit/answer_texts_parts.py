"""What the tests of answers' texts share: reading streams, putting other texts in, what official SDKs make of it."""

from __future__ import annotations

import json
import string

import anthropic
import httpx
import httpx2
import openai
from telling_parts import asked

from gateway.api.answer_texts.registry import answer_texts_of

_LOUDER = {ord(letter): letter.upper() for letter in string.ascii_lowercase}


def louder(text):
    """What a guard might make of a text, bit by bit or at once."""
    return text.translate(_LOUDER)


def reading(endpoint, *, is_stream=True, **more):
    return answer_texts_of(asked(endpoint, is_stream=is_stream, **more))


def as_it_is(texts, shown):
    """The answer, read and written with nothing changed."""
    return b"".join(event.encoded() for event in texts.read(shown))


def said(events):
    """The texts of a stream by channel, in order of their beginning; what repeats others is left out."""
    found = {}
    for event in events:
        for slot in event.slots:
            if not slot.is_whole:
                found[slot.channel] = found.get(slot.channel, "") + slot.text
    return found


def told_with(texts, shown, change, *, kept_back=0):
    """The answer with every channel's text changed, as a guard changes it that knows the channel only bit by bit.

    ``kept_back``: how many characters of each channel are not told before something ends it.
    """
    waiting, told, out = {}, {}, []
    for event in texts.read(shown):
        own = {slot.channel for slot in event.slots if not slot.is_whole}
        for channel in event.ends:
            rest = change(waiting.pop(channel, "")) if channel not in own else ""
            if rest:
                told[channel] = told.get(channel, "") + rest
                out.append(texts.more(channel, rest))
        new = []
        for place, slot in enumerate(event.slots):
            if slot.is_whole:
                new.append(told.get(slot.channel, ""))
                continue
            held = waiting.get(slot.channel, "") + slot.text
            is_last = all(one.channel != slot.channel for one in event.slots[place + 1 :])
            cut = len(held) if slot.channel in event.ends and is_last else max(0, len(held) - kept_back)
            new.append(change(held[:cut]))
            waiting[slot.channel] = held[cut:]
            told[slot.channel] = told.get(slot.channel, "") + new[-1]
        out.append(event.encoded(new))
    assert not any(waiting.values())
    return b"".join(out)


_SERVED = {"answer": b"", "kind": ""}


def _client(of):
    """What one of the SDKs speaks HTTP by: it answers with what was put there last."""

    def respond(request):
        headers = {"content-type": _SERVED["kind"]}
        return of.Response(200, content=_SERVED["answer"], headers=headers, request=request)

    return of.Client(transport=of.MockTransport(respond), trust_env=False)


def _serve(answer, *, is_stream):
    _SERVED.update(answer=answer, kind="text/event-stream" if is_stream else "application/json")


_ANTHROPIC = anthropic.Anthropic(api_key="k", base_url="http://of.test", http_client=_client(httpx2))
_OPENAI = openai.OpenAI(api_key="k", base_url="http://of.test/v1", http_client=_client(httpx))


def openai_client(answer, *, is_stream=True):
    """The official SDK's client, whose next answer is that."""
    _serve(answer, is_stream=is_stream)
    return _OPENAI


def anthropic_client(answer, *, is_stream=True):
    """The same of the other official SDK."""
    _serve(answer, is_stream=is_stream)
    return _ANTHROPIC


def payloads(shown):
    """The data of all events, but for the end mark."""
    lines = [line[6:] for line in shown.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]
