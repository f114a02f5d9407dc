"""What a calibration will cost, before any of it is spent. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.domain import MILLION
from gateway.domain.request import BYTES_PER_TOKEN
from gateway.router.calibration import judging
from gateway.router.calibration.lines import Line

OUTPUT_TOKENS = 300  # of an answer, where nothing better is known
_MAXIMA = ("max_completion_tokens", "max_tokens")


@dataclass(frozen=True, slots=True)
class Priced:
    """One deployment and its rates, in nano-USD per million tokens."""

    name: str
    input_nusd_per_mtok: int
    output_nusd_per_mtok: int
    output_tokens_max: int | None = None

    def cost_nusd(self, input_tokens: int, output_tokens: int) -> int:
        spent = input_tokens * self.input_nusd_per_mtok + output_tokens * self.output_nusd_per_mtok
        return -(-spent // MILLION)


@dataclass(frozen=True, slots=True)
class Expense:
    """What is expected of the calls to one deployment: ``calls`` to be made, ``paid`` that were made before."""

    name: str
    calls: int
    paid: int
    nusd: int


def answers_expense(
    one: Priced, lines: Sequence[Line], output_tokens: int, is_paid: Callable[[Mapping[str, object]], bool]
) -> Expense:
    """Of one answer of the deployment to each line. ``output_tokens``: of an answer, on average."""
    bodies = [{**line.body, "model": one.name} for line in lines]
    due = [body for body in bodies if not is_paid(body)]
    nusd = sum(one.cost_nusd(_input_tokens(body), _expected(body, one, output_tokens)) for body in due)
    return Expense(one.name, len(due), len(bodies) - len(due), nusd)


def judge_expense(
    judge: Priced, lines: Sequence[Line], deployments: int, output_tokens: int, is_paid: Callable[[Line], int]
) -> Expense:
    """Of a verdict on every deployment's answer to each line. ``is_paid``: how many of a line's are known already."""
    calls = paid = nusd = 0
    for line in lines:
        known = is_paid(line)
        due = deployments - known
        asked = _input_tokens(judging.judge_body(judge.name, line, "")) + output_tokens
        nusd += due * judge.cost_nusd(asked, judging.OUTPUT_TOKENS)
        calls, paid = calls + due, paid + known
    return Expense(judge.name, calls, paid, nusd)


def _input_tokens(body: Mapping[str, object]) -> int:
    return -(-len(json.dumps(body)) // BYTES_PER_TOKEN)


def _expected(body: Mapping[str, object], one: Priced, output_tokens: int) -> int:
    stated = [value for name in _MAXIMA if isinstance(value := body.get(name), int)]
    return min([output_tokens, *stated, *([one.output_tokens_max] if one.output_tokens_max else [])])
