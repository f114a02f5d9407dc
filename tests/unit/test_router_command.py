"""`obol router`: from data to an artifact, from an artifact to predictions and decisions, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from router_parts import POOL, a_track, word_table, write_data

from gateway.cli import main
from gateway.router import artifact
from gateway.router.data import read_prompts
from gateway.router.training import from_artifact, to_artifact, train

WORDS = word_table()


def written(folder, *, has_outcomes=True):
    """The world's prompts and outcomes as files."""
    return write_data(folder, a_track(500, words=WORDS), has_outcomes=has_outcomes)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """An artifact whose word table knows the world."""
    path = tmp_path_factory.mktemp("words") / "words.obol"
    artifact.write(to_artifact(train([a_track(200, words=WORDS)], WORDS), {}), path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, words):
    folder = tmp_path_factory.mktemp("trained")
    out = folder / "router.obol"
    assert main(["router", "train", "--data", str(written(folder)), "--words", str(words), "--out", str(out)]) == 0
    return out


def read_table(path):
    import duckdb  # noqa: PLC0415

    return duckdb.sql(f"SELECT * FROM '{path}'").fetchnumpy()  # noqa: S608 - a file of the test's


def test_what_was_trained_predicts_every_model_for_every_prompt(tmp_path, trained, capsys):
    data, out = written(tmp_path / "data", has_outcomes=False), tmp_path / "p.parquet"
    assert main(["router", "predict", "--artifact", str(trained), "--data", str(data), "--out", str(out)]) == 0
    found = read_table(out)
    assert list(found) == ["pid", "model", "quality", "cost_usd"]
    pids = read_prompts(data)["world"].pids
    asked = {(pid, model) for pid in pids for model in POOL.models}
    assert set(zip(found["pid"], found["model"], strict=True)) == asked
    assert len(found["pid"]) == len(asked)
    assert np.isfinite(found["quality"]).all()
    assert (found["cost_usd"] > 0).all()
    assert f"router {artifact.read(trained).version}: 1,000 predictions" in capsys.readouterr().out


def test_decisions_need_no_outcomes_and_say_whether_they_are_certified(tmp_path, trained, capsys):
    data, out = written(tmp_path / "data", has_outcomes=False), tmp_path / "d.parquet"
    command = ["router", "decide", "--artifact", str(trained), "--data", str(data), "--out", str(out)]
    assert main([*command, "--quality-loss-max", "0.1"]) == 0
    found = read_table(out)
    assert list(found) == ["pid", "model"]
    assert sorted(found["pid"]) == sorted(read_prompts(data)["world"].pids)
    assert set(found["model"]) == set(POOL.models)
    assert main([*command, "--quality-loss-max", "0", "--certified"]) == 0
    assert set(read_table(out)["model"]) == {"large"}, "so little is certified that the strongest model answers"
    said = capsys.readouterr().out
    assert "world: a loss of 10.00% is" in said
    assert "decisions in" in said


def test_eval_tells_the_figures_as_a_table_and_as_json(tmp_path, words, trained, capsys):
    data = written(tmp_path / "data")
    assert main(["router", "eval", "--data", str(data), "--artifact", str(trained)]) == 0
    table = capsys.readouterr().out
    assert "in distribution, in % of the strongest model" in table
    assert "headroom" in table
    assert "cascade: saved at 98 % quality, all calls charged" in table
    assert main(["router", "eval", "--data", str(data), "--artifact", str(words), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cascade"]["macro"].keys() >= {"router", "cascade", "pair", "quality", "saved"}
    found = told["in distribution"]
    assert found["macro"].keys() >= {"headroom", "q@20", "save@98", "save@100", "worst", "quality", "saved"}
    assert 0 < found["prompts"]["world"] < 500, "a part is kept to be judged on"
    low, high = found["intervals"]["save@98"]
    assert low <= found["macro"]["save@98"] <= high


def test_what_is_promised_is_told_as_a_table_and_a_track_that_is_not_there_is_refused(tmp_path, trained, capsys):
    data = written(tmp_path / "data")
    command = ["router", "guarantee", "--artifact", str(trained), "--data", str(data), "--quality-loss-max", "0.2"]
    assert main([*command, "--route", "world"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("With 95% confidence world loses at most 20.0% of the quality of always asking large:")
    assert "domain" in told
    assert main([*command, "--route", "nowhere"]) == 1
    assert "no track 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "eval", "predict", "decide", "guarantee"])
def test_data_that_cannot_be_used_are_refused_in_a_line(tmp_path, command, capsys):
    out = {"eval": [], "guarantee": ["--route", "world"]}.get(command, ["--out", str(tmp_path / "out")])
    assert main(["router", command, "--data", str(tmp_path), *out]) == 1
    assert "there is no such file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_damaged_artifact_is_refused_and_so_is_a_loss_that_is_none(tmp_path, trained, capsys):
    data = written(tmp_path / "data", has_outcomes=False)
    damaged = tmp_path / "damaged.obol"
    damaged.write_bytes(trained.read_bytes()[:-1])
    command = ["router", "decide", "--data", str(data), "--out", str(tmp_path / "d.parquet")]
    assert main([*command, "--artifact", str(damaged)]) == 1
    assert "damaged or was changed" in capsys.readouterr().err
    for wrong in ("-0.1", "1", "nan", "much"):
        with pytest.raises(SystemExit):
            main([*command, "--quality-loss-max", wrong])


def test_the_router_that_ships_is_small_and_knows_its_pools():
    router = from_artifact(artifact.read(artifact.DEFAULT))
    assert artifact.DEFAULT.stat().st_size < artifact.BYTES_MAX
    assert set(router.known) == {"mmlu_pro", "routellm", "skt", "zeroeval"}
    assert len(router.version) == 12
    features = router.features(["", "Which is the derivative of x^2?\nA) x\nB) 2x", "日本語", "x" * 200_000])
    for known in router.known.values():
        predicted = known.predictor.predict(features)
        assert np.isfinite(predicted.quality).all()
        assert (predicted.cost > 0).all()


@pytest.mark.parametrize("learned_from", [(), ("--from-decisions", "--data", "folder")])
def test_who_trains_says_what_from(tmp_path, learned_from, capsys):
    out = tmp_path / "router.obol"
    assert main(["router", "train", "--out", str(out), *learned_from]) == 1
    assert "--data FOLDER or --from-decisions" in capsys.readouterr().err
    assert not out.exists()
