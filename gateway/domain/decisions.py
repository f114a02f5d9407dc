"""What is written down of a routing decision, so that another policy can be tried on it later: never the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.domain.conversations import Conversation


class Rates(msgspec.Struct, frozen=True, gc=False):
    """What reprices a call: nano-USD per million tokens, of the service tier and context that the request asks for."""

    input: int
    cached_input: int
    output: int
    reasoning: int


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """What a policy expected of one deployment: how good its answer is, with bounds, and what it costs."""

    quality: float | None = None
    quality_low: float | None = None
    quality_high: float | None = None
    expected_cost_nusd: int | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a router expects of a route's deployments for one question.

    ``cost_weight``: how much quality a nano-dollar is worth, where that is certified for the route. ``strongest``: the
    deployment that answers where the route was calibrated and nothing is certified. ``quality_loss_max``: the loss that
    is gone by; ``quality_loss_target``: the one that was asked for. ``is_certified``: it is kept with 95 % confidence.
    ``features``: what the router saw. ``router_us``: the processor's time that it took. ``question_tokens``: estimated.
    """

    router_version: str | None
    predictions: Mapping[str, Prediction]  # by deployment name
    quality_loss_max: float
    cost_weight: float | None = None
    strongest: str | None = None
    is_certified: bool = False
    features: bytes = b""
    quality_loss_target: float | None = None
    router_us: int | None = None
    question_tokens: int | None = None


class Considered(msgspec.Struct, frozen=True, gc=False):
    """One deployment of the route. ``place``: its turn, from 1 on; ``None``: it was out.

    ``bar`` and ``reason`` say why; both are ``None`` for one that the policy itself left out. ``rates`` is ``None``
    where nobody stated a price. What no policy predicts is ``None``. ``first_token_p95_s``: as it was measured then.
    ``step``: its turn in a cascade, from 1 on.
    """

    deployment: str
    model: str
    place: int | None = None
    bar: str | None = None
    reason: str | None = None
    quality: float | None = None
    quality_low: float | None = None
    quality_high: float | None = None
    expected_cost_nusd: int | None = None
    rates: Rates | None = None
    first_token_p95_s: float | None = None
    step: int | None = None


class KeptPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of a route that keeps it: no part of the record, and gone on its date. Times are RFC 3339."""

    request_id: str
    created_at: str
    organization_id: str
    team_id: str
    route: str
    text: str
    expires_at: str


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of a route. ``created_at``: RFC 3339 in UTC, when it was taken, by the clock of the ledger.

    ``chosen``: the deployment whose answer began; ``None`` when none could serve, or the client left before. What
    became of it is in the ledger, under the same ``request_id``. ``propensity``: with which probability the policy
    gives the first place to the one that has it. ``input_tokens`` are estimated; ``output_tokens_max`` is the client's.

    What else the policy went by, so that it can be run again: ``draw`` in [0, 1); ``is_stream``; and of a router's
    forecast ``quality_loss_target``, which the client or its team asked for where ``is_loss_asked`` (or a cap instead
    of it), else the route,
    ``cost_weight``, ``strongest`` and ``is_certified``. ``router_us``: the processor's time that the forecast took.

    Of the conversation that it goes on with: ``answered_before`` and, where that deployment ``is_kept`` though the
    policy would have put another first; ``switching_nusd``: what is expected to be paid only because of the change.
    ``question_tokens``: of the input, what the user said last; estimated, where a router was asked.
    ``before``: what was remembered of it then. ``text_tokens``: of the input, without images and the like.
    ``cost_max_nusd``: what the call might be expected to cost at most, null without a cap.
    """

    request_id: str
    created_at: str
    organization_id: str
    team_id: str
    key_id: str
    endpoint: str
    route: str
    policy: str
    router_version: str | None = None
    quality_loss_max: float | None = None
    input_tokens: int
    output_tokens_max: int | None = None
    chosen: str | None = None
    propensity: float = 1.0
    baseline: str | None = None
    candidates: tuple[Considered, ...]
    features: bytes = b""
    conversation: str | None = None
    draw: float | None = None
    is_stream: bool = False
    quality_loss_target: float | None = None
    is_loss_asked: bool = False
    cost_weight: float | None = None
    strongest: str | None = None
    is_certified: bool = False
    router_us: int | None = None
    question_tokens: int | None = None
    answered_before: str | None = None
    is_kept: bool = False
    switching_nusd: int = 0
    cost_max_nusd: int | None = None
    text_tokens: int | None = None
    before: Conversation | None = None
