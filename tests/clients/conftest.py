"""Clients as their users install and run them: large packages of others, so only for those who ask for them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).with_name("pages")))  # every folder here reads the pages
pytest.register_assert_rewrite("agent_parts", "page")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Only `make test-clients` (pytest -m clients) comes here."""
    return None if config.option.markexpr == "clients" else True
