"""Reads OpenAI-shaped answers as they pass: what the client is shown, and what the ledger needs.

The fast way through ``StreamReader.feed`` looks at bytes only. Inside a JSON string every quote is escaped, so a bare
``"usage"`` or ``"error"`` in a block can only be a key; a block without such keys passes unparsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gateway.api.answers import (
    ABSENT,
    UNREADABLE,
    Answer,
    decode_answer,
    decode_fields,
    decoded,
    items,
    parse_error,
    text_of,
    text_or_none,
)
from gateway.api.framing import EventFrames
from gateway.api.whole_answer import WholeAnswerReader
from gateway.api.wire import DONE_EVENT, dollars
from gateway.chat_usage import parse_usage
from gateway.domain import Endpoint, Usage
from gateway.error_objects import error_event
from gateway.errors import GatewayError, UpstreamBroken, UpstreamError

_KEPT_BYTES_MAX = 262_144  # what a stream keeps for counting before it folds it to plain text
_encode = msgspec.json.encode


class WholeReader(WholeAnswerReader):
    """Reads an answer of the OpenAI API that is not streamed."""

    _REQUIRED: Mapping[Endpoint, str] = {
        Endpoint.CHAT: "choices",
        Endpoint.COMPLETIONS: "choices",
        Endpoint.EMBEDDINGS: "data",
        Endpoint.MODERATIONS: "results",
        Endpoint.CLASSIFY: "data",
    }

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint

    def take(self, answer: bytes) -> None:
        got = decoded(decode_answer, answer)
        required = self._REQUIRED[self._endpoint]
        if bytes(got.error) != b"null":
            self.error = parse_error(got.error, 200)
        elif got.choices is None and bytes(decoded(decode_fields, answer).get(required, ABSENT)) == b"null":
            self.error = UpstreamBroken(f"The upstream's answer has no '{required}'.")
        else:
            self.model_answered = text_or_none(got.model)
            self.service_tier = text_or_none(got.service_tier)
            self.usage = parse_usage(got.usage)
            for choice in got.choices or ():
                self.finish_reason = text_or_none(choice.finish_reason)

    def texts_in(self, answer: bytes) -> Iterable[str]:
        got = decoded(msgspec.json.decode, answer)
        choices = got.get("choices") if isinstance(got, dict) else None
        return (text for choice in items(choices) for text in text_of(choice))


class StreamReader:
    """Reads a streamed answer event by event, hides what the client did not ask for, keeps what must be charged.

    A stream without ``[DONE]`` counts as complete only when all choices (``n`` for each prompt) have finished.
    """

    unreported_calls = Usage()

    def __init__(
        self,
        *,
        wants_usage: bool,
        choices_per_prompt: int = 1,
        prompts: int = 1,
        has_usage_per_choice: bool = False,
        keeps_text: bool = False,
    ) -> None:
        """``has_usage_per_choice``: usage on a chunk is that of its own choice alone (vLLM), not of the whole answer.

        ``keeps_text``: the text is wanted even where the upstream counts its tokens, for content logging.
        """
        self._wants_usage = wants_usage
        self._has_usage_per_choice = has_usage_per_choice
        self._keeps_text = keeps_text
        self._is_counted = False  # the block at hand reports usage: the text up to here is in it
        self._counted_texts = 0  # how many of _text a usage report covers
        self._choices_per_prompt = choices_per_prompt
        self._choices = choices_per_prompt * prompts
        self._usage_by_choice: dict[int, Usage] = {}
        self._frames = EventFrames()
        self._kept: list[bytes] = []  # shown blocks, for counting without a usage report
        self._kept_bytes = 0
        self._text: list[str] = []
        self._finished: set[int] = set()
        self._last_fields: dict[str, msgspec.Raw] = {}
        self._usage_fields: dict[str, msgspec.Raw] | None = None
        self._usage: Usage | None = None
        self._running = b""  # usage of the latest chunk, not parsed yet: only the last one counts
        self.finish_reason: str | None = None
        self.model_answered: str | None = None
        self.service_tier: str | None = None
        self.error: UpstreamError | None = None
        self.stored_id: str | None = None
        self.pending = None
        self.has_data = False
        self.is_ended = False

    @property
    def is_complete(self) -> bool:
        return self.is_ended or len(self._finished) >= self._choices

    @property
    def usage(self) -> Usage | None:
        """As the upstream reported it, so far."""
        if self._running:
            self._usage, self._running = parse_usage(self._running) or self._usage, b""
        return self._usage

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._usage, self._running = usage, b""

    def feed(self, block: bytes) -> bytes:
        """Take a block of the upstream's; return what the client gets now. Sets ``error`` when the stream is lost."""
        if self.error is not None:
            return b""
        if self.has_data and not self._frames.held and block.endswith(b"\n\n"):
            plain = self._plain(block)
            if plain is not None:
                self._keep(plain)
                return plain
        return self._feed_events(block)

    def _plain(self, block: bytes) -> bytes | None:
        """The block as the client may see it if nothing in it needs a closer look, else ``None``."""
        if b'"error"' in block or b"[DONE]" in block or b"\r" in block:
            return None
        if block.count(b'"finish_reason"') != block.count(b'"finish_reason":null'):
            return None
        mentions = block.count(b'"usage"')
        if not mentions:
            return block
        if mentions != block.count(b',"usage":null'):
            return self._without_running_usage(block) if mentions == 1 else None
        return block if self._wants_usage else block.replace(b',"usage":null', b"")

    def _without_running_usage(self, block: bytes) -> bytes | None:
        """One event of one choice that ends in flat usage, as vLLM's chunks do, else ``None``.

        What ends in ``}}`` and holds no other ``}`` behind the key is a value of the event's outermost object.
        """
        start = block.find(b',"usage":{')
        if (
            start < 0
            or self._choices != 1
            or block.find(b"}", start) != len(block) - 4
            or not block.endswith(b"}}\n\n")
        ):
            return None
        if block.find(b"\n\n") != len(block) - 2 or b'"choices":[{' not in block or not block.startswith(b"data: {"):
            return None
        running = block[start + 9 : -3]
        if self._usage is None:
            self._usage = parse_usage(running)
            if self._usage is None:
                return None
        self._running = running
        self._is_counted = True
        return block[:start] + (b',"usage":null}\n\n' if self._wants_usage else b"}\n\n")

    def _feed_events(self, block: bytes) -> bytes:
        try:
            events = self._frames.split(block)
        except UpstreamBroken as exc:
            self.error = exc
            return b""
        shown = []
        for event in events:
            out = self._feed_event(event)
            if self.error is not None or self.is_ended:
                shown.append(out)
                break
            shown.append(out)
        result = b"".join(shown)
        self._keep(result)
        return result

    def flush(self) -> bytes:
        """Take an event that the upstream ended without its blank line."""
        held = self._frames.rest()
        if not held or self.is_ended or self.error is not None:
            return b""
        return self._feed_event(held)

    def _feed_event(self, event: bytes) -> bytes:
        payload = b"\n".join(line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:"))
        if not payload:
            return event + b"\n\n" if event.strip() else b""  # a comment or a bare field
        if payload.strip() == b"[DONE]":
            self.is_ended = True
            return b""
        try:
            answer, fields = decoded(decode_answer, payload), decoded(decode_fields, payload)
        except UNREADABLE:
            self.error = UpstreamBroken("The upstream sent an event that is not valid JSON.")
            return b""
        if bytes(answer.error) != b"null":
            self.error = parse_error(answer.error, 200)
            return b""
        return self._show(event, answer, fields)

    def _show(self, event: bytes, answer: Answer, fields: dict[str, msgspec.Raw]) -> bytes:
        self.has_data = self.has_data or answer.choices is not None  # an event without is none of this API's
        self.model_answered = text_or_none(answer.model) or self.model_answered
        self.service_tier = text_or_none(answer.service_tier) or self.service_tier
        for choice in answer.choices or ():
            if choice.finish_reason:
                self.finish_reason = text_or_none(choice.finish_reason)
                self._finished.add(choice.index if isinstance(choice.index, int) else 0)
        if "usage" not in fields:
            self._last_fields = fields
            return event + b"\n\n"
        usage = parse_usage(answer.usage)
        if usage is not None:
            self._is_counted = True
            if not answer.choices:
                self.usage = usage
                self._usage_fields = fields  # the closing usage chunk: shown at the end, with its cost
                return b""
            self.usage = self._running_usage(answer.choices[0].index, usage)
        self._last_fields = fields
        if usage is None and self._wants_usage:
            return event + b"\n\n"
        rest = {name: raw for name, raw in fields.items() if name != "usage"}
        if self._wants_usage:
            rest["usage"] = msgspec.Raw(b"null")
        return b"data: " + _encode(rest) + b"\n\n"

    def _running_usage(self, choice: object, usage: Usage) -> Usage:
        """What was used so far, from usage on a chunk: vLLM reports each choice alone, its prompt included.

        Choice ``i`` belongs to prompt ``i // n``; the input of a prompt counts once.
        """
        if self._choices == 1 or not self._has_usage_per_choice or not isinstance(choice, int):
            return usage
        self._usage_by_choice[choice] = usage
        by_prompt = {i // self._choices_per_prompt: one for i, one in self._usage_by_choice.items()}
        return Usage(
            input_tokens=sum(one.input_tokens for one in by_prompt.values()),
            cached_input_tokens=sum(one.cached_input_tokens for one in by_prompt.values()),
            output_tokens=sum(one.output_tokens for one in self._usage_by_choice.values()),
            reasoning_tokens=sum(one.reasoning_tokens for one in self._usage_by_choice.values()),
        )

    def closing(self, cost_nusd: int) -> bytes:
        """The usage chunk with ``usage.cost`` if the client asked for it, then ``[DONE]``."""
        used = self.usage
        if not self._wants_usage or used is None:
            return DONE_EVENT
        fields = self._usage_fields
        if fields is None:
            usage = {
                "prompt_tokens": used.input_tokens,
                "completion_tokens": used.output_tokens,
                "total_tokens": used.input_tokens + used.output_tokens,
                "prompt_tokens_details": {"cached_tokens": used.cached_input_tokens},
                "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
            }
            fields = {**self._last_fields, "choices": msgspec.Raw(b"[]"), "usage": msgspec.Raw(_encode(usage))}
        usage_fields = decode_fields(fields["usage"])
        usage_fields["cost"] = msgspec.Raw(dollars(cost_nusd).encode())
        chunk = {**fields, "choices": msgspec.Raw(b"[]"), "usage": usage_fields}
        return b"data: " + _encode(chunk) + b"\n\n" + DONE_EVENT

    def failing(self, error: GatewayError) -> bytes:
        return error_event(error)

    def unreported_text(self) -> str:
        if self.is_complete:
            return ""
        self._fold()
        return "".join(self._text[self._counted_texts :])

    def output_text(self) -> str:
        self._fold()
        return "".join(self._text)

    def _keep(self, shown: bytes) -> None:
        if self._is_counted and not self._keeps_text:
            self._is_counted = False
            if self._kept or self._text:
                self._kept.clear()
                self._text.clear()
                self._kept_bytes = 0
            return
        self._kept.append(shown)
        self._kept_bytes += len(shown)
        if self._kept_bytes > _KEPT_BYTES_MAX or self._is_counted:
            self._fold()
        if self._is_counted:
            self._is_counted = False
            self._counted_texts = len(self._text)

    def _fold(self) -> None:
        for line in b"".join(self._kept).split(b"\n"):
            if not line.startswith(b"data:"):
                continue
            try:
                chunk = decoded(msgspec.json.decode, line[5:])
            except UNREADABLE:
                continue  # a data line of a vendor's that is not JSON holds no text of ours
            choices = chunk.get("choices") if isinstance(chunk, dict) else None
            self._text += [text for choice in items(choices) for text in text_of(choice)]
        self._kept.clear()
        self._kept_bytes = 0
