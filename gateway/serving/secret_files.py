"""Secrets that the gateway makes for its owner: small files of mode 0600 in the data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

ADMIN_KEY_PREFIX = "sk-obol-admin-"


def admin_key_file(data_dir: Path) -> Path:
    return data_dir / "admin-key"


def first_key_file(data_dir: Path) -> Path:
    return data_dir / "first-key"


def read(path: Path) -> str:
    """The secret in that file, empty if there is none."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def write(path: Path, secret: str) -> None:
    """Put a secret where only its owner reads it: whole or not at all, and on the disk before this returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, f"{secret}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)


def ensure_admin_key(data_dir: Path) -> str:
    """The admin key of this data folder, made at the first call."""
    path = admin_key_file(data_dir)
    found = read(path)
    if not found:
        found = ADMIN_KEY_PREFIX + secrets.token_urlsafe(32)
        write(path, found)
    return found
