"""What a team denies and allows: words and expressions."""

from __future__ import annotations

from collections.abc import Sequence

from backends.guards.looking import places_in, version_of
from gateway.domain import Finding, GuardRule, PatternsSettings, WordList
from gateway.guard_ports import Asking, Guard
from policies.screening.patterns import PatternList, Patterns

VERSION = 1


class PatternsGuard:
    """Its categories are the names of the lists."""

    def __init__(self, settings: PatternsSettings) -> None:
        """Raises BadPattern, which is a ValueError, in words for whoever wrote the list."""
        self.version = version_of(VERSION, settings)
        self._patterns = Patterns(
            {name: _listed(words) for name, words in settings.deny},
            _listed(settings.allow) if settings.allow else None,
            fold_look_alikes=settings.fold_look_alikes,
        )

    async def look(self, texts: Sequence[str], asking: Asking) -> Finding:  # noqa: ARG002 - asks nobody
        return await places_in(texts, self._patterns.find)


def build(rule: GuardRule) -> Guard:
    if not isinstance(rule.settings, PatternsSettings):
        raise TypeError(rule.kind)
    return PatternsGuard(rule.settings)


def _listed(words: WordList) -> PatternList:
    return PatternList(words.words, words.expressions)
