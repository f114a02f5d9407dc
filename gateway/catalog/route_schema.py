"""How routes stand in a catalog file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.catalog.deflect_schema import DeflectPart
from gateway.catalog.guard_schema import GuardName
from gateway.catalog.schema_fields import Cap, Days, Labels, Least, Limit, Name, Part, Seconds, Share, Weight, no_bool


class ConversationsPart(Part):
    sticky: bool = True
    switching_share_max: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    remembered_s: Annotated[int, Field(ge=1, le=604_800)] = 3600


class AgreementPart(Part):
    samples: Annotated[int, BeforeValidator(no_bool), Field(ge=2, le=10)]
    share_min: Least


class VerifierPart(Part):
    deployment: Name
    score_min: Least


class GatePart(Part):
    """What an answer must pass, all of it."""

    logprob_min: Least | None = None
    schema_: Annotated[bool, Field(alias="schema")] = False  # pydantic has a use of its own for the name
    agreement: AgreementPart | None = None
    verifier: VerifierPart | None = None

    @model_validator(mode="after")
    def _has_one(self) -> GatePart:
        if not self.schema_ and self.logprob_min is None and self.agreement is None and self.verifier is None:
            raise PydanticCustomError("no_gate", "state at least one of logprob_min, schema, agreement, verifier")
        return self


class CascadePart(Part):
    gate: GatePart
    steps_max: Annotated[int, BeforeValidator(no_bool), Field(ge=2, le=5)] = 2


class ExactPart(Part):
    ttl_s: Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=604_800)] = 3600
    scope: Literal["key", "team", "organization", "all"] = "team"
    tool_calls: bool = False
    any_temperature: bool = False
    bytes_max: Annotated[int, BeforeValidator(no_bool), Field(ge=1024, le=16_777_216)] = 262_144


class SemanticPart(Part):
    wrong_answers_max: Annotated[float, Field(gt=0, le=0.2, allow_inf_nan=False)] = 0.01
    tokens_max: Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=256)] = 200
    embedding: Name | None = None


class CachePart(Part):
    """Which answers a route gives again: ``semantic`` from among those that ``exact`` keeps."""

    exact: ExactPart = ExactPart()
    semantic: SemanticPart | None = None

    @model_validator(mode="after")
    def _states_something(self) -> CachePart:
        if not self.model_fields_set:
            raise PydanticCustomError("no_cache", "state exact, semantic or both")
        return self


class RepairPart(Part):
    """Answers that must be JSON: ``reask`` where they cannot be mended."""

    json_: Annotated[Literal[True], Field(alias="json")]  # pydantic has a use of its own for the name
    reask: bool = False


class RoutePart(Part):
    deployments: Annotated[tuple[Name, ...], Field(min_length=1)]
    policy: Literal["ordered", "weighted", "lowest_latency", "cheapest_adequate", "cascade"] = "ordered"
    quality_loss_max: Share | None = None
    cost_max_usd: Cap | None = None
    cascade: CascadePart | None = None
    cache: CachePart | None = None
    deflect: DeflectPart | None = None
    keep_prompts_days: Days | None = None
    weights: Annotated[Mapping[Name, Weight], Field(min_length=1)] | None = None
    regions: Labels | None = None
    tags: Labels | None = None
    first_token_p95_s_max: Seconds | None = None
    baseline: Name | None = None
    output_tokens_max_default: Limit | None = None
    conversations: ConversationsPart | None = None
    guards: tuple[GuardName, ...] = ()
    repair: RepairPart | None = None

    @model_validator(mode="after")
    def _states_a_loss_that_its_policy_can_keep(self) -> RoutePart:
        if self.quality_loss_max is not None and self.policy != "cheapest_adequate":
            raise PydanticCustomError("idle_loss", "only policy: cheapest_adequate has a quality_loss_max")
        return self

    @model_validator(mode="after")
    def _has_gates_where_it_cascades(self) -> RoutePart:
        if self.cascade is not None and self.policy != "cascade":
            raise PydanticCustomError("idle_cascade", "only policy: cascade has a cascade")
        if self.cascade is None and self.policy == "cascade":
            raise PydanticCustomError("no_cascade", "policy: cascade needs a cascade with its gate")
        if self.cascade is not None and self.repair is not None:
            raise PydanticCustomError("judged_twice", "a cascade judges its answers by its gate, and repairs none")
        return self

    @model_validator(mode="after")
    def _has_weights_that_can_be_drawn_from(self) -> RoutePart:
        if self.weights is None:
            return self
        if self.policy != "weighted":
            raise PydanticCustomError("idle_weights", "only policy: weighted has weights")
        if not any(self.weights.get(name, 1) for name in self.deployments):
            raise PydanticCustomError("no_weight", "all weights are 0, so that none can be drawn")
        return self
