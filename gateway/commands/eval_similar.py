"""`obol eval answers` and `obol eval pairs`: what a semantic cache makes of questions whose answers are known."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.commands.administration import Group
from gateway.commands.arguments import add_command, share
from gateway.commands.eval_run import encoder, judged, tell
from gateway.commands.text_table import table
from gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.evaluation import pairs, similar


def add_similar_evaluations(evaluations: Group[argparse.ArgumentParser]) -> None:
    """Add them to the commands below `obol eval`."""
    answers = add_command(evaluations, "answers", "replay questions through a semantic cache", _answers, ("data_dir",))
    answers.add_argument("file", type=Path, help="JSON lines (also .gz) with text, answer_class, tenant, source and i")
    summary = "print of which pairs a semantic cache gives the answer"
    pair = add_command(evaluations, "pairs", summary, _pairs, ("data_dir",))
    pair.add_argument("file", type=Path, help="JSON lines (also .gz) with a (cached), b (asked), same_answer and kind")
    for command in (answers, pair):
        command.add_argument(
            "--wrong-answers-max",
            type=share,
            default=0.01,
            metavar="SHARE",
            help="of requests, how many may be answered wrong (0.01)",
        )
        command.add_argument("--json", action="store_true", help="one JSON object")


def _answers(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.evaluation import similar  # noqa: PLC0415 - only once the command is given

    trial = judged(similar.judge, options.file, encoder(settings), options.wrong_answers_max)
    return tell(options, trial.as_json(), lambda: _told_answers(trial))


def _pairs(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.evaluation import pairs  # noqa: PLC0415

    trial = judged(pairs.judge, options.file, encoder(settings), options.wrong_answers_max)
    return tell(options, trial.as_json(), lambda: _told_pairs(trial))


def _told_answers(trial: similar.Trial) -> list[str]:
    every = trial.all()
    figures = trial.as_json()
    header = ("requests", "answered", "wrong", "% answered", "% wrong")
    windows = [(f"window {at}", *_cells(one)) for at, one in enumerate(trial.windows(), start=1)]
    sources = [(name, *_cells(one)) for name, one in trial.by(lambda row: row.source).items()]
    return [
        *table(("source", *header), sources, left=1, totals=("all", *_cells(every))),
        "",
        *(table(("in order", *header), windows, left=1) if windows else ()),
        "",
        f"hit rate                 {figures['hit_rate']:.2%}",
        f"answered in the shadow   {figures['shadow']:.2%}",
        f"wrong, of requests       {figures['wrong_per_request']:.3%}",
        f"  at most, 95 % sure     {figures['wrong_per_request_upper95']:.3%}",
        f"wrong, of hits           {figures['wrong_per_hit']:.2%}",
    ]


def _cells(tally: similar.Tally) -> tuple[str, ...]:
    requests = max(1, tally.requests)
    shares = (f"{100 * tally.hits / requests:.1f}", f"{100 * tally.wrong / requests:.2f}")
    return (f"{tally.requests:,}", f"{tally.hits:,}", f"{tally.wrong:,}", *shares)


def _told_pairs(trial: pairs.Trial) -> list[str]:
    lines = []
    for is_same, title in ((False, "pairs whose answers differ"), (True, "pairs with the same answer")):
        kinds: Mapping[str, pairs.Tally] = trial.by_kind(is_same=is_same)
        every = trial.all(is_same=is_same)
        rows = [(kind, *_pair_cells(one)) for kind, one in kinds.items()]
        told = table(("kind", "pairs", "served", "%"), rows, left=1, totals=("all", *_pair_cells(every)))
        lines += [title, *told, ""]
    changed, same = (trial.all(is_same=is_same) for is_same in (False, True))
    return [*lines, f"changed served           {changed.share:.2%}", f"same served              {same.share:.2%}"]


def _pair_cells(tally: pairs.Tally) -> tuple[str, ...]:
    return f"{tally.pairs:,}", f"{tally.served:,}", f"{100 * tally.share:.1f}"
