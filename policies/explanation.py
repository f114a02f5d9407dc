"""Says in figures and in words why a route would ask whom, and what it would take to be otherwise."""

from __future__ import annotations

from typing import Any

from gateway.domain import MILLION, NANO, Decision, Deployment, Meter, Prediction, Request
from policies.pricing import rates_of

_UNKNOWN = Prediction()


def explanation(decision: Decision, request: Request) -> dict[str, Any]:
    """JSON: the choice, every deployment of the route with its forecast or why it is out, and the same as ``text``."""
    first = decision.candidates[0] if decision.candidates else None
    places = {one.name: place for place, one in enumerate(decision.candidates, 1)}
    offered = decision.offered or decision.candidates
    shown = [_candidate(one, places.get(one.name), decision, request) for one in offered]
    if first is not None and decision.cascade is None:  # a cascade asks first who saves most, by figures of many
        for one in shown:
            if one["place"] != 1:
                one["first_if"] = _first_if(one["deployment"], first.name, decision)
    told = {
        "object": "route.explanation",
        "model": request.model,
        "route": decision.route,
        "policy": decision.policy or None,
        "router_version": decision.router_version,
        "quality_loss_max": decision.quality_loss_max,
        "is_certified": decision.is_certified,
        "cost_max_usd": None if decision.cost_max_nusd is None else _usd(decision.cost_max_nusd),
        "cascade": _cascade(decision),
        "choice": None if first is None else first.name,
        "conversation": _conversation(decision),
        "baseline": None if decision.baseline is None else decision.baseline.name,
        "candidates": sorted(shown, key=lambda one: one["place"] or len(shown) + 1),
    }
    return told | {"text": _text(told)}


def _cascade(decision: Decision) -> dict[str, Any] | None:
    """Who would be asked one after the other, and what accepts an answer; no steps: the choice is asked alone."""
    if decision.cascade is None:
        return None
    steps = [one.name for one in decision.candidates[: decision.steps]]
    return {"steps": steps, "gates": list(decision.cascade.gates)}


def _candidate(one: Deployment, place: int | None, decision: Decision, request: Request) -> dict[str, Any]:
    foreseen = decision.predictions.get(one.name, _UNKNOWN)
    why = decision.rejected.get(one.name)
    return {
        "deployment": one.name,
        "model": one.model,
        "place": place,
        "out": None if place is not None or why is None else {"bar": why.bar, "reason": why.text},
        "quality": foreseen.quality,
        "quality_low": foreseen.quality_low,
        "quality_high": foreseen.quality_high,
        "expected_cost": _cost(one, foreseen.expected_cost_nusd, request),
        "first_if": None,
    }


def _conversation(decision: Decision) -> dict[str, Any] | None:
    """Who answered before in the conversation that the request goes on with, and what a change to the choice costs."""
    if decision.turn is None or decision.turn.before is None:
        return None
    return {
        "answered_by": decision.turn.before.deployment,
        "is_kept": decision.stay.kept is not None,
        "switching_usd": _usd(decision.stay.switching_nusd),
    }


def _cost(one: Deployment, nusd: int | None, request: Request) -> dict[str, str] | None:
    """By part: what the input costs at the list, and the rest for the answer."""
    if nusd is None:
        return None
    rates = {} if one.tariff is None else rates_of(one.tariff, request.text_tokens, request.service_tier)
    asked = min(nusd, request.text_tokens * rates.get(Meter.INPUT, 0) // MILLION)
    return {"input_usd": _usd(asked), "output_usd": _usd(nusd - asked), "total_usd": _usd(nusd)}


def _first_if(name: str, first: str, decision: Decision) -> str | None:
    """What would have to be different for another one to be chosen; ``None`` where no figure says."""
    other, chosen = (decision.predictions.get(one, _UNKNOWN) for one in (name, first))
    if name in decision.rejected:
        return "it were not out"
    if other.quality is None or chosen.quality is None:
        return None
    cost, chosen_cost = other.expected_cost_nusd or 0, chosen.expected_cost_nusd or 0
    if decision.cost_weight is not None:
        if decision.cost_weight == 0:
            return f"its predicted quality were above {chosen.quality:.2f}"
        ties_at = chosen_cost + (other.quality - chosen.quality) / decision.cost_weight
        return f"it cost less than ${_usd(int(ties_at))}" if ties_at > 0 else "it were free and better than predicted"
    best = max(one.quality or 0.0 for one in decision.predictions.values())
    if cost < chosen_cost and best > 0:
        return f"a quality loss of {1 - other.quality / best:.1%} were allowed"
    return f"it cost less than ${_usd(chosen_cost)}"


def _text(told: dict[str, Any]) -> str:
    if told["route"] is None:
        return f"{told['model']} is asked for by name, and named deployments are left alone."
    by = told["policy"] + (f", router {told['router_version']}" if told["router_version"] else "")
    lines = [f"{told['route']} ({by}) would ask {told['choice'] or 'nobody'}."]
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
    if not steps:
        return f"It is asked alone: a cascade would cost more on average, or its gates ({gates}) cannot judge."
    asked = ", then of ".join(steps[:-1])
    return f"A cascade: the answer of {asked} stands if its gates ({gates}) accept it; else {steps[-1]} answers."


def _usd(nusd: int) -> str:
    return f"{nusd // NANO}.{nusd % NANO:09d}"
