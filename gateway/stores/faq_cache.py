"""Teams' lists as they answer in this process: read, turned into vectors and tried once for each version."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from gateway.answer_ports import Embed, IndexAway
from gateway.domain import FaqAnswer, FaqList, FaqProblem, FaqTrial
from gateway.errors import StoreUnavailable
from gateway.stores.faq_lists import CHANNEL, FaqChanges

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from policies.faq.matching import FaqMatcher, Match

log = logging.getLogger(__name__)

REFRESH_INTERVAL_S = 10.0
QUESTIONS_MAX = 100_000  # of all lists that are held, 1.5 kB each and as much for their words
TEAMS_MAX = 50_000  # most of them without a list
_READS_MAX = 2  # at once: the ledger needs its connections
_TEXTS_MAX = 32  # are turned into vectors in one go
_ATTEMPTS = 20  # to reach the embedder, which starts when it is first asked for
_ATTEMPT_S = 0.5


class Source(Protocol):
    """What the cache asks: FaqStore."""

    async def current(self, team_id: str) -> FaqList:
        """The newest version. Raises StoreUnavailable."""

    async def changes(self, since: datetime) -> FaqChanges:
        """Whose lists changed since then. Raises StoreUnavailable."""

    async def now(self) -> datetime:
        """By the clock of the source. Raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class _Book:
    """A list that is ready; ``matcher`` None: nothing is on it."""

    faq: FaqList
    matcher: FaqMatcher | None
    vectors: dict[str, NDArray[np.float32]]  # of each question


