"""`obol cache purge`: answers that are not to be given again."""

from __future__ import annotations

import argparse

from gateway.commands.arguments import CLIENT_FLAGS, add_command
from gateway.settings import Settings


def add_cache(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands below `obol cache`."""
    group = commands.add_parser("cache", help="answers that are given again").add_subparsers(
        required=True, metavar="COMMAND"
    )
    purge = add_command(group, "purge", "give nothing again that was answered until now", _purge, CLIENT_FLAGS)
    whose = purge.add_mutually_exclusive_group(required=True)
    whose.add_argument("--team", metavar="ID", help="what this team was answered")
    whose.add_argument("--organization", metavar="ID", help="what all teams of this organization were answered")
    purge.add_argument("--url", help="the gateway's address (that of the data folder)")


def _purge(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands.gateway_client import GatewayClient  # noqa: PLC0415

    whose = {"team": options.team} if options.team else {"organization": options.organization}
    GatewayClient(settings, options.url).admin("POST", "/admin/cache/purge", whose)
    print(f"what {options.team or options.organization} was answered until now is given to nobody again")  # noqa: T201 - a command prints
    return 0
