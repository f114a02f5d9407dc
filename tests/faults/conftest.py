"""Fixtures of the fault tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_parts import Serving
from replicas import Replicas
from running_gateway import UpstreamProcess

WRONG_CLOCK = Path(__file__).with_name("wrong_clock")
CLOCKS_OFF_S = (-2, 2, 40 * 86_400)  # the last lives in another hour, day, week and month


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory):
    """A data folder from which a gateway has served; tests leave it whole, and nothing runs in it between them."""
    serving = Serving(tmp_path_factory.mktemp("served") / "data").wait_ready()
    serving.signal(signal.SIGINT)
    assert serving.end() == 0
    serving.clean_up()
    return serving.data_dir


@pytest.fixture
def serve(served_folder):
    """Start an `obol serve` with ``serve(folder)``; each is stopped when the test ends."""
    started: list[Serving] = []

    def start(folder: Path = served_folder, **options: str) -> Serving:
        started.append(Serving(folder, **options))
        return started[-1]

    yield start
    for one in started:
        one.clean_up()


@pytest.fixture(scope="session")
def upstream() -> Iterator[UpstreamProcess]:
    """The scripted upstream; tests know their calls by names of their own."""
    process = UpstreamProcess()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def replicas(tmp_path_factory):
    """Three gateways on one Postgres and one Valkey. Whoever kills one of them starts it again.

    Their clocks disagree: whatever is proven with them holds in spite of that (test_proof_clocks.py).
    """
    paths = os.pathsep.join(filter(None, (str(WRONG_CLOCK), os.environ.get("PYTHONPATH"))))
    clocks = [{"PYTHONPATH": paths, "CLOCK_OFF_S": str(off_s)} for off_s in CLOCKS_OFF_S]
    with Replicas(tmp_path_factory.mktemp("replicas"), settings_of=clocks) as running:
        yield running
