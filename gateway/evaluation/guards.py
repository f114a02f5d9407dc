"""How much guards find of what is labelled in a file, and how often they flag what is harmless."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from gateway.evaluation.rows import BadRows, read_rows
from policies.screening.spans import Span

_Result = TypeVar("_Result")
_HARMFUL = "harmful_no_injection"


@dataclass(slots=True)
class TypeTally:
    """Spans of one type: labelled, of those the ones found; found, of those the ones labelled."""

    labelled: int = 0
    hit: int = 0
    found: int = 0
    right: int = 0

    def as_json(self) -> dict[str, float | int | None]:
        return {
            "recall": share(self.hit, self.labelled),
            "precision": share(self.right, self.found),
            "n": self.labelled,
        }


@dataclass(slots=True)
class SourceTally:
    """Rows of one source. ``positive`` and ``hit`` count what is to be found (spans, or rows); ``auc`` needs scores."""

    rows: int = 0
    positive: int = 0
    hit: int = 0
    harmless: int = 0
    flagged: int = 0
    auc: float | None = None

    def as_json(self) -> dict[str, float | int | None]:
        return {
            "recall": share(self.hit, self.positive),
            "flagged_harmless": share(self.flagged, self.harmless),
            "auc": self.auc,
            "n": self.rows,
        }


@dataclass(slots=True)
class Trial:
    """All figures of a file. Shares are None where there is nothing to take them of."""

    by_type: dict[str, TypeTally] = field(default_factory=dict)
    by_source: dict[str, SourceTally] = field(default_factory=dict)
    cpu_ms: list[float] = field(default_factory=list)

    def of_type(self, name: str) -> TypeTally:
        return self.by_type.setdefault(name, TypeTally())

    def of_source(self, name: str) -> SourceTally:
        return self.by_source.setdefault(name, SourceTally())

    def timed(self, look: Callable[[str], _Result], text: str) -> _Result:
        """What a detector says, and its CPU time noted down."""
        begun = time.thread_time_ns()
        result = look(text)
        self.cpu_ms.append((time.thread_time_ns() - begun) / 1e6)
        return result

    def as_json(self) -> dict[str, object]:
        return {
            "by_type": {name: self.by_type[name].as_json() for name in sorted(self.by_type)},
            "by_source": {name: self.by_source[name].as_json() for name in sorted(self.by_source)},
            "cpu_ms_p50": quantile(self.cpu_ms, 0.5),
            "cpu_ms_p99": quantile(self.cpu_ms, 0.99),
        }


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def quantile(values: Sequence[float], at: float) -> float | None:
    """The smallest value that at least this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(at * len(ordered)))] if ordered else None


def judge_pii(path: Path) -> Trial:
    """Rows with text and spans of start, end and type. Types that the guard does not look for are passed over."""
    from policies.screening.pii.find import find  # noqa: PLC0415 - only once it is asked for
    from policies.screening.pii.kinds import KINDS, NATIONAL_ID, expanded  # noqa: PLC0415

    labelled = KINDS | {NATIONAL_ID}

    def is_same(label: str, kind: str) -> bool:
        return kind in expanded((label,))

    trial = Trial()
    for number, row in read_rows(path, ("text", "spans")):
        text = row["text"]
        if not isinstance(text, str):
            raise BadRows(f"{path}, line {number}: text must be a string")
        labels = [label for label in _labels(row, f"{path}, line {number}") if label.kind in labelled]
        found = trial.timed(find, text)
        hits = {label: any(_overlap(label, one) and is_same(label.kind, one.kind) for one in found) for label in labels}
        for label, is_hit in hits.items():
            tally = trial.of_type(label.kind)
            tally.labelled += 1
            tally.hit += is_hit
        for one in found:
            right = next((label for label in labels if _overlap(label, one) and is_same(label.kind, one.kind)), None)
            tally = trial.of_type(right.kind if right else one.kind)
            tally.found += 1
            tally.right += right is not None
        source = trial.of_source(str(row.get("source") or "all"))
        source.rows += 1
        source.positive += len(hits)
        source.hit += sum(hits.values())
        source.harmless += not labels
        source.flagged += bool(found) and not labels
    return trial


