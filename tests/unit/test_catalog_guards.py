"""What a catalog may say of guards, and which stand before what."""

from __future__ import annotations

import subprocess
import sys

import pytest
from catalog_parts import NOWHERE, refusal, snapshot

from gateway.catalog.show import _without_secrets
from gateway.catalog.text import parse
from gateway.domain import (
    GuardMode,
    GuardRule,
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

BASE = """\
providers: {{p: {{kind: openai}}}}
deployments:
  - {{name: m, provider: p, model: gpt-4o}}
  - {{name: mod, provider: p, model: omni-moderation-latest, price: free, mode: moderation}}
routes: {{auto: {{deployments: [m]{route}}}}}
guards:
  g: {guard}
"""


def catalog_with(guard, route="", env=None):
    return snapshot(BASE.format(guard=guard, route=route), env or {})


def rule_of(guard, env=None):
    return catalog_with(guard, env=env).guards["g"]


def refusal_of(guard, route=""):
    return refusal(BASE.format(guard=guard, route=route), {})


def test_a_guard_states_its_kind_its_mode_and_what_becomes_of_its_failure():
    assert rule_of("{kind: secrets, mode: block, on_error: closed}") == GuardRule(
        "g", "secrets", SecretsSettings(), Where.INPUT, GuardMode.BLOCK, OnError.CLOSED, 2.0
    )


def test_a_guard_may_look_at_answers_in_its_own_way():
    rule = rule_of(
        "{kind: pii, mode: block, on_error: open, where: both, timeout_s: 0.5, release: whole, on_block: error, "
        "kinds: [EMAIL_ADDRESS, NATIONAL_ID]}"
    )

    assert rule == GuardRule(
        *("g", "pii", PiiSettings(("EMAIL_ADDRESS", "NATIONAL_ID")), Where.BOTH, GuardMode.BLOCK, OnError.OPEN),
        *(0.5, Release.WHOLE, OnBlock.ERROR),
    )


@pytest.mark.parametrize(
    ("guard", "settings"),
    [
        (
            "{kind: patterns, deny: {rivals: {words: [Acme]}, codes: {expressions: ['X-\\d+']}}, allow: {words: [X-1]}",
            PatternsSettings(
                (("rivals", WordList(("Acme",))), ("codes", WordList((), ("X-\\d+",)))), WordList(("X-1",))
            ),
        ),
        ("{kind: injection", InjectionSettings()),
        (
            "{kind: injection, block_at: 0.9, escalate_at: 0.3, classifier: m, asked_as: classify, classifier_at: 0.7",
            InjectionSettings(0.9, 0.3, "m", "classify", 0.7),
        ),
        ("{kind: injection, classifier: m, asked_as: guard", InjectionSettings(classifier="m", asked_as="guard")),
        (
            "{kind: moderation_api, deployment: mod, thresholds: {hate: 0.4, hate/threatening: 1}",
            ModerationSettings("mod", (("hate", 0.4), ("hate/threatening", 1.0))),
        ),
        (
            "{kind: judge, deployment: m, rubric: No insults., categories: [S1]",
            JudgeSettings("m", "No insults.", ("S1",)),
        ),
        ("{kind: judge, deployment: m", JudgeSettings("m")),
        (
            "{kind: webhook, url: 'https://guard.example/look', secret: '${GUARD_SECRET}', retries: 2",
            WebhookSettings("https://guard.example/look", "shh", 2),
        ),
    ],
)
def test_each_kind_has_settings_of_its_own(guard, settings):
    assert rule_of(f"{guard}, mode: flag, on_error: open}}", {"GUARD_SECRET": "shh"}).settings == settings


def test_a_plugin_is_named_as_its_package_names_it_and_given_its_settings(monkeypatch):
    class Points:
        names = frozenset({"shout"})

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: Points() if group == "obol.guards" else None)
    guard = "{kind: plugin, mode: flag, on_error: open, plugin: %s, settings: {limit: 0.5, words: [a]}}"

    assert rule_of(guard % "shout").settings == PluginSettings("shout", '{"limit": 0.5, "words": ["a"]}')
    assert "entry point 'shoot' in the group obol.guards (did you mean shout?)" in refusal_of(guard % "shoot")


def test_guards_stand_before_everything_or_before_the_routes_that_name_them():
    always = catalog_with("{kind: secrets, mode: block, on_error: closed, always: true}")
    named = catalog_with("{kind: secrets, mode: block, on_error: closed}", ", guards: [g]")

    assert (always.always, always.routes["auto"].guards) == (("g",), ())
    assert (named.always, named.routes["auto"].guards) == ((), ("g",))


def test_a_catalog_tells_of_its_guards_and_of_the_routes_that_they_guard():
    told = "\n".join(
        catalog_with(
            "{kind: pii, mode: redact, on_error: closed, where: both, always: true}", ", guards: [g]"
        ).describe()
    )

    assert "auto: ordered, guarded by g, baseline none" in told
    assert "guard g: pii of input and output, redact, closed on error, before everything" in told


