"""What a router promises of a route, in figures and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.domain import Route
from gateway.domain.guarantee import Guarantee, GuaranteedSlice, Shift
from policies.refusal_text import instant
from policies.routing.calibration import Calibration
from policies.routing.certificate import CONFIDENCE
from policies.routing.operating import row_of
from policies.routing.router import KnownPool

_POLICY = "cheapest_adequate"
_DIGITS = 4


def guarantee(
    route: Route, known: Mapping[str, KnownPool] | None, router_version: str | None, shift: Shift | None = None
) -> Guarantee:
    """``known``: the pools of the router in force, ``None`` where there is none."""
    pool = (known or {}).get(route.name)
    why = unlike(route, known, router_version)
    if pool is None or pool.calibration is None or why is not None:
        return _promise(route, router_version, text=f"uncertified: {why}.")
    record, strongest, target = pool.calibration, pool.models[pool.strongest], row_of(route.quality_loss_max)
    loss, saving = _share(record.loss[target]), _share(record.saving[target])
    broken = _broken(route, pool, record, shift)
    text = (
        f"With {CONFIDENCE:.0%} confidence {route.name} loses at most {route.quality_loss_max:.1%} of the quality"
        f" of always asking {strongest}: on {record.prompts:,} calibration prompts it lost {loss:.1%} and saved"
        f" {saving:.1%} of the cost."
    )
    return replace(
        _promise(
            route, router_version, text=text if broken is None else f"uncertified: {broken}; {strongest} answers."
        ),
        certified=broken is None,
        n=record.prompts,
        loss=loss,
        saving=saving,
        last_calibration=None if record.calibrated_at is None else instant(round(record.calibrated_at * 1000)),
        fallback=strongest,
        slices=_slices(record, target),
        shift=shift,
    )


def _promise(route: Route, router_version: str | None, *, text: str) -> Guarantee:
    """None at all."""
    return Guarantee(
        route=route.name,
        policy=route.policy,
        target=route.quality_loss_max,
        certified=False,
        confidence=CONFIDENCE,
        n=0,
        loss=0.0,
        saving=0.0,
        last_calibration=None,
        router_version=router_version,
        deployments=tuple(sorted(route.deployments)),
        fallback=None,
        slices=(),
        shift=None,
        text=text,
    )


def unlike(route: Route, known: Mapping[str, KnownPool] | None, router_version: str | None) -> str | None:
    """Why the router in force was not calibrated for this route as it is, in words; ``None`` where it was."""
    if route.policy != _POLICY:
        return f"the policy {route.policy} makes no promise of quality"
    if known is None:
        return "no router is in force"
    pool = known.get(route.name)
    if pool is None:
        return f"the router {router_version} was not calibrated for a route of this name"
    if set(route.deployments) != set(pool.models):
        return f"it was calibrated for {', '.join(pool.models)} and has {', '.join(sorted(route.deployments))}"
    if pool.calibration is None:
        why = "has no record of its calibration, train it anew"
        learned = "learned of it from recorded decisions, which certify nothing"
        return f"the router {router_version} {why if pool.is_tried else learned}"
    return None


def _broken(route: Route, pool: KnownPool, record: Calibration, shift: Shift | None) -> str | None:
    """Why a calibrated route's target is not kept, in words."""
    if not pool.is_kept(row_of(route.quality_loss_max)):
        return f"a loss of at most {route.quality_loss_max:.1%} cannot be certified on its {record.prompts:,} prompts"
    if shift is not None and shift.is_shifted:
        return f"since {shift.since} its questions are unlike those that it was calibrated on ({shift.reason})"
    return None


def _slices(record: Calibration, target: int) -> tuple[GuaranteedSlice, ...]:
    return tuple(
        GuaranteedSlice(
            one.dimension,
            one.value,
            one.prompts,
            _share(record.slice_loss[target, at]),
            _share(record.slice_loss_upper[target, at]),
            _share(record.slice_saving[target, at]),
        )
        for at, one in enumerate(record.slices)
    )


def _share(value: float) -> float:
    return round(float(value), _DIGITS) + 0.0  # no -0.0
