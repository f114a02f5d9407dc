"""Orders to a model that are not its user's to give: by their forms, and by a classifier where these do not decide."""

from __future__ import annotations

from collections.abc import Sequence

from backends.guards.classifying import Classify, classifier
from backends.guards.looking import off_the_loop, version_of
from gateway.domain import Finding, GuardRule, InjectionSettings
from gateway.guard_ports import Asking, Guard
from policies.screening.injection.scoring import Verdict, score
from policies.screening.injection.weights import BLOCK_AT, ESCALATE_AT

VERSION = 2
IN_LOOP_LENGTH_MAX = 4_000  # characters: its rules cost five times what others' do
# As often the classifier is asked in one look, about the likeliest texts first; the last time about all that are left.
ASKED_MAX = 4


class InjectionGuard:
    """Its categories are the rules that fired, and what the classifier adds; the score is the greatest of the texts."""

    def __init__(self, settings: InjectionSettings, classify: Classify | None = None) -> None:
        """``classify``: what is asked about texts that the rules do not decide."""
        self.version = version_of(VERSION, settings)
        self._block_at = BLOCK_AT if settings.block_at is None else settings.block_at
        self._escalate_at = ESCALATE_AT if settings.escalate_at is None else settings.escalate_at
        self._classify = classify
        score("")  # compiles what it goes by

    async def look(self, texts: Sequence[str], asking: Asking) -> Finding:
        """Raises GuardFailed where the classifier gives no answer."""
        said = list(dict.fromkeys(texts))
        verdicts = await off_the_loop(lambda: list(map(score, said)), said, IN_LOOP_LENGTH_MAX)
        likeliest = sorted(zip(verdicts, said, strict=True), key=lambda one: -one[0].score)
        if not likeliest:
            return Finding(score=0.0)
        first = likeliest[0][0]
        if first.score >= self._block_at:
            return Finding(is_adverse=True, categories=first.rules, score=first.score)
        doubtful = [(verdict, text) for verdict, text in likeliest if verdict.score >= self._escalate_at]
        if not (doubtful and self._classify):
            return Finding(categories=first.rules if doubtful else (), score=first.score)
        if len(doubtful) > ASKED_MAX:  # nobody hides an attack behind others that look more like one
            left = doubtful[ASKED_MAX - 1 :]
            doubtful[ASKED_MAX - 1 :] = [(left[0][0], "\n\n".join(text for _, text in left))]
        return await self._asked(self._classify, doubtful, asking)

    async def _asked(self, classify: Classify, doubtful: Sequence[tuple[Verdict, str]], asking: Asking) -> Finding:
        """What the classifier says of the first that it takes for an attack, else of the likeliest."""
        said = []
        for verdict, text in doubtful:
            finding = await classify(text, asking)
            categories = tuple(dict.fromkeys((*verdict.rules, *finding.categories)))
            score_told = verdict.score if finding.score is None else finding.score
            said.append(Finding(finding.is_adverse, categories, score_told))
            if finding.is_adverse:
                return said[-1]
        return said[0]


def build(rule: GuardRule) -> Guard:
    if not isinstance(rule.settings, InjectionSettings):
        raise TypeError(rule.kind)
    return InjectionGuard(rule.settings, classifier(rule.settings) if rule.settings.classifier else None)
