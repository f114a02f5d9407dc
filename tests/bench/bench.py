"""What stands while the figures are taken, and how a figure is shown."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.bench.client import Load
from tests.bench.dialects import CHAT, DIALECTS
from tests.bench.processes import Gateway, Server

SETTLE_S = 0.7  # so that what was charged last has been shipped when the CPU is read


@dataclass(slots=True)
class Bench:
    """Everything that stands while the figures are taken."""

    options: argparse.Namespace
    folder: Path
    nginx: Server
    upstream: Server
    passthrough: Server
    stream_passthrough: Server
    gateway: Gateway
    starts_s: tuple[float, float]  # the first in an empty folder, and the next

    def add(self, figure: str, value: str, target: str = "") -> None:
        print(f"  {figure:<66} {value:<34} {target}", flush=True)

    def load(self, server: Server, dialect: str = CHAT, **what: object) -> Load:
        is_gateway = server is self.gateway
        headers = self.gateway.headers() if is_gateway else {"content-type": "application/json"}
        asked = DIALECTS[dialect]
        body = asked.body(is_stream=what["kind"] == "streams")
        return msgspec.convert(
            {"port": server.port, "path": asked.path, "headers": headers, "body": body, **what}, Load
        )


def spread(values: Sequence[float], unit: str) -> str:
    """The median, and between which values it lies."""
    digits = 1 if unit == "us" else 3 if unit == "ms" else 2
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} {unit} ({low:.{digits}f}-{high:.{digits}f})".replace("  ", " ")
