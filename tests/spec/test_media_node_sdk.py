"""The official Node SDK, unchanged, with sound and images: its forms are written by another hand than Python's."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from media_parts import picture, sound
from running_gateway import Gateway
from scripted.media import SECONDS, SOUND
from spec_parts import TEXT, Books

FOLDER = Path(__file__).parent / "node"


def test_the_official_node_sdk_speaks_hears_and_paints_unchanged(
    gateway: Gateway, books: Books, tmp_path: Path
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is missing: install Node.js 20 or newer (Debian: nodejs and npm)", pytrace=False)
    if not (FOLDER / "node_modules" / "openai").exists():
        pytest.fail("its packages are missing: `make test` installs them", pytrace=False)
    files = [tmp_path / "wörd.wav", tmp_path / "a.png"]
    files[0].write_bytes(sound())
    files[1].write_bytes(picture())
    command = [node, "media.mjs", gateway.base_url, gateway.first_key, *map(str, files)]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert told["spoken"] == sum(map(len, SOUND))
    assert told["cut"] is not None
    assert told["heard"] == TEXT
    assert told["events"][-1] == "transcript.text.done"
    assert told["images"] == 2
    assert books.entry(told["requests"]["heard"])["cost_nusd"] == SECONDS * 100_000
    assert books.entry(told["requests"]["edited"])["cost_nusd"] == 2 * 40_000_000
