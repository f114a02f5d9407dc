"""`obol router guarantee`: what `GET /admin/routes/{name}/guarantee` says, recomputed from the calibration data."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

from gateway.commands import CommandFailed
from gateway.commands.text_table import table

if TYPE_CHECKING:
    from gateway.domain.guarantee import Guarantee
    from gateway.router.training import Track
    from policies.routing.router import Router


def told(options: argparse.Namespace, router: Router, tracks: list[Track]) -> str:
    """As JSON or as a table. Raises CommandFailed."""
    found = recomputed(router, tracks, options.route, options.quality_loss_max)
    return json.dumps(dataclasses.asdict(found)) if options.json else "\n".join(_table(found))


def recomputed(router: Router, tracks: list[Track], route: str, quality_loss_max: float) -> Guarantee:
    """Predict the prompts out of fold again, and measure again. Raises CommandFailed."""
    from gateway.domain import Route  # noqa: PLC0415
    from gateway.router.training import known_pool  # noqa: PLC0415 - numpy
    from policies.routing.guarantee import guarantee  # noqa: PLC0415

    track = next((one for one in tracks if one.pool.track == route), None)
    if track is None:
        raise CommandFailed(f"the data have no track {route!r} from which a router can learn")
    record = router.known[route].calibration if route in router.known else None
    calibrated_at = None if record is None else record.calibrated_at  # no data tell of that
    asked = Route(route, track.pool.models, policy="cheapest_adequate", quality_loss_max=quality_loss_max)
    return guarantee(asked, {route: known_pool(track, calibrated_at)}, router.version)


def _table(found: Guarantee) -> list[str]:
    rows = [
        (one.slice, one.value, f"{one.n:,}", *(f"{share:.1%}" for share in (one.loss, one.loss_upper95, one.saving)))
        for one in found.slices
    ]
    return [found.text, "", *table(("slice", "value", "prompts", "loss", "loss below", "saved"), rows, left=2)]
