"""`obol faq ...`: a team's list of questions, with the answers that they get without a model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gateway.commands import CommandFailed
from gateway.commands.administration import Group
from gateway.commands.arguments import CLIENT_FLAGS, Command, add_command
from gateway.commands.text_table import table
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.commands.gateway_client import GatewayClient

_PUT_S = 120.0  # a new list becomes vectors while we wait


def add_faq(commands: Group[argparse.ArgumentParser]) -> None:
    """The commands below `obol faq`."""
    group = commands.add_parser("faq", help="teams' lists of questions with their answers").add_subparsers(
        required=True, metavar="COMMAND"
    )
    show = _add(group, "show", "show the list in force", _show)
    show.add_argument("--version", type=_version, metavar="N", help="another one that was (the one in force)")
    put = _add(group, "put", "replace the list, and show which of its questions read alike", _put)
    put.add_argument(
        "file",
        type=Path,
        help="JSON or YAML with entries: id, question, paraphrases, answer; and the version that it was made of, "
        "as `show --json` prints it (without: whatever is in force is replaced)",
    )
    _add(group, "versions", "list who changed it and when, newest first", _versions)
    attempt = _add(group, "try", "show what the list makes of a message", _try)
    attempt.add_argument("text")
    attempt.add_argument(
        "--wrong-answers-max", type=float, metavar="SHARE", help="of the answers, how many may be wrong (0.02)"
    )


def _add(group: Group[argparse.ArgumentParser], name: str, summary: str, command: Command) -> argparse.ArgumentParser:
    parser = add_command(group, name, summary, command, CLIENT_FLAGS)
    parser.add_argument("--team", metavar="ID", required=True, help="whose list")
    parser.add_argument("--url", help="the gateway's address (that of the data folder)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _version(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError("must be a whole number")
    return int(text)


def _api(options: argparse.Namespace, settings: Settings) -> tuple[GatewayClient, str]:
    from gateway.commands.gateway_client import GatewayClient  # noqa: PLC0415 - loads what other commands do not need

    return GatewayClient(settings, options.url), f"/admin/teams/{quote(options.team, safe='')}/faq"


def _show(options: argparse.Namespace, settings: Settings) -> int:
    api, place = _api(options, settings)
    faq = api.admin("GET", place, query=None if options.version is None else {"version": options.version})
    if options.json:
        _print_json(faq)
    elif faq["version"] == 0:
        print(f"{options.team} has no list yet")
    else:
        print(f"version {faq['version']}, {faq['created_at']}, by {faq['changed_by']}\n")
        rows = [(one["id"], one["question"], str(len(one["paraphrases"])), one["answer"]) for one in faq["entries"]]
        print("\n".join(table(("id", "question", "wordings", "answer"), rows, left=4, cell_width_max=60)))
    return 0


def _put(options: argparse.Namespace, settings: Settings) -> int:
    content = _read(options.file)
    api, place = _api(options, settings)
    version = content["version"] if "version" in content else api.admin("GET", place)["version"]
    body = {"version": version, "entries": content["entries"]}
    faq = api.admin("PUT", place, body, timeout_s=_PUT_S)
    if options.json:
        _print_json(faq)
        return 0
    print(f"version {faq['version']}: {len(faq['entries'])} entries")
    if faq["problems"] is None:
        print("which of them read alike cannot be told just now: the process that compares texts is away")
    elif faq["problems"]:
        print("\nquestions that would get another entry's answer, if they did not stand on the list themselves:\n")
        rows = [(one["entry"], one["question"], one["answered_as"]) for one in faq["problems"]]
        print("\n".join(table(("entry", "question", "answered as"), rows, left=3, cell_width_max=100)))
    return 0


def _versions(options: argparse.Namespace, settings: Settings) -> int:
    api, place = _api(options, settings)
    found: list[Mapping[str, object]] = []
    query: dict[str, object] = {}
    while True:
        page = api.admin("GET", f"{place}/versions", query=query)
        found += page["data"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    if options.json:
        _print_json(found)
    else:
        columns = ("version", "created_at", "changed_by")
        print("\n".join(table(columns, [[str(one[name]) for name in columns] for one in found], left=3)))
    return 0


def _try(options: argparse.Namespace, settings: Settings) -> int:
    api, place = _api(options, settings)
    body: dict[str, object] = {"text": options.text}
    if options.wrong_answers_max is not None:
        body["wrong_answers_max"] = options.wrong_answers_max
    trial = api.admin("POST", f"{place}/try", body)
    if options.json:
        _print_json(trial)
    else:
        near = (
            f"nearest: {trial['nearest']} ({trial['question']!r}), score {trial['score']:.2f}, risk {trial['risk']:.2%}"
        )
        said = f"{trial['entry']}: {trial['answer']}" if trial["entry"] else f"no answer: {trial['doubt']}"
        print(f"{said}\n{near}")
    return 0


def _read(path: Path) -> Mapping[str, Any]:
    """The file as what its API takes, unread else. Raises CommandFailed."""
    import yaml  # noqa: PLC0415 - loads what other commands do not need

    try:
        text = path.read_text()
        content = yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else json.loads(text)
    except (OSError, ValueError, yaml.YAMLError) as exc:
        raise CommandFailed(f"{path}: {exc}") from exc
    if not isinstance(content, dict) or "entries" not in content:
        raise CommandFailed(f"{path}: must be an object with entries")
    return content


def _print_json(content: object) -> None:
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
