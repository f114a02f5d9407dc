"""Guards tried on a text by somebody who administers them: the looks of the path, and nothing sent on or charged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.domain import Asker, Endpoint, GuardVerdict, Where
from gateway.errors import GuardFailed
from gateway.screening.looking import Looked, Standing, look
from policies.screening.modes import in_groups, masked, spans_by_text
from policies.screening.redaction import Redactor
from policies.screening.spans import without_overlaps


class TrialAsking:
    """Asks nobody: there is no request that a deployment's answer could be charged to."""

    cost_nusd = 0

    def __init__(self, asker: Asker) -> None:
        self.asker = asker

    async def ask(self, deployment: str, endpoint: Endpoint, fields: Mapping[str, object]) -> bytes:
        """Raises GuardFailed."""
        del endpoint, fields
        raise GuardFailed(f"It asks {deployment!r}, which a trial does not: nobody would be charged for it.")

    def was_late(self) -> None:
        """Nobody was asked."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What all guards said of a text, in their order, and what it is after those that redact."""

    text: str
    verdicts: Sequence[GuardVerdict]


async def tried(guards: Sequence[Standing], text: str, asker: Asker, now_s: Callable[[], float]) -> Tried:
    """``asker.where``: as what the text is looked at. What blocks keeps none that follows from being tried."""
    redactor, verdicts, where = Redactor(), [], asker.where
    here = {id(rule): (rule, guard) for rule, guard in guards if rule.looks_at(where)}
    for group in in_groups(rule for rule, _ in here.values()):
        looked: list[Looked] = []
        for rule in group:
            looked += await look([here[id(rule)]], [text], where, lambda _: TrialAsking(asker), now_s)
        verdicts += [one.verdict for one in looked]
        (spans,) = spans_by_text((place for one in looked for place in one.places), 1)
        if spans and where is Where.INPUT:
            text = redactor.redact(text, spans)
        elif spans:
            text = masked(text, without_overlaps(spans))
    return Tried(text, verdicts)
