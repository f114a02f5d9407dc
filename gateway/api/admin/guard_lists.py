"""What teams and keys add to the guards of the catalog, checked before it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import msgspec
from pydantic import Field, TypeAdapter

from gateway.catalog.guard_rules import BadGuard, UnknownGuard, added_rule, check_settings
from gateway.catalog.guard_schema import AddedGuard
from gateway.domain import GuardRule
from gateway.errors import Conflict, NotFound

GUARDS_MAX = 20
BYTES_MAX = 65_536

AddedGuards = Annotated[
    list[AddedGuard],
    Field(
        max_length=GUARDS_MAX,
        description="Names of the catalog's guards, its guards with other settings, and guards of one's own.",
    ),
]


class GuardLists:
    """Checks lists by the catalog in force."""

    def __init__(self, catalog_guards: Callable[[], Mapping[str, GuardRule]]) -> None:
        self._known = catalog_guards

    async def checked(self, guards: Sequence[AddedGuard] | None) -> list[object]:
        """The list as JSON. Raises NotFound for a guard that the catalog does not have, Conflict for what cannot be."""
        if not guards:
            return []
        await asyncio.to_thread(self._check, guards)  # compiling takes some milliseconds, and up to 0.1 s
        kept: list[object] = _WRITER.dump_python(list(guards), mode="json", exclude_unset=True, exclude_none=True)
        if len(msgspec.json.encode(kept)) > BYTES_MAX:
            raise _conflict(f"guards must not be larger than {BYTES_MAX} bytes of JSON")
        return kept

    def _check(self, guards: Sequence[AddedGuard]) -> None:
        known, names = self._known(), set()
        for place, one in enumerate(guards):
            try:
                rule = added_rule(one, known)
                check_settings(rule)
            except UnknownGuard as exc:
                raise NotFound(f"guards.{place}: {exc}.", param="guards") from exc
            except BadGuard as exc:
                raise _conflict(f"guards.{place}: {exc}") from exc
            if rule.name in names:
                raise _conflict(f"guards.{place}: {rule.name!r} is there twice; give one of them a name of its own")
            names.add(rule.name)


_WRITER: TypeAdapter[list[AddedGuard]] = TypeAdapter(AddedGuards)


def _conflict(message: str) -> Conflict:
    return Conflict(f"{message}.", param="guards", code="invalid_guard")
