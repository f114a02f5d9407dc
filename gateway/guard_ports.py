"""Guards, and the texts that they look at, as Protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from gateway.domain import Asker, Caller, Endpoint, Finding, GuardRule, Request, Usage


class Asking(Protocol):
    """What a guard may do in the name of the request that it looks at."""

    asker: Asker

    async def ask(self, deployment: str, endpoint: Endpoint, fields: Mapping[str, object]) -> bytes:
        """The whole answer of a deployment: admitted, held and charged like any call, with an entry of its own.

        Raises GuardFailed where there is none.
        """


class Guard(Protocol):
    """One check. It is asked about many requests at a time, and keeps nothing of them."""

    version: str  # of what it goes by: the same version says the same of the same text

    async def look(self, texts: Sequence[str], asking: Asking) -> Finding:
        """What is in the texts, which belong together: all of a request, or what there is of an answer.

        Raises GuardFailed, or anything else, where it cannot tell; it is cancelled at its deadline.
        """


class Guards(Protocol):
    """Which guards stand before what."""

    def of(self, request: Request, caller: Caller) -> Sequence[tuple[GuardRule, Guard]]:
        """In their order: those of everybody, the route's, the team's, the key's. Empty for none."""

    def of_kept(self, deployment: str, caller: Caller) -> Sequence[tuple[GuardRule, Guard]]:
        """Of an answer that its upstream kept, by whichever route it was asked: all that may have stood before it."""


class Slot(msgspec.Struct, frozen=True):
    """A text in an event of an answer. ``channel``: what it is a part of: a choice's content, a call's arguments.

    ``is_whole``: it repeats all that came on that channel. ``is_json``: it is the source of a JSON value, or a piece
    of it, so that what is put into it must be escaped as in a JSON string.
    """

    channel: str
    text: str
    is_whole: bool = False
    is_json: bool = False


class AnswerEvent(Protocol):
    """One event of a streamed answer, or all of a whole one, as its client is to read it."""

    @property
    def slots(self) -> Sequence[Slot]: ...

    @property
    def ends(self) -> Sequence[str]:
        """The channels whose text must be out by then: in the event's own slot on it, else before the event.

        Mostly nothing comes on them any more. Where something does, it goes on from what came before.
        """

    def encoded(self, texts: Sequence[str] | None = None) -> bytes:
        """The event with these texts in its slots; without any, the very bytes that came.

        Asked once for each event that is shown, in the order in which the client gets them: what stands in later ones
        (their numbers, annotations of the text) follows from it. Empty where nothing of the event is left to tell.
        """


class AnswerTexts(Protocol):
    """Takes the client's bytes of one answer apart, and puts them together with other texts. One for each answer."""

    def read(self, shown: bytes) -> Sequence[AnswerEvent]:
        """The events of the client's bytes, which hold whole events. Raises ValueError for what cannot be read."""

    def more(self, channel: str, text: str) -> bytes:
        """An event that adds the text to a channel that was read before, and was not ended before the latest event.

        Its turn is as that of ``encoded``. Raises LookupError for any other channel, and for a whole answer.
        """

    def stopped(self, usage: Usage | None, cost_nusd: int) -> bytes:
        """What ends the answer for its client with the finish reason of filtered content, end mark included.

        Of a stream: what follows the events shown so far. Of a whole answer: all of it, without its texts, and with
        the usage that it came with. ``usage``: for clients that asked for it, with its cost as elsewhere.
        """
