"""`obol replay`: what recorded decisions of a route would have cost, and been worth, under another policy."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.commands import CommandFailed
from gateway.commands.arguments import CLIENT_FLAGS, add_command
from gateway.commands.text_table import money, table
from gateway.settings import Settings

_TIMEOUT_S = 300.0
_FILTERS = {
    "from": "decisions since then: a date or an RFC 3339 time, inclusive",
    "to": "... exclusive (now)",
    "organization": "only of this one (id)",
    "team": "only of this one (id)",
    "key": "only of this one (id)",
}
_PARTS = ("router", "embedding", "guard", "judge", "shadow", "audit", "escalation", "lost_cache")
_KEPT = {
    "recorded_too_early": "they were recorded by a version that did not write down what policies go by",
    "no_features": "no router was asked about them then, so that none can be now",
    "cascade": "a cascade goes by what answers are like, of which nothing is recorded",
    "other_meters": "they are charged by other units than text tokens",
}


def add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command."""
    summary = "say what recorded requests would have cost under another policy"
    replay = add_command(commands, "replay", summary, _replay, CLIENT_FLAGS)
    replay.add_argument(
        "--policy", type=Path, required=True, metavar="FILE", help="a route as in a catalog, or a whole catalog (YAML)"
    )
    replay.add_argument("--route", default="auto", help="whose decisions are tried (auto)")
    replay.add_argument("--last", metavar="SPAN", help="how far back: 30m, 24h, 7d (7d)")
    for name, meaning in _FILTERS.items():
        replay.add_argument(f"--{name}", dest=f"body_{name}", metavar="VALUE", help=meaning)
    replay.add_argument("--sample", type=float, metavar="SHARE", help="only of this share of conversations (1)")
    replay.add_argument("--json", action="store_true", help="one JSON object")
    replay.add_argument("--url", help="the gateway's address (that of the data folder)")


def _replay(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands.gateway_client import GatewayClient  # noqa: PLC0415 - only once a command is given

    body: dict[str, object] = {"route": options.route, "policy": policy_of(options.policy, options.route)}
    body |= {name: value for name in _FILTERS if (value := getattr(options, f"body_{name}")) is not None}
    if options.last is not None:
        body["last"] = options.last
    if options.sample is not None:
        body["sample"] = options.sample
    told = GatewayClient(settings, options.url).admin("POST", "/admin/replay", body, timeout_s=_TIMEOUT_S)
    sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n" if options.json else replay_text(told))
    return 0


def policy_of(file: Path, route: str) -> Mapping[str, object]:
    """The route that the file states; of a catalog the one of that name, and nothing else. Raises CommandFailed."""
    from gateway.catalog.file import read_text  # noqa: PLC0415 - loads YAML
    from gateway.catalog.text import CatalogError, parse  # noqa: PLC0415

    try:
        text = read_text(file)
        # Keys of providers are no part of a route: they are not looked up, and go nowhere.
        data = parse(text, str(file), dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "")).data
    except CatalogError as exc:
        raise CommandFailed(str(exc)) from exc
    if isinstance(data, dict) and "routes" in data:
        routes = data["routes"]
        data = routes.get(route) if isinstance(routes, dict) else None
        if data is None:
            raise CommandFailed(f"{file} has no route {route!r}: name one of its routes with --route")
    if not isinstance(data, dict):
        raise CommandFailed(f"{file} is no route: write policy, deployments, ... as below routes in a catalog")
    found: Mapping[str, object] = json.loads(json.dumps(data, default=_number))
    return found


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(value)


def replay_text(told: Mapping[str, Any]) -> str:
    """A replay for people, amounts rounded to a millionth of a dollar."""
    teams, totals = told["teams"], told["totals"]
    rows = [*teams, totals]
    of = {
        name: money([_at(row, *path) for row in rows])
        for name, path in {
            "cost was": ("recorded", "cost_nusd"),
            "would be": ("replayed", "cost_nusd"),
            "more": ("difference_nusd",),
            "net saving was": ("recorded", "saving_net_nusd"),
            "net would be": ("replayed", "saving_net_nusd"),
        }.items()
    }
    header = ["team", "requests", "changed", *of, "quality was", "quality would be"]
    cells = [
        [f"{row['requests']:,}", f"{row['changed']:,}", *amounts, _quality(row, "recorded"), _quality(row, "replayed")]
        for row, amounts in zip(rows, zip(*of.values(), strict=True), strict=True)
    ]
    named = [[row["team_name"] or row["team"], *line] for row, line in zip(teams, cells[:-1], strict=True)]
    title = f"{told['route']} under {told['policy']}, from {told['from']} until {told['to']}"
    if told["sample"] < 1:
        title += f", {told['sample']:.1%} of all conversations"
    lines = [title, "", *table(header, named, left=1, totals=["total", *cells[-1]]), ""]
    return "\n".join([*lines, *_overheads(totals), *_firsts(told), *_notes(told), ""])


def _at(row: Mapping[str, Any], *path: str) -> int:
    value: Any = row
    for name in path:
        value = value[name]
    return int(value)


def _quality(row: Mapping[str, Any], which: str) -> str:
    if row["quality"] is None:
        return "-"
    told = row["quality"][which]
    if told["low"] is None or told["high"] is None:
        return f"{told['value']:.3f}"
    return f"{told['value']:.3f} ({told['low']:.3f} to {told['high']:.3f})"


def _overheads(totals: Mapping[str, Any]) -> list[str]:
    """The parts that are not nothing, and what is saved of the baseline."""
    lines = []
    for which, words in (("recorded", "was"), ("replayed", "would be")):
        amounts = totals[which]
        parts = [(name, amounts[f"{name}_nusd"]) for name in _PARTS if amounts[f"{name}_nusd"]]
        share = amounts["saving_net_share"]
        saved = "" if share is None else f" ({share:.1%} of the baseline)"
        shown = ", ".join(
            f"{name.replace('_', ' ')} {amount}"
            for (name, _), amount in zip(parts, money([nusd for _, nusd in parts]), strict=True)
        )
        (saving,) = money([amounts["saving_net_nusd"]])
        lines.append(f"Net saving {words} {saving}{saved}{f', after {shown}' if shown else ''}.")
    return lines


def _firsts(told: Mapping[str, Any]) -> list[str]:
    before, after = told["recorded_firsts"], told["replayed_firsts"]
    names = sorted(set(before) | set(after), key=lambda name: -after.get(name, 0))
    listed = ", ".join(f"{name} {before.get(name, 0):,} -> {after.get(name, 0):,}" for name in names)
    return [f"Asked first: {listed}."]


def _notes(told: Mapping[str, Any]) -> Sequence[str]:
    quality, requests = told["totals"]["quality"], told["totals"]["requests"]
    notes = [
        "Quality is unknown: nothing predicts it, and nobody said how good answers were."
        if quality is None
        else quality["note"]
    ]
    notes += [
        f"{count:,} of {requests:,} are left as they were: {_KEPT.get(why, why)}."
        for why, count in told["kept"].items()
    ]
    notes += [f"{count:,} of {requests:,} do not have {name} on record." for name, count in told["unknown"].items()]
    return notes
