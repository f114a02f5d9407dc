"""What is promised of a route's quality, how that was kept on its calibration prompts, and whether it still holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GuaranteedSlice:
    """Some of the calibration prompts: by one of language, length, domain or tools. See Guarantee for the figures.

    ``loss_upper95``: what their loss is below with 95 % confidence, each slice for itself.
    """

    slice: str
    value: str
    n: int
    loss: float
    loss_upper95: float
    saving: float


@dataclass(frozen=True, slots=True)
class Shift:
    """Whether the questions of a route have become unlike its calibration prompts, as last looked at.

    ``since``: RFC 3339, of the first question of the window in which that was found. ``n``: questions of the last
    window; ``share_unfamiliar``: those of them that the router knows hardly anything like. ``reason`` is for people.
    """

    is_shifted: bool
    since: str | None
    n: int
    share_unfamiliar: float
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Guarantee:
    """Of one route. ``target``: the share of the strongest deployment's quality that may be lost.

    ``n``: calibration prompts; on them ``loss`` of the strongest's quality was lost and ``saving`` of its cost saved.
    ``fallback``: who answers where nothing is certified; ``None``: as the policy goes. ``text`` is for people.
    """

    route: str
    policy: str
    target: float
    certified: bool
    confidence: float
    n: int
    loss: float
    saving: float
    last_calibration: str | None
    router_version: str | None
    deployments: tuple[str, ...]
    fallback: str | None
    slices: tuple[GuaranteedSlice, ...]
    shift: Shift | None
    text: str
