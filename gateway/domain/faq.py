"""A team's own list of questions that it is asked often, with its answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

FAQ_ENTRIES_MAX = 500
FAQ_PARAPHRASES_MAX = 100  # of one entry
FAQ_QUESTIONS_MAX = 2000  # of a list, in all wordings


@dataclass(frozen=True, slots=True)
class FaqEntry:
    """``paraphrases``: other wordings of the question. ``id`` is the team's choice, and unique in its list."""

    id: str
    question: str
    paraphrases: tuple[str, ...]
    answer: str

    @property
    def questions(self) -> tuple[str, ...]:
        """All wordings."""
        return (self.question, *self.paraphrases)


@dataclass(frozen=True, slots=True)
class FaqVersion:
    """One state of a team's list, which never changes: every change makes the next one. 0: there was no list yet."""

    team_id: str
    version: int
    created_at: datetime | None
    changed_by: str | None  # name and id of an admin key


@dataclass(frozen=True, slots=True)
class FaqList(FaqVersion):
    """A version with what is on it."""

    entries: tuple[FaqEntry, ...]


@dataclass(frozen=True, slots=True)
class FaqAnswer:
    """What a list answers: ``risk`` is the share of wrong ones among answers for which as much speaks, or more."""

    entry: str
    version: int
    answer: str
    risk: float

    @property
    def source(self) -> str:
        """The entry and the version that answered, as ``x-obol-faq`` tells it."""
        return f"{self.entry}@{self.version}"


@dataclass(frozen=True, slots=True)
class FaqTrial:
    """What a list makes of a message. ``entry``: whose answer it would get, None where ``doubt`` says why it gets none.

    ``nearest``: the entry that comes nearest, with its ``question``; ``score``: the log odds that it is asked.
    """

    version: int
    entry: str | None
    answer: str | None
    nearest: str
    question: str
    score: float
    risk: float
    doubt: str | None


@dataclass(frozen=True, slots=True)
class FaqProblem:
    """A question of ``entry`` that would get the answer of ``answered_as``, if it did not stand on the list itself."""

    entry: str
    question: str
    answered_as: str
