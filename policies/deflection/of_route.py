"""What a route's deflectors say to a message, as it stands in a request."""

from __future__ import annotations

from datetime import datetime

from gateway.domain import Deflection, Message
from policies.deflection.currency import Rates
from policies.deflection.registry import Deflected, deflect
from policies.deflection.smalltalk import parting
from policies.deflection.text import plain

#: The answerer that knows a team's own list; it is no policy, and asked where all others are silent.
FAQ = "faq"
_SMALLTALK = "smalltalk"
_ROUND_MARKS = " \t\r\n.,!?"


def stands_alone(message: Message, rules: Deflection) -> bool:
    """Whether it asks the same as if nothing else had been said: nothing was, but perhaps the same."""
    is_told_how = message.has_system_prompt and not rules.over_system_prompts
    return not is_told_how and (message.is_repeated or not message.has_history)


def answer_to(message: Message, rules: Deflection, now: datetime) -> Deflected | None:
    """The answer; None leaves the message to a model. ``now`` is aware.

    After an earlier turn only thanks and goodbyes are answered, and of what is repeated it is told what was answered.
    """
    if not stands_alone(message, rules):
        if message.has_system_prompt and not rules.over_system_prompts:
            return None
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
