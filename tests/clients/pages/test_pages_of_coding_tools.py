"""aider and Continue, set up as their pages say, edit a file through the gateway."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from answering_upstream import DONE, TEXT
from page import Elsewhere, blocks, node_packages, packages, run, shell_command
from page_user import User

pytestmark = pytest.mark.clients

AUTHOR = {f"GIT_{role}_{field}": "ada@example.com" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}


def test_aider_edits_and_commits(user_of: Callable[[str], User], tmp_path: Path, elsewhere: Elsewhere) -> None:
    user = user_of("chat alone")
    (tmp_path / "coin.py").write_text('print("obol")\n')
    for name, language in (("conf.yml", "yaml"), ("model.settings.yml", "yml"), ("model.metadata.json", "json")):
        (content,) = blocks("aider.md", language)
        (tmp_path / f".aider.{name}").write_text(content)
    installed = packages("aider")
    run(["bash", "-euc", "git init --quiet; git add coin.py; git commit --quiet -m start"], tmp_path, **AUTHOR)
    run(
        shell_command("aider.md"),
        tmp_path,
        PATH=f"{installed}/bin:{os.environ['PATH']}",
        PYTHONPATH=installed,
        **AUTHOR,
        **user.settings,
        **elsewhere.settings,
    )
    assert (tmp_path / "coin.py").read_text() == 'print("drachma")\n'
    assert run(["git", "log", "--format=%s", "-1"], tmp_path).strip() == TEXT
    entries = user.paid_for(chat=2)
    assert all(entry["tags"] == ["docs", "aider"] for entry in entries)
    elsewhere.assert_uncalled()


def test_continue_reads_and_edits(user_of: Callable[[str], User], tmp_path: Path, elsewhere: Elsewhere) -> None:
    user = user_of("chat alone")
    (tmp_path / "coin.py").write_text('print("obol")\n')
    (config,) = blocks("continue.md", "yaml")
    (tmp_path / "config.yaml").write_text(config)
    path = f"{node_packages()}/.bin:{os.environ['PATH']}"
    said = run(shell_command("continue.md"), tmp_path, PATH=path, **user.settings, **elsewhere.settings)
    assert said.strip() == DONE
    assert (tmp_path / "coin.py").read_text() == 'print("drachma")\n'
    entries = user.paid_for(chat=3)
    assert all(entry["tags"] == ["docs", "continue"] for entry in entries)
    elsewhere.assert_uncalled()
