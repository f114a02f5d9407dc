"""`obol eval faq`: what a list of questions answers of messages whose entries are known."""

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
    from gateway.evaluation.faq import Message, Tally, Trial


def add_faq_evaluation(evaluations: Group[argparse.ArgumentParser]) -> None:
    """Add it to the commands below `obol eval`."""
    faq = add_command(evaluations, "faq", "print what lists of questions answer of known messages", _faq, ("data_dir",))
    faq.add_argument("file", type=Path, help="JSON lines (also .gz) with bot, part (train or test), text and faq")
    faq.add_argument(
        "--wrong-answers-max",
        type=share,
        default=0.02,
        metavar="SHARE",
        help="of the answers, how many may be wrong (0.02)",
    )
    faq.add_argument("--json", action="store_true", help="one JSON object")
    faq.add_argument("--show", choices=("wrong", "all"), help="list wrong answers, or all, with their messages")


def _faq(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.evaluation import faq  # noqa: PLC0415 - only once it is given

    trial = judged(faq.judge, options.file, encoder(settings), options.wrong_answers_max)
    shown = [one for one in trial.messages if one.entry is not None and (options.show == "all" or one.is_wrong)]
    listed = {"answers": [_as_json(one) for one in shown]} if options.show else {}
    return tell(options, trial.as_json() | listed, lambda: [*_told(trial), *(_listed(shown) if options.show else ())])


def _as_json(message: Message) -> dict[str, object]:
    return {"bot": message.bot, "text": message.text, "faq": message.wanted, "answered": message.entry}


def _told(trial: Trial) -> list[str]:
    figures = trial.as_json()
    rows = [_cells(bot, tally) for bot, tally in trial.by_bot().items()]
    header = ("bot", "messages", "answerable", "right", "wrong")
    return [
        *table(header, rows, left=1, totals=_cells("all", trial.all())),
        "",
        f"answered right           {figures['answered_right']:.1%} of those that an entry answers",
        f"answers wrong            {figures['answers_wrong']:.2%}",
        f"  at most, 95 % sure     {figures['answers_wrong_upper95']:.2%}",
    ]


def _cells(name: str, tally: Tally) -> tuple[str, ...]:
    return name, *(f"{count:,}" for count in (tally.messages, tally.answerable, tally.right, tally.wrong))


def _listed(messages: list[Message]) -> list[str]:
    rows = [(one.bot, one.text, one.entry or "", one.wanted or "-") for one in messages]
    return ["", *table(("bot", "message", "answered", "asked for"), rows, left=4, cell_width_max=100)]