def test_what_guards_do_is_in_the_hash_of_the_catalog_and_their_secrets_are_not():
    hook = "{kind: webhook, url: 'https://g.example', secret: '${S}', mode: %s, on_error: open}"
    first = catalog_with(hook % "block", env={"S": "one"})

    assert first.hash == catalog_with(hook % "block", env={"S": "two"}).hash
    assert first.hash != catalog_with(hook % "flag", env={"S": "one"}).hash


def test_a_catalog_is_shown_without_the_secrets_of_its_guards():
    text = BASE.format(
        route="",
        guard="{kind: webhook, url: 'https://u:p@g.example/x', secret: 'a${S}', settings: {token: abc, on: [true, x]}}",
    )
    shown = _without_secrets(parse(text, "c", {"S": "one"}).masked)["guards"]["g"]

    assert shown["url"] == "https://g.example/x"
    assert shown["secret"] == "***${S}"
    assert shown["settings"] == {"token": "***", "on": [True, "***"]}


@pytest.mark.parametrize(
    ("guard", "reason"),
    [
        ("{kind: secrets, on_error: closed}", "guards.g.mode: is missing"),
        ("{kind: secrets, mode: block}", "guards.g.on_error: is missing"),
        ("{mode: block, on_error: open}", "Unable to extract tag using discriminator 'kind'"),
        ("{kind: secret, mode: block, on_error: open}", "'patterns', 'pii', 'secrets'"),
        ("{kind: secrets, mode: block, on_error: open, wher: output}", "unknown key wher (did you mean where?)"),
        ("{kind: secrets, mode: block, on_error: open, kinds: [EMAIL_ADDRESS]}", "unknown key kinds"),
        ("{kind: secrets, mode: block, on_error: open, timeout_s: 61}", "less than or equal to 60"),
        ("{kind: secrets, mode: block, on_error: open, timeout_s: true}", "expected a number"),
        ("{kind: secrets, mode: block, on_error: open, release: whole}", "looks at the input alone"),
        ("{kind: secrets, mode: flag, on_error: open, where: output, on_block: error}", "the guard blocks none"),
        ("{kind: injection, mode: redact, on_error: open}", "which injection does not"),
        (
            "{kind: injection, mode: flag, on_error: open, asked_as: judge}",
            "asked_as says nothing without a classifier",
        ),
        ("{kind: injection, mode: flag, on_error: open, classifier: mm}", "no deployment 'mm' (did you mean m?)"),
        (
            "{kind: injection, mode: flag, on_error: open, classifier: m, block_at: 0.3, escalate_at: 0.4}",
            "escalate_at must not be above block_at",
        ),
        ("{kind: moderation_api, mode: flag, on_error: open, deployment: modd}", "(did you mean mod?)"),
        ("{kind: moderation_api, mode: flag, on_error: open, deployment: mod, thresholds: {hate: 2}}", "less than or"),
        ("{kind: judge, mode: redact, on_error: open, deployment: m, rubric: x}", "which judge does not"),
        ("{kind: webhook, mode: flag, on_error: open, url: 'ftp://x', secret: s}", "expected an address"),
        ("{kind: webhook, mode: flag, on_error: open, url: 'https://x'}", "guards.g.secret: is missing"),
        ("{kind: webhook, mode: flag, on_error: open, url: 'https://x', secret: 'whsec_?'}", "is not base64"),
        ("{kind: pii, mode: flag, on_error: open, kinds: [EMAIL]}", "no kind EMAIL of personal data"),
        ("{kind: pii, mode: flag, on_error: open, kinds: [IBAN_COD]}", "(did you mean IBAN_CODE?)"),
        ("{kind: patterns, mode: flag, on_error: open, deny: {}}", "at least 1 item"),
        ("{kind: patterns, mode: flag, on_error: open, deny: {a: {}}}", "deny.a has neither words nor expressions"),
        (
            "{kind: patterns, mode: flag, on_error: open, deny: {a: {expressions: ['(?<=x)y']}}}",
            "it looks ahead or behind",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(guard, reason):
    told = refusal_of(guard)

    assert "catalog.yaml:7: guards.g" in told
    assert reason in told


def test_a_route_that_names_an_unknown_guard_is_refused():
    told = refusal_of("{kind: secrets, mode: block, on_error: closed}", ", guards: [gg]")

    assert "there is no guard 'gg' (did you mean g?)" in told


def test_a_guard_may_not_ask_where_the_questions_of_a_route_must_not_go():
    told = refusal("""\
        providers: {p: {kind: openai}}
        deployments:
          - {name: here, provider: p, model: gpt-4o, region: eu}
          - {name: there, provider: p, model: gpt-4o, region: us}
        routes: {auto: {deployments: [here], regions: [eu]}}
        guards:
          g: {kind: judge, mode: block, on_error: closed, deployment: there, rubric: x, always: true}
        """)

    assert "the guard 'g' asks 'there', which is not where the route wants its questions" in told


def test_expressions_are_compiled_only_where_a_guard_has_some():
    text = BASE.format(guard="{kind: injection, mode: flag, on_error: open}", route="")
    script = f"""
import sys
from pathlib import Path
from gateway.catalog.file import read_snapshot
read_snapshot({text!r}, "c", {{}}, Path("{NOWHERE}"))
print(sorted(name for name in sys.modules if name == "re2" or name.startswith("policies.screening")))
"""
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout

    assert told.strip() == "[]"
