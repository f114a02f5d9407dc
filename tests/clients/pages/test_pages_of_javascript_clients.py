"""What docs/clients tells JavaScript programmers to write runs as it stands, and every call of it is on the ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from answering_upstream import TEXT
from page import javascript_command, run
from page_user import COST_USD, User

pytestmark = pytest.mark.clients

TOLD = "The tool said: It is sunny in Rome."
CITY = "{ name: 'Rome', people: 7 }"
COST = f"cost in USD: {COST_USD}"
EVERY = pytest.mark.parametrize("upstream", ["every dialect", "chat alone", "messages alone"])


@pytest.fixture
def says(tmp_path: Path) -> Callable[[User, str], list[str]]:
    """The lines that the page's program says."""
    return lambda user, page: run(javascript_command(page, tmp_path), tmp_path, **user.settings).splitlines()


@EVERY
def test_the_openai_page(user_of: Callable[[str], User], says: Callable[[User, str], list[str]], upstream: str) -> None:
    user = user_of(upstream)
    once = [TEXT, TEXT, COST, TOLD, CITY]
    assert says(user, "openai-node.md") == ["models: auto only", *once, *once, COST]
    entries = user.paid_for(chat=6, responses=5)
    assert all(entry["tags"] == ["docs", "openai-node"] for entry in entries)
    assert [entry["end_user"] for entry in entries if entry["end_user"]] == ["ada"]


@EVERY
def test_the_anthropic_page(
    user_of: Callable[[str], User], says: Callable[[User, str], list[str]], upstream: str
) -> None:
    user = user_of(upstream)
    assert says(user, "anthropic-node.md") == [TEXT, TEXT, COST, TOLD, CITY, COST]
    entries = user.paid_for(messages=6)
    assert all(entry["tags"] == ["docs", "anthropic-node"] for entry in entries)
    assert [entry["end_user"] for entry in entries if entry["end_user"]] == ["ada"]


@EVERY
def test_the_vercel_ai_sdk_page(
    user_of: Callable[[str], User], says: Callable[[User, str], list[str]], upstream: str
) -> None:
    user = user_of(upstream)
    once = [TEXT, TEXT, TEXT, "tokens: 120", TOLD, CITY]
    assert says(user, "vercel-ai-sdk.md") == [*once * 4, COST]
    entries = user.paid_for(responses=6, chat=13, messages=6)
    assert all(entry["tags"] == ["docs", "vercel"] for entry in entries)
    assert [entry["end_user"] for entry in entries if entry["end_user"]] == ["ada"]
