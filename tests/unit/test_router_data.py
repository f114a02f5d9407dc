"""What routers learn from is read as it is, and what cannot be used is refused with its file's name."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.router.data import BadData, read_outcomes, read_pools, read_prompts, write_table

MODELS = """track,model,train_quality,train_usd_per_1k,price_in_per_M,price_out_per_M
qa,weak,0.5,0.1,0.1,0.2
qa,strong,0.9,10,5,15
other,lone,0.7,1,,
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models.csv").write_text(MODELS)
    write_table(
        tmp_path / "prompts.parquet",
        {
            "pid": ["1", "2", "3"],
            "track": ["qa", "qa", "other"],
            "prompt": ["Why?", "", "日本語"],
            "domain": ["a", "b", "c"],
        },
    )
    write_table(
        tmp_path / "outcomes.parquet",
        {
            "pid": ["1", "1", "2", "3", "9"],
            "model": ["strong", "weak", "weak", "lone", "weak"],
            "score": np.array([1.0, 0.0, 0.5, 1.0, 1.0]),
            "cost": np.array([0.01, 0.001, 0.002, 0.5, 9.0]),
            "out_tok": np.array([100, 10, 20, 5, 5], dtype=np.int32),
        },
    )
    return tmp_path


def test_pools_prompts_and_outcomes_are_read_in_one_order(folder):
    pools, prompts = read_pools(folder), read_prompts(folder)
    outcomes = read_outcomes(folder, prompts, pools)

    assert pools["qa"].models == ("strong", "weak")
    assert pools["qa"].strongest == 0
    assert list(pools["qa"].usd) == [0.01, 0.0001]
    assert np.isnan(pools["other"].usd_in).all()
    assert (prompts["qa"].pids, prompts["qa"].texts) == (("1", "2"), ("Why?", ""))
    assert list(prompts["qa"].label("domain")) == ["a", "b"]
    assert list(prompts["qa"].label("split")) == ["", ""]
    np.testing.assert_array_equal(outcomes["qa"].score, [[1.0, 0.0], [np.nan, 0.5]])
    np.testing.assert_array_equal(outcomes["qa"].output_tokens, [[100, 10], [np.nan, 20]])
    assert np.isnan(outcomes["qa"].input_tokens).all(), "the file does not say"
    assert list(outcomes["qa"].is_complete) == [True, False]
    assert outcomes["qa"].where(outcomes["qa"].is_complete).score.shape == (1, 2)
    assert prompts["qa"].where(np.array([False, True])).pids == ("2",)


def test_a_file_that_is_missing_damaged_or_lacks_a_column_is_named(folder):
    (folder / "prompts.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadData, match=r"prompts\.parquet: "):
        read_prompts(folder)
    (folder / "models.csv").write_text("track,model\nqa,weak\n")
    with pytest.raises(BadData, match=r"models\.csv: it has no column train_quality, train_usd_per_1k"):
        read_pools(folder)
    (folder / "models.csv").unlink()
    with pytest.raises(BadData, match="no such file"):
        read_pools(folder)


def test_something_that_is_no_number_where_one_belongs_is_named(folder):
    (folder / "models.csv").write_text(MODELS.replace("0.5", "half"))
    with pytest.raises(BadData, match=r"models\.csv: in its column train_quality is something that is no number"):
        read_pools(folder)


def test_a_table_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(BadData, match=r"nowhere/d\.parquet cannot be written"):
        write_table(tmp_path / "nowhere" / "d.parquet", {"pid": ["1"]})


def test_prompts_may_be_numbered(folder):
    columns = {"pid": np.array([1, 2]), "track": ["qa", "qa"], "prompt": ["Why?", "How?"]}
    write_table(folder / "prompts.parquet", columns)
    figures = {"score": np.array([0.5, 1.0]), "cost": np.array([0.1, 0.2])}
    write_table(folder / "outcomes.parquet", {"pid": np.array([2, 2]), "model": ["weak", "strong"], **figures})
    pools, prompts = read_pools(folder), read_prompts(folder)
    assert list(read_outcomes(folder, prompts, pools)["qa"].is_complete) == [False, True]


def test_a_folder_may_have_any_name(tmp_path):
    place = tmp_path / "it's; here"
    place.mkdir()
    write_table(place / "prompts.parquet", {"pid": ["1"], "track": ["qa"], "prompt": ["x"]})
    assert read_prompts(place)["qa"].texts == ("x",)
