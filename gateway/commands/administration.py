"""Commands over the admin API of a running gateway: `obol teams create ...`, and the like for every kind of object.

A kind is described once, as an ``Administered``: where it lies below /admin, which fields it is made of, and what a
list shows. ``add_administration(commands, kind)`` makes `create`, `list`, `show`, `update`, `delete` of it, and one
command for each ``Action`` (`rotate`, `reset`, `raise`), which is a POST to ``{path}/{id}/{name}``, or a DELETE that
undoes one. `obol` has the commands of every kind that ``gateway.commands.administered.EVERY`` holds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gateway.commands import CommandFailed
from gateway.commands.arguments import CLIENT_FLAGS, add_command
from gateway.commands.text_table import table
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.commands.gateway_client import GatewayClient

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a body, or one filter of a list, as a flag: ``name`` is its JSON name, dots lead inside.

    ``read`` makes JSON of the text; ``is_positional``: it is given without a flag, and needed.
    """

    name: str
    summary: str
    read: Callable[[str], object] = str
    is_positional: bool = False
    is_required: bool = False

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-").replace(".", "-")


@dataclass(frozen=True, slots=True)
class Action:
    """What else can be done with one object. ``undoes``: the action that a DELETE at its place ends."""

    name: str
    summary: str
    fields: tuple[Field, ...] = ()
    undoes: str | None = None


@dataclass(frozen=True, slots=True)
class Administered:
    """One kind of object: ``summary`` and ``noun`` name all and one of them, ``columns`` are what a list shows."""

    command: str
    summary: str
    noun: str
    path: str
    columns: tuple[str, ...]
    create: tuple[Field, ...] | None = None
    update: tuple[Field, ...] | None = None
    filters: tuple[Field, ...] | None = None
    plural: str | None = None  # what many of them are called; None: as the command
    is_shown: bool = True  # by its id
    deletion: str | None = None  # what it does; None: there is none, or another command does it
    actions: tuple[Action, ...] = ()

    @property
    def nouns(self) -> str:
        """All of them."""
        return self.plural or self.command.replace("-", " ")


Group = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def add_administration(group: Group[argparse.ArgumentParser], kind: Administered) -> None:
    """Add the kind's commands to a group that is its own (``commands.add_parser(kind.command)``'s subparsers)."""
    if kind.create is not None:
        _add(group, "create", f"make {kind.noun}", kind.create, lambda api, _, body: api.admin("POST", kind.path, body))
    if kind.filters is not None:
        listing = _add_parser(group, "list", f"list {kind.nouns}, newest first", kind.filters)
        listing.set_defaults(command=_lister(kind))
    if kind.is_shown:
        _add_on_one(group, "show", f"show {kind.noun}", (), lambda api, place, _: api.admin("GET", place), kind)
    if kind.update is not None:
        _add_on_one(
            group,
            "update",
            f"change {kind.noun}; an empty value takes an optional field away",
            kind.update,
            lambda api, place, body: api.admin("PATCH", place, body),
            kind,
        )
    if kind.deletion is not None:
        _add_on_one(group, "delete", kind.deletion, (), lambda api, place, _: api.admin("DELETE", place), kind)
    for action in kind.actions:
        _add_on_one(group, action.name, action.summary, action.fields, _doer(action), kind)


# Asks the gateway about an object below a place, with a body.
_Ask = Callable[["GatewayClient", str, dict[str, object]], object]


def _doer(action: Action) -> _Ask:
    if action.undoes is not None:
        return lambda api, place, _: api.admin("DELETE", f"{place}/{action.undoes}")
    return lambda api, place, body: api.admin("POST", f"{place}/{action.name}", body)


def _add_on_one(
    group: Group[argparse.ArgumentParser],
    name: str,
    summary: str,
    fields: Sequence[Field],
    ask: _Ask,
    kind: Administered,
) -> None:
    parser = _add(group, name, summary, tuple(one for one in fields if not one.is_positional), ask)
    parser.add_argument("id", help=f"the id of {kind.noun}")
    parser.set_defaults(place=kind.path)


def _add(
    group: Group[argparse.ArgumentParser], name: str, summary: str, fields: Sequence[Field], ask: _Ask
) -> argparse.ArgumentParser:
    parser = _add_parser(group, name, summary, fields)

    def command(options: argparse.Namespace, settings: Settings) -> int:
        place = f"{options.place}/{quote(options.id, safe='')}" if "place" in options else ""
        _print(ask(_api(options, settings), place, _body(options, fields)), is_json=options.json)
        return 0

    parser.set_defaults(command=command)
    return parser


def _add_parser(
    group: Group[argparse.ArgumentParser], name: str, summary: str, fields: Sequence[Field]
) -> argparse.ArgumentParser:
    parser = add_command(group, name, summary, lambda *_: 0, CLIENT_FLAGS)
    parser.add_argument("--url", help="the gateway's address (that of the data folder)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    for field in fields:
        if field.is_positional:
            parser.add_argument(field.name, help=field.summary)
        else:
            required = field.is_required
            parser.add_argument(field.flag, dest=field.name, metavar="VALUE", required=required, help=field.summary)
    return parser


def _api(options: argparse.Namespace, settings: Settings) -> GatewayClient:
    from gateway.commands.gateway_client import GatewayClient  # noqa: PLC0415 - loads what other commands do not need

    return GatewayClient(settings, options.url)


def _body(options: argparse.Namespace, fields: Sequence[Field]) -> dict[str, Any]:
    """The JSON of what was given; an empty text is null. Raises CommandFailed for what cannot be read."""
    body: dict[str, Any] = {}
    for field in fields:
        text = getattr(options, field.name)
        if text is None:
            continue
        *outer, last = field.name.split(".")
        inside: dict[str, Any] = body
        for name in outer:
            inside = inside.setdefault(name, {})
        try:
            inside[last] = None if text == "" else field.read(text)
        except ValueError as exc:
            raise CommandFailed(f"{field.flag} {text!r}: {exc}") from exc
    return body


def _lister(kind: Administered) -> Callable[[argparse.Namespace, Settings], int]:
    def command(options: argparse.Namespace, settings: Settings) -> int:
        api = _api(options, settings)
        query: dict[str, object] = {"limit": _PAGE} | _body(options, kind.filters or ())
        rows: list[Mapping[str, object]] = []
        while True:
            page = api.admin("GET", kind.path, query=query)
            rows += page["data"]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        if not rows and not options.json:
            sys.stdout.write(f"There are no {kind.nouns}.\n")
        else:
            _print(rows, is_json=options.json, columns=kind.columns)
        return 0

    return command


def _print(content: object, *, is_json: bool, columns: Sequence[str] = ()) -> None:
    if is_json:
        text = json.dumps(content, indent=2, ensure_ascii=False)
    elif isinstance(content, list):
        text = _lines([columns, *([_text(_at(row, name)) for name in columns] for row in content)])
    elif isinstance(content, Mapping):
        text = _lines([(name, _text(value)) for name, value in content.items()])
    else:
        text = str(content)
    sys.stdout.write(text + "\n")


def _lines(rows: Sequence[Sequence[str]]) -> str:
    # All of each cell: ids are there to be copied.
    return "\n".join(table(rows[0], rows[1:], left=len(rows[0]), cell_width_max=None))


def _at(row: Mapping[str, object], name: str) -> object:
    value: object = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _text(value: object) -> str:
    match value:
        case None | []:
            return "-"
        case list():
            return ", ".join(map(_text, value))
        case Mapping():
            return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
        case _:
            return str(value)
