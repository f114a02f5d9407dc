"""Guards as rules: what a catalog says, what teams and keys add to it, and what cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache

from pydantic import TypeAdapter, ValidationError

from gateway.catalog.guard_schema import AddedGuard, BasedGuard, GuardPart, lists_of
from gateway.catalog.schema_fields import did_you_mean
from gateway.domain import (
    GuardMode,
    GuardRule,
    GuardSettings,
    InjectionSettings,
    JudgeSettings,
    ModerationSettings,
    PatternsSettings,
    PiiSettings,
    PluginSettings,
    WebhookSettings,
    WordList,
)

PLUGINS = "obol.guards"  # the group of entry points
_TELL_PLACES = frozenset({"patterns", "pii", "secrets", "webhook", "plugin"})
_NATIONAL = "NATIONAL_ID"
_OF_ANY_KIND = ("mode", "on_error", "where", "timeout_s", "release", "on_block")
_OF_ONE_KIND = ("deny", "allow", "fold_look_alikes", "kinds", "thresholds", "block_at", "escalate_at")


class BadGuard(ValueError):
    """A guard cannot be; the message says why."""


class UnknownGuard(BadGuard):
    """The catalog has no guard of that name."""


def checked_rule(name: str, part: GuardPart) -> GuardRule:
    """What a part says. Raises BadGuard."""
    rule = part.rule(name)
    _refuse(_faults(rule, part))
    check_settings(rule)
    return rule


def read_added(added: object) -> AddedGuard:
    """What a team or a key adds, of its JSON. Raises BadGuard for what nobody could have added to this version."""
    try:
        return _reader().validate_python(added)
    except ValidationError as exc:
        raise BadGuard(str(exc.errors(include_url=False, include_input=False)[0]["msg"])) from None


@cache
def _reader() -> TypeAdapter[AddedGuard]:
    return TypeAdapter(AddedGuard)


def added_rule(added: AddedGuard, known: Mapping[str, GuardRule]) -> GuardRule:
    """What a team or a key adds; its settings are not checked. ``known``: the catalog's guards. Raises BadGuard."""
    if isinstance(added, str):
        return _known(added, known)
    if isinstance(added, BasedGuard):
        base = _known(added.guard, known)
        stated = {key: value for key in _OF_ANY_KIND if (value := getattr(added, key)) is not None}
        if added.timeout_s is not None and added.timeout_s < base.timeout_s and _asks_others(base):
            # Who is late five times is left alone for a while by all, whoever had so little patience.
            raise BadGuard(f"timeout_s must not be below the {base.timeout_s:g} of {base.name!r}, which asks others")
        rule = replace(base, name=added.name or base.name, settings=_with_settings(base, added), **stated)
    else:
        rule = added.rule(added.name)
    _refuse(_faults(rule, added))
    return rule


def check_settings(rule: GuardRule) -> None:
    """Raises BadGuard for settings that cannot be. It compiles lists, which takes up to 0.1 s."""
    match rule.settings:
        case PatternsSettings(deny=deny, allow=allow, fold_look_alikes=is_folded):
            _refuse(_pattern_faults(deny, allow, is_folded=is_folded))
        case PiiSettings(kinds=kinds) if kinds:
            _refuse(_kind_faults(kinds))
        case PluginSettings(entry_point=name):
            _refuse(_plugin_faults(name))


def asked_by(rule: GuardRule) -> str | None:
    """The deployment that a guard asks, if any."""
    match rule.settings:
        case InjectionSettings(classifier=name):
            return name
        case ModerationSettings(deployment=name) | JudgeSettings(deployment=name):
            return name
    return None


def _asks_others(rule: GuardRule) -> bool:
    return asked_by(rule) is not None or isinstance(rule.settings, WebhookSettings)


def _known(name: str, known: Mapping[str, GuardRule]) -> GuardRule:
    found = known.get(name)
    if found is None:
        raise UnknownGuard(f"the catalog has no guard {name!r}{did_you_mean(name, known)}")
    return found


def _with_settings(base: GuardRule, added: BasedGuard) -> GuardSettings:
    """The settings of a guard with what is stated anew. Raises BadGuard."""
    stated = {key: value for key in _OF_ONE_KIND if (value := getattr(added, key)) is not None}
    has = {one.name for one in fields(base.settings)}
    for key in stated:
        if key not in has:
            raise BadGuard(f"the guard {base.name!r} is of kind {base.kind}, which has no {key}")
    if added.deny is not None:
        stated["deny"] = lists_of(added.deny)
    if added.allow is not None:
        stated["allow"] = added.allow.as_list
    if added.thresholds is not None:
        stated["thresholds"] = tuple(added.thresholds.items())
    return replace(base.settings, **stated)


def _refuse(faults: Iterator[str]) -> None:
    for fault in faults:
        raise BadGuard(fault)


def _faults(rule: GuardRule, part: GuardPart | BasedGuard) -> Iterator[str]:
    """What no form of a single field can say."""
    if rule.mode is GuardMode.REDACT and rule.kind not in _TELL_PLACES:
        yield f"mode redact needs a kind that says where it found something, which {rule.kind} does not"
    if part.release is not None and rule.where == "input":
        yield "release is of answers, and the guard looks at the input alone"
    if part.on_block is not None and (rule.where == "input" or rule.mode is not GuardMode.BLOCK):
        yield "on_block is of answers, and the guard blocks none"
    if isinstance(rule.settings, InjectionSettings):
        block_at, escalate_at = rule.settings.block_at, rule.settings.escalate_at
        if escalate_at is not None and rule.settings.classifier is None:
            yield "escalate_at says nothing without a classifier"
        if block_at is not None and escalate_at is not None and escalate_at > block_at:
            yield "escalate_at must not be above block_at"


def _pattern_faults(deny: Sequence[tuple[str, WordList]], allow: WordList | None, *, is_folded: bool) -> Iterator[str]:
    from policies.screening.patterns import BadPattern, PatternList, Patterns  # noqa: PLC0415 - loads RE2

    empty = [name for name, one in deny if not one.words and not one.expressions]
    if empty:
        yield f"deny.{empty[0]} has neither words nor expressions"
    allowed = None if allow is None else PatternList(allow.words, allow.expressions)
    try:
        Patterns(
            {name: PatternList(one.words, one.expressions) for name, one in deny}, allowed, fold_look_alikes=is_folded
        )
    except BadPattern as exc:
        yield str(exc)


def _kind_faults(kinds: Iterable[str]) -> Iterator[str]:
    from policies.screening.pii.kinds import KINDS  # noqa: PLC0415 - only once a guard looks for some

    known = KINDS | {_NATIONAL}
    for kind in kinds:
        if kind not in known:
            yield f"there is no kind {kind} of personal data{did_you_mean(kind, known)}"


def _plugin_faults(name: str) -> Iterator[str]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - only once there is one

    known = entry_points(group=PLUGINS).names
    if name not in known:
        yield f"no installed package has an entry point {name!r} in the group {PLUGINS}{did_you_mean(name, known)}"
