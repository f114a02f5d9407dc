"""Which budgets and limits a call draws on: what a search through all rules would find, at the cost of a look-up."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_parts import make_entry

from gateway.domain import NO_CLAIMS, Budget, Dimension, Limit, Period, Scope, Window
from policies import rule_book
from policies.rule_book import RuleBook

HOUR_MS = 3_600_000
NOW_MS = 1_800_000 * 1_000_000  # 2027-01-15T08:00:00Z
EACH = [Dimension.TEAM, Dimension.MEMBER, Dimension.KEY, Dimension.END_USER]
FIELDS = {
    Dimension.TEAM: "team_id",
    Dimension.MEMBER: "member_id",
    Dimension.KEY: "key_id",
    Dimension.END_USER: "end_user",
}
CALL = make_entry(
    organization_id="org_1",
    team_id="team_1",
    member_id="mem_1",
    key_id="key_1",
    end_user="ann",
    route="auto",
    model_asked="auto",
    deployment="big",
    model="gpt-9",
)


def budget(budget_id: str = "bud_1", /, window: Window = Window.MONTH, **scope: object) -> Budget:
    return Budget(budget_id, Scope("org_1", **scope), 10, window)


def limit(limit_id: str = "lim_1", /, *, rates: dict[str, int] | None = None, **scope: object) -> Limit:
    return Limit(limit_id, Scope("org_1", **scope), **(rates or {"requests_per_minute": 5}))


def ids(claims):
    return [claim.budget.id for claim in claims.budgets] + [claim.limit.id for claim in claims.limits]


def found(*rules, entry=CALL, now_ms=NOW_MS):
    book = RuleBook([rule for rule in rules if isinstance(rule, Budget)], [r for r in rules if isinstance(r, Limit)])
    return book.claims(entry, now_ms)


names = st.sampled_from([None, "1", "2"])
scopes = st.builds(
    Scope,
    st.sampled_from(["org_1", "org_2"]),
    *[names] * 6,
    each=st.sampled_from([None, None, *EACH]),
)
entries = st.builds(
    lambda **values: msgspec.structs.replace(CALL, **values),
    organization_id=st.sampled_from(["org_1", "org_2"]),
    team_id=st.sampled_from(["1", "2", "3"]),
    member_id=names,
    key_id=st.sampled_from(["1", "2", "3"]),
    end_user=names,
    route=names,
    model_asked=st.sampled_from(["1", "3"]),
    deployment=st.sampled_from(["1", "2"]),
    model=st.sampled_from(["2", "3"]),
)


def is_in(entry, scope):
    """What a scope means, word by word."""
    if scope.organization_id != entry.organization_id:
        return False
    for field in ("team_id", "member_id", "key_id", "end_user", "route"):
        if getattr(scope, field) is not None and getattr(scope, field) != getattr(entry, field):
            return False
    if scope.model is not None and scope.model not in {entry.model_asked, entry.deployment, entry.model}:
        return False
    return scope.each is None or getattr(entry, FIELDS[scope.each]) is not None


@settings(max_examples=300)
@given(st.lists(scopes, max_size=25), st.lists(entries, min_size=1, max_size=4))
def test_the_index_finds_what_a_search_through_all_rules_finds(all_scopes, calls):
    # Windows of their own kind each, so that no rule takes the place of another here.
    rules = [Limit(f"r{number:02d}", scope, parallel_requests=1) for number, scope in enumerate(all_scopes)]
    rules = [rule for rule in rules if rule.scope.each is None]
    budgets = [Budget(f"b{n:02d}", scope, 1, Window.DAY) for n, scope in enumerate(all_scopes) if scope.each]
    book = RuleBook(budgets, rules)

    for call in calls:
        expected = [rule.id for rule in (*budgets, *rules) if is_in(call, rule.scope)]
        assert ids(book.claims(call, NOW_MS)) == expected


@given(st.lists(scopes, max_size=15), st.lists(st.integers(0, 14)), st.lists(entries, min_size=1, max_size=3))
def test_a_changed_book_is_the_book_of_the_changed_rules(all_scopes, picks, calls):
    before = {f"b{n:02d}": Budget(f"b{n:02d}", scope, 1, Window.DAY) for n, scope in enumerate(all_scopes)}
    moved = {f"b{n:02d}": Budget(f"b{n:02d}", all_scopes[-1], 2, Window.HOUR) for n in picks[::2] if all_scopes}
    gone = {f"b{n:02d}" for n in picks[1::2]} - moved.keys()
    old = RuleBook(before.values())
    after = {name: rule for name, rule in (before | moved).items() if name not in gone}

    book = old.changed(moved.values(), gone)

    for call in calls:
        assert book.claims(call, NOW_MS) == RuleBook(after.values()).claims(call, NOW_MS)
        assert old.claims(call, NOW_MS) == RuleBook(before.values()).claims(call, NOW_MS)


@pytest.mark.parametrize("model", ["auto", "big", "gpt-9"])
def test_a_model_is_what_was_asked_for_or_the_deployment_or_the_providers(model):
    assert ids(found(budget(model=model))) == ["bud_1"]
    assert found(budget(model="other")) is NO_CLAIMS


def test_a_rule_whose_model_matches_twice_counts_once():
    same = msgspec.structs.replace(CALL, model_asked="big", model="big")

    assert ids(found(budget(model="big"), entry=same)) == ["bud_1"]


def test_each_value_has_a_balance_of_its_own():
    book = RuleBook([budget(team_id="team_1", each=Dimension.MEMBER)])
    other = msgspec.structs.replace(CALL, member_id="mem_2")

    ((one,), _), ((two,), _) = book.claims(CALL, NOW_MS), book.claims(other, NOW_MS)

    assert (one.value, two.value) == ("mem_1", "mem_2")
    assert one.name != two.name


def test_calls_without_the_value_that_is_counted_apart_are_not_covered():
    nobody = msgspec.structs.replace(CALL, member_id=None, end_user=None)

    assert found(budget(each=Dimension.MEMBER), budget("bud_2", each=Dimension.END_USER), entry=nobody) is NO_CLAIMS


@pytest.mark.parametrize(
    ("default", "named"),
    [
        ({"team_id": "team_1", "each": Dimension.MEMBER}, {"member_id": "mem_1"}),
        ({"team_id": "team_1", "each": Dimension.MEMBER}, {"team_id": "team_1", "member_id": "mem_1"}),
        ({"each": Dimension.MEMBER}, {"member_id": "mem_1"}),
        ({"member_id": "mem_1", "each": Dimension.KEY}, {"key_id": "key_1"}),
        ({"each": Dimension.TEAM}, {"team_id": "team_1"}),
        ({"team_id": "team_1", "each": Dimension.END_USER}, {"team_id": "team_1", "end_user": "ann"}),
        ({"route": "auto", "each": Dimension.TEAM}, {"route": "auto", "team_id": "team_1"}),
    ],
)
def test_a_budget_for_the_value_itself_takes_the_place_of_the_default(default, named):
    assert ids(found(budget("bud_1", **default), budget("bud_2", **named))) == ["bud_2"]


@pytest.mark.parametrize(
    ("default", "named"),
    [
        ({"each": Dimension.MEMBER}, {"member_id": "mem_1", "route": "auto"}),
        ({"each": Dimension.END_USER}, {"team_id": "team_1", "end_user": "ann"}),
        ({"each": Dimension.TEAM}, {"key_id": "key_1", "team_id": "team_1"}),
        ({"each": Dimension.MEMBER}, {"team_id": "team_1"}),
        ({"each": Dimension.MEMBER}, {"each": Dimension.KEY, "member_id": "mem_1"}),
    ],
)
def test_a_budget_for_something_else_stands_beside_the_default(default, named):
    assert ids(found(budget("bud_1", **default), budget("bud_2", **named))) == ["bud_1", "bud_2"]


def test_a_budget_for_another_window_stands_beside_the_default():
    rules = budget("bud_1", each=Dimension.MEMBER), budget("bud_2", Window.DAY, member_id="mem_1")

    assert ids(found(*rules)) == ["bud_1", "bud_2"]


def test_a_limit_for_the_value_itself_takes_the_place_of_the_default_in_what_it_states():
    default = limit("lim_1", rates={"requests_per_minute": 5, "tokens_per_minute": 100}, each=Dimension.MEMBER)
    named = limit("lim_2", rates={"requests_per_minute": 50}, member_id="mem_1")

    first, second = found(default, named).limits

    assert (first.limit.requests_per_minute, first.limit.tokens_per_minute) == (None, 100)
    assert second.limit.requests_per_minute == 50
    assert ids(found(limit("lim_1", each=Dimension.MEMBER), named)) == ["lim_2"]


def test_a_raise_holds_until_its_end():
    raised = replace(budget(), raised_limit_nusd=99, raised_until_ms=NOW_MS + 1)
    book = RuleBook([raised])

    assert [book.claims(CALL, NOW_MS + later).budgets[0].limit_nusd for later in (0, 1, 0)] == [99, 10, 99]


def test_the_same_call_has_the_same_claims_until_a_window_ends():
    book = RuleBook([budget(window=Window.HOUR), budget("bud_2")])

    first = book.claims(CALL, NOW_MS)

    assert book.claims(msgspec.structs.replace(CALL, id="another"), NOW_MS + HOUR_MS - 1) is first
    later = book.claims(CALL, NOW_MS + HOUR_MS)
    assert later is not first
    assert later.budgets[0].period == Period(NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS)


def test_a_call_that_settles_late_finds_the_windows_of_its_admission():
    book = RuleBook([budget(window=Window.HOUR)])
    admitted = book.claims(CALL, NOW_MS)
    now = book.claims(CALL, NOW_MS + HOUR_MS)

    assert book.claims(CALL, NOW_MS) == admitted
    assert book.claims(CALL, NOW_MS + HOUR_MS) is now


def test_a_reset_that_lies_ahead_takes_effect_at_its_moment():
    book = RuleBook([replace(budget(), reset_at_ms=NOW_MS + 5)])

    starts = [book.claims(CALL, NOW_MS + later).budgets[0].period.start_ms - NOW_MS for later in (4, 5, 4)]

    assert starts[1] == 5
    assert starts[0] == starts[2] < 0


@given(st.lists(st.tuples(st.integers(0, 1000), st.booleans()), max_size=30), st.integers(0, 900), st.integers(0, 900))
def test_what_was_kept_is_what_would_be_found_now(asks, raised_until, reset_at):
    minute_ms = 60_000 * 7
    rules = [
        budget("b1", Window.HOUR),
        replace(budget("b2", Window.DAY), raised_limit_nusd=7, raised_until_ms=NOW_MS + raised_until * minute_ms),
        replace(budget("b3", Window.MONTH, each=Dimension.END_USER), reset_at_ms=NOW_MS + reset_at * minute_ms),
    ]
    book = RuleBook(rules)

    for minutes, has_user in asks:
        call = CALL if has_user else msgspec.structs.replace(CALL, end_user=None)
        now_ms = NOW_MS + minutes * minute_ms
        assert book.claims(call, now_ms) == RuleBook(rules).claims(call, now_ms)


def test_a_flood_of_end_users_pushes_out_only_end_users(monkeypatch):
    monkeypatch.setattr(rule_book, "END_USER_CALLS_KEPT_MAX", 10)
    book = RuleBook([budget(each=Dimension.END_USER), budget("bud_2")])
    nobody = msgspec.structs.replace(CALL, end_user=None)
    kept = book.claims(nobody, NOW_MS)

    for number in range(50):
        book.claims(msgspec.structs.replace(CALL, end_user=f"user {number}"), NOW_MS)

    assert book.claims(nobody, NOW_MS) is kept
    assert len(book._end_user_calls) == 10


def test_where_no_rule_is_about_end_users_they_take_no_place():
    book = RuleBook([budget()])

    claims = {id(book.claims(msgspec.structs.replace(CALL, end_user=f"user {n}"), NOW_MS)) for n in range(50)}

    assert len(claims) == 1
    assert len(book._calls) == 1


def test_what_is_kept_stays_within_bounds(monkeypatch):
    monkeypatch.setattr(rule_book, "CALLS_KEPT_MAX", 10)
    book = RuleBook([budget()])

    for number in range(50):
        book.claims(msgspec.structs.replace(CALL, model_asked=f"any/{number}"), NOW_MS)

    assert len(book._calls) == 10


def test_a_key_is_shown_every_rule_that_its_calls_can_meet():
    rules = [
        budget("b1"),
        budget("b2", team_id="team_1", model="gpt"),
        budget("b3", team_id="team_2"),
        budget("b4", each=Dimension.MEMBER),
        budget("b5", end_user="ann"),
        budget("b6", each=Dimension.END_USER),
        budget("b7", key_id="key_1", route="auto"),
    ]
    book = RuleBook(rules, [limit(each=Dimension.KEY), limit("lim_2", key_id="key_2")])

    bound = book.claims_of_key("org_1", "team_1", "mem_1", "key_1", NOW_MS)
    unbound = book.claims_of_key("org_1", "team_1", None, "key_1", NOW_MS)

    assert ids(bound) == ["b1", "b2", "b4", "b7", "lim_1"]
    assert ids(unbound) == ["b1", "b2", "b7", "lim_1"]
    assert book.claims_of_key("org_2", "team_1", None, "key_1", NOW_MS) is NO_CLAIMS
