"""How guards stand in a catalog file, and in what teams and keys add to it."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StrictBool,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.catalog.schema_fields import Address, Name, Part, no_bool
from gateway.domain import (
    GuardMode,
    GuardRule,
    GuardSettings,
    InjectionSettings,
    JudgeSettings,
    ModerationSettings,
    OnBlock,
    OnError,
    PatternsSettings,
    PiiSettings,
    PluginSettings,
    Release,
    SecretsSettings,
    WebhookSettings,
    Where,
    WordList,
)
from gateway.signing import key_of

EXPRESSIONS_MAX = 200
LISTS_MAX = 50
TIMEOUT_S_MAX = 60
_LENGTH_MAX = 1000
_RUBRIC_CHARACTERS_MAX = 20_000
_CATEGORIES_MAX = 200


def _is_number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise PydanticCustomError("no_number", "expected a number")
    return value


def _can_sign(secret: str) -> str:
    try:
        key_of(secret)
    except ValueError as exc:
        raise PydanticCustomError("bad_secret", "not a secret of Standard Webhooks: {why}", {"why": str(exc)}) from exc
    return secret


# It stands in headers, in lists: no commas, no spaces.
GuardName = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Score = Annotated[float, Field(gt=0, le=1), BeforeValidator(_is_number)]
LookSeconds = Annotated[float, Field(gt=0, le=TIMEOUT_S_MAX), BeforeValidator(_is_number)]
_Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=_LENGTH_MAX, pattern=r"^[^\x00]*$")]
_Category = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=100, pattern=r"^[!-~]+$")]
_Categories = Annotated[tuple[_Category, ...], Field(max_length=_CATEGORIES_MAX)]
_Kind = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
Kinds = Annotated[tuple[_Kind, ...], Field(min_length=1, max_length=_CATEGORIES_MAX)]
Thresholds = Annotated[Mapping[_Category, Score], Field(min_length=1, max_length=_CATEGORIES_MAX)]


class WordListPart(Part):
    words: tuple[_Text, ...] = ()  # as many as can be compiled
    expressions: Annotated[tuple[_Text, ...], Field(max_length=EXPRESSIONS_MAX)] = ()

    @property
    def as_list(self) -> WordList:
        return WordList(self.words, self.expressions)


Lists = Annotated[Mapping[GuardName, WordListPart], Field(min_length=1, max_length=LISTS_MAX)]


class GuardPart(Part):
    """What every kind states: nothing is assumed of what becomes of a finding, or of a guard that does not answer."""

    mode: GuardMode
    on_error: OnError
    where: Where = Where.INPUT
    timeout_s: LookSeconds = 2.0
    release: Release | None = None
    on_block: OnBlock | None = None

    @abstractmethod
    def as_settings(self) -> GuardSettings:
        """What is the kind's own."""

    def rule(self, name: str) -> GuardRule:
        return GuardRule(
            name=name,
            kind=getattr(self, "kind"),  # noqa: B009 - each kind has its own word as type
            settings=self.as_settings(),
            where=self.where,
            mode=self.mode,
            on_error=self.on_error,
            timeout_s=self.timeout_s,
            release=self.release or Release.WINDOWED,
            on_block=self.on_block or OnBlock.STOP,
        )


class PatternsPart(GuardPart):
    kind: Literal["patterns"]
    deny: Lists
    allow: WordListPart | None = None
    fold_look_alikes: StrictBool = True

    def as_settings(self) -> PatternsSettings:
        return PatternsSettings(
            deny=lists_of(self.deny),
            allow=None if self.allow is None else self.allow.as_list,
            fold_look_alikes=self.fold_look_alikes,
        )


def lists_of(deny: Mapping[str, WordListPart]) -> tuple[tuple[str, WordList], ...]:
    return tuple((name, part.as_list) for name, part in deny.items())


class PiiPart(GuardPart):
    kind: Literal["pii"]
    kinds: Kinds | None = None

    def as_settings(self) -> PiiSettings:
        return PiiSettings(self.kinds or ())


class SecretsPart(GuardPart):
    kind: Literal["secrets"]

    def as_settings(self) -> SecretsSettings:
        return SecretsSettings()


class InjectionPart(GuardPart):
    kind: Literal["injection"]
    block_at: Score | None = None

    def as_settings(self) -> InjectionSettings:
        return InjectionSettings(block_at=self.block_at)


class InCatalog(Part):
    """``always``: it stands before everything, whatever a route names."""

    always: StrictBool = False


class CatalogPatterns(InCatalog, PatternsPart):
    pass


