"""A catalog that makes no sense is refused with its line and the reason, and no secret is ever shown."""

from __future__ import annotations

import re

import pytest
from catalog_parts import ISSUE_EXAMPLE, refusal, refusal_of, snapshot, with_deployment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.catalog.text import CatalogError, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("providers: {p: {kind: openai}}\nproviders: {}\n", ":2: 'providers' stands twice, first on line 1"),
        ("providers: [\n", "catalog.yaml:2: not YAML"),
        ('a: "${NOPE}"\nb: 1\n', "catalog.yaml:1: the environment variable NOPE is not set"),
        ('a:\n  - b: "${not a name}"\n', "catalog.yaml:2: '${not a name}' is not of the form ${NAME}"),
        ("a: ${OPENAI_API_KEY\n", "is not of the form ${NAME}"),
        ("a: .inf\n", "catalog.yaml:1: write .inf as a plain decimal number"),
        ("a: &x [*x]\n", "contains itself"),
        ("a: !!python/object:os.system x\n", "is not allowed"),
        ("1: 2\n", "catalog.yaml:1: a key must be text"),
        ("", "providers: is missing"),
        ("- a\n", "expected keys and values"),
        ("providers: {}\ndeployments: {}\n", "catalog.yaml:2: deployments: "),
        ("providers: {}\ndeployments: []\nrouts: {}\n", ":3: routs: unknown key routs (did you mean routes?)"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_catalog_is_refused_with_line_and_reason(text, expected):
    assert expected in refusal(text)


@pytest.mark.parametrize(
    ("deployment", "reason"),
    [
        ("{name: m, provider: q, model: x}", "there is no provider 'q'"),
        ("{name: m, provider: p}", "deployments.0.model: is missing"),
        ("{name: m, provider: p, model: x, prise: free}", "unknown key prise (did you mean price?)"),
        ("{name: m, provider: p, model: x, price: {inptu: 1}}", "unknown key inptu (did you mean input?)"),
        ("{name: m, provider: p, model: x, price: {input: -1, output: 1}}", "greater than or equal to 0"),
        ("{name: m, provider: p, model: x, price: {input: 1e9, output: 1}}", "less than or equal to"),
        ("{name: m, provider: p, model: x, price: {input: true, output: 1}}", "expected a number"),
        ("{name: m, provider: p, model: x, price: {input: cheap, output: 1}}", "price.input"),
        ("{name: m, provider: p, model: x, price: {output: 1}}", "output but not input"),
        ("{name: m, provider: p, model: x, price: {}}", "at least one rate"),
        ("{name: m, provider: p, model: x, price: {input: 1, context_tiers: {}}}", "unknown key context_tiers"),
        ("{name: m, provider: p, model: x, price: {input: 1, output: 1, above_k: {input: 1}}}", "unknown key above_k"),
        ("{name: m, provider: p, model: x, price: {input: 1, output: 1, above_2k: {batch: {}}}}", "unknown key batch"),
        ("{name: m, provider: p, model: gpt-4o, price: {input: 1}}", "needs an output rate"),
        ("{name: m, provider: p, model: x, price: cheap}", "expected rates, such as {input: 0.5, output: 2}"),
        ("{name: m, provider: p, model: x, price: free, unpriced: allow}", "give one of price, price_of, unpriced"),
        ("{name: m, provider: p, model: x, price_of: gtp-4o}", "no price of 'gtp-4o' (did you mean gpt-4o?)"),
        ("{name: m, provider: p, model: x, requests_per_minute: 0}", "requests_per_minute"),
        ("{name: m, provider: p, model: x, requests_per_minute: 1, limits: {tokens_per_minute: 1}}", "either in"),
        ("{name: 'a b', provider: p, model: x}", "deployments.0.name"),
        ("{name: 7, provider: p, model: x}", "deployments.0.name: Input should be a valid string"),
        ("{name: m, provider: p, model: x, mode: chatt}", "deployments.0.mode"),
    ],
)  # fmt: skip
def test_a_deployment_that_makes_no_sense_is_refused(deployment, reason):
    text = refusal_of(deployment)
    assert reason in text
    assert text.startswith("catalog.yaml:3: ")


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("{kind: opneai}", "providers.p.kind"),
        ("{kind: vllm}", "kind vllm needs a base_url"),
        ("{kind: openai_compatible}", "kind openai_compatible needs a base_url"),
        ("{kind: azure}", "kind azure needs a base_url"),
        ("{kind: litellm}", "needs litellm_provider"),
        ("{kind: openai, base_url: api.openai.com}", "providers.p.base_url"),
        ("{kind: openai, base_url: 'https://[x/v1'}", "expected an address"),
        ("{kind: openai, base_url: 'https://x:port/v1'}", "expected an address"),
        ("{kind: openai, base_url: 'ftp://x/v1'}", "expected an address"),
        ("{kind: openai, api_key: 'two words'}", "providers.p.api_key"),
        ("{kind: openai, api_key: 'ends in a line break\\n'}", "a key is printable ASCII"),
        ("{kind: openai, headers: {'a b': x}}", "the name of an HTTP header"),
        ('{kind: openai, headers: {a: "x\\r\\nauthorization: y"}}', "without line breaks"),
        ("{kind: openai, discount_pct: 101}", "providers.p.discount_pct"),
        ("{kind: openai, timeouts: {connect: 1}}", "unknown key connect (did you mean connect_s?)"),
        ("{kind: openai, timeouts: {connect_s: 0}}", "providers.p.timeouts.connect_s"),
        ("{kind: openai, api_kye: x}", "unknown key api_kye (did you mean api_key?)"),
    ],
)
def test_a_provider_that_makes_no_sense_is_refused(provider, reason):
    text = refusal_of("{name: m, provider: p, model: gpt-4o}", provider)
    assert reason in text
    assert text.startswith("catalog.yaml:1: ")


