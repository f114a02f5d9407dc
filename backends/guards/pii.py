"""Personal data that its form proves."""

from __future__ import annotations

from collections.abc import Sequence

from backends.guards.looking import places_in, version_of
from gateway.domain import Finding, GuardRule, PiiSettings
from gateway.guard_ports import Asking, Guard
from policies.screening.pii.find import find
from policies.screening.pii.kinds import expanded

VERSION = 1


class PiiGuard:
    """Its categories are the kinds of personal data."""

    def __init__(self, settings: PiiSettings) -> None:
        """Raises ValueError for a kind that is not known."""
        self.version = version_of(VERSION, settings)
        self._kinds = expanded(settings.kinds) if settings.kinds else None

    async def look(self, texts: Sequence[str], asking: Asking) -> Finding:  # noqa: ARG002 - asks nobody
        return await places_in(texts, find, self._kinds)


def build(rule: GuardRule) -> Guard:
    if not isinstance(rule.settings, PiiSettings):
        raise TypeError(rule.kind)
    return PiiGuard(rule.settings)
