"""`obol guards ...`: the guards of the catalog, and what guards make of a file."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands import CommandFailed
from gateway.commands.administered import guards as read_guards
from gateway.commands.administration import Group
from gateway.commands.arguments import CLIENT_FLAGS, Command, add_command
from gateway.commands.eval_run import judged
from gateway.commands.text_table import table
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.commands.gateway_client import GatewayClient

# What one request to the gateway may hold.
_TEXTS_MAX = 100
_BYTES_MAX = 900_000
_TRY_S = 600.0
_COLUMNS = ("name", "kind", "where", "mode", "on_error", "always", "routes")


def add_guards(commands: Group[argparse.ArgumentParser]) -> None:
    """The commands below `obol guards`."""
    group = commands.add_parser("guards", help="what looks at requests and answers").add_subparsers(
        required=True, metavar="COMMAND"
    )
    _add(group, "list", "list the guards of the catalog", _list)
    trial = _add(group, "try", "show what guards make of a file; nothing is sent on", _try)
    trial.add_argument("file", type=Path, help="a text, or JSON lines (.jsonl, .jsonl.gz) with text")
    trial.add_argument("--guards", type=read_guards, help="names, or a list in JSON, as a team would add them")
    trial.add_argument("--route", help="those before this route")
    trial.add_argument("--team", metavar="ID", help="... for this team")
    trial.add_argument("--key", metavar="ID", help="... or for this key")
    trial.add_argument("--where", choices=("input", "output"), default="input", help="look at it as that (input)")


def _add(group: Group[argparse.ArgumentParser], name: str, summary: str, command: Command) -> argparse.ArgumentParser:
    parser = add_command(group, name, summary, command, CLIENT_FLAGS)
    parser.add_argument("--url", help="the gateway's address (that of the data folder)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _api(options: argparse.Namespace, settings: Settings) -> GatewayClient:
    from gateway.commands.gateway_client import GatewayClient  # noqa: PLC0415 - loads what other commands do not need

    return GatewayClient(settings, options.url)


def _list(options: argparse.Namespace, settings: Settings) -> int:
    found = _api(options, settings).admin("GET", "/admin/guards")["data"]
    if options.json:
        _print_json(found)
    elif not found:
        print("the catalog has no guards")
    else:
        rows = [[_cell(one[name]) for name in _COLUMNS] for one in found]
        print("\n".join(table(_COLUMNS, rows, left=len(_COLUMNS))))
    return 0


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _try(options: argparse.Namespace, settings: Settings) -> int:
    is_rows = ".jsonl" in options.file.suffixes
    numbered = _rows(options.file) if is_rows else [(1, _text(options.file))]
    api = _api(options, settings)
    asked = {
        name: value for name in ("guards", "route", "team", "key") if (value := getattr(options, name)) is not None
    }
    found: list[dict[str, Any]] = []
    for batch in _batches(numbered):
        body = {**asked, "where": options.where, "texts": [text for _, text in batch]}
        data = api.admin("POST", "/admin/guards/try", body, timeout_s=_TRY_S)["data"]
        found += [{"line": line} | one for (line, _), one in zip(batch, data, strict=True)]
    if options.json:
        _print_json(found)
    else:
        print("\n".join(_told_rows(found) if is_rows else _told_text(found[0], numbered[0][1])))
    return 0


def _told_text(one: Mapping[str, Any], before: str) -> list[str]:
    lines = table(
        ("guard", "mode", "verdict", "why", "score", "ms"), [_told(verdict) for verdict in one["guards"]], left=4
    )
    if one["text"] != before:
        lines += ["", one["text"]]
    return lines


def _told_rows(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was found, line by line, and how often each guard said what."""
    adverse = [
        (str(one["line"]), *_told(verdict))
        for one in found
        for verdict in one["guards"]
        if verdict["verdict"] != "passed"
    ]
    counts = Counter((verdict["guard"], verdict["verdict"]) for one in found for verdict in one["guards"])
    lines = table(("line", "guard", "mode", "verdict", "why", "score", "ms"), adverse, left=5) if adverse else []
    totals = [(guard, verdict, f"{count:,}") for (guard, verdict), count in sorted(counts.items())]
    return [*lines, *([""] if lines else []), *table(("guard", "verdict", "texts"), totals, left=2)]


def _told(verdict: Mapping[str, Any]) -> tuple[str, ...]:
    score = "" if verdict["score"] is None else f"{verdict['score']:.3f}"
    why = verdict["error"] or ", ".join(verdict["categories"])
    return verdict["guard"], verdict["mode"], verdict["verdict"], why, score, f"{verdict['ms']:.2f}"


def _batches(numbered: Sequence[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """As many at a time as a request may hold."""
    batch: list[tuple[int, str]] = []
    size = 0
    for line, text in numbered:
        length = len(json.dumps(text))
        if batch and (len(batch) == _TEXTS_MAX or size + length > _BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append((line, text))
        size += length
    if batch:
        yield batch


def _rows(path: Path) -> list[tuple[int, str]]:
    """The texts with their lines. Raises CommandFailed."""
    from gateway.evaluation.rows import read_rows  # noqa: PLC0415 - only once a file has rows

    rows = judged(lambda: [(line, row["text"]) for line, row in read_rows(path, ("text",))])
    wrong = next((line for line, text in rows if not isinstance(text, str)), None)
    if wrong is not None:
        raise CommandFailed(f"{path}, line {wrong}: text must be a string")
    if not rows:
        raise CommandFailed(f"{path} is empty")
    return [(line, str(text)) for line, text in rows]


def _text(path: Path) -> str:
    """Raises CommandFailed."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise CommandFailed(f"{path} cannot be read: {exc}") from exc


def _print_json(content: object) -> None:
    json.dump(content, sys.stdout, indent=2, ensure_ascii=False)
    print()
