"""What `obol router calibrate` says: what it will cost, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.commands.text_table import money, table
from gateway.router.calibration.fitting import Fitted, Level
from gateway.router.calibration.judging import Agreement
from gateway.router.calibration.outcomes import Gathered
from gateway.router.calibration.plan import Expense

_LEVELS = {0.05: "economy", 0.02: "balanced", 0.0: "best"}


def plan_lines(route: str, prompts: int, repeated: int, expenses: Sequence[Expense], output_tokens: int) -> list[str]:
    """What is to be asked and what it is expected to cost."""
    amounts = money([*(one.nusd for one in expenses), sum(one.nusd for one in expenses)])
    rows = [
        (one.name, f"{one.calls:,}", f"{one.paid:,}", amount)
        for one, amount in zip(expenses, amounts, strict=False)  # the last amount is the sum
    ]
    totals = (
        "in all",
        f"{sum(one.calls for one in expenses):,}",
        f"{sum(one.paid for one in expenses):,}",
        amounts[-1],
    )
    left = f"; {repeated} lines that repeat an earlier one are left out" if repeated else ""
    return [
        f"{route}: {prompts:,} prompts to each of its deployments{left}.",
        *table(("deployment", "calls", "paid before", "expected cost"), rows, left=1, totals=totals),
        f"Answers are taken to have {output_tokens:,} tokens (--output-tokens), input four bytes a token.",
    ]


def summary_lines(gathered: Gathered, fitted: Fitted, spent_nusd: int, expected_nusd: int) -> list[str]:
    """What was spent and learned, and what each level of quality comes to."""
    spent, expected = money([spent_nusd, expected_nusd])
    lines = [f"Spent {spent}, expected {expected}. {fitted.prompts:,} prompts were learned from."]
    lines += [f"{count:,} prompts are left out: {reason}." for reason, count in gathered.left_out.items()]
    quality, usd = gathered.score.mean(axis=0), gathered.cost_usd.mean(axis=0)
    means = [
        (name, f"{quality[at]:.3f}", f"${usd[at] * 1000:,.4f}", f"{gathered.output_tokens[:, at].mean():,.0f}")
        for at, name in enumerate(gathered.names)
    ]
    lines += ["", *table(("deployment", "quality", "cost of 1,000", "output tokens"), means, left=1)]
    lines += _judge_lines(gathered)
    lines += ["", *_level_lines(fitted)]
    return lines


def _judge_lines(gathered: Gathered) -> list[str]:
    judged = int(gathered.is_judged.sum())
    if not judged:
        return []
    whole = gathered.agreement()
    told = f"A judge alone scored {judged:,} of the prompts."
    if whole is None:
        return [
            "",
            f"{told} No line with a sure score says how often it errs, so nothing is certified on its word:",
            "the route is aimed, not certified. Add lines with 'expected', 'schema' or 'tests' to measure it.",
        ]
    each = [(name, found) for at, name in enumerate(gathered.names) if (found := gathered.agreement(at))]
    erred = f"{told} It was {_erred(whole)} whose score is sure."
    return ["", erred, *(f"  of {name}: {_erred(found)}" for name, found in each)]


def _erred(found: Agreement) -> str:
    return f"wrong on {found.wrong:.1%} (off by {found.off:.2f} on average) of {found.answers:,} answers"


def _level_lines(fitted: Fitted) -> list[str]:
    names = list(fitted.levels[0].shares)
    header = ("quality loss", "", *names, "saved", "loss", "")
    rows = [_level_row(level, names, is_route=number == 0) for number, level in enumerate(fitted.levels)]
    lines = table(header, rows, left=2)
    if not all(level.is_certified for level in fitted.levels):
        lines += [
            f"Where a loss is not certified {fitted.strongest} answers everything; the figures are what is aimed at.",
            "More prompts certify more.",
        ]
    return lines


def _level_row(level: Level, names: Sequence[str], *, is_route: bool) -> tuple[str, ...]:
    label = "the route's" if is_route else _LEVELS.get(level.loss_max, "")
    shares = (f"{level.shares[name]:.0%}" for name in names)
    said = "certified" if level.is_certified else "not certified"
    return (f"{level.loss_max:.1%}", label, *shares, f"{level.saved:.1%}", f"{level.loss + 0.0:.1%}", said)
