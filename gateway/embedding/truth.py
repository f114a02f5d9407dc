"""What the embedder needs of the store that holds all questions, and how one lies there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.similar import KeptQuestion


@dataclass(frozen=True, slots=True)
class StoredQuestion:
    """A question as the store has it. ``vector``: a number of 8 bits a dimension; ``group``: of KeptQuestion."""

    name: str
    space: str
    digest: str
    text: str
    ends_ms: int
    vector: bytes
    group: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a tenant's changes are known: ``count`` of them since the store began anew as ``run``."""

    run: str = "-"
    count: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """``put``: a question that is new or changed; ``gone``: names of those that are not there any more."""

    put: StoredQuestion | None = None
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What came after a position, in order; ``None`` where that is not known any more, so that all is to be read."""

    position: Position
    changes: tuple[Change, ...] | None


class Truth(Protocol):
    """All methods but the first raise StoreUnavailable."""

    @property
    def is_there(self) -> bool:
        """Whether the store can be asked just now."""

    async def changes(self, tenant: str, since: Position) -> Changes:
        """The next of them, some hundred at most."""

    def all_of(self, tenant: str) -> AsyncIterator[list[StoredQuestion]]:
        """All questions, some hundred at a time; one that changes meanwhile may come as it was or as it is."""

    async def keep(self, question: KeptQuestion, vector: bytes) -> bool:
        """Keep it as long as its answer; false where there is no such answer, or it has been purged meanwhile."""

    async def forget(self, tenant: str, space: str, digest: str) -> bool:
        """Remove one; whether it was there."""
