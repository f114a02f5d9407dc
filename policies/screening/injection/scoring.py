"""How likely a text is to give orders to a model that are not its user's to give."""

from __future__ import annotations

import math
from dataclasses import dataclass

from policies.screening.injection.features import examine
from policies.screening.injection.weights import BIAS, BLOCK_AT, ESCALATE_AT, WEIGHTS


@dataclass(frozen=True, slots=True)
class Verdict:
    """``score`` from 0 to 1, no probability: known forms lie near 1.

    ``rules``: those that speak for an attack, strongest first.
    """

    score: float
    rules: tuple[str, ...]

    @property
    def escalates(self) -> bool:
        """A classifier or a judge should look at the text."""
        return self.score >= ESCALATE_AT

    @property
    def blocks(self) -> bool:
        """The text may be refused without one."""
        return self.score >= BLOCK_AT


def score(text: str) -> Verdict:
    """Linear in the length of the text; of a long one, disguises are looked for at its ends (reading.py)."""
    fired = examine(text)
    odds = BIAS + sum(WEIGHTS.get(name, 0.0) for name in fired)
    attacks = [name for name in fired if WEIGHTS.get(name, 0.0) > 0]
    rules = sorted(attacks, key=lambda name: (-WEIGHTS[name], name))
    return Verdict(1 / (1 + math.exp(-odds)), tuple(rules))
