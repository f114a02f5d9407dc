"""The guard that asks for moderation, as requirements."""

from __future__ import annotations

import pytest
from asking_parts import FakeAsking

from backends.guards.moderation_api import TEXTS_PER_CALL, ModerationGuard
from gateway.domain import NOTHING_FOUND, Endpoint, ModerationSettings
from gateway.errors import BudgetExceeded, GuardFailed


def moderation(*results: dict[str, object]) -> dict[str, object]:
    return {"id": "modr-1", "model": "omni", "results": list(results)}


def result(flagged: bool | None = None, **scores: float) -> dict[str, object]:
    said: dict[str, object] = {
        "categories": {name: score >= 0.5 for name, score in scores.items()},
        "category_scores": scores,
    }
    return said if flagged is None else {**said, "flagged": flagged}


def guard(**thresholds: float) -> ModerationGuard:
    return ModerationGuard(ModerationSettings("omni", tuple(thresholds.items())))


async def test_all_texts_are_asked_about_in_one_call():
    asking = FakeAsking(moderation(result(False, hate=0.1), result(False, hate=0.2)))

    await guard().look(["one", "two"], asking)

    assert asking.asked == [("omni", Endpoint.MODERATIONS, {"model": "omni", "input": ["one", "two"]})]


async def test_without_thresholds_it_is_adverse_where_the_model_flags_a_text():
    asking = FakeAsking(moderation(result(False, hate=0.1, violence=0.2), result(True, hate=0.9, violence=0.3)))

    found = await guard().look(["one", "two"], asking)

    assert (found.is_adverse, found.categories, found.score) == (True, ("hate",), 0.9)


async def test_a_model_that_has_no_word_for_flagged_flags_by_its_categories():
    found = await guard().look(["one"], FakeAsking(moderation(result(None, pii=0.7))))

    assert (found.is_adverse, found.categories) == (True, ("pii",))


async def test_a_text_is_adverse_from_its_threshold_on_whatever_the_model_flags():
    said = moderation(result(True, hate=0.9, violence=0.2))

    low = await guard(violence=0.2).look(["one"], FakeAsking(said))
    high = await guard(violence=0.21).look(["one"], FakeAsking(said))

    assert (low.is_adverse, low.categories, low.score) == (True, ("violence",), 0.2)
    assert (high.is_adverse, high.categories, high.score) == (False, (), 0.2)


async def test_a_category_that_the_model_does_not_score_is_never_taken_for_harmless():
    for said in (result(False, hate=0.1), {**result(False), "category_scores": {"violence": None}}):
        with pytest.raises(GuardFailed, match="no score for 'violence'"):
            await guard(violence=0.5).look(["one"], FakeAsking(moderation(said)))


async def test_texts_without_words_are_not_asked_about_and_equal_ones_once():
    asking = FakeAsking(moderation(result(False)))

    assert await guard().look(["", " \n"], asking) == NOTHING_FOUND
    assert asking.asked == []

    await guard().look(["one", "one", ""], FakeAsking(moderation(result(False, hate=0.0))))


async def test_a_long_conversation_is_more_than_one_call():
    texts = [f"text {number}" for number in range(TEXTS_PER_CALL + 1)]
    asking = FakeAsking(moderation(*[result(False)] * TEXTS_PER_CALL), moderation(result(True, hate=1.0)))

    found = await guard().look(texts, asking)

    assert [len(fields["input"]) for _, _, fields in asking.asked] == [TEXTS_PER_CALL, 1]
    assert found.is_adverse


async def test_what_keeps_one_of_several_calls_from_being_made_comes_as_it_is():
    texts = [f"text {number}" for number in range(TEXTS_PER_CALL + 1)]

    with pytest.raises(BudgetExceeded):
        await guard().look(texts, FakeAsking(BudgetExceeded("spent", details={})))


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"results": null}',
        b'{"results": [{"flagged": "no"}]}',
        b'{"results": []}',
        b'{"results": [{}]}',
        b'{"results": [{"flagged": false}, {"flagged": false}]}',
        b'{"results": [{"flagged": false, "category_scores": {"hate": 7}}]}',
        b'{"results": [{"flagged": false, "category_scores": {"hate": "high"}}]}',
        b"[" * 5000,
        b'{"results": [{"flagged": false, "categories": {"\xff": true}}]}',
    ],
)
async def test_nonsense_is_no_verdict(nonsense: bytes):
    with pytest.raises(GuardFailed):
        await guard().look(["one"], FakeAsking(nonsense))


def test_other_thresholds_are_another_version():
    assert guard(hate=0.5).version == guard(hate=0.5).version
    assert guard(hate=0.5).version != guard(hate=0.6).version
