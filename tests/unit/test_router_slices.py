"""Questions are told apart by language, length and tools: by their text, and by their features where that is all."""

from __future__ import annotations

import numpy as np
import pytest
from router_parts import word_table

from policies.routing.features import features
from policies.routing.slices import seen_in, slices_of

WORDS = word_table()


@pytest.mark.parametrize(
    ("text", "language", "seen"),
    [
        ("What is the capital of the country with the longest river?", "english", "english"),
        ("Wie heißt die Hauptstadt und wie viele Menschen wohnen nicht auf dem Land?", "german", "other"),
        ("Quelle est la capitale du pays dans lequel les gens sont riches ?", "french", "other"),
        ("¿Cuál es la capital del país con los ríos más largos y por qué?", "spanish", "other"),
        ("대한민국의 수도는 어디입니까? 이유를 설명하세요.", "korean", "korean"),
        ("日本の首都はどこですか。", "japanese", "other script"),
        ("中国的首都在哪里。请说明理由。", "chinese", "other script"),
        ("Какая столица этой страны?", "cyrillic", "other script"),
        ("ما هي عاصمة هذا البلد؟", "arabic", "other script"),
        ("x^2 + y^2 = z^2", "unclear", "other"),
        ("The word привет is a Russian greeting; what does it mean in the language of Goethe?", "english", "english"),
        ("", "unclear", "other"),
    ],
)
def test_the_language_is_told_by_script_and_by_common_words(text, language, seen):
    assert slices_of(text)[0] == language
    assert seen_in(features(text, WORDS))[0] == seen


@pytest.mark.parametrize("length", [0, 1, 199, 200, 201, 999, 1000, 3999, 4000, 30_000])
def test_lengths_and_tools_are_seen_in_the_features_as_they_are_in_the_text(length):
    text = ("word " * (length // 5 + 1))[:length]
    for asked in (text, f'{text}\nTools: [{{"name": "f"}}]'):
        assert seen_in(features(asked, WORDS))[1:] == slices_of(asked)[1:]


def test_features_from_a_record_tell_the_same_but_at_the_very_edge_of_a_length():
    for length in (150, 250, 900, 1100, 3900, 4100):
        vector = features("word " * (length // 5), WORDS).astype(np.float16).astype(np.float32)
        assert seen_in(vector)[1] == slices_of("word " * (length // 5))[1]
