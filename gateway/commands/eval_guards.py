"""`obol eval guards`: how much the built-in guards find of what is labelled in a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.commands.arguments import add_command
from gateway.commands.eval_run import judged, tell
from gateway.commands.text_table import table
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.evaluation.guards import Trial

KINDS = ("pii", "secrets", "injection")


def add_guards(evaluations: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    guards = add_command(evaluations, "guards", "print what guards find of what is labelled", _guards, ())
    guards.add_argument("file", type=Path, help="JSON lines (also .gz) with text, and its spans or its label")
    guards.add_argument("--kind", choices=KINDS, required=True, help="which guard")
    guards.add_argument("--json", action="store_true", help="one JSON object")


def _guards(options: argparse.Namespace, _settings: Settings) -> int:
    from gateway.evaluation import guards  # noqa: PLC0415 - only once the command is given

    trial = judged(guards.JUDGES[options.kind], options.file)
    return tell(options, trial.as_json(), lambda: _told(trial))


def _told(trial: Trial) -> list[str]:
    figures = trial.as_json()
    lines = []
    if trial.by_type:
        types = [
            (
                name,
                f"{tally.labelled:,}",
                _percent(tally.hit, tally.labelled),
                f"{tally.found:,}",
                _percent(tally.right, tally.found),
            )
            for name, tally in sorted(trial.by_type.items())
        ]
        lines += [*table(("type", "labelled", "recall %", "found", "precision %"), types, left=1), ""]
    sources = [
        (
            name,
            f"{tally.rows:,}",
            _percent(tally.hit, tally.positive),
            _percent(tally.flagged, tally.harmless),
            "-" if tally.auc is None else f"{tally.auc:.3f}",
        )
        for name, tally in sorted(trial.by_source.items())
    ]
    lines += table(("source", "rows", "recall %", "harmless flagged %", "AUC"), sources, left=1)
    if trial.cpu_ms:
        lines += ["", f"CPU ms per text: {figures['cpu_ms_p50']:.3f} median, {figures['cpu_ms_p99']:.3f} p99"]
    return lines


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"
