"""The pages of docs/clients as programs: what stands in their code blocks is what is run."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs" / "clients"
SECONDS_MAX = 100  # a client that waits for something that never comes


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)


class Elsewhere:
    """Stands for all of the internet: the proxy of every client, which nobody may call."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)

    @property
    def settings(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), url)
        return {**proxies, "NO_PROXY": "127.0.0.1"}

    def assert_uncalled(self) -> None:
        try:
            caller, _ = self._socket.accept()
        except BlockingIOError:
            return
        with caller:
            caller.settimeout(1)
            pytest.fail(f"the client called elsewhere: {caller.recv(200)!r}", pytrace=False)

    def close(self) -> None:
        self._socket.close()


def run(command: list[str], folder: Path, **environment: str) -> str:
    """What a command says, in an environment that has nothing of ours but what is given."""
    plain = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **environment}
    done = subprocess.run(
        command,
        cwd=folder,
        env=plain,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def python_command(page: str, folder: Path) -> list[str]:
    """All Python blocks of a page as one program."""
    program = folder / "page.py"
    program.write_text("\n".join(blocks(page, "python")))
    return [sys.executable, "-P", str(program)]


def shell_command(page: str) -> list[str]:
    """All shell lines of a page, the first failure ending them."""
    return ["bash", "-euc", "\n".join(blocks(page, "sh"))]


def packages(name: str) -> str:
    """The folder of packages that goes before all others."""
    folder = ROOT / f".venv-clients-{name}"
    if not (folder / "installed").exists():
        pytest.fail(f"{folder.name} is missing: `make test-clients` installs it", pytrace=False)
    return str(folder)


def javascript_command(page: str, folder: Path) -> list[str]:
    """All JavaScript blocks of a page as one program, beside the packages that it imports."""
    program = folder / "page.mjs"
    program.write_text("\n".join(blocks(page, "js")))
    (folder / "node_modules").symlink_to(node_packages())
    return ["node", str(program)]


def node_packages() -> Path:
    folder = ROOT / "tests" / "clients" / "javascript" / "node_modules"
    if shutil.which("node") is None or not (folder / "installed").exists():
        pytest.fail("Node.js 20 or newer and the packages are needed: `make test-clients` installs them", pytrace=False)
    return folder
