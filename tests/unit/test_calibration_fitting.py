"""What was tried becomes a track of a router, beside those it knew, and no more is promised than is known."""

from __future__ import annotations

import numpy as np
import pytest
from router_parts import a_track, word_table

from gateway.router import artifact, training
from gateway.router.calibration.fitting import fit_route
from gateway.router.calibration.lines import Line
from gateway.router.calibration.outcomes import Gathered, write_folder
from gateway.router.calibration.plan import Priced
from gateway.router.calibration.scoring import Exact
from gateway.router.data import BadData, read_outcomes, read_pools, read_prompts

PRICES = (Priced("large", 10**9, 4 * 10**9), Priced("small", 10**8, 4 * 10**8))


@pytest.fixture(scope="module")
def base():
    """A router that knows another track."""
    words = word_table()
    router = training.train([a_track(120, words=words)], words)
    return artifact.unpacked(artifact.packed(training.to_artifact(router, {"world": 120}, "a test")))


def gathered(count, *, judged_share, measured):
    """Outcomes of which a judge alone has scored some; it is right, and measured by the others or never."""
    track = a_track(count, seed=9)
    is_judged = np.arange(count) < judged_share * count
    lines = tuple(
        Line(number, f"p{number}", {}, text, "", "", None if is_judged[number] else Exact(("x",)), None)
        for number, text in enumerate(track.prompts.texts)
    )
    score, cost = track.outcomes.score, track.outcomes.cost
    judge = np.where(is_judged[:, None] | measured, score, np.nan)
    return Gathered(lines, ("large", "small"), score, judge, cost, np.ones_like(cost), np.ones_like(cost), {})


def test_a_route_becomes_a_track_beside_the_others(tmp_path, base):
    write_folder(gathered(300, judged_share=0, measured=False), "auto", PRICES, tmp_path)
    fitted = fit_route(base, "auto", tmp_path, (0.1, 0.0))
    before, after = training.from_artifact(base), training.from_artifact(fitted.artifact)
    assert (set(after.known), after.known["auto"].models) == ({"world", "auto"}, ("large", "small"))
    assert after.known["world"].unit_usd == before.known["world"].unit_usd
    assert (fitted.prompts, fitted.strongest) == (300, "large")
    economy, best = fitted.levels
    assert economy.is_certified
    assert economy.shares["small"] > 0.4
    assert 0.3 < economy.saved < 1
    assert sum(economy.shares.values()) == pytest.approx(1)
    assert not best.is_certified
    again = fit_route(fitted.artifact, "auto", tmp_path, (0.1,))
    assert set(training.from_artifact(again.artifact).known) == {"world", "auto"}


@pytest.mark.parametrize(
    ("judged_share", "measured", "is_certified"), [(0.5, True, True), (0.5, False, False), (1, True, False)]
)
def test_a_judges_word_is_certified_only_where_the_judge_was_measured(
    tmp_path, base, judged_share, measured, is_certified
):
    write_folder(gathered(500, judged_share=judged_share, measured=measured), "auto", PRICES, tmp_path)
    (level,) = fit_route(base, "auto", tmp_path, (0.2,)).levels
    assert level.is_certified == is_certified
    assert level.shares["small"] > 0.3, "it is aimed all the same"


def test_who_trains_on_the_folder_anew_is_promised_no_more(tmp_path):
    write_folder(gathered(100, judged_share=1, measured=True), "auto", PRICES, tmp_path)
    pools, prompts = read_pools(tmp_path), read_prompts(tmp_path)
    words = word_table()
    tracks = training.tracks_of(pools, prompts, read_outcomes(tmp_path, prompts, pools), words)
    assert (training.train(tracks, words).known["auto"].operating.certified == -1).all()


def test_too_few_prompts_teach_nothing(tmp_path, base):
    write_folder(gathered(49, judged_share=0, measured=False), "auto", PRICES, tmp_path)
    with pytest.raises(BadData):
        fit_route(base, "auto", tmp_path, (0.1,))
