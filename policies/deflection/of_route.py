"""What a route's deflectors say to a message, as it stands in a request."""

from __future__ import annotations

from datetime import datetime

from gateway.domain import Deflection, Message
from policies.deflection.currency import Rates
from policies.deflection.registry import Deflected, deflect
from policies.deflection.smalltalk import parting
from policies.deflection.text import plain

_SMALLTALK = "smalltalk"
_ROUND_MARKS = " \t\r\n.,!?"


def answer_to(message: Message, rules: Deflection, now: datetime) -> Deflected | None:
    """The answer; None leaves the message to a model. ``now`` is aware.

    After an earlier turn only thanks and goodbyes are answered, and of what is repeated it is told what was answered.
    """
    if message.has_system_prompt and not rules.over_system_prompts:
        return None
    if message.has_history and not message.is_repeated:
        line = plain(message.text) if _SMALLTALK in rules.answerers else None
        answer = None if line is None else parting(line)
        return None if answer is None else Deflected(_SMALLTALK, answer)
    rates = Rates(rules.usd_rates, rules.usd_rates_as_of) if rules.usd_rates else None
    return deflect(message.text, rules.answerers, now, rules.time_zone, rates)


def is_same(text: str, other: str) -> bool:
    """Whether somebody says the same again, but for capitals, spaces and the marks around it."""
    return _words(text) == _words(other)


def _words(text: str) -> str:
    return " ".join(text.casefold().split()).strip(_ROUND_MARKS)
