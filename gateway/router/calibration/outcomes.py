"""From answers to what a router learns from: scores and costs of each prompt, in the files that `obol router` reads."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.domain import NANO
from gateway.router.calibration import judging
from gateway.router.calibration.journal import Answered, Journal
from gateway.router.calibration.lines import Line
from gateway.router.calibration.plan import Priced
from gateway.router.calibration.scoring import Choice, Exact, PythonTests, Schema, sure_score
from gateway.router.data import JUDGE, write_table

Floats = NDArray[np.float64]

_WAYS = {Exact: "expected", Choice: "choices", Schema: "schema", PythonTests: "tests"}


@dataclass(frozen=True, slots=True)
class Gathered:
    """Prompts whose outcome with every deployment is known. Arrays: (prompts, deployments); ``judge`` has gaps.

    ``left_out``: how many others there were, by what they lack.
    """

    lines: tuple[Line, ...]
    names: tuple[str, ...]
    score: Floats
    judge: Floats
    cost_usd: Floats
    input_tokens: Floats
    output_tokens: Floats
    left_out: Mapping[str, int]

    @property
    def is_judged(self) -> NDArray[np.bool_]:
        """The prompts that nothing but a judge has scored."""
        return np.array([line.check is None for line in self.lines], dtype=np.bool_)

    def agreement(self, deployment: int | None = None) -> judging.Agreement | None:
        """Of the judge with sure scores: on one deployment's answers, or on all."""
        columns = slice(None) if deployment is None else [deployment]
        is_sure = ~self.is_judged
        return judging.agreement(self.score[is_sure][:, columns], self.judge[is_sure][:, columns])


def gather(lines: Sequence[Line], names: Sequence[str], journal: Journal, judge: str | None) -> Gathered:
    """Score what was answered. ``judge``: the deployment that was asked for verdicts."""
    kept: list[Line] = []
    rows: list[list[tuple[float, ...]]] = []
    left_out: Counter[str] = Counter()
    judged = {line.id for line in judging.to_be_judged(lines)} if judge else set()
    for line in lines:
        row: list[tuple[float, ...]] = []
        for name in names:
            answered = journal.get({**line.body, "model": name})
            if answered is None:
                left_out[f"{name} gave no answer"] += 1
                break
            told = _verdict(judge, line, answered, journal) if judge and line.id in judged else np.nan
            score = told if line.check is None else sure_score(line.check, answered.text)
            if np.isnan(score):
                left_out[f"{judge} gave no verdict on {name}"] += 1
                break
            row.append((score, told, answered.cost_nusd / NANO, answered.input_tokens, answered.output_tokens))
        else:
            kept.append(line)
            rows.append(row)
    table = np.array(rows, dtype=np.float64).reshape(len(kept), len(names), 5)
    scores, verdicts, costs, inputs, outputs = (table[:, :, at] for at in range(5))
    return Gathered(tuple(kept), tuple(names), scores, verdicts, costs, inputs, outputs, left_out)


def verdict_bodies(
    judge: str, lines: Sequence[Line], names: Sequence[str], journal: Journal
) -> list[Mapping[str, object]]:
    """What the judge is to be asked: of all answers that are there, and once more where it gave no verdict."""
    found = []
    for line in judging.to_be_judged(lines):
        for name in names:
            if (answered := journal.get({**line.body, "model": name})) is not None:
                found += list(_asked_of(judge, line, answered, journal))
    return found


def verdicts_known(judge: str, line: Line, names: Sequence[str], journal: Journal) -> int:
    """How many answers to the line the judge was asked about already."""
    answers = (journal.get({**line.body, "model": name}) for name in names)
    return sum(
        one is not None and journal.get(judging.judge_body(judge, line, one.text)) is not None for one in answers
    )


def write_folder(gathered: Gathered, route: str, prices: Sequence[Priced], folder: Path) -> None:
    """Write prompts.parquet, outcomes.parquet and models.csv (columns: gateway/router/data.py)."""
    lines, names = gathered.lines, gathered.names
    prompts: dict[str, Sequence[object]] = {
        "pid": [line.id for line in lines],
        "track": [route] * len(lines),
        "prompt": [line.question for line in lines],
        "domain": [line.domain for line in lines],
        "group": [line.group or line.id for line in lines],
        "scored_by": [JUDGE if line.check is None else _WAYS[type(line.check)] for line in lines],
    }
    outcomes: dict[str, Sequence[object] | Floats] = {
        "pid": [line.id for line in lines for _ in names],
        "model": list(names) * len(lines),
        "score": gathered.score.ravel(),
        "cost": gathered.cost_usd.ravel(),
        "in_tok": gathered.input_tokens.ravel(),
        "out_tok": gathered.output_tokens.ravel(),
        "judge": gathered.judge.ravel(),
    }
    write_table(folder / "prompts.parquet", prompts)
    write_table(folder / "outcomes.parquet", outcomes)
    header = ("track", "model", "train_quality", "train_usd_per_1k", "price_in_per_M", "price_out_per_M")
    quality, usd = gathered.score.mean(axis=0), gathered.cost_usd.mean(axis=0)
    with (folder / "models.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(header)
        for at, one in enumerate(prices):
            per_million = (one.input_nusd_per_mtok / NANO, one.output_nusd_per_mtok / NANO)
            rows.writerow((route, one.name, float(quality[at]), float(usd[at] * 1000), *per_million))


def _asked_of(judge: str, line: Line, answered: Answered, journal: Journal) -> Iterator[Mapping[str, object]]:
    body = judging.judge_body(judge, line, answered.text)
    yield body
    said = journal.get(body)
    if said is not None and judging.verdict(said.text) is None:
        yield judging.again_body(body, said.text)


def _verdict(judge: str, line: Line, answered: Answered, journal: Journal) -> float:
    """The score, NaN where the judge gave none."""
    for body in _asked_of(judge, line, answered, journal):
        said = journal.get(body)
        if said is not None and (score := judging.verdict(said.text)) is not None:
            return score
    return np.nan
