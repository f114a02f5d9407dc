"""Which guards stand before a request, and what stands where one is missing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from catalog_parts import snapshot
from pipeline_parts import CALLER
from pipeline_parts import request as request_and_caller

from gateway.assembly import guards as guards_in_force
from gateway.assembly.guards import GuardsInForce
from gateway.domain import NOTHING_FOUND, GuardMode, OnError, PatternsSettings, PiiSettings, WordList
from gateway.errors import GuardFailed

CATALOG = """\
providers: {{p: {{kind: openai}}}}
deployments:
  - {{name: here, provider: p, model: gpt-4o, region: eu}}
  - {{name: there, provider: p, model: gpt-4o, region: us}}
routes:
  auto: {{deployments: [here], guards: [words]}}
  eu: {{deployments: [here], regions: [eu]}}
guards:
  words: {{kind: patterns, mode: block, on_error: closed, deny: {{rivals: {{words: [Acme]}}}}}}
  pii: {{kind: pii, mode: redact, on_error: open}}
  all: {{kind: secrets, mode: {mode}, on_error: closed, always: {always}}}
  far: {{kind: judge, mode: block, on_error: closed, deployment: there, rubric: x}}
"""
WITHOUT = "providers: {p: {kind: openai}}\ndeployments: [{name: here, provider: p, model: gpt-4o}]\n"


class Built:
    """A guard that nothing is known of but its rule."""

    version = "1"

    def __init__(self, rule):
        self.rule = rule

    async def look(self, _texts, _asking):
        return NOTHING_FOUND


class Builder:
    """Builds them, and counts."""

    def __init__(self):
        self.rules = []

    def __call__(self, rule):
        self.rules.append(rule)
        if rule.name == "unbuildable":
            raise ImportError("no such library")
        return Built(rule)


class Catalogs:
    """The catalog in force, which may be replaced."""

    def __init__(self, text):
        self.current = snapshot(text)

    def __call__(self):
        return self.current


def text_of(mode="block", always="false"):
    return CATALOG.format(mode=mode, always=always)


@pytest.fixture
def build():
    return Builder()


@pytest.fixture
def guards(build):
    return GuardsInForce(Catalogs(text_of(always="true")), build)


def caller_adding(*added):
    return replace(CALLER, guards=json.dumps(added) if added else "")


def request(model):
    return request_and_caller(model)[0]


def names(standing):
    return [rule.name for rule, _ in standing]


async def failure_of(guard):
    with pytest.raises(GuardFailed) as caught:
        await guard.look(["text"], None)
    return caught.value.message


def test_guards_of_everybody_come_first_then_the_routes_then_those_that_team_and_key_add(guards):
    own = {"name": "own", "kind": "pii", "mode": "flag", "on_error": "open"}

    assert names(guards.of(request("auto"), caller_adding("pii", own))) == ["all", "words", "pii", "own"]
    assert names(guards.of(request("here"), caller_adding("pii"))) == ["all", "pii"]
    assert names(guards.of(request("auto"), CALLER)) == ["all", "words"]


def test_a_guard_that_is_wanted_twice_stands_once(guards):
    assert names(guards.of(request("auto"), caller_adding("words", "all", "pii", "pii"))) == [
        "all",
        "words",
        "pii",
    ]


def test_guards_of_one_name_that_want_different_things_are_told_apart(guards):
    less = {"guard": "words", "mode": "shadow"}

    standing = guards.of(request("auto"), caller_adding(less, {**less, "mode": "flag"}))

    assert names(standing) == ["all", "words", "words-2", "words-3"]
    assert [rule.mode for rule, _ in standing][1:] == [GuardMode.BLOCK, GuardMode.SHADOW, GuardMode.FLAG]


def test_where_nobody_wants_guards_there_are_none(build):
    nobody = GuardsInForce(Catalogs(WITHOUT), build)

    assert nobody.of(request("here"), CALLER) == ()
    assert build.rules == []


def test_a_team_may_want_a_guard_of_the_catalogs_otherwise_beside_the_one_that_stands(guards):
    stricter = {"guard": "words", "name": "more", "mode": "flag", "deny": {"bad": {"expressions": ["x+"]}}}

    standing = guards.of(request("auto"), caller_adding(stricter, {"guard": "pii", "kinds": ["CRYPTO"]}))

    assert names(standing) == ["all", "words", "more", "pii"]
    assert standing[1][0].settings == PatternsSettings((("rivals", WordList(("Acme",))),))
    more, pii = standing[2][0], standing[3][0]
    assert (more.mode, more.on_error) == (GuardMode.FLAG, OnError.CLOSED)
    assert more.settings == PatternsSettings((("bad", WordList((), ("x+",))),))
    assert (pii.mode, pii.settings) == (GuardMode.REDACT, PiiSettings(("CRYPTO",)))


def test_what_the_catalog_puts_before_requests_is_built_before_the_first_of_them(guards, build):
    assert [rule.name for rule in build.rules] == ["all", "words"]
    guards.of(request("auto"), CALLER)
    assert len(build.rules) == 2


def test_guards_are_built_once_and_anew_only_where_a_new_catalog_changes_them(build):
    catalogs = Catalogs(text_of(always="true"))
    guards = GuardsInForce(catalogs, build)
    before = guards.of(request("auto"), caller_adding("pii"))
    assert guards.of(request("auto"), caller_adding("pii")) is before
    assert len(build.rules) == 3

    catalogs.current = snapshot(text_of(mode="flag", always="true"))
    after = guards.of(request("auto"), caller_adding("pii"))

    assert [rule.mode for rule, _ in after] == [GuardMode.FLAG, GuardMode.BLOCK, GuardMode.REDACT]
    assert [guard for _, guard in after][1:] == [guard for _, guard in before][1:]
    assert len(build.rules) == 4


async def test_a_guard_that_the_catalog_no_longer_has_fails_and_nothing_passes_without_it(guards):
    ((rule, guard),) = guards.of(request("here"), caller_adding("gone"))[1:]

    assert (rule.name, rule.mode, rule.on_error) == ("gone", GuardMode.BLOCK, OnError.CLOSED)
    assert "the catalog has no guard 'gone'" in await failure_of(guard)


async def test_a_guard_on_one_that_is_gone_lets_pass_what_it_says_may(guards):
    standing = guards.of(request("here"), caller_adding({"guard": "gone", "name": "soft", "on_error": "open"}))

    assert (standing[1][0].name, standing[1][0].on_error) == ("soft", OnError.OPEN)


@pytest.mark.parametrize(
    "added",
    [
        {"name": "odd", "kind": "of tomorrow", "mode": "block", "on_error": "closed"},
        {"guard": "pii", "name": "odd", "thresholds": {"hate": 0.5}},
        {"guard": "far", "name": "odd", "mode": "redact"},
        {"guard": "far", "name": "odd", "timeout_s": 0.001},
        ["odd"],
    ],
)
async def test_what_cannot_be_read_fails_too(guards, added):
    rule, guard = guards.of(request("here"), caller_adding(added))[1]

    assert rule.on_error is OnError.CLOSED
    assert await failure_of(guard)


async def test_a_guard_that_cannot_be_built_fails_by_its_own_rule(guards):
    own = {"name": "unbuildable", "kind": "secrets", "mode": "flag", "on_error": "open"}
    rule, guard = guards.of(request("here"), caller_adding(own))[1]

    assert (rule.mode, rule.on_error) == (GuardMode.FLAG, OnError.OPEN)
    assert await failure_of(guard) == "it cannot be made: no such library"


async def test_a_guard_that_a_team_adds_asks_nobody_where_a_routes_questions_must_not_go(guards):
    here = guards.of(request("here"), caller_adding("far"))
    eu = guards.of(request("eu"), caller_adding("far"))

    assert isinstance(here[1][1], Built)
    assert eu[1][0].on_error is OnError.CLOSED
    assert "'there', which is not where the route wants its questions" in await failure_of(eu[1][1])


def test_no_more_is_kept_than_so_much(guards, monkeypatch):
    monkeypatch.setattr(guards_in_force, "RESOLVED_MAX", 3)
    monkeypatch.setattr(guards_in_force, "BUILT_MAX", 3)
    for number in range(10):
        own = {"name": f"own-{number}", "kind": "secrets", "mode": "flag", "on_error": "open"}
        guards.of(request("here"), caller_adding(own))

    assert (len(guards._resolved), len(guards._built)) == (3, 3)
    assert names(guards.standing(None, "")) == ["all"]
