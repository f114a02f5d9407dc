"""Guards (moderation hooks): where they stand, what they look for, what they find, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec


class Where(StrEnum):
    """What a guard looks at."""

    INPUT = "input"
    OUTPUT = "output"
    BOTH = "both"


class GuardMode(StrEnum):
    """What becomes of what a guard finds."""

    BLOCK = "block"  # the request, or the answer, ends there
    REDACT = "redact"  # it is replaced, and in answers to it put back
    FLAG = "flag"  # the client is told, by a header
    SHADOW = "shadow"  # only the ledger knows


class OnError(StrEnum):
    """What becomes of a request whose guard does not answer."""

    CLOSED = "closed"
    OPEN = "open"


class Release(StrEnum):
    """When a stream that guards look at goes on to its client."""

    WINDOWED = "windowed"  # a bounded number of tokens behind its upstream
    WHOLE = "whole"  # once all of it is here


class OnBlock(StrEnum):
    """How an answer ends in which a guard finds what it blocks."""

    STOP = "stop"  # with the finish reason content_filter
    ERROR = "error"  # with an error that no SDK takes for a good end


@dataclass(frozen=True, slots=True)
class WordList:
    """``words`` and phrases in any case; ``expressions`` in the syntax of RE2."""

    words: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PatternsSettings:
    """``deny``: lists by their names, which are the categories; what lies within ``allow`` is not denied."""

    deny: tuple[tuple[str, WordList], ...]
    allow: WordList | None = None
    fold_look_alikes: bool = True


@dataclass(frozen=True, slots=True)
class PiiSettings:
    """``kinds``: of personal data (docs/screening.md); empty: all. ``NATIONAL_ID`` stands for every national number."""

    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SecretsSettings:
    """Nothing to set."""


@dataclass(frozen=True, slots=True)
class InjectionSettings:
    """``block_at``: the score from which on a text is one; None: as fitted. ``classifier``: a deployment that is asked

    about texts whose score lies between where it starts to matter and that; ``asked_as``: how it is spoken to.
    """

    block_at: float | None = None
    escalate_at: float | None = None
    classifier: str | None = None
    # A chat model by a rubric of ours; or "guard": one that is given the text alone; or "classify": a classifier's own
    # endpoint, POST /classify as vLLM serves it.
    asked_as: str = "judge"
    classifier_at: float = 0.5  # the classifier's own score from which on a text is one


@dataclass(frozen=True, slots=True)
class ModerationSettings:
    """``deployment``: who is asked at /v1/moderations. ``thresholds`` by category; none: as it flags itself."""

    deployment: str
    thresholds: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """``deployment``: a chat model. ``rubric``: what is adverse, in words; ``categories``: what it may name.

    Without a rubric it is a guard model (Llama Guard) that has its own, and what it names beside ``categories`` counts
    for nothing.
    """

    deployment: str
    rubric: str = ""
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """``secret``: signs what is sent. ``retries``: how often it is sent again within the deadline."""

    url: str
    secret: str
    retries: int = 1


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """An entry point of the group ``obol.guards``, and its settings as JSON."""

    entry_point: str
    settings: str = "{}"


GuardSettings = (
    PatternsSettings
    | PiiSettings
    | SecretsSettings
    | InjectionSettings
    | ModerationSettings
    | JudgeSettings
    | WebhookSettings
    | PluginSettings
)


@dataclass(frozen=True, slots=True)
class GuardRule:
    """A guard as somebody wants it. ``release`` and ``on_block`` are of answers; ``timeout_s`` of one look."""

    name: str
    kind: str
    settings: GuardSettings
    where: Where = Where.INPUT
    mode: GuardMode = GuardMode.BLOCK
    on_error: OnError = OnError.CLOSED
    timeout_s: float = 2.0
    release: Release = Release.WINDOWED
    on_block: OnBlock = OnBlock.STOP

    def looks_at(self, where: Where) -> bool:
        """Whether it stands there, INPUT or OUTPUT."""
        return self.where in (where, Where.BOTH)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a guard found something: in which of the texts, from which character to before which, and what."""

    text: int
    start: int
    end: int
    category: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found. ``is_adverse``: what its mode acts on. ``places``: where, for a guard that can say.

    ``categories`` are told on the ledger; to clients only the guard's name is. ``score``: from 0 to 1.
    """

    is_adverse: bool = False
    categories: tuple[str, ...] = ()
    score: float | None = None
    places: Sequence[Place] = ()


NOTHING_FOUND = Finding()


class GuardResult(StrEnum):
    """What became of a guard's look. A guard that did not run has none."""

    PASSED = "passed"
    FLAGGED = "flagged"  # found something, and its mode lets it go on
    REDACTED = "redacted"
    BLOCKED = "blocked"
    FAILED = "failed"  # it gave no answer, or none that can be read


class GuardVerdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written down of a guard on the ledger entry of the request that it looked at."""

    guard: str
    version: str
    where: str
    mode: str
    verdict: str
    ms: float
    categories: tuple[str, ...] = ()
    score: float | None = None
    cost_nusd: int = 0
    error: str | None = None  # why it failed


@dataclass(frozen=True, slots=True)
class Asker:
    """In whose name a guard looks."""

    request_id: str
    organization_id: str
    team_id: str
    key_id: str
    where: Where
    model: str
    end_user: str | None = None
    tags: Sequence[str] = ()