class CatalogPii(InCatalog, PiiPart):
    pass


class CatalogSecrets(InCatalog, SecretsPart):
    pass


class CatalogInjection(InCatalog, InjectionPart):
    escalate_at: Score | None = None
    classifier: Name | None = None
    asked_as: Literal["judge", "guard", "classify"] | None = None
    classifier_at: Score | None = None

    @model_validator(mode="after")
    def _has_a_classifier_for_what_it_says_of_one(self) -> CatalogInjection:
        for key in ("escalate_at", "asked_as", "classifier_at"):
            if self.classifier is None and getattr(self, key) is not None:
                raise PydanticCustomError("idle_classifier", "{key} says nothing without a classifier", {"key": key})
        return self

    def as_settings(self) -> InjectionSettings:
        usual = InjectionSettings()
        return InjectionSettings(
            block_at=self.block_at,
            escalate_at=self.escalate_at,
            classifier=self.classifier,
            asked_as=self.asked_as or usual.asked_as,
            classifier_at=usual.classifier_at if self.classifier_at is None else self.classifier_at,
        )


class CatalogModeration(InCatalog, GuardPart):
    kind: Literal["moderation_api"]
    deployment: Name
    thresholds: Thresholds | None = None
    timeout_s: LookSeconds = 5.0

    def as_settings(self) -> ModerationSettings:
        return ModerationSettings(self.deployment, tuple((self.thresholds or {}).items()))


class CatalogJudge(InCatalog, GuardPart):
    kind: Literal["judge"]
    deployment: Name
    rubric: Annotated[str, StringConstraints(min_length=1, max_length=_RUBRIC_CHARACTERS_MAX)] = ""
    categories: _Categories = ()
    timeout_s: LookSeconds = 10.0

    def as_settings(self) -> JudgeSettings:
        return JudgeSettings(self.deployment, self.rubric, self.categories)


class CatalogWebhook(InCatalog, GuardPart):
    kind: Literal["webhook"]
    url: Address
    secret: Annotated[str, StringConstraints(min_length=1), AfterValidator(_can_sign)]
    retries: Annotated[int, BeforeValidator(no_bool), Field(ge=0, le=5)] = 1

    def as_settings(self) -> WebhookSettings:
        return WebhookSettings(self.url, self.secret, self.retries)


class CatalogPlugin(InCatalog, GuardPart):
    """``plugin``: the name of an entry point of the group ``obol.guards``; ``settings``: what it is given."""

    kind: Literal["plugin"]
    plugin: Name
    settings: Mapping[str, Any] = Field(default_factory=dict)

    def as_settings(self) -> PluginSettings:
        return PluginSettings(self.plugin, json.dumps(dict(self.settings), default=float))  # of Decimal


CatalogGuard = Annotated[
    CatalogPatterns
    | CatalogPii
    | CatalogSecrets
    | CatalogInjection
    | CatalogModeration
    | CatalogJudge
    | CatalogWebhook
    | CatalogPlugin,
    Field(discriminator="kind"),
]


class Named(Part):
    name: GuardName


class OwnPatterns(Named, PatternsPart):
    pass


class OwnPii(Named, PiiPart):
    pass


class OwnSecrets(Named, SecretsPart):
    pass


class OwnInjection(Named, InjectionPart):
    pass


class BasedGuard(Part):
    """A guard of the catalog's as somebody else wants it besides. ``name``: what it is called, else as that one is."""

    guard: GuardName
    name: GuardName | None = None
    mode: GuardMode | None = None
    on_error: OnError | None = None
    where: Where | None = None
    timeout_s: LookSeconds | None = None
    release: Release | None = None
    on_block: OnBlock | None = None
    deny: Lists | None = None
    allow: WordListPart | None = None
    fold_look_alikes: StrictBool | None = None
    kinds: Kinds | None = None
    thresholds: Thresholds | None = None
    block_at: Score | None = None
    escalate_at: Score | None = None


def _which(value: object) -> str:
    if isinstance(value, str):
        return "name"
    is_based = "guard" in value if isinstance(value, dict) else isinstance(value, BasedGuard)
    return "based" if is_based else "own"


OwnGuard = Annotated[OwnPatterns | OwnPii | OwnSecrets | OwnInjection, Field(discriminator="kind")]
# What a team or a key adds: a name of the catalog's, one of its guards with other settings, or one of its own, which
# asks nobody else.
AddedGuard = Annotated[
    Annotated[GuardName, Tag("name")] | Annotated[BasedGuard, Tag("based")] | Annotated[OwnGuard, Tag("own")],
    Discriminator(_which),
]
