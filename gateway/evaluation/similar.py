"""How often a semantic cache answers, and how often wrong: a stream of questions replayed as it arrived."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.evaluation.bounds import upper_bound
from gateway.evaluation.rows import BadRows, read_rows
from policies.semantic.budget import Action, Counts, Plan, plan, stale
from policies.semantic.considering import CANDIDATES_MAX, Candidate, Verdict, consider

Encode = Callable[[Sequence[str]], NDArray[np.float32]]

WINDOW = 2_000  # requests
_REPLAN = 50  # requests for which a plan serves
_SEED = 6


@dataclass(frozen=True, slots=True)
class Question:
    """``answer_class``: questions with the same one have the same answer."""

    tenant: str
    text: str
    answer_class: str
    source: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """``is_right``: of what was served, None where nothing was; ``how``: exact, similar, shadow, or why none was."""

    question: Question
    is_right: bool | None
    how: str


@dataclass(frozen=True, slots=True)
class Tally:
    requests: int
    hits: int
    wrong: int

    def as_json(self) -> dict[str, object]:
        return {
            "n": self.requests,
            "hit_rate": self.hits / self.requests if self.requests else 0.0,
            "wrong_per_request": self.wrong / self.requests if self.requests else 0.0,
            "wrong_per_hit": self.wrong / self.hits if self.hits else 0.0,
            "wrong_per_request_upper95": upper_bound(self.wrong, self.requests),
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """Every question of a file, with what became of it."""

    outcomes: Sequence[Outcome]

    def all(self) -> Tally:
        return _tally(self.outcomes)

    def by(self, column: Callable[[Question], str]) -> Mapping[str, Tally]:
        groups: dict[str, list[Outcome]] = defaultdict(list)
        for one in self.outcomes:
            groups[column(one.question)].append(one)
        return {name: _tally(groups[name]) for name in sorted(groups)}

    def windows(self) -> list[Tally]:
        """Of so many requests each; what is left at the end belongs to none."""
        whole = len(self.outcomes) - len(self.outcomes) % WINDOW
        return [_tally(self.outcomes[at : at + WINDOW]) for at in range(0, whole, WINDOW)]

    def as_json(self) -> dict[str, object]:
        """Shares from 0 to 1; the bound is one-sided, with 95 % confidence."""
        ways = Counter(one.how for one in self.outcomes)
        return self.all().as_json() | {
            "shadow": ways["shadow"] / len(self.outcomes) if self.outcomes else 0.0,
            "how": dict(ways.most_common()),
            "windows": [one.as_json() for one in self.windows()],
            "by_tenant": {name: one.as_json() for name, one in self.by(lambda row: row.tenant).items()},
            "by_source": {name: one.as_json() for name, one in self.by(lambda row: row.source).items()},
        }


def judge(path: Path, encode: Encode, wrong_answers_max: float) -> Trial:
    """Replay the questions of a file with the columns text, answer_class and, if any, tenant, source and i (the order).

    A question is answered by an earlier one of its tenant, or enters the tenant's cache. What is answered in the shadow
    enters it too, and only then is it looked at what its answer is.
    """
    questions = _read(path)
    vectors = encode([one.text for one in questions])
    replay = _Replay(wrong_answers_max)
    return Trial([replay.ask(one, vector) for one, vector in zip(questions, vectors, strict=True)])


class _Replay:
    """One route, with a cache for each tenant."""

    def __init__(self, wrong_answers_max: float) -> None:
        self._share = wrong_answers_max
        self._caches: defaultdict[str, _Cache] = defaultdict(_Cache)
        self._route: Counter[str] = Counter()
        self._plan: Plan = plan({}, wrong_answers_max)
        self._draws = random.Random(_SEED)  # noqa: S311 - the same file gives the same figures
        self._asked = 0

    def ask(self, question: Question, vector: NDArray[np.float32]) -> Outcome:
        if self._asked % _REPLAN == 0:
            self._replan()
        self._asked += 1
        cache = self._caches[question.tenant]
        known = cache.exact.get(_plain(question.text))
        if known is not None:
            self._count(self._plan.asked(None), cache)
            return Outcome(question, known.answer_class == question.answer_class, "exact")
        near = cache.nearest(vector)
        verdict = consider(question.text, [Candidate(cosine, one.question.text, one.group) for cosine, one in near])
        return self._decided(question, vector, cache, verdict, near)

    def _decided(
        self,
        question: Question,
        vector: NDArray[np.float32],
        cache: _Cache,
        verdict: Verdict,
        near: Sequence[tuple[float, _Kept]],
    ) -> Outcome:
        decision = self._plan.decide(verdict, cache.counts, self._draws.random())
        self._count(self._plan.asked(decision), cache)
        found = near[decision.index][1] if decision.index is not None else None
        if found and decision.action is Action.SERVE:
            return Outcome(question, found.question.answer_class == question.answer_class, "similar")
        group = ""
        if found and decision.action is Action.SHADOW:
            is_wrong = found.question.answer_class != question.answer_class
            self._count(self._plan.compared(decision, is_wrong=is_wrong), cache)
            group = "" if is_wrong else found.group
        cache.add(question, vector, group)
        how = "unsure" if decision.bin > self._plan.limit else "shadow"
        return Outcome(question, None, how if found else verdict.reason)

    def _replan(self) -> None:
        self._plan = plan(self._route, self._share)
        for counts in (self._route, *(cache.counts for cache in self._caches.values())):
            for name in stale(counts, self._plan.epoch):
                del counts[name]

    def _count(self, counts: Counts, cache: _Cache) -> None:
        self._route.update(counts.route)
        cache.counts.update(counts.tenant)


@dataclass(frozen=True, slots=True)
class _Kept:
    """``group``: those of one were compared and found to have the same answer."""

    question: Question
    group: str


class _Cache:
    """Questions of a tenant that were answered by a model, with their vectors, and the tenant's counts on the route."""

    def __init__(self) -> None:
        self.exact: dict[str, Question] = {}
        self.counts: Counter[str] = Counter()
        self._questions: list[_Kept] = []
        self._vectors: NDArray[np.float32] = np.empty((64, 0), np.float32)

    def add(self, question: Question, vector: NDArray[np.float32], group: str) -> None:
        """``group``: empty for a question that begins one."""
        size = len(self._questions)
        if not size:
            self._vectors = np.empty((len(self._vectors), len(vector)), np.float32)
        elif size == len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.empty_like(self._vectors)])
        self._vectors[size] = vector
        self._questions.append(_Kept(question, group or str(size)))
        self.exact.setdefault(_plain(question.text), question)

    def nearest(self, vector: NDArray[np.float32]) -> list[tuple[float, _Kept]]:
        size = len(self._questions)
        if not size:
            return []
        cosines = self._vectors[:size] @ vector
        best = np.argpartition(-cosines, CANDIDATES_MAX)[:CANDIDATES_MAX] if size > CANDIDATES_MAX else np.arange(size)
        order = best[np.argsort(-cosines[best], kind="stable")]
        return [(float(cosines[at]), self._questions[at]) for at in order]


def _read(path: Path) -> list[Question]:
    rows: list[tuple[float, Question]] = []
    for number, row in read_rows(path, ("text", "answer_class")):
        text, answer_class, order = row["text"], row["answer_class"], row.get("i", number)
        if not isinstance(text, str) or not isinstance(answer_class, str | int):
            raise BadRows(f"{path}, line {number}: text must be a string, and answer_class a string or a number")
        if not isinstance(order, int | float):
            raise BadRows(f"{path}, line {number}: i must be a number")
        tenant, source = (str(row.get(column) or "all") for column in ("tenant", "source"))
        rows.append((order, Question(tenant, text, str(answer_class), source)))
    return [question for _, question in sorted(rows, key=lambda row: row[0])]


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _tally(outcomes: Sequence[Outcome]) -> Tally:
    answered = [one for one in outcomes if one.is_right is not None]
    return Tally(len(outcomes), len(answered), sum(one.is_right is False for one in answered))
