"""`obol eval ...`: how good answers without a model are, on messages of which it is known what they need."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gateway.commands.arguments import add_command
from gateway.commands.eval_faq import add_faq_evaluation
from gateway.commands.eval_guards import add_guards
from gateway.commands.eval_run import judged, tell
from gateway.commands.eval_similar import add_similar_evaluations
from gateway.commands.text_table import table
from gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.evaluation.deflection import Message, Tally, Trial


def add_evaluations(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands below `obol eval`."""
    evaluations = commands.add_parser("eval", help="how good guards and answers without a model are").add_subparsers(
        required=True, metavar="COMMAND"
    )
    deflect = add_command(evaluations, "deflect", "print what deflectors answer of known messages", _deflect, ())
    deflect.add_argument("file", type=Path, help="JSON lines (also .gz) with text, deflect (1 or 0) and kind")
    deflect.add_argument("--json", action="store_true", help="one JSON object")
    deflect.add_argument("--show", choices=("false", "all"), help="list false answers, or all, with their messages")
    deflect.add_argument("--now", type=_moment, metavar="TIME", help="of asking, 2030-01-31T12:00:00Z (the time it is)")
    deflect.add_argument(
        "--zone", type=_zone, default=ZoneInfo("UTC"), metavar="NAME", help="of those who ask, Europe/Paris (UTC)"
    )
    add_faq_evaluation(evaluations)
    add_guards(evaluations)
    add_similar_evaluations(evaluations)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError("must be a time such as 2030-01-31T12:00:00Z") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError) as exc:
        raise argparse.ArgumentTypeError("must be a time zone such as Europe/Paris") from exc


def _deflect(options: argparse.Namespace, _settings: Settings) -> int:
    from gateway.evaluation import deflection  # noqa: PLC0415 - only once the command is given
    from policies.deflection.registry import NAMES  # noqa: PLC0415

    now = options.now or datetime.now(UTC)
    trial = judged(deflection.judge, options.file, NAMES, now, options.zone)
    shown = [one for one in trial.messages if one.deflected and (options.show == "all" or one.is_false)]
    listed = {"answers": [_as_json(one) for one in shown]} if options.show else {}
    return tell(options, trial.as_json() | listed, lambda: [*_told(trial), *(_listed(shown) if options.show else ())])


def _as_json(message: Message) -> Mapping[str, object]:
    found = message.deflected
    return {
        "text": message.text,
        "kind": message.kind,
        "deflect": int(message.may_deflect),
        "deflector": found.name if found else None,
        "answer": found.answer if found else None,
    }


def _told(trial: Trial) -> list[str]:
    """Two tables and the figures."""
    figures = trial.as_json()
    header = ("kind", "messages", "answered", "%")
    lines = ["messages that may be answered without a model"]
    lines += _table(header, trial.by_kind(may_deflect=True), trial.may)
    lines += ["", "messages that need a model"]
    lines += _table(header, trial.by_kind(may_deflect=False), trial.may_not)
    return [
        *lines,
        "",
        f"coverage                 {figures['coverage']:.2%}",
        f"false deflection         {figures['false_deflection']:.3%}",
        f"  at most, 95 % sure     {figures['false_deflection_upper95']:.3%}",
    ]


def _table(header: tuple[str, ...], kinds: Mapping[str, Tally], every: Tally) -> list[str]:
    return table(header, [_cells(kind, tally) for kind, tally in kinds.items()], left=1, totals=_cells("all", every))


def _cells(name: str, tally: Tally) -> tuple[str, ...]:
    return name, f"{tally.messages:,}", f"{tally.answered:,}", f"{100 * tally.share:.1f}"


def _listed(messages: list[Message]) -> list[str]:
    rows = [(one.text, one.deflected.name, one.deflected.answer) for one in messages if one.deflected]
    return ["", *table(("message", "by", "answer"), rows, left=3, cell_width_max=100)]