@pytest.mark.parametrize(
    ("more", "line", "reason"),
    [
        ("routes: {r: {deployments: [mm]}}", 4, "there is no deployment 'mm' (did you mean m?)"),
        ("routes:\n  r:\n    deployments:\n      - m\n      - zzz", 8, "there is no deployment 'zzz'"),
        ("routes: {r: {deployments: [m, m]}}", 4, "'m' stands twice"),
        ("routes: {r: {deployments: []}}", 4, "routes.r.deployments"),
        ("routes: {r: {deployments: [m], policy: orderd}}", 4, "routes.r.policy"),
        ("routes: {r: {deployments: [m], baseline: zzz}}", 4, "there is no deployment 'zzz'"),
        ("routes: {r: {deployments: [m], baseline: bare}}", 4, "the baseline 'bare' has no price"),
        ("routes: {m: {deployments: [m]}}", 4, "the name 'm' is taken on line 3"),
        ("defaults: {moderations: zzz}", 4, "there is no route or deployment 'zzz'"),
        ("defaults: {chat: m}", 4, "unknown key chat"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_on_its_line(more, line, reason):
    members = "{name: m, provider: p, model: gpt-4o}, {name: bare, provider: p, model: no-such-model}"
    text = refusal(f"providers: {{p: {{kind: openai}}}}\ndeployments:\n  [{members}]\n{more}\n")
    assert f"catalog.yaml:{line}: " in text
    assert reason in text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_mangled_file_is_read_or_refused_but_never_breaks(data):
    parts = re.findall(r"\w+|\W", ISSUE_EXAMPLE)
    signs = [
        "{",
        "}",
        "[",
        "]",
        "- ",
        "&a ",
        "*a",
        "<<: ",
        "? ",
        "!!int ",
        "0x1f",
        "1:30",
        "~",
        "\n  ",
        "|",
        "%",
        "\x85",
        ".nan",
    ]
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(parts) - 1))
        parts[place : place + data.draw(st.integers(0, 2))] = [
            data.draw(st.sampled_from([*signs, *sorted(set(parts))]))
        ]
    lines = said_of("".join(parts))
    assert lines
    assert all(lines)


def said_of(text):
    """The description of a catalog, or the lines of its refusal."""
    try:
        return snapshot(text).describe()
    except CatalogError as refused:
        return [str(problem) for problem in refused.problems if problem.line >= 1 and problem.reason]


def test_two_deployments_of_one_name_are_refused():
    text = refusal(
        """\
        providers: {p: {kind: openai}}
        deployments:
          - {name: m, provider: p, model: gpt-4o}
          - {name: m, provider: p, model: gpt-4o-mini}
        """
    )
    assert "catalog.yaml:4: the name 'm' is taken on line 3" in text


def test_all_faults_are_told_at_once_in_the_order_of_their_lines():
    text = refusal(
        """\
        providers:
          p: {kind: openai, api_kye: x}
        deployments:
          - {name: m, provider: p}
          - {name: n, provider: p, model: x, prise: 1}
        """
    )
    assert [line.split(":")[1] for line in text.splitlines()] == ["2", "4", "5"]


def test_no_representation_shows_a_secret():
    provider = '{kind: openai, api_key: "${OPENAI_API_KEY}", headers: {a: other-secret}, query: {sig: secret-too}}'
    catalog = with_deployment("{name: m, provider: p, model: gpt-4o}", provider)
    assert "secret" not in repr(catalog)
    assert "secret" not in "\n".join(catalog.describe())


def test_a_refusal_never_shows_a_secret():
    text = refusal_of(
        "{name: m, provider: p, model: gpt-4o}",
        '{kind: openai, api_key: ["${OPENAI_API_KEY}"], base_url: "${ANTHROPIC_API_KEY}", zzz: "${OPENAI_API_KEY}"}',
    )
    text += refusal_of(
        "{name: m, provider: p, model: x}", '{kind: openai, api_key: "${OPENAI_API_KEY} ${ANTHROPIC_API_KEY}"}'
    )
    assert "secret" not in text


def test_aliases_of_aliases_that_stand_for_millions_of_parts_are_refused_with_their_line():
    levels = ["a0: &a0 [" + ", ".join("x" * 9) + "]"]
    levels += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 8)]
    assert re.match(r"catalog\.yaml:\d+: .*more than 200000 parts", refusal("\n".join(levels)))


def test_merges_of_merges_cost_no_more_than_what_is_left_of_them():
    levels = ["a0: &a0 {k: 1}"]
    levels += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30)]
    assert parse("\n".join(levels), "catalog.yaml", {}).data["a29"] == {"k": 1}
