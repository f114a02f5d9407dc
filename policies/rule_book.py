"""Which budgets and limits a call draws on: an index over all rules that costs the same for five and for 20,000.

Rules are kept by the dimensions that they name and the values of these, so that a call finds its own by a few look-ups:
one for each combination of dimensions that any rule of the book names. What was found is kept until a window ends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from gateway.domain import (
    NO_CLAIMS,
    Budget,
    BudgetClaim,
    Claims,
    Dimension,
    LedgerEntry,
    Limit,
    LimitClaim,
    OnExhausted,
    Scope,
)
from policies.scopes import FIELDS
from policies.windows import balance_name, counter_name, period_of

CALLS_KEPT_MAX = 8192  # what one process keeps of claims it found, for calls without a rule for their end user
END_USER_CALLS_KEPT_MAX = 8192  # and with one: clients choose end users, who must not push the others out

RATES = ("requests_per_minute", "tokens_per_minute", "tokens_per_day", "parallel_requests")
_FOREVER_MS = float("inf")
# What else a scope says by naming one: a key is of one team and member, a member of one team.
_IMPLIED: Mapping[Dimension, frozenset[Dimension]] = {
    Dimension.TEAM: frozenset(),
    Dimension.MEMBER: frozenset({Dimension.TEAM}),
    Dimension.KEY: frozenset({Dimension.TEAM, Dimension.MEMBER}),
    Dimension.END_USER: frozenset(),
}

Rule: TypeAlias = Budget | Limit
_Place: TypeAlias = tuple[str | None, ...]  # what a scope names, in the order of Dimension; None: it does not
_Shape: TypeAlias = tuple[bool, ...]  # which of a place's values are named
_Counted = TypeVar("_Counted")


class _Found(NamedTuple):
    """Claims, and the times at which they hold: from the first to before the second, in ms since 1970."""

    since_ms: int
    until_ms: float
    claims: Claims


class RuleBook:
    """All live rules of the gateway, as of one moment. Immutable: a change makes a new book."""

    def __init__(self, budgets: Iterable[Budget] = (), limits: Iterable[Limit] = ()) -> None:
        self._rules: dict[str, Rule] = {}
        self._places: dict[_Place, tuple[Rule, ...]] = {}
        self._shapes: dict[_Shape, int] = {}  # how many places have it
        self._users_matter: dict[str, int] = {}  # by organization: rules that name or count end users apart
        self._calls: dict[_Place, _Found] = {}
        self._end_user_calls: dict[_Place, _Found] = {}
        for budget in budgets:
            self._add(budget)
        for limit in limits:
            self._add(limit)

    def changed(self, rules: Iterable[Rule], gone: Collection[str] = ()) -> RuleBook:
        """The book with these rules new or in place of those of the same id, and without those that are gone."""
        book = RuleBook()
        book._rules, book._places = self._rules.copy(), self._places.copy()
        book._shapes, book._users_matter = self._shapes.copy(), self._users_matter.copy()
        new = list(rules)
        for rule_id in {*gone, *(rule.id for rule in new)}:
            book._remove(rule_id)
        for rule in new:
            book._add(rule)
        return book

    def get(self, rule_id: str) -> Rule | None:
        """The rule of that id."""
        return self._rules.get(rule_id)

    def claims(self, entry: LedgerEntry, now_ms: int) -> Claims:
        """What the entry's call draws on at that moment; the same object while nothing about it changes."""
        user = entry.end_user if entry.organization_id in self._users_matter else None
        kept, most = (self._calls, CALLS_KEPT_MAX) if user is None else (self._end_user_calls, END_USER_CALLS_KEPT_MAX)
        call: _Place = (
            entry.organization_id,
            entry.team_id,
            entry.member_id,
            entry.key_id,
            user,
            entry.route,
            entry.model_asked,
            entry.deployment,
            entry.model,
        )
        found = kept.get(call)
        if found is not None and found.since_ms <= now_ms < found.until_ms:
            return found.claims
        fresh = self._resolve(entry, now_ms)
        # Calls that settle after their windows ended ask for the past: what holds now stays.
        if found is None or now_ms >= found.until_ms:
            kept[call] = fresh
            if len(kept) > most:
                del kept[next(iter(kept))]
        return fresh.claims

    def claims_of_key(
        self, organization_id: str, team_id: str, member_id: str | None, key_id: str, now_ms: int
    ) -> Claims:
        """What a key's calls can draw on, whatever they ask for; rules for single end users left out."""
        owned: list[Rule] = []
        for rule in self._rules.values():
            scope = rule.scope
            if (
                scope.organization_id == organization_id
                and scope.team_id in {None, team_id}
                and scope.member_id in {None, member_id}
                and scope.key_id in {None, key_id}
                and not _is_about_end_users(rule)
                and not (scope.each is Dimension.MEMBER and member_id is None)
            ):
                owned.append(rule)
        values = {Dimension.TEAM: team_id, Dimension.MEMBER: member_id, Dimension.KEY: key_id}
        return _claims(sorted(owned, key=_id_of), values, now_ms).claims

    def _resolve(self, entry: LedgerEntry, now_ms: int) -> _Found:
        values = {
            Dimension.TEAM: entry.team_id,
            Dimension.MEMBER: entry.member_id,
            Dimension.KEY: entry.key_id,
            Dimension.END_USER: entry.end_user,
        }
        rules = [
            rule for rule in self._matching(entry) if rule.scope.each is None or values[rule.scope.each] is not None
        ]
        return _claims(sorted(rules, key=_id_of), values, now_ms)

    def _matching(self, entry: LedgerEntry) -> list[Rule]:
        """All rules for which everything that their scope names is so."""
        owner = (entry.organization_id, entry.team_id, entry.member_id, entry.key_id)
        models: tuple[str | None, ...] = tuple(dict.fromkeys((entry.model_asked, entry.deployment, entry.model)))
        found: list[Rule] = []
        for shape in self._shapes:
            for model in models if shape[-1] else (None,):
                values = (*owner, entry.end_user, entry.route, model)
                place = tuple(value if is_named else None for value, is_named in zip(values, shape, strict=True))
                if _shape_of(place) == shape:  # the call has all that the shape names
                    found += self._places.get(place, ())
        return found

    def _add(self, rule: Rule) -> None:
        place = _place_of(rule.scope)
        standing = self._places.get(place, ())
        self._rules[rule.id] = rule
        self._places[place] = (*standing, rule)
        if not standing:
            _count(self._shapes, _shape_of(place), 1)
        if _is_about_end_users(rule):
            _count(self._users_matter, rule.scope.organization_id, 1)

    def _remove(self, rule_id: str) -> None:
        rule = self._rules.pop(rule_id, None)
        if rule is None:
            return
        place = _place_of(rule.scope)
        left = tuple(one for one in self._places[place] if one.id != rule_id)
        if left:
            self._places[place] = left
        else:
            del self._places[place]
            _count(self._shapes, _shape_of(place), -1)
        if _is_about_end_users(rule):
            _count(self._users_matter, rule.scope.organization_id, -1)


