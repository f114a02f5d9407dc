"""`obol try`: one question, and what it cost."""

from __future__ import annotations

import time
from collections.abc import Mapping

from gateway.commands import CommandFailed
from gateway.commands.gateway_client import GatewayClient
from gateway.commands.ledger_tail import dollars
from gateway.domain import Purpose

SHIPPING_S_MAX = 10.0  # entries reach Postgres in batches, a moment after the answer


def ask(client: GatewayClient, prompt: str, model: str) -> str:
    """The answer and its account as text. Raises CommandFailed."""
    answer = client.ask({"model": model, "messages": [{"role": "user", "content": prompt}]})
    request_id = answer.headers.get("x-request-id", "")
    lines = [_text(answer.content), ""]
    entries = _entries(client, request_id)
    if not entries:
        lines.append(f"deployment  {answer.headers.get('x-obol-deployment', 'unknown')}")
        lines.append(f"cost        ${answer.headers.get('x-obol-cost-usd', 'unknown')}")
        lines.append(f"request     {request_id}   (its ledger entry is not in the database yet)")
        return "\n".join(lines)
    for entry in entries:
        lines += _account(entry)
    lines.append(f"request     {request_id}")
    return "\n".join(lines)


def _account(entry: Mapping[str, object]) -> list[str]:
    cached = entry.get("cached_input_tokens") or 0
    status, basis = entry.get("status"), entry.get("basis")
    cost, baseline = _nusd(entry, "cost_nusd"), _nusd(entry, "baseline_nusd")
    saved = f"   (saved {dollars(baseline - cost)})" if baseline > cost else ""
    purpose = entry.get("purpose")
    why = f"source      {entry.get('source')}" if purpose == Purpose.ANSWER else f"purpose     {purpose}"
    return [
        f"deployment  {entry.get('deployment')}   ({entry.get('model')} at {entry.get('provider')}, {status})",
        why,
        f"tokens      {entry.get('input_tokens')} in ({cached} cached), {entry.get('output_tokens')} out, {basis}",
        f"cost        {dollars(cost)}",
        f"baseline    {dollars(baseline)}{saved}",
    ]


def _nusd(entry: Mapping[str, object], name: str) -> int:
    value = entry.get(name)
    return value if isinstance(value, int) else 0


def _entries(client: GatewayClient, request_id: str) -> list[Mapping[str, object]]:
    """The attempts of that request in order, none if they do not arrive in time."""
    if not request_id:
        return []
    deadline = time.monotonic() + SHIPPING_S_MAX
    while True:
        found = client.ledger(request=request_id)
        if found or time.monotonic() > deadline:
            return list(reversed(found))
        time.sleep(0.1)


def _text(content: object) -> str:
    """The answer's text; what has none (a tool call, a refusal) is shown as it came."""
    try:
        message = content["choices"][0]["message"]  # type: ignore[index]  # checked by the except below
        return str(message.get("content") or message)
    except (KeyError, IndexError, TypeError, AttributeError) as exc:
        raise CommandFailed("the gateway's answer holds no choice") from exc
