"""Answers that are given again: what a route wants of them, what a client allows, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum
from fractions import Fraction

import msgspec

from gateway.domain.money import Usage


class Sharing(StrEnum):
    """Who is given the answers that somebody got."""

    KEY = "key"
    TEAM = "team"
    ORGANIZATION = "organization"
    ALL = "all"


class CacheStatus(StrEnum):
    """What became of a request where answers may be given again, as its header says."""

    HIT = "hit-exact"
    HIT_SIMILAR = "hit-semantic"
    MISS = "miss"
    BYPASS = "bypass"  # nobody looked


class RepairStatus(StrEnum):
    """What became of an answer that was asked for as JSON, as its header says."""

    NONE = "none"  # it was as asked, or a refusal
    REPAIRED = "repaired"
    REASKED = "reasked"
    FAILED = "failed"  # it is as it came


@dataclass(frozen=True, slots=True)
class ExactCache:
    """The answers that a route gives again to the very same request.

    ``keeps_tool_calls``: also answers that call tools. ``any_temperature``: also where a new one might come out
    differently. ``bytes_max``: of one answer. ``are_repaired``: those that were asked for as JSON are it.
    """

    ttl_s: int = 3600
    shared_by: Sharing = Sharing.TEAM
    keeps_tool_calls: bool = False
    any_temperature: bool = False
    bytes_max: int = 262_144
    are_repaired: bool = False


@dataclass(frozen=True, slots=True)
class SemanticCache:
    """The answers that a route gives to similar questions, from among those that its exact cache keeps.

    ``wrong_answers_max``: the share of requests that may be given an answer to another question. ``tokens_max``: of a
    question. ``embedding``: the deployment that makes its vector; ``None``: the model that comes with us.
    """

    wrong_answers_max: float = 0.01
    tokens_max: int = 200
    embedding: str | None = None


@dataclass(frozen=True, slots=True)
class CacheControl:
    """What a client allows, by the header of that name. ``age_s_max``: an older answer is none to it."""

    may_read: bool = True
    may_keep: bool = True
    age_s_max: int | None = None
    is_cached_only: bool = False


ANY_ANSWER = CacheControl()


@dataclass(frozen=True, slots=True)
class Deflection:
    """What a route answers without a model: by which answerers, and in which time zone it is asked what time it is.

    ``over_system_prompts``: also where a system prompt says how to answer. ``usd_rates``: units of a currency for one
    US dollar, as of ``usd_rates_as_of``. ``faq_wrong_answers_max``: the share of the answers of a team's list that may
    be wrong; None: as lists are fitted without it.
    """

    answerers: tuple[str, ...]
    time_zone: tzinfo | None = None
    over_system_prompts: bool = False
    usd_rates: Mapping[str, Fraction] = field(default_factory=dict)
    usd_rates_as_of: str = ""
    faq_wrong_answers_max: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What a user says, in a request that asks for nothing but an answer to it.

    ``has_system_prompt``: one says how. ``has_history``: something was said before, and an answer to it that asks
    nothing back. ``is_repeated``: what was said before is the same, and nothing else. ``is_stored``: its API keeps the
    answer, so that a later request may go on from it.
    """

    text: str
    has_system_prompt: bool = False
    has_history: bool = False
    is_repeated: bool = False
    is_stored: bool = False


class KeptAnswer(msgspec.Struct, frozen=True, array_like=True):
    """An answer as its upstream gave it: ``whole`` is its JSON, of which a stream is made where one is asked for."""

    whole: bytes
    usage: Usage
    is_estimated: bool = False  # nobody reported the usage
    model_answered: str | None = None
    finish_reason: str | None = None
    service_tier: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Where an answer is kept: ``digest`` names the request, the others say who keeps it there.

    ``tenant`` is the organization, or ``all`` where answers are shared by all.
    """

    tenant: str
    digest: str
    organization_id: str
    team_id: str
    key_id: str = ""
    member_id: str | None = None


@dataclass(frozen=True, slots=True)
class Similarity:
    """How near the question of an answer is, and under what share of wrong answers it may be given."""

    cosine: float
    wrong_answers_max: float


@dataclass(frozen=True, slots=True)
class Hit:
    """The answer is there, ``age_s`` seconds old. ``similarity``: of its question, where that is another one."""

    answer: KeptAnswer
    age_s: int
    similarity: Similarity | None = None


@dataclass(frozen=True, slots=True)
class Miss:
    """It is not there. ``epoch``: what it may be kept under.

    ``is_leader``: others wait for who asks now. ``is_alone``: nobody is to wait for it, for it may not be kept.
    """

    epoch: str
    is_leader: bool = False
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Somebody else asks just now. ``epoch``: what an answer may be kept under; empty where the store is away."""

    epoch: str = ""


Found = Hit | Miss | UnderWay