class FaqCache:
    """The FaqLists of the path.

    A list is got ready in the background when it is first asked, and again when it changed: meanwhile it answers
    nothing, and what it said before is never said again. While Postgres is away, what is ready goes on answering.
    """

    channel = CHANNEL

    def __init__(
        self, source: Source, embed: Embed, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._source = source
        self._embed = embed
        self._sleep = sleep
        self._books: OrderedDict[str, _Book] = OrderedDict()  # least recently asked first
        self._questions = 0
        self._loads: dict[str, asyncio.Task[_Book]] = {}
        self._news: dict[str, int] = {}  # what was announced of teams while their list was being read
        self._reading = asyncio.Semaphore(_READS_MAX)
        self._making = asyncio.Semaphore()
        self._since: datetime | None = None  # changes are known until then; None: no list was read yet

    async def find(self, team_id: str, text: str, wrong_answers_max: float | None = None) -> FaqAnswer | None:
        """Of answer_ports.FaqLists."""
        book = self._books.get(team_id)
        if book is None:
            self._load(team_id)
            return None
        self._books.move_to_end(team_id)
        if book.matcher is None or not book.matcher.can_ask(text):
            return None
        try:
            vectors = await self._embed([text], is_urgent=True)
        except IndexAway:
            return None
        match = book.matcher.match(text, vectors[0], wrong_answers_max)
        if match.doubt is not None or self._books.get(team_id) is not book:  # else it was changed while we waited
            return None
        entry = book.faq.entries[match.entry]
        return FaqAnswer(entry.id, book.faq.version, entry.answer, match.risk)

    async def explain(self, team_id: str, text: str, wrong_answers_max: float | None = None) -> FaqTrial | None:
        """What the team's list makes of a message, None where nothing is on it. Raises StoreUnavailable."""
        book = await self._ready(team_id)
        if book.matcher is None:
            return None
        match = book.matcher.match(text, (await self._vectors([text]))[0], wrong_answers_max)
        return _trial(book.faq, match)

    async def problems(self, team_id: str) -> list[FaqProblem]:
        """Questions of the list that read like those of another entry. Raises StoreUnavailable."""
        book = await self._ready(team_id)
        if book.matcher is None:
            return []
        whose = [(entry, text) for entry in book.faq.entries for text in entry.questions]
        return [
            FaqProblem(whose[one.question][0].id, whose[one.question][1], book.faq.entries[one.answered].id)
            for one in book.matcher.confusions()
        ]

    async def refresh(self) -> None:
        """Take in what changed; run it every 10 s, for announcements that were lost. Raises StoreUnavailable."""
        if self._since is None:  # nobody asked for a list yet: Postgres is left alone
            return
        changes = await self._source.changes(self._since)
        self._since = changes.until
        for team_id, version in changes.versions.items():
            self.changed(team_id, version)

    def heard(self, announcement: bytes) -> None:
        """A message of the channel: a version and the team that it is of, or what a newer release says instead."""
        version, _, team_id = announcement.decode("utf-8", "replace").partition(":")
        if version.isascii() and version.isdigit():
            self.changed(team_id, int(version))
        else:
            self.forget()

    def changed(self, team_id: str, version: int) -> None:
        """Say nothing of an older version any more, and get the new one ready where the old one was."""
        book = self._books.get(team_id)
        if team_id in self._loads:
            self._news[team_id] = max(version, self._news.get(team_id, 0))
        elif book is not None and book.faq.version < version:
            self._drop(team_id)
            self._load(team_id, book)

    def forget(self) -> None:
        """Know nothing; every list is read anew."""
        self._books.clear()
        self._loads.clear()  # their results are nobody's
        self._news.clear()
        self._questions = 0

    def _drop(self, team_id: str) -> None:
        book = self._books.pop(team_id, None)
        if book is not None:
            self._questions -= len(book.vectors)

    async def _ready(self, team_id: str) -> _Book:
        while (book := self._books.get(team_id)) is None:
            await asyncio.shield(self._load(team_id))
        return book

    def _load(self, team_id: str, old: _Book | None = None) -> asyncio.Task[_Book]:
        task = self._loads.get(team_id)
        if task is None:
            task = asyncio.create_task(self._read(team_id, old))
            self._loads[team_id] = task
            task.add_done_callback(lambda done: self._loaded(team_id, done))
        return task

    async def _read(self, team_id: str, old: _Book | None) -> _Book:
        try:
            async with self._reading:
                if self._since is None:
                    now = await self._source.now()
                    self._since = self._since or now  # the first of two, whose list may be read already
                faq = await self._source.current(team_id)
            if not faq.entries:
                return _Book(faq, None, {})
            async with self._making:
                known = {} if old is None else old.vectors
                texts = list(dict.fromkeys(text for entry in faq.entries for text in entry.questions))
                vectors = {text: known[text] for text in texts if text in known}
                new = [text for text in texts if text not in known]
                for start in range(0, len(new), _TEXTS_MAX):
                    part = new[start : start + _TEXTS_MAX]
                    vectors |= zip(part, await self._vectors(part), strict=True)
                return await asyncio.to_thread(_book, faq, vectors)
        except StoreUnavailable:
            await self._sleep(_ATTEMPT_S)  # until then whoever asks does not try again
            raise

    async def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Patiently: the embedder starts when it is first asked for. Raises StoreUnavailable."""
        for _ in range(_ATTEMPTS):
            try:
                return await self._embed(texts)
            except IndexAway as exc:
                away = exc
            await self._sleep(_ATTEMPT_S)
        raise StoreUnavailable(f"Texts cannot be compared just now: {away}. Please retry.")

    def _loaded(self, team_id: str, task: asyncio.Task[_Book]) -> None:
        """Hold it, unless everything was forgotten meanwhile; read again where the list was changed meanwhile."""
        if self._loads.get(team_id) is not task:
            return
        del self._loads[team_id]
        if task.cancelled():
            return
        failure = task.exception()
        if isinstance(failure, StoreUnavailable):
            log.warning("the list of questions of %s answers nothing until it can be read: %s", team_id, failure)
        elif failure is not None:
            log.error("the list of questions of %s cannot be made ready", team_id, exc_info=failure)
        elif task.result().faq.version < self._news.pop(team_id, 0):
            self._load(team_id, task.result())
        else:
            self._hold(team_id, task.result())

    def _hold(self, team_id: str, book: _Book) -> None:
        self._books[team_id] = book
        self._questions += len(book.vectors)
        while self._questions > QUESTIONS_MAX or len(self._books) > TEAMS_MAX:
            self._drop(next(iter(self._books)))


def _book(faq: FaqList, vectors: dict[str, NDArray[np.float32]]) -> _Book:
    import numpy as np  # noqa: PLC0415 - for those who have a list

    from policies.faq.matching import FaqMatcher  # noqa: PLC0415

    entries = [entry.questions for entry in faq.entries]
    rows = np.array([vectors[text] for questions in entries for text in questions], np.float32)
    return _Book(faq, FaqMatcher(entries, rows), vectors)


def _trial(faq: FaqList, match: Match) -> FaqTrial:
    nearest = faq.entries[match.entry]
    questions = [text for entry in faq.entries for text in entry.questions]
    return FaqTrial(
        version=faq.version,
        entry=None if match.doubt else nearest.id,
        answer=None if match.doubt else nearest.answer,
        nearest=nearest.id,
        question=questions[match.question],
        score=match.score,
        risk=match.risk,
        doubt=match.doubt,
    )
