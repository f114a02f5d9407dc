"""Guards that find words, and answers of plain text, for tests of what becomes of both."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from gateway.domain import Asker, Chain, Finding, GuardMode, GuardRule, OnError, Place, SecretsSettings, Where
from gateway.guard_ports import Slot
from gateway.screening.outlet import Outlet


class WordGuard:
    """Finds a pattern, and remembers what it was shown."""

    version = "1"

    def __init__(self, pattern: str, *, tells_where: bool = True) -> None:
        self.pattern = re.compile(pattern)
        self.tells_where = tells_where
        self.seen: list[Sequence[str]] = []

    async def look(self, texts, asking):
        del asking
        self.seen.append(texts)
        places = [
            Place(number, found.start(), found.end(), "word")
            for number, text in enumerate(texts)
            for found in self.pattern.finditer(text)
        ]
        return Finding(bool(places), ("word",) if places else (), places=places if self.tells_where else ())


class HangingGuard(WordGuard):
    async def look(self, texts, asking):
        del texts, asking
        await asyncio.Event().wait()


class BrokenGuard(WordGuard):
    async def look(self, texts, asking):
        del texts, asking
        raise ValueError("of no use")


def rule(name: str = "words", *, mode: GuardMode = GuardMode.BLOCK, **changes) -> GuardRule:
    stated = {
        "kind": "secrets",
        "settings": SecretsSettings(),
        "where": Where.BOTH,
        "on_error": OnError.CLOSED,
        "timeout_s": 60.0,
        **changes,
    }
    return GuardRule(name, mode=mode, **stated)


class NoAsking:
    def __init__(self, rule: GuardRule) -> None:
        self.cost_nusd = 0
        self.asker = Asker("req_1", "org_1", "team_1", "key_1", Where.OUTPUT, rule.name)

    def was_late(self) -> None:
        pass


class _Event:
    def __init__(self, text: str, ends: bool) -> None:
        self.slots = (Slot("a", text),) if text else ()
        self.ends = ("a",) if ends else ()

    def encoded(self, texts=None):
        return "".join([slot.text for slot in self.slots] if texts is None else texts).encode()


class PlainTexts:
    """Each byte string is an event with that text; an empty line ends the text."""

    def read(self, shown):
        return [_Event(shown.decode().removesuffix("\n"), shown.endswith(b"\n"))]

    def more(self, channel, text):
        del channel
        return text.encode()

    def stopped(self, usage, cost_nusd):
        del usage, cost_nusd
        return b"<stopped>"


def outlet(*guards, originals=None, chain=None) -> Outlet:
    """The way out of an answer that these pairs of a rule and a guard look at."""
    return Outlet(PlainTexts(), guards, originals or {}, NoAsking, chain or Chain(0.0), lambda: 0.0, lambda *_: None)
