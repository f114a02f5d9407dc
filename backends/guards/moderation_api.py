"""Moderation by an upstream with OpenAI's ``/v1/moderations``: its scores against thresholds, else what it flags."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from backends.guards.looking import version_of
from backends.guards.verdicts import names
from gateway.domain import NOTHING_FOUND, Endpoint, Finding, GuardRule, ModerationSettings
from gateway.errors import GuardFailed
from gateway.guard_ports import Asking, Guard

VERSION = 1
#: Servers take a list of this length; a longer conversation is more than one call.
TEXTS_PER_CALL = 32


class _Result(msgspec.Struct):
    """``flagged``: Mistral's answers have none. Scores of categories that a model does not know are null."""

    categories: dict[str, bool | None] = {}
    category_scores: dict[str, float | None] = {}
    flagged: bool | None = None


class _Moderation(msgspec.Struct):
    results: list[_Result]


_read = msgspec.json.Decoder(_Moderation).decode


class ModerationGuard:
    """A Guard that asks for moderation."""

    def __init__(self, settings: ModerationSettings) -> None:
        self.version = version_of(VERSION, settings)
        self._deployment = settings.deployment
        self._thresholds = dict(settings.thresholds)

    async def look(self, texts: Sequence[str], asking: Asking) -> Finding:
        """The worst of all texts. Raises GuardFailed."""
        said = [text for text in dict.fromkeys(texts) if text.strip()]
        if not said:
            return NOTHING_FOUND
        calls = [said[start : start + TEXTS_PER_CALL] for start in range(0, len(said), TEXTS_PER_CALL)]
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._asked(call, asking)) for call in calls]
        except BaseExceptionGroup as exc:  # the others were cancelled
            raise exc.exceptions[0] from exc
        results = [result for task in asked for result in task.result()]
        adverse = dict.fromkeys(category for result in results for category in self._adverse(result))
        is_adverse = bool(adverse) or (not self._thresholds and any(result.flagged for result in results))
        scores = [score for result in results for score in self._scores(result)]
        return Finding(is_adverse, names(list(adverse)), max(scores, default=None))

    async def _asked(self, texts: Sequence[str], asking: Asking) -> Sequence[_Result]:
        fields: Mapping[str, object] = {"model": self._deployment, "input": list(texts)}
        answer = await asking.ask(self._deployment, Endpoint.MODERATIONS, fields)
        try:
            results = _read(answer).results
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise GuardFailed(f"{self._deployment}: its answer is no moderation") from exc
        if len(results) != len(texts):
            raise GuardFailed(f"{self._deployment}: {len(results)} results for {len(texts)} texts")
        for result in results:
            self._check(result)
        return results

    def _check(self, result: _Result) -> None:
        """Raises GuardFailed for a result that says nothing of what it was asked for."""
        if not all(score is None or 0 <= score <= 1 for score in result.category_scores.values()):
            raise GuardFailed(f"{self._deployment}: a score is a number from 0 to 1")
        for category in self._thresholds:
            if result.category_scores.get(category) is None:
                raise GuardFailed(f"{self._deployment}: it gives no score for '{category}'")
        if not self._thresholds and result.flagged is None and not result.categories:
            raise GuardFailed(f"{self._deployment}: it neither flags nor says what it found")

    def _adverse(self, result: _Result) -> Sequence[str]:
        if not self._thresholds:
            return [category for category, is_found in result.categories.items() if is_found]
        scores = result.category_scores
        return [category for category, least in self._thresholds.items() if (scores[category] or 0.0) >= least]

    def _scores(self, result: _Result) -> Sequence[float]:
        counted = self._thresholds or result.category_scores
        return [score for category in counted if (score := result.category_scores.get(category)) is not None]


def build(rule: GuardRule) -> Guard:
    if not isinstance(rule.settings, ModerationSettings):
        raise TypeError(rule.kind)
    return ModerationGuard(rule.settings)