def judge_secrets(path: Path) -> Trial:
    """Rows with text and label: secret, or anything else for what is none; kind is its type, and spans say where it is.

    A type is that of the row, for rule sets name what they find each in its own way.
    """
    from policies.screening.secrets.finding import find  # noqa: PLC0415 - only once it is asked for

    trial = Trial()
    for number, row in read_rows(path, ("text", "label")):
        text = row["text"]
        if not isinstance(text, str):
            raise BadRows(f"{path}, line {number}: text must be a string")
        found = trial.timed(find, text)
        is_secret = row["label"] == "secret"
        spans = list(_labels(row, f"{path}, line {number}")) if is_secret and row.get("spans") else []
        is_hit = bool(found) and all(any(_overlap(label, one) for one in found) for label in spans)
        kind = trial.of_type(str(row.get("kind") or "all"))
        kind.labelled += is_secret
        kind.hit += is_secret and is_hit
        kind.found += bool(found)
        kind.right += is_secret and is_hit
        source = trial.of_source(str(row.get("source") or "all"))
        source.rows += 1
        source.positive += is_secret
        source.hit += is_secret and is_hit
        source.harmless += not is_secret
        source.flagged += bool(found) and not is_secret
    return trial


def judge_injection(path: Path) -> Trial:
    """Rows with text and label: attack, benign or harmful_no_injection; kind is its type.

    A text is flagged from the score on that escalates. ``auc`` compares a source's attacks with its own harmless texts,
    or with the file's where it has none. Harmful texts that order nothing are a source of their own, flagged or not.
    """
    from policies.screening.injection.scoring import score  # noqa: PLC0415 - only once it is asked for

    trial = Trial()
    attacks: dict[str, list[float]] = defaultdict(list)
    harmless: dict[str, list[float]] = defaultdict(list)
    rows = list(_labelled(path))
    mixed = {row.get("source") for row in rows if row["label"] != _HARMFUL}
    for row in rows:
        verdict = trial.timed(score, str(row["text"]))
        is_attack = row["label"] == "attack"
        name = str(row.get("source") or "all")
        if row["label"] == _HARMFUL and row.get("source") in mixed:
            name = f"{name} {_HARMFUL}"
        (attacks if is_attack else harmless)[name].append(verdict.score)
        kind = trial.of_type(str(row.get("kind") or "all"))
        kind.labelled += is_attack
        kind.hit += is_attack and verdict.escalates
        kind.found += verdict.escalates
        kind.right += is_attack and verdict.escalates
        source = trial.of_source(name)
        source.rows += 1
        source.positive += is_attack
        source.hit += is_attack and verdict.escalates
        source.harmless += not is_attack
        source.flagged += verdict.escalates and not is_attack
    every = [one for name, scores in harmless.items() if _HARMFUL not in name for one in scores]
    for name, scores in attacks.items():
        trial.of_source(name).auc = _auc(scores, harmless.get(name) or every)
    return trial


def _labelled(path: Path) -> Iterator[Mapping[str, object]]:
    for number, row in read_rows(path, ("text", "label")):
        if not isinstance(row["text"], str):
            raise BadRows(f"{path}, line {number}: text must be a string")
        yield row


def _auc(higher: Sequence[float], lower: Sequence[float]) -> float | None:
    """How often one of the first is above one of the second; where they are equal, half. None without a second."""
    if not lower:
        return None
    ordered = sorted(lower)
    below = sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in higher)
    return below / 2 / len(ordered) / len(higher)


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _labels(row: Mapping[str, object], where: str) -> Iterator[Span]:
    spans = row["spans"]
    if not isinstance(spans, list):
        raise BadRows(f"{where}: spans must be a list")
    for span in spans:
        match span:
            case {"start": int(start), "end": int(end), "type": str(kind)}:
                yield Span(start, end, kind)
            case _:
                raise BadRows(f"{where}: a span needs start, end and type")


JUDGES: Mapping[str, Callable[[Path], Trial]] = {
    "pii": judge_pii,
    "secrets": judge_secrets,
    "injection": judge_injection,
}
