"""What ``obol prices`` shows of the price list, and how it brings a new one into use."""

from __future__ import annotations

import pytest
from pricelist_parts import chat, written

from gateway.catalog import prices
from gateway.catalog.pricelist import PriceListError
from gateway.settings import Settings


def test_show_tells_all_rates_of_a_model(tmp_path):
    written(
        tmp_path, "prices.json", m=chat(input_cost_per_token_above_200k_tokens=3e-6, input_cost_per_token_flex=5e-7)
    )
    shown = prices.show(Settings(data_dir=tmp_path), "m")
    assert "standard: input 1, output 2" in shown
    assert "above 200,000 input tokens: input 3" in shown
    assert "flex: input 0.5" in shown


def test_show_of_an_unknown_model_names_near_ones(tmp_path):
    written(tmp_path, "prices.json", **{"acme/m": chat()})
    with pytest.raises(PriceListError, match=r"no model 'm'; it has acme/m"):
        prices.show(Settings(data_dir=tmp_path), "m")


def test_show_without_a_model_counts_what_the_list_has(tmp_path):
    written(tmp_path, "prices.json", a=chat(), b={"litellm_provider": "acme"})
    assert "2 models, 1 with prices" in prices.show(Settings(data_dir=tmp_path))


def test_update_tells_the_difference_before_it_applies(tmp_path):
    own = written(tmp_path, "prices.json", same=chat(), gone=chat(), dearer=chat())
    before = own.read_bytes()
    new = written(tmp_path, "new.json", same=chat(), dearer=chat(input_cost_per_token=3e-6), fresh=chat())
    text, apply = prices.update(Settings(data_dir=tmp_path), new)
    assert text.splitlines() == [
        "~ dearer: input 1 -> 3",
        "+ fresh: input 1; output 2",
        "- gone",
        "1 models added, 1 removed, 1 changed (USD per 1M tokens)",
    ]
    assert own.read_bytes() == before
    apply()
    assert own.read_bytes() == new.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"prices.json", "new.json"}


def test_update_tells_of_rates_that_come_and_go(tmp_path):
    written(tmp_path, "prices.json", m=chat(cache_read_input_token_cost=1e-7))
    new = written(tmp_path, "new.json", m=chat(output_cost_per_token_flex=1e-6))
    text, _ = prices.update(Settings(data_dir=tmp_path), new)
    assert text.splitlines()[0] == "~ m: cached_input 0.1 -> none; flex output none -> 1"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "not a price list"),
        ("{}", "states no price"),
        ('{"m": {"litellm_provider": "acme"}}', "states no price"),
        ('{"m": 3}', "m: "),
        ('{"m": {"input_cost_per_token": "x"}}', "m: input_cost_per_token is not a number"),
    ],
)
def test_update_refuses_a_malformed_file_with_the_reason(tmp_path, content, reason):
    bad = tmp_path / "bad.json"
    bad.write_text(content)
    with pytest.raises(PriceListError, match=reason):
        prices.update(Settings(data_dir=tmp_path), bad)
    assert not (tmp_path / "prices.json").exists()


def test_update_refuses_a_file_that_is_not_there(tmp_path):
    with pytest.raises(PriceListError, match=r"none\.json: No such file"):
        prices.update(Settings(data_dir=tmp_path), tmp_path / "none.json")
