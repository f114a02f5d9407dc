"""`make bench`: measures the gateway on this machine and prints a table. It judges nothing and stops all it starts."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import processes
from tests.bench.bench import Bench
from tests.bench.measures import guards, meaning, per_request, pieces, streams, worker
from tests.bench.processes import Gateway, NotPossible, Server

PARTS: dict[str, Callable[[Bench], None]] = {
    "start": worker.measure_start,
    "cpu": per_request.measure_cpu,
    "stream": streams.measure_streams,
    "dialects": per_request.measure_dialects,
    "translation": pieces.measure_translations,
    "admission": pieces.measure_admission,
    "answers": pieces.measure_answers,
    "deflection": meaning.measure_deflection,
    "embedding": meaning.measure_embedding,
    "semantic": meaning.measure_semantic,
    "similar": meaning.measure_similar,
    "guards": guards.measure_guards,
    "money": per_request.measure_money,
    "routing": per_request.measure_routing,
    "shipping": pieces.measure_shipping,
    "latency": worker.measure_latency,
    "memory": worker.measure_memory,
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    with tempfile.TemporaryDirectory(prefix="obol-bench-") as name:
        folder = Path(name)
        started: list[Server] = []

        def keep(server: Server) -> Server:
            started.append(server)
            return server

        try:
            nginx = keep(processes.start_nginx(folder))
            upstream = keep(processes.start_stream_upstream(folder, streams.STREAM_CHUNKS, streams.STREAM_PAUSE_S))
            floor = keep(processes.start_passthrough(folder, nginx.port))
            stream_floor = keep(processes.start_passthrough(folder, upstream.port))
            gateway, starts_s = _start_gateway(folder, nginx, upstream)
            keep(gateway)
            bench = Bench(options, folder, nginx, upstream, floor, stream_floor, gateway, starts_s)
            print(_heading())
            for part, measure in PARTS.items():
                if part in options.only:
                    measure(bench)
        except NotPossible as exc:
            print(f"bench: {exc}", file=sys.stderr)
            return 1
        finally:
            for server in reversed(started):
                server.stop()
    return 0


def _start_gateway(folder: Path, nginx: Server, upstream: Server) -> tuple[Gateway, tuple[float, float]]:
    first = Gateway(folder, nginx.port, upstream.port)
    try:
        first_s = first.await_answer()
    finally:
        first.stop()
    again = Gateway(folder, nginx.port, upstream.port)
    try:
        again_s = again.await_answer()
        again.move_stores()
    except BaseException:
        again.stop()
        raise
    return again, (first_s, again_s)


def _heading() -> str:
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{when}, Python {platform.python_version()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, "
        f"a million additions in a Python loop take {_additions_ms():.0f} ms of CPU\n"
        "  one worker; authentication, metering and durable ledger on; stores embedded\n"
    )


def _additions_ms() -> float:
    """How fast this machine is just now: on a busy one the same work costs more CPU time, caches being shared."""
    taken = []
    for _ in range(5):
        before, total = time.process_time(), 0
        for number in range(1_000_000):
            total += number
        taken.append((time.process_time() - before) * 1000)
    return min(taken)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="which figures (all)")
    parser.add_argument("--requests", type=int, default=4000, help="requests of one run (4000)")
    parser.add_argument("--warm-up", type=int, default=500, help="requests before the first run (500)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each figure; the median is shown (5)")
    parser.add_argument("--memory-requests", type=int, default=50_000, help="requests that memory is watched over")
    return parser


if __name__ == "__main__":
    sys.exit(main())
