"""How commands read their arguments: every setting is a flag too."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from gateway.settings import Settings, variable

# Every setting as a flag: name of the field -> its placeholder and what it says.
FLAGS = {
    "catalog": ("FILE", "what can be called and at which price (YAML)"),
    "host": ("ADDRESS", "address to listen on (127.0.0.1)"),
    "port": ("PORT", "port to listen on (8080)"),
    "workers": ("N", "serving processes (1)"),
    "data_dir": ("FOLDER", "where embedded stores, keys and journal lie (.obol)"),
    "database_url": ("URL", "a Postgres of your own instead of the embedded one"),
    "redis_url": ("URL", "a Redis or Valkey of your own instead of the embedded one"),
    "cache_redis_url": ("URL", "another Redis for cached answers"),
    "admin_key": (
        "KEY",
        "the key of /admin (made at the first start); a flag shows in the process list, so set the variable",
    ),
    "log_level": ("LEVEL", "debug, info, warning or error (info)"),
    "cors_origins": ("ORIGINS", "origins of browsers that may call us, separated by commas"),
    "content_logging": ("0|1", "store prompts and answers in the ledger (0)"),
    "budgets_without_redis": ("refuse|allow", "what becomes of calls under a budget while Redis is away (refuse)"),
    "orphaned_charge": (
        "seen|hold",
        "what calls of a process that died are charged: what was seen, or the hold (seen)",
    ),
    "body_bytes_max": ("BYTES", "largest request body (33554432)"),
    "alert_webhook_url": ("URL", "where alerts are sent (nowhere: they are logged)"),
    "alert_webhook_secret": (
        "SECRET",
        "what alerts are signed with; a flag shows in the process list, so set the variable",
    ),
    "alert_spend_multiple": ("N", "of the same hours a week before; a team that spends more is told of (3)"),
    "cpu_usd_per_hour": ("USD", "what one processor costs, for what routers and similar questions take of it (0.04)"),
    "similar_questions_max": ("N", "questions that are kept for an organization, for others to be like them (50000)"),
    "similar_memory_mib": ("MIB", "memory for all of these on a machine, beside the encoder (512)"),
    "similar_within_ms": ("MS", "how long a request waits for questions like its own (30)"),
    "router": ("FILE", "a trained router for routes with policy cheapest_adequate (the one that ships)"),
    "trusted_proxies": ("NETWORKS", "proxies whose X-Forwarded-For is believed, separated by commas (none)"),
}
STORE_FLAGS = ("data_dir", "database_url", "redis_url")
CLIENT_FLAGS = ("data_dir", "host", "port", "admin_key")
CATALOG_FLAGS = ("catalog", "data_dir")
Command = Callable[[argparse.Namespace, Settings], int]


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    command: Command,
    flags: Sequence[str],
) -> argparse.ArgumentParser:
    """A parser whose ``command`` gets what was read, and the settings; ``flags`` are settings that it needs."""
    parser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    for field in flags:
        placeholder, meaning = FLAGS[field]
        flag = "log-content" if field == "content_logging" else field.replace("_", "-")
        parser.add_argument(f"--{flag}", dest=field, metavar=placeholder, help=f"{meaning}; also {variable(field)}")
    parser.set_defaults(command=command)
    return parser


def share(text: str) -> float:
    """The argument of an option that takes a share, such as 0.02."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1:
        raise argparse.ArgumentTypeError("must be a share from 0 to below 1, such as 0.02")
    return found
