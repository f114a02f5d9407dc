"""`obol report costs` and `obol report budgets`: the gateway's reports, as tables or as they are."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import CLIENT_FLAGS, add_command
from gateway.commands.text_table import money, table
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.commands.gateway_client import GatewayClient

# The parameters of the cost report, as flags.
_COSTS = {
    "from": "a date or an RFC 3339 time, inclusive (30 days ago)",
    "to": "... exclusive (the end of today)",
    "bucket": "hour, day or month (one sum for all)",
    "group-by": "what to tell apart, separated by commas: team, key, member, end_user, model, route, stage, ...",
    "time-zone": "of dates and buckets, as in Europe/Berlin (UTC)",
    "organization": "only this one (id)",
    "team": "only this one (id)",
    "member": "only this one (id)",
    "key": "only this one (id)",
    "end-user": "only this one",
    "route": "only this one",
    "deployment": "only this one",
    "model": "only this one, by the provider's name",
    "provider": "only this one",
    "deflector": "only what that deflector answered, or was asked again after it did",
    "source": "only what was answered by it: upstream, cache_exact, deflected, ...",
    "purpose": "only calls made for it: answer, embedding, ...",
    "tag": "only what has it",
}
_BUDGETS = {"organization": "only those of this one (id)", "team": "only those of this one (id)"}
_COUNTS = {"requests": "requests", "failed": "failed", "input": "input_tokens", "cached": "cached_input_tokens"} | {
    "output": "output_tokens"
}
_STAMP = {"hour": "%Y-%m-%d %H:%M %z", "day": "%Y-%m-%d", "month": "%Y-%m"}
_PAGE = 1000


def add_reports(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands below `obol report`."""
    reports = commands.add_parser("report", help="what was spent, summed up").add_subparsers(
        required=True, metavar="COMMAND"
    )
    costs = add_command(reports, "costs", "sum up what was spent, with baseline and savings", _costs, CLIENT_FLAGS)
    budgets = add_command(reports, "budgets", "show what stands of every budget", _budgets, CLIENT_FLAGS)
    for parser, parameters in ((costs, _COSTS), (budgets, _BUDGETS)):
        for name, meaning in parameters.items():
            parser.add_argument(f"--{name}", dest=f"query_{name.replace('-', '_')}", metavar="VALUE", help=meaning)
        parser.add_argument("--format", choices=("table", "json", "csv"), default="table", help="(table)")
        parser.add_argument("--url", help="the gateway's address (that of the data folder)")


def _costs(options: argparse.Namespace, settings: Settings) -> int:
    query = _query(options)
    if options.format == "csv":
        return _print(_client(options, settings).report("costs", query | {"format": "csv"}))
    report = json.loads(_client(options, settings).report("costs", query))
    return _print(_json(report) if options.format == "json" else costs_table(report))


def _budgets(options: argparse.Namespace, settings: Settings) -> int:
    client, query = _client(options, settings), _query(options)
    if options.format == "csv":
        return _print(client.report("budgets", query | {"format": "csv"}))
    rows: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = json.loads(client.report("budgets", query | {"limit": str(_PAGE), "cursor": cursor}))
        rows, cursor = rows + page["data"], page["next_cursor"]
    return _print(_json({"data": rows}) if options.format == "json" else budgets_table(rows))


def _client(options: argparse.Namespace, settings: Settings) -> GatewayClient:
    from gateway.commands.gateway_client import GatewayClient  # noqa: PLC0415 - only once a command is given

    return GatewayClient(settings, options.url)


def _query(options: argparse.Namespace) -> dict[str, str]:
    given = {name: value for name, value in vars(options).items() if name.startswith("query_") and value is not None}
    query = {name.removeprefix("query_"): value for name, value in given.items()}
    if "group_by" in query:
        query["group_by"] = query["group_by"].replace("-", "_")  # as the flags are written: --end-user
    return query


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _print(text: str) -> int:
    sys.stdout.write(text)
    return 0


