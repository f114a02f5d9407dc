"""Says in figures and in words why a route would ask whom, and what it would take to be otherwise.

It is said of the record of a decision, so that what is asked before a call and what is read long after say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.domain import MILLION, NANO, Considered, DecisionRecord

_CASCADE = "cascade"


def explanation(record: DecisionRecord, gates: Sequence[str] = (), deflector: str | None = None) -> dict[str, Any]:
    """JSON: the choice, every deployment of the route with its forecast or why it is out, and the same as ``text``.

    ``gates``: what accepts an answer of a cascade, which no record has. ``deflector``: what answers without asking
    anybody.
    """
    first = next((one for one in record.candidates if one.place == 1), None)
    text_tokens = record.input_tokens if record.text_tokens is None else record.text_tokens
    shown = [_candidate(one, text_tokens) for one in record.candidates]
    if first is not None and record.policy != _CASCADE:  # a cascade asks first who saves most, by figures of many
        for one, told in zip(record.candidates, shown, strict=True):
            if one is not first:
                told["first_if"] = _first_if(one, first, record)
    told = {
        "object": "route.explanation",
        "model": record.route,
        "route": record.route,
        "deflector": deflector,
        "policy": record.policy,
        "router_version": record.router_version,
        "quality_loss_max": record.quality_loss_max,
        "is_certified": record.is_certified,
        "cost_max_usd": None if record.cost_max_nusd is None else _usd(record.cost_max_nusd),
        "cascade": _cascade(record, gates),
        "choice": None if first is None else first.deployment,
        "conversation": _conversation(record),
        "baseline": record.baseline,
        "candidates": sorted(shown, key=lambda one: one["place"] or len(shown) + 1),
    }
    return told | {"text": _text(told)}


def explanation_of_named(model: str) -> dict[str, Any]:
    """Of a deployment that is asked for by name there is nothing to explain; in the form of the others."""
    return explanation(
        DecisionRecord(
            request_id="",
            created_at="",
            organization_id="",
            team_id="",
            key_id="",
            endpoint="",
            route=model,
            policy="",
            input_tokens=0,
            candidates=(Considered(model, model, 1),),
        )
    ) | {
        "route": None,
        "policy": None,
        "text": f"{model} is asked for by name, and named deployments are left alone.",
    }


def _cascade(record: DecisionRecord, gates: Sequence[str]) -> dict[str, Any] | None:
    """Who would be asked one after the other, and what accepts an answer; no steps: the choice is asked alone."""
    if record.policy != _CASCADE:
        return None
    steps = sorted((one.step, one.deployment) for one in record.candidates if one.step is not None)
    return {"steps": [name for _, name in steps], "gates": list(gates)}


def _candidate(one: Considered, text_tokens: int) -> dict[str, Any]:
    return {
        "deployment": one.deployment,
        "model": one.model,
        "place": one.place,
        "out": None if one.place is not None or one.bar is None else {"bar": one.bar, "reason": one.reason},
        "quality": one.quality,
        "quality_low": one.quality_low,
        "quality_high": one.quality_high,
        "expected_cost": _cost(one, text_tokens),
        "first_if": None,
    }


def _conversation(record: DecisionRecord) -> dict[str, Any] | None:
    """Who answered before in the conversation that the request goes on with, and what a change to the choice costs."""
    if record.answered_before is None:
        return None
    return {
        "answered_by": record.answered_before,
        "is_kept": record.is_kept,
        "switching_usd": _usd(record.switching_nusd),
    }


def _cost(one: Considered, text_tokens: int) -> dict[str, str] | None:
    """By part: what the input costs at the list, and the rest for the answer."""
    nusd = one.expected_cost_nusd
    if nusd is None:
        return None
    asked = 0 if one.rates is None else min(nusd, text_tokens * one.rates.input // MILLION)
    return {"input_usd": _usd(asked), "output_usd": _usd(nusd - asked), "total_usd": _usd(nusd)}


def _first_if(one: Considered, first: Considered, record: DecisionRecord) -> str | None:
    """What would have to be different for another one to be chosen; ``None`` where no figure says."""
    if one.place is None:
        return "it were not out"
    if one.reason is not None:
        return "it were faster"
    if record.is_kept:
        return "the conversation were a new one"
    return None if one.quality is None or first.quality is None else _worth_if(one, one.quality, first, record)


def _worth_if(one: Considered, quality: float, first: Considered, record: DecisionRecord) -> str:
    """What would make it worth more than the first."""
    cost, first_cost = one.expected_cost_nusd or 0, first.expected_cost_nusd or 0
    if record.cost_weight is not None:
        if record.cost_weight == 0:
            return f"its predicted quality were above {first.quality or 0.0:.2f}"
        ties_at = first_cost + (quality - (first.quality or 0.0)) / record.cost_weight
        return f"it cost less than ${_usd(int(ties_at))}" if ties_at > 0 else "it were free and better than predicted"
    best = max(other.quality or 0.0 for other in record.candidates)
    if cost < first_cost and best > 0:
        return f"a quality loss of {1 - quality / best:.1%} were allowed"
    return f"it cost less than ${_usd(first_cost)}"


def _text(told: dict[str, Any]) -> str:
    by = told["policy"] + (f", router {told['router_version']}" if told["router_version"] else "")
    lines = [f"{told['route']} ({by}) would ask {told['choice'] or 'nobody'}."]
    if told["deflector"] is not None:
        lines.insert(0, f"The deflector {told['deflector']} answers this at no cost, and nobody is asked. Otherwise:")
    if told["quality_loss_max"] is not None:
        kind = "with 95 % confidence" if told["is_certified"] else "uncertified"
        lines.append(f"At most {told['quality_loss_max']:.1%} of quality may be lost, {kind}.")
    if (conversation := told["conversation"]) is not None:
        lines.append(_of_conversation(conversation, told["choice"]))
    if told["cost_max_usd"] is not None:
        lines.append(f"A call may be expected to cost at most ${told['cost_max_usd']}.")
    if (cascade := told["cascade"]) is not None:
        lines.append(_cascade_text(cascade["steps"], ", ".join(cascade["gates"])))
    for one in told["candidates"]:
        head = "out" if one["place"] is None else f"{one['place']}."
        foreseen = ""
        if one["quality"] is not None and one["expected_cost"] is not None:
            cost = one["expected_cost"]
            low, high = one["quality_low"], one["quality_high"]
            band = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
            foreseen = (
                f" predicted quality {one['quality']:.2f}{band}, about ${cost['total_usd']}"
                f" (input {cost['input_usd']}, answer {cost['output_usd']})"
            )
        why = f" {one['out']['reason']}" if one["out"] else ""
        unless = f"; first if {one['first_if']}" if one["first_if"] and not one["out"] else ""
        said = f"{foreseen}{why}{unless}"
        lines.append(f"{head} {one['deployment']}{':' if said else ''}{said}")
    return "\n".join(lines)


def _of_conversation(told: dict[str, Any], choice: str | None) -> str:
    said = f"The conversation was answered by {told['answered_by']}"
    if told["is_kept"]:
        return f"{said}, which answers on: nothing better would be gained by a change."
    if choice in {None, told["answered_by"]}:
        return f"{said}."
    return f"{said}; the change costs ${told['switching_usd']} for what is kept of the prompt there."


def _cascade_text(steps: list[str], gates: str) -> str:
    named = f" ({gates})" if gates else ""
    if not steps:
        return f"It is asked alone: a cascade would cost more on average, or its gates{named} cannot judge."
    asked = ", then of ".join(steps[:-1])
    return f"A cascade: the answer of {asked} stands if its gates{named} accept it; else {steps[-1]} answers."


def _usd(nusd: int) -> str:
    return f"{nusd // NANO}.{nusd % NANO:09d}"
