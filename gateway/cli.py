"""`obol`: the commands. This module only reads arguments; each command imports what it needs when it is given."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.commands import CommandFailed
from gateway.commands.administered import EVERY, KEYS, listed
from gateway.commands.administration import add_administration
from gateway.commands.arguments import CATALOG_FLAGS, CLIENT_FLAGS, FLAGS, STORE_FLAGS, Command, add_command
from gateway.commands.eval import add_evaluations
from gateway.commands.faq import add_faq
from gateway.commands.guards import add_guards
from gateway.commands.purge import add_purges
from gateway.commands.replay import add_replay
from gateway.commands.report import add_reports
from gateway.commands.request import add_request
from gateway.commands.router import add_routers
from gateway.networks import parse_network, written
from gateway.settings import Settings, WrongSetting


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed, 2 wrong arguments."""
    options = _parser().parse_args(arguments)
    overrides = {name: getattr(options, name, None) for name in FLAGS}
    try:
        settings = Settings.from_environment(os.environ, overrides)
        command: Command = options.command
        return command(options, settings)
    except (CommandFailed, WrongSetting) as exc:
        sys.stderr.write(f"obol: {exc}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `obol ledger tail | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as exc:  # a folder that is a file, or is not ours, or is on a disk that is full
        sys.stderr.write(f"obol: {exc}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="obol", description="A cost-aware LLM gateway: every call is priced and on the ledger."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_command(commands, "serve", "serve, with embedded stores unless others are named", _serve, tuple(FLAGS))
    add_command(commands, "migrate", "bring the database to this version's schema", _migrate, STORE_FLAGS)

    keys = commands.add_parser("keys", help="virtual keys").add_subparsers(required=True, metavar="COMMAND")
    create = add_command(keys, "create", "make a key and show its secret once", _keys_create, STORE_FLAGS)
    create.add_argument("name", help="what people call it")
    create.add_argument("--team", default="", help="id or name of the team that owns it (the default team)")
    create.add_argument("--models", help="the only models it may call, separated by commas (all)")
    create.add_argument("--expires-at", metavar="TIME", help="2030-01-31 or 2030-01-31T12:00:00Z (never)")
    create.add_argument("--member", help="id of the team's member that it is bound to (nobody)")
    create.add_argument("--allowed-ips", help="the only addresses and networks it serves, separated by commas (all)")
    add_command(keys, "list", "list keys, revoked ones too", _keys_list, STORE_FLAGS)
    revoke = add_command(
        keys, "revoke", "make a key useless for good, everywhere within a second", _keys_revoke, STORE_FLAGS
    )
    revoke.add_argument("id", help="the key's id (key_...)")
    add_administration(keys, KEYS)
    for kind in EVERY:
        group = commands.add_parser(kind.command, help=kind.summary)
        add_administration(group.add_subparsers(required=True, metavar="COMMAND"), kind)

    ask = add_command(commands, "try", "ask the running gateway one question and show what it cost", _try, CLIENT_FLAGS)
    ask.add_argument("prompt")
    ask.add_argument("--model", default="auto", help="a route or a deployment (auto)")
    ask.add_argument("--url", help="the gateway's address (that of the data folder)")

    explain = add_command(commands, "explain", "show whom a route would ask, and why", _explain, CLIENT_FLAGS)
    explain.add_argument("prompt")
    explain.add_argument("--model", default="auto", help="a route (auto)")
    explain.add_argument("--json", action="store_true", help="as JSON")
    explain.add_argument("--url", help="the gateway's address (that of the data folder)")

    _add_ledger(commands)
    for add in (add_request, add_purges, add_faq, add_guards, add_reports, add_replay, add_routers, add_evaluations):
        add(commands)

    catalog = commands.add_parser("catalog", help="what can be called").add_subparsers(required=True, metavar="COMMAND")
    add_command(catalog, "show", "show the catalog with secrets hidden", _catalog_show, CATALOG_FLAGS)
    convert = add_command(catalog, "import-litellm", "turn a LiteLLM config into a catalog", _catalog_import, ())
    convert.add_argument("file", type=Path)

    listed = commands.add_parser("prices", help="the price list").add_subparsers(required=True, metavar="COMMAND")
    show = add_command(listed, "show", "show the prices in use", _prices_show, CATALOG_FLAGS)
    show.add_argument("model", nargs="?", help="one model (all)")
    update = add_command(
        listed, "update", "take a newer price list, after showing the difference", _prices_update, CATALOG_FLAGS
    )
    update.add_argument("file", type=Path)
    update.add_argument("--yes", action="store_true", help="apply without asking")
    return parser


def _add_ledger(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ledger = commands.add_parser("ledger", help="what was spent").add_subparsers(required=True, metavar="COMMAND")
    tail = add_command(ledger, "tail", "print the newest entries and follow", _ledger_tail, CLIENT_FLAGS)
    tail.add_argument("--limit", type=_count, default=10, help="how many old entries to begin with (10)")
    tail.add_argument("--url", help="the gateway's address (that of the data folder)")

    check = add_command(
        ledger, "verify", "compare balances, ledger and journals, print differences", _ledger_verify, STORE_FLAGS
    )
    mend = add_command(
        ledger, "rebuild", "rebuild all balances from ledger, journals and holds", _ledger_rebuild, STORE_FLAGS
    )
    for one in (check, mend):
        one.add_argument("--organization", metavar="ID", help="one organization (all)")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) > 1000:  # noqa: PLR2004  the ledger's largest page
        raise argparse.ArgumentTypeError("must be a whole number from 0 to 1000")
    return int(text)


def _serve(_options: argparse.Namespace, settings: Settings) -> int:
    from gateway.serving.supervisor import serve  # noqa: PLC0415

    return serve(settings)


def _migrate(_options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands import stores  # noqa: PLC0415

    print(stores.migrate_database(settings))
    return 0


def _keys_create(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands import stores  # noqa: PLC0415

    try:
        expires_at = stores.moment(options.expires_at) if options.expires_at else None
    except ValueError as exc:
        raise CommandFailed(f"--expires-at {options.expires_at!r} is no time; write 2030-01-31T12:00:00Z") from exc
    try:
        allowed_ips = [written(parse_network(text)) for text in listed(options.allowed_ips or "")]
    except ValueError as exc:
        raise CommandFailed(f"--allowed-ips {options.allowed_ips!r}: {exc}") from exc
    models = listed(options.models or "")
    # An empty list may come of a variable that is not set: it must not mean that everything is allowed.
    for flag, text, values in (
        ("--models", options.models, models),
        ("--allowed-ips", options.allowed_ips, allowed_ips),
    ):
        if text is not None and not values:
            raise CommandFailed(f"{flag} {text!r} names nothing; without the flag nothing is restricted")
    wish = stores.NewKeyWish(
        options.name,
        options.team,
        models=models or None,
        expires_at=expires_at,
        member=options.member or None,
        allowed_ips=allowed_ips or None,
    )
    print(stores.create_key(settings, wish))
    return 0


def _keys_list(_options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands import stores  # noqa: PLC0415

    print(stores.list_keys(settings))
    return 0


def _keys_revoke(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands import stores  # noqa: PLC0415

    print(stores.revoke_key(settings, options.id))
    return 0


def _try(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands.ask import ask  # noqa: PLC0415
    from gateway.commands.gateway_client import GatewayClient  # noqa: PLC0415

    print(ask(GatewayClient(settings, options.url), options.prompt, options.model))
    return 0


def _explain(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands.gateway_client import GatewayClient  # noqa: PLC0415

    messages = [{"role": "user", "content": options.prompt}]
    told = GatewayClient(settings, options.url).explain({"model": options.model, "messages": messages})
    print(json.dumps(told, ensure_ascii=False, indent=2) if options.json else told["text"])
    return 0


def _ledger_tail(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands.gateway_client import GatewayClient  # noqa: PLC0415
    from gateway.commands.ledger_tail import tail  # noqa: PLC0415

    for line in tail(GatewayClient(settings, options.url), options.limit):
        print(line, flush=True)
    return 0


def _ledger_verify(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands import ledger_books  # noqa: PLC0415

    report = ledger_books.verify(settings, options.organization)
    print(report.text)
    return 1 if report.differences else 0


def _ledger_rebuild(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands import ledger_books  # noqa: PLC0415

    count, report = ledger_books.rebuild(settings, options.organization)
    print(f"{count} balances rebuilt\n{report.text}")
    return 1 if report.differences else 0


def _catalog_show(_options: argparse.Namespace, settings: Settings) -> int:
    from gateway.catalog import show as catalog_show  # noqa: PLC0415

    with _catalog_failures():
        print(catalog_show.main_show(settings))
    return 0


def _catalog_import(options: argparse.Namespace, _settings: Settings) -> int:
    from gateway.catalog import litellm_import  # noqa: PLC0415

    with _catalog_failures():
        print(litellm_import.import_litellm(options.file))
    return 0


def _prices_show(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.catalog import prices  # noqa: PLC0415

    with _catalog_failures():
        print(prices.show(settings, options.model))
    return 0


def _prices_update(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.catalog import prices  # noqa: PLC0415

    with _catalog_failures():
        difference, apply = prices.update(settings, options.file)
        print(difference)
        if not options.yes and not _is_confirmed("Apply?"):
            raise CommandFailed("nothing was changed (--yes applies without asking)")
        apply()
    print("applied; a running gateway notices it by itself")
    return 0


def _is_confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


@contextlib.contextmanager
def _catalog_failures() -> Iterator[None]:
    """What the catalog and the price list refuse, as the command's own failure."""
    from gateway.catalog.pricelist import PriceListError  # noqa: PLC0415
    from gateway.catalog.text import CatalogError  # noqa: PLC0415

    try:
        yield
    except (CatalogError, PriceListError, OSError) as exc:
        raise CommandFailed(str(exc)) from exc