def costs_table(report: Mapping[str, Any]) -> str:
    """A cost report for people, amounts rounded to a millionth of a dollar."""
    rows, totals, groups, bucket = report["data"], report["totals"], report["group_by"], report["bucket"]
    cut = ", ".join([*([bucket] if bucket else []), *groups])
    title = f"Costs from {_day(report['from'])} until {_day(report['to'])} ({report['time_zone']})"
    lines = [f"{title}, by {cut}" if cut else title, ""]
    if not totals["attempts"] and not totals["cost_nusd"]:
        return "\n".join([*lines, "Nothing was spent.", ""])
    labels = {group: _labels(rows, group) for group in groups}
    if bucket:
        stamps = [datetime.fromisoformat(row["bucket_start"]).strftime(_STAMP[bucket]) for row in rows]
        labels = {bucket: stamps} | labels
    all_rows = [*rows, totals] if cut else [totals]
    amounts = [money([row[f"{name}_nusd"] for row in all_rows]) for name in ("cost", "baseline", "savings")]
    figures = [
        [*(f"{row[field]:,}" for field in _COUNTS.values()), *dollars, _share(row)]
        for row, dollars in zip(all_rows, zip(*amounts, strict=True), strict=True)
    ]
    header = [*labels, *_COUNTS, "cost", "baseline", "saved", "%"]
    if not cut:
        return "\n".join([*lines, *table(header, figures, left=0), ""])
    named = list(zip(*labels.values(), strict=True))
    body = [[*names, *row] for names, row in zip(named, figures[:-1], strict=True)]
    total = ["total", *[""] * (len(labels) - 1), *figures[-1]]
    return "\n".join([*lines, *table(header, body, left=len(labels), totals=total), *_notes(groups), ""])


def _notes(groups: Sequence[str]) -> list[str]:
    return ["", "A call with several tags is in the row of each, and once in the total."] if "tag" in groups else []


def _labels(rows: Sequence[Mapping[str, Any]], group: str) -> list[str]:
    """What a column of groups shows: names where there are, with the id where a name is that of several."""
    ids = defaultdict(set)
    for row in rows:
        ids[row.get(f"{group}_name")].add(row[group])
    return [_label(row[group], row.get(f"{group}_name"), len(ids[row.get(f"{group}_name")]) > 1) for row in rows]


def _label(value: str | None, name: str | None, is_shared: bool) -> str:
    if name is None:
        return "-" if value is None else value
    return f"{name} ({value})" if is_shared else name


def _share(row: Mapping[str, Any]) -> str:
    """What part of the baseline was saved."""
    baseline = row["baseline_nusd"]
    return f"{100 * row['savings_nusd'] / baseline:.1f}" if baseline else "-"


def _day(moment: str) -> str:
    """A midnight as its date."""
    value = datetime.fromisoformat(moment)
    return (
        f"{value:%Y-%m-%d}" if (value.hour, value.minute, value.second) == (0, 0, 0) else f"{value:%Y-%m-%d %H:%M:%S}"
    )


def budgets_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The budget report for people, amounts rounded to a millionth of a dollar."""
    if not rows:
        return "There is no budget.\n"
    amounts = [
        money([row[f"{name}_nusd"] for row in rows]) for name in ("effective_limit", "spent", "held", "remaining")
    ]
    lines = table(
        ["budget", "of", "window", "when spent", "resets", "limit", "spent", "held", "left", "% used", "id"],
        [
            [
                row["subject"],
                _label(row["value"], row["value_name"], False),
                row["window"],
                row["on_exhausted"],
                _resets(row),
                *dollars,
                f"{row['used_pct']:.2f}",
                row["budget"],
            ]
            for row, dollars in zip(rows, zip(*amounts, strict=True), strict=True)
        ],
        left=5,
    )
    shown: dict[str, int] = defaultdict(int)
    for row in rows:
        shown[row["budget"]] += 1
    more = {row["budget"]: row["values"] for row in rows if (row["values"] or 0) > shown[row["budget"]]}
    notes = [
        f"Of {values:,} balances of {budget} the {shown[budget]:,} dearest are shown."
        for budget, values in more.items()
    ]
    return "\n".join([*lines, *([""] if notes else []), *notes, ""])


def _resets(row: Mapping[str, Any]) -> str:
    if row["resets_at"] is not None:
        return _day(row["resets_at"])
    return "rolling" if row["is_rolling"] else "never"
