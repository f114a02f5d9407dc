"""The catalog's file while the gateway runs: a bad one never takes the place of a good one; and how it is shown."""

from __future__ import annotations

import json
import os

import pytest
from catalog_parts import ISSUE_EXAMPLE, SECRETS, rate, snapshot

from gateway.catalog.file import CatalogFile
from gateway.catalog.show import main_show
from gateway.catalog.text import CatalogError
from gateway.domain import Meter
from gateway.settings import Settings


@pytest.fixture
def live(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text(ISSUE_EXAMPLE)
    return path, CatalogFile.of_path(path, SECRETS, tmp_path)


def replace_file(path, text):
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_an_unchanged_file_is_not_read_again(live):
    _, catalog = live
    before = catalog.current
    assert not catalog.reload_if_changed()
    assert catalog.current is before


def test_a_changed_file_becomes_the_catalog(live):
    path, catalog = live
    replace_file(
        path,
        ISSUE_EXAMPLE.replace("name: mini", "name: small").replace("mini]", "small]").replace(": mini}", ": small}"),
    )
    assert catalog.reload_if_changed()
    assert catalog.current.deployment("small") is not None
    assert catalog.current.deployment("mini") is None


def test_a_touched_file_with_the_same_content_changes_nothing(live):
    path, catalog = live
    before = catalog.current
    os.utime(path, ns=(1, 1))
    assert not catalog.reload_if_changed()
    assert catalog.current is before


def test_a_bad_file_is_refused_once_and_the_old_catalog_stays(live):
    path, catalog = live
    before = catalog.current
    replace_file(path, "providers: {}\ndeployment: []\n")
    with pytest.raises(CatalogError, match=r"catalog\.yaml:2: deployment: unknown key"):
        catalog.reload_if_changed()
    assert catalog.current is before
    assert not catalog.reload_if_changed()
    replace_file(path, ISSUE_EXAMPLE.replace("0.02", "0.03"))
    assert catalog.reload_if_changed()


def test_a_file_that_vanishes_is_refused_and_the_old_catalog_stays(live):
    path, catalog = live
    path.unlink()
    with pytest.raises(CatalogError, match="cannot be read: No such file"):
        catalog.reload_if_changed()
    assert catalog.current.deployment("mini") is not None


def test_a_file_that_is_not_utf8_is_refused_with_its_line(live):
    path, catalog = live
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(CatalogError, match=r"catalog\.yaml:2: is not UTF-8"):
        catalog.reload_if_changed()


def test_new_prices_come_into_force_without_a_restart(live, tmp_path):
    _, catalog = live
    entry = {"litellm_provider": "openai", "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    (tmp_path / "prices.json").write_text(json.dumps({"gpt-5-mini": entry}))
    assert catalog.reload_if_changed()
    assert rate(catalog.current.deployment("mini"), Meter.INPUT) == 10**9


def test_the_catalog_is_shown_with_its_secrets_hidden(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text(
        ISSUE_EXAMPLE.replace(
            "{kind: vllm, base_url:",
            "{kind: vllm, api_key: literal-secret, "
            'headers: {authorization: "Bearer ${OPENAI_API_KEY}", x: other-secret}, '
            'query: {api-version: "2024-10-21", sig: query-secret}, base_url:',
        ).replace("http://gpu-1", "http://user:url-secret@gpu-1")
    )
    shown = main_show(Settings(catalog=path, data_dir=tmp_path), SECRETS)
    assert "secret" not in shown
    assert "${OPENAI_API_KEY}" in shown
    assert "***" in shown
    assert "2024-10-21" in shown
    assert "$0.25 in, $2 out per 1M tokens" in shown


def test_what_is_shown_can_be_used_as_a_file_again(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text(ISSUE_EXAMPLE)
    shown = main_show(Settings(catalog=path, data_dir=tmp_path), SECRETS)
    assert snapshot(shown).hash == snapshot(ISSUE_EXAMPLE).hash


def test_the_description_names_prices_and_what_has_none():
    lines = "\n".join(
        snapshot(
            """\
            providers: {p: {kind: openai}}
            deployments:
              - {name: bare, provider: p, model: no-such-model}
              - {name: open, provider: p, model: no-such-model, unpriced: allow}
              - {name: gift, provider: p, model: x, price: free}
              - {name: sound, provider: p, model: whisper-1}
            """
        ).describe()
    )
    assert "bare  (no-such-model at p)  REFUSED: no price" in lines
    assert "open  (no-such-model at p)  charged nothing, its price is unknown" in lines
    assert "gift  (x at p)  free" in lines
    assert "$0.0001 per second" in lines
