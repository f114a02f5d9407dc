"""How many messages a list of questions answers right, and how many of its answers are wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.evaluation.bounds import upper_bound
from gateway.evaluation.rows import BadRows, read_rows
from policies.faq.matching import FaqMatcher

Encode = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Message:
    """``wanted``: the entry that it asks for, None where the list has none; ``entry``: whose answer it got, if any."""

    bot: str
    text: str
    wanted: str | None
    entry: str | None
    doubt: str | None

    @property
    def is_wrong(self) -> bool:
        return self.entry is not None and self.entry != self.wanted


@dataclass(frozen=True, slots=True)
class Tally:
    """Of messages: those that an entry answers, and the answers given, right or wrong."""

    messages: int
    answerable: int
    right: int
    wrong: int

    def as_json(self) -> dict[str, object]:
        """Shares from 0 to 1; the bound is one-sided, with 95 % confidence."""
        answers = self.right + self.wrong
        return {
            "n": self.messages,
            "n_answerable": self.answerable,
            "answered_right": self.right / self.answerable if self.answerable else 0.0,
            "answers_wrong": self.wrong / answers if answers else 0.0,
            "answers_wrong_upper95": upper_bound(self.wrong, answers),
            "coverage": answers / self.messages if self.messages else 0.0,
            "right": self.right,
            "wrong": self.wrong,
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """All messages of a file, with what its lists made of them."""

    messages: Sequence[Message]

    def all(self) -> Tally:
        return _tally(self.messages)

    def by_bot(self) -> Mapping[str, Tally]:
        bots = sorted({one.bot for one in self.messages})
        return {bot: _tally([one for one in self.messages if one.bot == bot]) for bot in bots}

    def as_json(self) -> dict[str, object]:
        silent = Counter(one.doubt for one in self.messages if one.doubt)
        return self.all().as_json() | {
            "by_bot": {bot: tally.as_json() for bot, tally in self.by_bot().items()},
            "silent": dict(silent.most_common()),
        }


@dataclass(slots=True)
class _Bot:
    """The rows of one: its list by entry, and the messages with the entry that each asks for."""

    questions: dict[str, list[str]] = field(default_factory=dict)
    messages: list[tuple[str, str | None]] = field(default_factory=list)


def judge(path: Path, encode: Encode, wrong_answers_max: float) -> Trial:
    """Ask each list of a file its messages. Columns: bot, part (train: the list; test: messages), text and faq.

    ``faq`` names the entry, null where none answers. Raises BadRows.
    """
    messages: list[Message] = []
    for name, bot in _read(path).items():
        if not bot.questions:
            raise BadRows(f'{path}: {name!r} has messages but no list (rows with part "train")')
        names = list(bot.questions)
        entries = list(bot.questions.values())
        matcher = FaqMatcher(entries, encode([text for texts in entries for text in texts]))
        for (text, wanted), vector in zip(bot.messages, encode([text for text, _ in bot.messages]), strict=True):
            match = matcher.match(text, vector, wrong_answers_max)
            entry = None if match.doubt else names[match.entry]
            messages.append(Message(name, text, wanted, entry, match.doubt))
    return Trial(messages)


def _read(path: Path) -> dict[str, _Bot]:
    bots: dict[str, _Bot] = {}
    for number, row in read_rows(path, ("part", "text", "faq")):
        where, part, text, faq = f"{path}, line {number}", row["part"], row["text"], row["faq"]
        if not isinstance(text, str) or not (faq is None or isinstance(faq, str)):
            raise BadRows(f"{where}: text must be a string and faq a string or null")
        bot = bots.setdefault(str(row.get("bot") or "all"), _Bot())
        match part:
            case "train" if faq is not None:
                bot.questions.setdefault(faq, []).append(text)
            case "test":
                bot.messages.append((text, faq))
            case _:
                raise BadRows(f'{where}: part must be "train", of an entry, or "test"')
    return bots


def _tally(messages: Sequence[Message]) -> Tally:
    right = sum(one.entry is not None and one.entry == one.wanted for one in messages)
    answerable = sum(one.wanted is not None for one in messages)
    return Tally(len(messages), answerable, right, sum(one.is_wrong for one in messages))
