"""What one request went through: its stages with their times, and what its guards said."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.domain.screening import GuardVerdict


class StageName(StrEnum):
    """The stages of a request, in the order in which it walks them."""

    AUTH = "auth"
    PARSING = "parsing"
    PROMPT_MODERATION = "prompt_moderation"
    DEFLECTION = "deflection"
    ROUTING = "routing"
    CACHE = "cache"
    LIMITS = "limits"  # budgets, too: one step admits by all of them
    INFERENCE = "inference"
    OUTPUT_MODERATION = "output_moderation"
    POST_PROCESSING = "post_processing"


class Stage(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """One step: when it began, in milliseconds from the request's arrival, and how long it took.

    ``name``: whose it is, a guard's or a deployment's. ``entry``: the ledger entry of what it paid for. As JSON a list,
    ``["auth", 0.0, 0.057]``: every answer's entry has some, and with names they would make it half as long again.
    """

    stage: str
    started_ms: float
    ms: float
    name: str | None = None
    entry: str | None = None


class Chain:
    """Grows while its request walks; times are the monotonic clock's, in seconds."""

    __slots__ = ("arrived_s", "stages", "verdicts")

    def __init__(self, arrived_s: float) -> None:
        self.arrived_s = arrived_s
        self.stages: list[Stage] = []
        self.verdicts: list[GuardVerdict] = []

    def add(
        self, stage: StageName | str, began_s: float, ended_s: float, name: str | None = None, entry: str | None = None
    ) -> None:
        """A stage is over."""
        # Whole microseconds; round() to three places takes three times as long.
        started_ms = int((began_s - self.arrived_s) * 1e6 + 0.5) / 1000
        self.stages.append(Stage(stage, started_ms, int((ended_s - began_s) * 1e6 + 0.5) / 1000, name, entry))
