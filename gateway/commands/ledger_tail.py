"""`obol ledger tail`: entries as they come, one aligned line each."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from gateway.commands.gateway_client import GatewayClient
from gateway.domain import NANO
from policies.stages import stage_of

POLL_S = 0.5
PAGE = 1000
REMEMBERED_MAX = 20_000  # entries arrive out of order (orphans up to 15 s late), so a time is no safe mark
HEADER = (
    f"{'time (UTC)':<12}  {'status':<11}  {'source':<14}  {'stage':<17}  {'basis':<9}  {'deployment':<24}  "
    f"{'in':>8}  {'cached':>8}  {'out':>7}  {'ms':>7}  {'cost':>14}  {'baseline':>14}  {'request':<36}  guards"
)


def tail(client: GatewayClient, limit: int, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """The newest ``limit`` entries, oldest first, then each new one as it comes, without end. Raises CommandFailed."""
    seen: OrderedDict[str, None] = OrderedDict()
    yield HEADER
    newest = client.ledger(limit=PAGE)
    for number, entry in enumerate(newest):
        if number >= limit:
            seen[str(entry.get("id"))] = None
    while True:
        for entry in reversed(newest):
            identity = str(entry.get("id"))
            if identity not in seen:
                seen[identity] = None
                yield line(entry)
        while len(seen) > REMEMBERED_MAX:
            seen.popitem(last=False)
        sleep(POLL_S)
        newest = client.ledger(limit=PAGE)


def line(entry: Mapping[str, object]) -> str:
    """One entry as one line under HEADER."""

    def cell(name: str) -> str:
        value = entry.get(name)
        return "-" if value is None else f"{value:.0f}" if isinstance(value, float) else str(value)

    moment = cell("created_at").partition("T")[2].rstrip("Z")[:12]
    stage = stage_of(str(entry.get("stage") or ""), cell("source"), cell("purpose"))
    return (
        f"{moment:<12}  {cell('status'):<11}  {cell('source'):<14}  {stage:<17}  {cell('basis'):<9}  "
        f"{cell('deployment'):<24}  {cell('input_tokens'):>8}  {cell('cached_input_tokens'):>8}  "
        f"{cell('output_tokens'):>7}  {cell('total_ms'):>7}  "
        f"{dollars(entry.get('cost_nusd')):>14}  {dollars(entry.get('baseline_nusd')):>14}  "
        f"{cell('request_id'):<36}  {_guards(entry.get('guards'))}"
    ).rstrip()


def _guards(verdicts: object) -> str:
    """What each guard said: ``pii=redacted``."""
    found = verdicts if isinstance(verdicts, list) else []
    return " ".join(f"{one.get('guard')}={one.get('verdict')}" for one in found if isinstance(one, dict))


def dollars(nusd: object) -> str:
    """Nano-dollars as dollars, exactly."""
    if not isinstance(nusd, int):
        return "-"
    sign = "-" if nusd < 0 else ""
    return f"{sign}${(Decimal(abs(nusd)) / NANO).normalize():f}"
