"""All deflectors by name, and the one question to them: can this message be answered without a model?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, tzinfo

from policies.deflection.arithmetic import arithmetic
from policies.deflection.clock import clock
from policies.deflection.currency import Rates, currency
from policies.deflection.smalltalk import smalltalk
from policies.deflection.text import plain
from policies.deflection.units import units

NAMES = ("arithmetic", "units", "clock", "currency", "smalltalk")


@dataclass(frozen=True, slots=True)
class Deflected:
    """``name`` of the deflector that answers, and its answer."""

    name: str
    answer: str


def deflect(
    text: str,
    enabled: Collection[str],
    now: datetime,
    zone: tzinfo | None = None,
    rates: Rates | None = None,
) -> Deflected | None:
    """The answer to a message that stands alone, by one of the deflectors ``enabled``; None leaves it to a model.

    ``now`` is aware. Without the asker's ``zone`` local times and dates are not told, without ``rates`` no currency.
    """
    line = plain(text)
    if line is None:
        return None
    for name in NAMES:
        if name not in enabled:
            continue
        match name:
            case "arithmetic":
                answer = arithmetic(line)
            case "units":
                answer = units(line)
            case "clock":
                answer = clock(line, now, zone)
            case "currency":
                answer = currency(line, rates)
            case _:
                answer = smalltalk(line)
        if answer is not None:
            return Deflected(name, answer)
    return None
