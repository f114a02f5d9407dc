"""The folder through which several workers count as one: ``/metrics`` of any of them tells of all."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client looks for it when it is imported


def prepare(data_dir: Path) -> Path:
    """An empty folder; what an earlier run counted is Prometheus's to remember."""
    folder = data_dir.resolve() / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def forget(folder: Path, pid: int) -> None:
    """A worker ended: its counts stay, its gauges of what is alive do not."""
    for file in folder.glob(f"gauge_live*_{pid}.db"):
        with contextlib.suppress(OSError):
            file.unlink()
