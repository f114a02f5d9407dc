"""Questions that are like one another: what is kept of one, and what is found near another."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.answers import AnswerKey


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A question that was answered before; ``digest`` names its answer. ``cosine``: how near it is, at most 1.

    ``group``: questions of one group were found to have the same answer; empty where none was compared.
    """

    cosine: float
    text: str
    digest: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Nearest:
    """What is near a text, nearest first, and what looking took.

    ``tokens`` and ``cpu_ns`` are of the embedding, 0 where the vector was given. ``vector``: of the text, float32 of
    unit length, empty for one that ``is_too_long`` to be looked for.
    """

    neighbours: tuple[Neighbour, ...]
    tokens: int
    cpu_ns: int
    vector: bytes
    is_too_long: bool = False


@dataclass(frozen=True, slots=True)
class KeptQuestion:
    """A question whose answer is kept under ``key``, to be found by others of the same ``space``.

    ``space`` stands for all that must be equal beside the text. ``epoch``: what the answer was asked under.
    ``vector``: float32, ``None`` where it is to be made of the text. ``group``: of those that were found to have the
    same answer, the digest of the first; empty where none is known.
    """

    key: AnswerKey
    epoch: str
    space: str
    text: str
    vector: bytes | None = None
    group: str = ""
