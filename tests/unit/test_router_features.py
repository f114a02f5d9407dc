"""Every prompt has a vector, whatever it is, and what is looked at is looked at as it says."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from router_parts import word_table

from policies.routing.features import HEAD_CHARACTERS, TAIL_CHARACTERS, features, length
from policies.routing.tokens import BYTES_MAX, hashes_of, tokens

TABLE = word_table()
TOKEN = re.compile(rb"[a-z\x80-\xff]+|[0-9]+|[^\sa-z0-9\x80-\xff]")
texts = st.text(st.characters(), max_size=300)  # lone surrogates too


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(texts)
@example("")
@example("\ud800")
@example("日本語のテキスト 한국어 العربية")
@example("1" * 50_000)
@example("\n" * 9_000)
@example("x\nTools: [{}]")
@example("Which?\nA) one\nB) two")
def test_every_prompt_has_a_finite_vector_of_one_length(text):
    found = features(text, TABLE)
    assert found.shape == (length(TABLE),)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@given(st.binary(min_size=1, max_size=200))
def test_tokens_are_runs_of_letters_runs_of_digits_and_single_signs(raw):
    found = tokens(raw)
    lower = raw.translate(bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz"))
    expected = TOKEN.findall(lower)
    assert [lower[start:end] for start, end in zip(found.starts, found.ends, strict=True)] == expected
    same = {}
    for token, code in zip(expected, found.hashes.tolist(), strict=True):
        assert same.setdefault(token, code) == code, "the same token has one hash, wherever it stands"
    assert len(set(same.values())) == len(same)


def test_as_many_bytes_as_are_ever_looked_at_can_be_split():
    assert len(tokens(b"a" * (BYTES_MAX - 1)).hashes) == 1


def test_words_are_known_in_any_case_and_place():
    [code] = hashes_of([b"entropy"])
    assert code in tokens(b"What of ENTROPY?").hashes


def test_of_a_long_prompt_only_head_and_tail_count():
    head, tail = "a " * (HEAD_CHARACTERS // 2), "b " * (TAIL_CHARACTERS // 2)
    one, other = (features(head + middle * 5_000 + tail, TABLE) for middle in ("entropy ", "integer "))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("asked", "other"), [("What is the colour?", "What is the entropy?"), ("Why?", "Why not?")])
def test_other_words_are_another_vector(asked, other):
    assert not np.array_equal(features(asked, TABLE), features(other, TABLE))
