"""What docs/clients tells Python programmers to write runs as it stands, and every call of it is on the ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from answering_upstream import TEXT
from page import Elsewhere, packages, python_command, run
from page_user import COST_USD, User

pytestmark = pytest.mark.clients

RESULT = "It is sunny in Rome."
TOLD = f"The tool said: {RESULT}"
CITY = "name='Rome' people=7"
COST = f"cost in USD: {COST_USD}"
EVERY = pytest.mark.parametrize("upstream", ["every dialect", "chat alone", "messages alone"])
# Frameworks take seconds to import; what is translated for them is what is translated for the SDKs that they use.
SOME = pytest.mark.parametrize("upstream", ["every dialect", "chat alone"])


class Reader:
    """Somebody who pastes a page and runs it."""

    def __init__(self, user: User, folder: Path, elsewhere: Elsewhere) -> None:
        self.user, self._folder, self._elsewhere = user, folder, elsewhere

    def says(self, page: str, installed: str) -> list[str]:
        """The lines that the page's program says."""
        settings = {**self.user.settings, **self._elsewhere.settings, "PYTHONPATH": packages(installed)}
        said = run(python_command(page, self._folder), self._folder, **settings)
        self._elsewhere.assert_uncalled()
        return said.splitlines()


@pytest.fixture
def reader_of(user_of: Callable[[str], User], tmp_path: Path, elsewhere: Elsewhere) -> Callable[[str], Reader]:
    return lambda upstream: Reader(user_of(upstream), tmp_path, elsewhere)


def users_in(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["end_user"] for entry in entries if entry["end_user"]]


@EVERY
def test_the_openai_page(reader_of: Callable[[str], Reader], upstream: str) -> None:
    reader = reader_of(upstream)
    once = [TEXT, TEXT, COST, TOLD, CITY]
    assert reader.says("openai-python.md", "agents") == ["models: auto only", *once, *once, f"request: True {COST}"]
    entries = reader.user.paid_for(chat=6, responses=5)
    assert all(entry["tags"] == ["docs", "openai-python"] for entry in entries)
    assert users_in(entries) == ["ada"]


@EVERY
def test_the_anthropic_page(reader_of: Callable[[str], Reader], upstream: str) -> None:
    reader = reader_of(upstream)
    counted = "more than 2 tokens: True"
    expected = [TEXT, TEXT, COST, TOLD, CITY, counted, f"request: True {COST}"]
    assert reader.says("anthropic-python.md", "agents") == expected
    entries = reader.user.paid_for(messages=6)
    assert all(entry["tags"] == ["docs", "anthropic-python"] for entry in entries)
    assert users_in(entries) == ["ada"]


@SOME
def test_the_openai_agents_page(reader_of: Callable[[str], Reader], upstream: str) -> None:
    reader = reader_of(upstream)
    tokens = "tokens of both calls: 240"
    assert reader.says("openai-agents.md", "agents") == [TEXT, TEXT, TOLD, tokens, CITY, TOLD]
    entries = reader.user.paid_for(responses=5, chat=2)
    assert all(entry["tags"] == ["docs", "openai-agents"] for entry in entries)
    assert users_in(entries) == ["ada"] * 2


@SOME
def test_the_pydantic_ai_page(reader_of: Callable[[str], Reader], upstream: str) -> None:
    reader = reader_of(upstream)
    assert reader.says("pydantic-ai.md", "agents") == [TEXT, TEXT, TOLD, CITY] * 3
    entries = reader.user.paid_for(chat=5, responses=5, messages=5)
    assert all(entry["tags"] == ["docs", "pydantic-ai"] for entry in entries)
    assert users_in(entries) == ["ada"] * 6


@SOME
def test_the_langchain_page(reader_of: Callable[[str], Reader], upstream: str) -> None:
    reader = reader_of(upstream)
    assert reader.says("langchain.md", "agents") == [TEXT, TEXT, TOLD, CITY] * 3 + [COST]
    entries = reader.user.paid_for(chat=6, responses=5, messages=5)
    assert sum(entry["tags"] == ["docs", "langchain"] for entry in entries) == len(entries) - 1
    assert users_in(entries) == ["ada"]


def test_the_instructor_page(reader_of: Callable[[str], Reader]) -> None:
    reader = reader_of("chat alone")
    assert reader.says("instructor.md", "llamaindex") == [CITY, CITY, CITY, "tokens: 120"]
    entries = reader.user.paid_for(chat=4)
    assert all(entry["tags"] == ["docs", "instructor"] for entry in entries)
    assert users_in(entries) == ["ada"]


def test_the_llamaindex_page(reader_of: Callable[[str], Reader]) -> None:
    reader = reader_of("chat alone")
    assert reader.says("llamaindex.md", "llamaindex") == [TEXT, TEXT, RESULT, CITY, TOLD]
    entries = reader.user.paid_for(chat=6)
    assert all(entry["tags"] == ["docs", "llamaindex"] for entry in entries)
    assert users_in(entries) == ["ada"] * 6
