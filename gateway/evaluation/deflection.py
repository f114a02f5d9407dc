"""How much deflectors answer of what they may, and of what they may not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from gateway.evaluation.bounds import upper_bound
from gateway.evaluation.rows import BadRows, read_rows
from policies.deflection.registry import Deflected, deflect


@dataclass(frozen=True, slots=True)
class Message:
    """``may_deflect``: the column deflect; ``kind``: what it is reported by."""

    text: str
    may_deflect: bool
    kind: str
    deflected: Deflected | None

    @property
    def is_false(self) -> bool:
        return self.deflected is not None and not self.may_deflect


@dataclass(frozen=True, slots=True)
class Tally:
    """Messages, and how many of them were answered."""

    messages: int
    answered: int

    @property
    def share(self) -> float:
        return self.answered / self.messages if self.messages else 0.0


class Trial:
    """All messages of a file, with what deflectors made of them."""

    def __init__(self, messages: Collection[Message]) -> None:
        self.messages = messages
        self.may = _tally([one for one in messages if one.may_deflect])
        self.may_not = _tally([one for one in messages if not one.may_deflect])
        self.false = [one for one in messages if one.is_false]

    def by_kind(self, *, may_deflect: bool) -> Mapping[str, Tally]:
        kinds: dict[str, list[Message]] = {}
        for one in self.messages:
            if one.may_deflect is may_deflect:
                kinds.setdefault(one.kind, []).append(one)
        return {kind: _tally(kinds[kind]) for kind in sorted(kinds)}

    def as_json(self) -> dict[str, object]:
        """Shares from 0 to 1; the bound is one-sided, with 95 % confidence."""
        return {
            "n": len(self.messages),
            "n_deflectable": self.may.messages,
            "n_needs_model": self.may_not.messages,
            "coverage": self.may.share,
            "false_deflection": self.may_not.share,
            "false_deflection_upper95": upper_bound(self.may_not.answered, self.may_not.messages),
            "coverage_by_kind": {kind: tally.share for kind, tally in self.by_kind(may_deflect=True).items()},
        }


def judge(path: Path, enabled: Collection[str], now: datetime, zone: tzinfo | None) -> Trial:
    """Ask the deflectors about each message of a file with the columns text, deflect (1 or 0) and, if any, kind."""
    messages = []
    for number, row in read_rows(path, ("text", "deflect")):
        text, may = row["text"], row["deflect"]
        if not isinstance(text, str) or may not in (0, 1):
            raise BadRows(f"{path}, line {number}: text must be a string and deflect 0 or 1")
        found = deflect(text, enabled, now, zone)
        messages.append(Message(text, bool(may), str(row.get("kind") or "all"), found))
    return Trial(messages)


def _tally(messages: Collection[Message]) -> Tally:
    return Tally(len(messages), sum(one.deflected is not None for one in messages))
