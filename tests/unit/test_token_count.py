"""Counting tokens where an upstream reports none: offline, exact for the known encodings, and never a failure."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from backends import token_count
from backends.token_count import PIECE_CHARS, TiktokenCounter, encoding_files, encoding_name, pieces


@pytest.fixture(scope="module")
def counter():
    made = TiktokenCounter()
    yield made
    made.close()


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-mini", "o200k_base"), ("gpt-4.1", "o200k_base"), ("gpt-5-mini", "o200k_base"), ("o3", "o200k_base"),
        ("gpt-4", "cl100k_base"), ("gpt-4-turbo", "cl100k_base"), ("gpt-3.5-turbo", "cl100k_base"),
        ("ft:gpt-3.5-turbo:acme", "cl100k_base"), ("openai/gpt-4-0613", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"), ("meta-llama/Llama-3.1-8B", "o200k_base"), ("", "o200k_base"),
    ],
)  # fmt: skip
def test_each_model_has_its_encoding(model, encoding):
    assert encoding_name(model) == encoding


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(("model", "tokens"), [("gpt-4o", 6), ("gpt-4", 6)])
async def test_known_texts_count_exactly_without_a_network(model, tokens):
    counter = TiktokenCounter()
    assert await counter.count(model, "tiktoken is great!") == tokens
    assert await counter.count(model, "hello world") == 2
    counter.close()


async def test_nothing_counts_nothing(counter):
    assert await counter.count("gpt-4o", "") == 0


async def test_special_tokens_are_text(counter):
    assert await counter.count("gpt-4o", "<|endoftext|>") > 1


@pytest.mark.parametrize(
    "text", ["\ud800 alone", "\0" * 1000, "汉字" * 1000, "a" * 100_000, " " * 100_000, "👩‍👩‍👧" * 999]
)
async def test_no_text_is_too_odd_to_count(counter, text):
    assert await counter.count("gpt-4o", text) > 0


async def test_a_long_text_counts_as_if_it_were_not_cut(counter):
    text = "The ferryman takes one coin for each passage. " * 10_000
    assert await counter.count("gpt-4o", text) == len(counter._encodings["o200k_base"].encode_ordinary(text))


@given(st.text(max_size=300), st.integers(1, 40))
def test_the_pieces_of_a_text_are_short_and_add_up_to_it(text, size):
    original = token_count.PIECE_CHARS
    token_count.PIECE_CHARS = size
    try:
        parts = pieces(text)
    finally:
        token_count.PIECE_CHARS = original
    assert "".join(parts) == text
    assert all(len(part) <= size for part in parts)


def test_pieces_break_before_a_space():
    parts = pieces("word " * PIECE_CHARS)
    assert all(part.startswith(" ") for part in parts[1:])


@pytest.mark.usefixtures("no_network")
async def test_without_the_encoding_files_the_bytes_are_counted_and_nothing_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr(token_count, "encoding_files", lambda: tmp_path)
    counter = TiktokenCounter()
    assert await counter.count("gpt-4o", "x" * 41) == 11
    counter.close()


async def test_a_closed_counter_still_gives_a_number():
    counter = TiktokenCounter()
    counter.close()
    assert await counter.count("gpt-4o", "x" * 40) == 10


def test_the_files_are_found_without_importing_litellm_and_nothing_is_loaded_before_it_is_needed():
    code = (
        "import sys; from backends.token_count import *; TiktokenCounter(); assert encoding_files(); "
        "sys.exit('litellm' in sys.modules or 'tiktoken' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_names_of_the_files_are_those_that_tiktoken_looks_for():
    folder = encoding_files()
    assert folder is not None
    assert set(token_count._FILES) <= set(tiktoken.list_encoding_names())
    assert all((folder / name).is_file() for name in token_count._FILES.values())
