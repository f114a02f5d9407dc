"""`obol purge` and `obol cache purge`: what somebody asked and was answered is erased."""

from __future__ import annotations

import argparse

from gateway.commands.arguments import CLIENT_FLAGS, add_command
from gateway.settings import Settings

_WITHIN_S = 600.0  # of very many
_WHOSE = {
    "organization": "all teams of this organization",
    "team": "all keys of this team",
    "key": "this key",
    "member": "the keys of this member",
}


def add_purges(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`obol purge`, and the commands below `obol cache`."""
    purge = add_command(
        commands, "purge", "erase what somebody asked, was answered and said of answers", _purge, CLIENT_FLAGS
    )
    _add_whose(purge, tuple(_WHOSE))
    group = commands.add_parser("cache", help="answers that are given again").add_subparsers(
        required=True, metavar="COMMAND"
    )
    cache = add_command(group, "purge", "give nothing again that was answered until now", _purge_cache, CLIENT_FLAGS)
    _add_whose(cache, ("organization", "team"))


def _add_whose(parser: argparse.ArgumentParser, kinds: tuple[str, ...]) -> None:
    whose = parser.add_mutually_exclusive_group(required=True)
    for kind in kinds:
        whose.add_argument(f"--{kind}", metavar="ID", help=f"what {_WHOSE[kind]} asked and were answered")
    parser.add_argument("--url", help="the gateway's address (that of the data folder)")


def _purge(options: argparse.Namespace, settings: Settings) -> int:
    told = _asked(options, settings, "/admin/purge")
    counts = ", ".join(f"{told[name]} {name}" for name in ("answers", "questions", "feedback", "prompts"))
    print(f"erased: {counts}")  # noqa: T201 - a command prints
    return 0


def _purge_cache(options: argparse.Namespace, settings: Settings) -> int:
    _asked(options, settings, "/admin/cache/purge")
    print(f"what {options.team or options.organization} was answered until now is given to nobody again")  # noqa: T201
    return 0


def _asked(options: argparse.Namespace, settings: Settings, path: str) -> dict[str, object]:
    from gateway.commands.gateway_client import GatewayClient  # noqa: PLC0415

    whose = {kind: of for kind in _WHOSE if (of := getattr(options, kind, None)) is not None}
    told: dict[str, object] = GatewayClient(settings, options.url).admin("POST", path, whose, timeout_s=_WITHIN_S)
    return told
