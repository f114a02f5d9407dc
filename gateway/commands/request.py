"""`obol request ID`: what one request went through, as a waterfall."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from gateway.commands.arguments import CLIENT_FLAGS, add_command
from gateway.commands.text_table import table
from gateway.settings import Settings
from policies.refusal_text import dollars

BAR_WIDTH = 40
_ABOUT = {"request": "request_id", "came": "arrived_at", "team": "team_id", "endpoint": "endpoint"} | {
    "asked for": "model_asked",
    "of": "deployment",
    "source": "source",
    "status": "status",
}
_TEXT_COLUMNS = 3  # of a table's columns, those to the left


def add_request(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command."""
    parser = add_command(
        commands, "request", "show the stages of a request, their times and costs", _request, CLIENT_FLAGS
    )
    parser.add_argument("id", help="the x-request-id of its answer")
    parser.add_argument("--json", action="store_true", help="as JSON, with its entries of the ledger")
    parser.add_argument("--url", help="the gateway's address (that of the data folder)")


def _request(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands.gateway_client import GatewayClient  # noqa: PLC0415 - only once a command is given

    client = GatewayClient(settings, options.url)
    found = client.admin("GET", f"/admin/requests/{quote(options.id, safe='')}")
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n" if options.json else waterfall_text(found))
    return 0


def waterfall_text(request: Mapping[str, Any]) -> str:
    """A request for people: who asked for what, then a line for each stage with a bar from its start to its end."""
    about = [request[name] for name in _ABOUT.values()]
    lines = [*table([*_ABOUT], [about], left=len(about)), ""]
    span_ms = max(request["total_ms"], 0.001)
    rows = [
        [
            row["stage"],
            row["name"] or "",
            _bar(row["started_ms"], row["ms"], span_ms),
            f"{row['started_ms']:,.1f}",
            "?" if row["ms"] is None else f"{row['ms']:,.1f}",
            *_tokens(row["tokens"]),
            "" if row["entry_id"] is None else f"${dollars(row['cost_nusd'])}",
            row["verdict"] or row["status"] or "",
        ]
        for row in request["stages"]
    ]
    header = ["stage", "name", "", "from ms", "ms", "input", "output", "cost", "said"]
    totals = ["total", "", "", "", f"{request['total_ms']:,.1f}", *_sums(request["stages"])]
    totals += [f"${dollars(request['cost_nusd'])}", ""]
    return "\n".join([*lines, *table(header, rows, left=_TEXT_COLUMNS, totals=totals), *_saved(request), ""])


def _saved(request: Mapping[str, Any]) -> list[str]:
    baseline = request["baseline_nusd"]
    if not baseline:
        return []
    return ["", f"The reference model would have cost ${dollars(baseline)}."]


def _bar(started_ms: float, ms: float | None, span_ms: float) -> str:
    """Where the stage lies in the request; its length is unknown where it has none."""
    begin = min(BAR_WIDTH - 1, int(started_ms / span_ms * BAR_WIDTH))
    if ms is None:
        return " " * begin + "?"
    end = max(begin + 1, min(BAR_WIDTH, round((started_ms + ms) / span_ms * BAR_WIDTH)))
    return " " * begin + "█" * (end - begin)


def _tokens(tokens: Mapping[str, int] | None) -> tuple[str, str]:
    return ("", "") if tokens is None else (f"{tokens['input']:,}", f"{tokens['output']:,}")


def _sums(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    used = [row["tokens"] for row in rows if row["tokens"] is not None]
    return f"{sum(one['input'] for one in used):,}", f"{sum(one['output'] for one in used):,}"
