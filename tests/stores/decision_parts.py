"""Decisions as the path records them, for tests of what becomes of them."""

from __future__ import annotations

from gateway.domain import CachedPrefix, Considered, Conversation, DecisionRecord, Rates
from gateway.ids import new_request_id

CANDIDATES = (
    Considered(
        "mini",
        "gpt-5-mini",
        1,
        quality=0.25,
        quality_low=0.2,
        expected_cost_nusd=2**60,
        rates=Rates(1, 2, 3, 4),
        first_token_p95_s=0.5,
    ),
    Considered("big", "gpt-5", bar="cooldown", reason="cooldown: the upstream asked to be left alone"),
)


def made(created_at="2026-11-03T12:00:00.000000Z", **fields):
    """One decision, with every kind of column filled."""
    values = {
        "request_id": new_request_id(),
        "created_at": created_at,
        "organization_id": "org_1",
        "team_id": "team_1",
        "key_id": "key_1",
        "endpoint": "chat/completions",
        "route": "auto",
        "policy": "ordered",
        "router_version": "r7",
        "quality_loss_max": 0.02,
        "input_tokens": 2**40,
        "output_tokens_max": 100,
        "chosen": "mini",
        "propensity": 0.1,
        "baseline": "big",
        "candidates": CANDIDATES,
        "features": bytes(range(256)),
        "conversation": "a hash",
        "text_tokens": 2**39,
        "before": Conversation("mini", {"mini": CachedPrefix(2048, 1.75e9)}, 70, 7),
        "draw": 0.25,
        "is_stream": True,
        "quality_loss_target": 0.05,
        "is_loss_asked": True,
        "cost_weight": 1e-9,
        "strongest": "big",
        "is_certified": True,
        "router_us": 700,
        "cost_max_nusd": 2**60,
    }
    return DecisionRecord(**(values | fields))
