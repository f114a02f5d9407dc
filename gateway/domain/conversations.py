"""What is remembered between the turns of a conversation: who answers it, and what changes have cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, as a router and a conversation look at it.

    ``conversation``: bytes that are the same for all turns of a conversation, ``None`` where nothing tells;
    ``is_continued``: something was answered in it before, as far as the request tells.
    """

    text: str
    conversation: bytes | None = None
    is_continued: bool = False


@dataclass(frozen=True, slots=True)
class PrefixCache:
    """How a provider keeps the beginnings of prompts: for how long after their last use, and from which length on.

    ``is_automatic``: whatever it was sent, without being asked; else what its usage says was written or read.
    """

    ttl_s: float = 300.0
    tokens_min: int = 1024
    is_automatic: bool = False


ON_REQUEST = PrefixCache()


class CachedPrefix(msgspec.Struct, frozen=True):
    """What an upstream keeps of a conversation's prompt, until when (Unix time in seconds)."""

    tokens: int
    until_s: float


class Conversation(msgspec.Struct, frozen=True):
    """One conversation after its last answer.

    ``deployment``: who gave it. ``cached``: by deployment. ``cost_nusd``: all of its charges; ``switching_nusd``: what
    of that was only paid because it changed from one deployment to another.
    """

    deployment: str
    cached: Mapping[str, CachedPrefix] = {}
    cost_nusd: int = 0
    switching_nusd: int = 0


@dataclass(frozen=True, slots=True)
class Conversations:
    """How a route treats conversations.

    ``is_sticky``: who answered goes on answering. ``switching_share_max``: changes that save money may cost this share
    of what the conversation has cost. ``remembered_s``: after its last turn.
    """

    is_sticky: bool = False
    switching_share_max: float = 0.0
    remembered_s: int = 3600


NOT_STICKY = Conversations()


@dataclass(frozen=True, slots=True)
class Turn:
    """A request as a turn of its conversation.

    ``conversation``: a hash that is the same for all its turns, of one team alone. ``before``: as it was after the
    last answer, ``None`` where there was none.
    """

    conversation: str
    rules: Conversations
    before: Conversation | None


@dataclass(frozen=True, slots=True)
class Stay:
    """What became of a decision by the conversation that it is a turn of.

    ``kept``: who answers on, though the policy would have changed to another. ``switching_nusd``: what the change that
    is made costs beside the answer.
    """

    kept: str | None = None
    switching_nusd: int = 0


NO_CONVERSATION = Stay()