def _claims(rules: Sequence[Rule], values: Mapping[Dimension, str | None], now_ms: int) -> _Found:
    """What these rules make of a call that has those values where they count apart."""
    budgets, limits = [], []
    since_ms, until_ms = 0, _FOREVER_MS
    for rule in rules:
        value = None if rule.scope.each is None else values[rule.scope.each]
        if isinstance(rule, Limit):
            limit = _unless_stated(rule, rules)
            if limit is not None:
                limits.append(LimitClaim(limit, value, counter_name(rule, value)))
        elif not any(isinstance(other, Budget) and stands_in(other, rule) for other in rules):
            period = period_of(rule, now_ms)
            is_raised = rule.raised_until_ms is not None and now_ms < rule.raised_until_ms
            raised_nusd = rule.raised_limit_nusd if is_raised else None
            limit_nusd = rule.limit_nusd if raised_nusd is None else raised_nusd
            budgets.append(BudgetClaim(rule, value, balance_name(rule, period, value), period, limit_nusd))
            changes_ms = [at_ms for at_ms in (rule.reset_at_ms, rule.raised_until_ms) if at_ms is not None]
            since_ms = max(since_ms, period.start_ms, *(at_ms for at_ms in changes_ms if at_ms <= now_ms))
            ends_ms = _FOREVER_MS if period.end_ms is None else period.end_ms
            until_ms = min(until_ms, ends_ms, *(at_ms for at_ms in changes_ms if at_ms > now_ms))
    claims = Claims(tuple(budgets), tuple(limits)) if budgets or limits else NO_CLAIMS
    return _Found(since_ms, until_ms, claims)


