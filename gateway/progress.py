"""Renews the intents of answers under way by what was seen of them, so that a dead process's calls cost that too."""

from __future__ import annotations

import asyncio

import msgspec

from gateway.domain import LedgerEntry, Usage
from gateway.entries import Attempt, seen_entry
from gateway.ports import Journal, ReplyReader

_BYTES_PER_TOKEN = 4


class Seen:
    """What was seen of one answer. ``shown_bytes`` is all that the path keeps count of."""

    __slots__ = ("_attempt", "_reader", "_text_share", "_told_tokens", "shown_bytes")

    def __init__(self, attempt: Attempt, reader: ReplyReader) -> None:
        self._attempt = attempt
        self._reader = reader
        self._text_share = 0.0  # how much of the shown bytes is generated text: events are mostly frame
        self._told_tokens = 0
        self.shown_bytes = 0

    def renewed(self) -> LedgerEntry | None:
        """The intent by what is seen now, ``None`` if that is no more than was told before.

        The text is looked for until some is found; from then on its share of the bytes tells how much there is.
        """
        reader, intent = self._reader, self._attempt.intent
        usage = reader.usage or Usage(input_tokens=intent.input_tokens)
        if not self._text_share and self.shown_bytes:
            self._text_share = len(reader.output_text().encode()) / self.shown_bytes
        tokens = max(usage.output_tokens, int(self.shown_bytes * self._text_share) // _BYTES_PER_TOKEN)
        if tokens <= self._told_tokens:
            return None
        self._told_tokens = tokens
        return seen_entry(self._attempt, msgspec.structs.replace(usage, output_tokens=tokens), reader.service_tier)


class Progress:
    """The streams of this process that are under way."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._running: dict[Seen, None] = {}

    def begin(self, seen: Seen, shown_bytes: int) -> None:
        """Something of an answer was shown, and more is to come."""
        seen.shown_bytes = shown_bytes
        self._running[seen] = None

    def end(self, seen: Seen) -> None:
        """The answer is over; harmless for one that never began."""
        self._running.pop(seen, None)

    async def tell(self) -> None:
        """Renew the intents of all that grew since the last time. Never raises for a store that is away."""
        renewed: list[tuple[Seen, LedgerEntry]] = []
        for seen in list(self._running):
            if seen in self._running and (entry := seen.renewed()) is not None:
                renewed.append((seen, entry))
                await asyncio.sleep(0)  # each may be a look at some hundred events
        if renewed:
            await self._journal.progress([entry for seen, entry in renewed if seen in self._running])
