"""Calls under way in the memory of a process: what Redis has to hold for them, to tell it again should it lose that."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain import Admission, LedgerEntry
from gateway.stores.books import Journaled, hold_record, place_record
from gateway.stores.redis_wire import Arg

_UNCALLED_MAX = 10_000  # the first ones: what Redis had not answered when it was lost


class UnderWay:
    """Intents, holds and places, from the moment in which Redis is asked for them."""

    def __init__(self) -> None:
        self._intents: dict[str, Journaled] = {}
        self._asking: dict[str, str] = {}  # attempt -> request: sent to be admitted, not answered yet
        self._holds: dict[str, str] = {}  # attempt -> its record in Redis
        self._places: dict[str, tuple[str, str]] = {}  # request -> organization, its record in Redis
        self._doubtful: set[str] = set()  # attempts that a sweeper may have charged as orphaned
        self._uncalled: list[LedgerEntry] = []  # intents that Redis may still have, though their calls were never made

    def __len__(self) -> int:
        """How many calls are under way."""
        return len(self._intents)

    def __iter__(self) -> Iterator[Journaled]:
        """A snapshot of all intents."""
        return iter(list(self._intents.values()))

    def ask(self, intent: Journaled, request_id: str) -> None:
        """It is about to be admitted: from now on it may stand in Redis or not."""
        self._intents[intent.id] = intent
        self._asking[intent.id] = request_id

    def answered(self, intent: Journaled) -> None:
        """It is known whether it was admitted."""
        self._asking.pop(intent.id, None)

    def admitted(self, intent: Journaled, request_id: str, admission: Admission, second: int) -> None:
        """Redis holds its money, and its place unless an earlier attempt of the request took that."""
        if record := hold_record(admission.hold_nusd, admission.claims):
            self._holds[intent.id] = record
        if admission.claims.limits and request_id not in self._places:
            record = place_record(second, admission.input_tokens, admission.claims)
            self._places[request_id] = (intent.organization_id, record)

    def renew(self, intent: Journaled) -> bool:
        """Put it in the place of the one that stands; false when none does, or when that is being admitted."""
        if intent.id not in self._intents or intent.id in self._asking:
            return False
        self._intents[intent.id] = intent
        return True

    def doubt(self) -> None:
        """A sweeper may have charged all that is under way as orphaned."""
        self._doubtful.update(self._intents)

    def end(self, entry: LedgerEntry) -> bool:
        """Nothing of this attempt stands any more, but its request's place; true if it may be charged as orphaned."""
        self._intents.pop(entry.id, None)
        self._holds.pop(entry.id, None)
        is_doubtful = entry.id in self._doubtful
        self._doubtful.discard(entry.id)
        return is_doubtful

    def end_unheard(self, intent: LedgerEntry) -> None:
        """Its call is never made, and Redis, which may have it, could not be told."""
        self.end(intent)
        if len(self._uncalled) < _UNCALLED_MAX:
            self._uncalled.append(intent)

    def take_uncalled(self) -> list[LedgerEntry]:
        """Those that ended unheard: Redis has been told now."""
        uncalled, self._uncalled = self._uncalled, []
        return uncalled

    def leave(self, request_id: str) -> bool:
        """The request has no place any more; false when it had none."""
        return self._places.pop(request_id, None) is not None

    def restore_args(self, organization_id: str, instance: str) -> tuple[Arg, ...]:
        """All of an organization, as lua/journal_restore.lua reads it."""
        asking = self._asking
        intents: list[Arg] = []
        for intent in self._intents.values():
            if intent.organization_id == organization_id and intent.id not in asking:
                intents += [intent.id, intent.entry, self._holds.get(intent.id, "")]
        places: list[Arg] = []
        for request_id, (organization, record) in self._places.items():
            if organization == organization_id:
                places += [request_id, record]
        return (instance, len(intents) // 3, len(places) // 2, *intents, *places, *asking, *asking.values())