def stands_in(named: Rule, default: Rule) -> bool:
    """Whether one rule names the very value that the other counts apart, all else being the same."""
    each = default.scope.each
    if each is None or named.scope.each is not None or getattr(named.scope, FIELDS[each]) is None:
        return False
    if isinstance(named, Budget) and isinstance(default, Budget) and named.window is not default.window:
        return False
    said = {each, *_IMPLIED[each]}
    return all(
        getattr(named.scope, field) == getattr(default.scope, field)
        for dimension, field in FIELDS.items()
        if dimension not in said
    )


def loosens(named: Rule, default: Rule) -> bool:
    """Whether a rule that stands in for the other allows more than that does: a reset one has spent less."""
    if not stands_in(named, default):
        return False
    if isinstance(named, Budget) and isinstance(default, Budget):
        is_bound = named.on_exhausted is not OnExhausted.NOTIFY or default.on_exhausted is OnExhausted.NOTIFY
        return (
            not is_bound
            or named.reset_at_ms is not None
            or max(named.limit_nusd, named.raised_limit_nusd or 0) > default.limit_nusd
        )
    rates = ((getattr(named, rate), getattr(default, rate)) for rate in RATES)
    return any(own is not None and given is not None and own > given for own, given in rates)


def _unless_stated(limit: Limit, rules: Sequence[Rule]) -> Limit | None:
    """A default limit without the rates that a rule for the very value states; None when nothing is left of it."""
    named = [other for other in rules if isinstance(other, Limit) and stands_in(other, limit)]
    if not named:
        return limit
    left = dataclasses.replace(
        limit,
        requests_per_minute=_unless_any([other.requests_per_minute for other in named], limit.requests_per_minute),
        tokens_per_minute=_unless_any([other.tokens_per_minute for other in named], limit.tokens_per_minute),
        tokens_per_day=_unless_any([other.tokens_per_day for other in named], limit.tokens_per_day),
        parallel_requests=_unless_any([other.parallel_requests for other in named], limit.parallel_requests),
    )
    rates = (left.requests_per_minute, left.tokens_per_minute, left.tokens_per_day, left.parallel_requests)
    return None if rates == (None, None, None, None) else left


def _unless_any(stated: Sequence[int | None], rate: int | None) -> int | None:
    return rate if all(one is None for one in stated) else None


def _place_of(scope: Scope) -> _Place:
    return tuple(getattr(scope, field) for field in FIELDS.values())


def _shape_of(place: _Place) -> _Shape:
    return tuple(value is not None for value in place)


def _is_about_end_users(rule: Rule) -> bool:
    return rule.scope.end_user is not None or rule.scope.each is Dimension.END_USER


def _id_of(rule: Rule) -> str:
    return rule.id


def _count(counts: MutableMapping[_Counted, int], what: _Counted, change: int) -> None:
    """Count up or down; what is not there any more is forgotten."""
    counts[what] = counts.get(what, 0) + change
    if not counts[what]:
        del counts[what]
