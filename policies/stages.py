"""Which stage of its request an entry of the ledger pays for."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain import Purpose, Source, StageName

#: Who answers without an upstream does so at a stage of its own. It comes before what the purpose says.
BY_SOURCE: Mapping[str, StageName] = {
    Source.GUARD: StageName.PROMPT_MODERATION,
    Source.DEFLECTED: StageName.DEFLECTION,
    Source.CACHE_EXACT: StageName.CACHE,
    Source.CACHE_SEMANTIC: StageName.CACHE,
}
BY_PURPOSE: Mapping[str, StageName] = {
    Purpose.GUARD: StageName.PROMPT_MODERATION,
    Purpose.EMBEDDING: StageName.CACHE,
    Purpose.JUDGE: StageName.ROUTING,
    Purpose.SHADOW: StageName.ROUTING,
    Purpose.AUDIT: StageName.ROUTING,
}
#: All that is left: answers of upstreams.
OTHERWISE = StageName.INFERENCE


def stage_of(stage: str | None, source: str, purpose: str) -> str:
    """``stage``: what the entry itself says, which comes before all else."""
    return stage or BY_SOURCE.get(source) or BY_PURPOSE.get(purpose) or OTHERWISE
