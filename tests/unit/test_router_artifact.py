"""The file that a router is: the same content is the same file, and whatever is not right is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.router.artifact import BYTES_MAX, Artifact, BadArtifact, packed, read, unpacked, write

ARRAYS = {
    "table": np.arange(12, dtype=np.int8).reshape(3, 4),
    "weights": np.array([0.5, -1.0, 1e30]),
    "empty": np.zeros((0, 7), dtype=np.float16),
}
ARTIFACT = Artifact(b'{"made":"here"}', ARRAYS)


def test_what_was_written_is_read(tmp_path):
    version = write(ARTIFACT, tmp_path / "router.obol")
    found = read(tmp_path / "router.obol")
    assert (found.about, found.version) == (ARTIFACT.about, version)
    assert found.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)
        assert not found.arrays[name].flags.writeable


def test_the_same_content_is_the_same_file_whatever_the_order_of_its_arrays():
    assert packed(ARTIFACT) == packed(Artifact(ARTIFACT.about, dict(reversed(ARRAYS.items()))))
    assert packed(ARTIFACT) != packed(Artifact(b"{}", ARRAYS))


@given(st.data())
def test_a_file_with_any_byte_changed_or_cut_off_is_refused(data):
    good = packed(ARTIFACT)
    at = data.draw(st.integers(0, len(good) - 1))
    damaged = data.draw(
        st.sampled_from([good[:at], good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :], good + good[at : at + 1]])
    )
    with pytest.raises(BadArtifact):
        unpacked(damaged)


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail_otherwise(content):
    with pytest.raises(BadArtifact):
        unpacked(content)


def test_an_older_format_is_refused_with_what_to_do():
    with pytest.raises(BadArtifact, match="format 1, this version reads 2: train anew"):
        unpacked(packed(ARTIFACT).replace(b"obol-router 2 ", b"obol-router 1 ", 1))


def test_a_router_that_is_too_large_is_neither_written_nor_read(tmp_path):
    with pytest.raises(ValueError, match="more than"):
        write(Artifact(b"{}", {"big": np.zeros(BYTES_MAX, dtype=np.int8)}), tmp_path / "big.obol")
    with (tmp_path / "big.obol").open("wb") as file:
        file.truncate(BYTES_MAX + 1)
    with pytest.raises(BadArtifact, match="larger"):
        read(tmp_path / "big.obol")


def test_arrays_of_objects_are_never_written():
    with pytest.raises(ValueError, match="no router has"):
        packed(Artifact(b"{}", {"objects": np.array([{}], dtype=object)}))
