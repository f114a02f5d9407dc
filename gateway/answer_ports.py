"""What answers without a model need from outside the path, as Protocols: kept answers, similar questions, lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from gateway.domain import AnswerKey, FaqAnswer, Found, KeptAnswer
from gateway.domain.similar import KeptQuestion, Nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AnswerStore(Protocol):
    """Answers that are given again, the same for all replicas. They may be lost, and are while the store is away."""

    async def look(
        self,
        key: AnswerKey,
        *,
        age_s_max: float | None = None,
        may_read: bool = True,
        may_lead: bool = True,
        since: str = "",
    ) -> Found | None:
        """The answer, or whether somebody asks for it; ``None`` while the store is away.

        Where it is not there and nobody asks, the caller leads if it may: others wait until it keeps, drops or
        releases what it asks for. ``since``: the epoch that the request was looked up under at first, if this is not
        that look; where that has been purged, nothing is kept for the request, and it does not lead.
        """

    async def keep(self, key: AnswerKey, epoch: str, answer: KeptAnswer, ttl_s: int, *, is_leader: bool = True) -> bool:
        """Keep it, and give up the lead; false where that cannot be. Never raises for a store that is away."""

    async def renew(self, keys: Iterable[AnswerKey]) -> None:
        """Go on leading. Never raises for a store that is away."""

    async def drop(self, key: AnswerKey) -> None:
        """Give up the lead: one of those who wait takes it. Never raises for a store that is away."""

    async def release(self, key: AnswerKey, *, is_lasting: bool) -> None:
        """Give up the lead: nobody is to wait, for long if ``is_lasting``. Never raises for a store that is away."""


class IndexAway(Exception):
    """Nothing is known of what is near, just now: whoever asks goes on without. The message says why."""


class SemanticIndex(Protocol):
    """Questions that were answered before, by what they mean. All methods raise IndexAway."""

    async def nearest(self, tenant: str, space: str, text: str, vector: bytes | None = None) -> Nearest:
        """Those of that space that are near the text, in some milliseconds.

        ``space`` stands for all that must be equal beside the text, in printable ASCII without blanks. ``vector``:
        float32 numbers that another model made of the text; all of one space have the same length.
        """

    async def keep(self, question: KeptQuestion) -> bool:
        """Let it be found on all replicas as long as its answer is kept; false where that is not kept (any more)."""

    async def forget(self, tenant: str, space: str, digest: str) -> None:
        """Its answer is gone before its time."""

    async def vectors(self, texts: Sequence[str], *, is_urgent: bool = False) -> NDArray[np.float32]:
        """The vectors of texts, unit length, a row each. ``is_urgent``: a request waits for them."""


class Embed(Protocol):
    """What makes vectors of texts: SemanticIndex.vectors."""

    async def __call__(self, texts: Sequence[str], *, is_urgent: bool = False) -> NDArray[np.float32]:
        """A row of unit length for each. ``is_urgent``: a request waits for them. Raises IndexAway."""


class FaqLists(Protocol):
    """Teams' own lists of questions with their answers."""

    async def find(self, team_id: str, text: str, wrong_answers_max: float | None = None) -> FaqAnswer | None:
        """What the team's list answers, None where it does not. Never raises, and takes some milliseconds.

        ``wrong_answers_max``: the share of the answers that may be wrong; None: 0.02.
        """


class SharedCounts(Protocol):
    """Counts that all replicas add to. They may be lost."""

    async def add(self, name: str, more: Mapping[str, int], gone: Sequence[str] = ()) -> Mapping[str, int] | None:
        """Add to the counts of that name, and tell all of them; ``None``, having added nothing, while it is away.

        ``gone``: those that nobody wants to know any more. Where its answer is lost what was added may be added again:
        counts of the same kind grow alike.
        """
