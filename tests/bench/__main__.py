"""`make bench`: measures the gateway on this machine and prints a table. It judges nothing and stops all it starts."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.bench import (
    admission,
    deflecting,
    embedding,
    processes,
    recalling,
    routing,
    semantic,
    shipping,
    similar,
    translations,
)
from tests.bench.client import Load, Result
from tests.bench.dialects import CHAT, DIALECTS
from tests.bench.money import BUDGETS, ROWS, Money
from tests.bench.processes import Gateway, NotPossible, Server
from tests.bench.stream_upstream import VLLM_PATH

STREAMS = 32
STREAM_CHUNKS = 400  # of each stream, the closing usage chunk included, [DONE] not
STREAM_PAUSE_S = 0.005
SETTLE_S = 0.7  # so that what was charged last has been shipped when the CPU is read
PARTS = (
    "start",
    "cpu",
    "stream",
    "dialects",
    "translation",
    "admission",
    "answers",
    "deflection",
    "embedding",
    "semantic",
    "similar",
    "money",
    "routing",
    "shipping",
    "latency",
    "memory",
)


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
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, figure: str, value: str, target: str = "") -> None:
        self.rows.append((figure, value, target))
        print(f"  {figure:<66} {value:<34} {target}", flush=True)

    def load(self, server: Server, dialect: str = CHAT, **what: object) -> Load:
        is_gateway = server is self.gateway
        headers = self.gateway.headers() if is_gateway else {"content-type": "application/json"}
        asked = DIALECTS[dialect]
        body = asked.body(is_stream=what["kind"] == "streams")
        return msgspec.convert(
            {"port": server.port, "path": asked.path, "headers": headers, "body": body, **what}, Load
        )


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
            upstream = keep(processes.start_stream_upstream(folder, STREAM_CHUNKS, STREAM_PAUSE_S))
            floor = keep(processes.start_passthrough(folder, nginx.port))
            stream_floor = keep(processes.start_passthrough(folder, upstream.port))
            gateway, starts = _start_gateway(folder, nginx, upstream)
            keep(gateway)
            bench = Bench(options, folder, nginx, upstream, floor, stream_floor, gateway)
            print(_heading())
            if "start" in options.only:
                bench.add("first start to first answer", f"{starts[0]:.2f} s", "< 4 s")
                bench.add("restart to first answer", f"{starts[1]:.2f} s", "< 2 s")
            for part, measure in _MEASURES.items():
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


def measure_cpu(bench: Bench) -> None:
    """CPU milliseconds per request, next to what the upstream and a bare pass-through need."""
    for connections in (1, 32):
        for name, server, target in (
            ("gateway", bench.gateway, "<= 0.6 ms"),
            ("bare pass-through", bench.passthrough, ""),
            ("nginx itself", bench.nginx, ""),
        ):
            own, stores = [], []
            bench_load = bench.load(server, kind="closed", connections=connections, requests=bench.options.requests)
            processes.drive(msgspec.structs.replace(bench_load, requests=bench.options.warm_up))
            for _ in range(bench.options.runs):
                before = server.cpu()
                result = processes.drive(bench_load)
                time.sleep(SETTLE_S)
                used = server.cpu().since(before)
                own.append(used.own_s * 1000 / result.requests)
                stores.append(used.stores_s * 1000 / result.requests)
            bench.add(f"CPU per request, {connections:2} connections: {name}", _spread(own, "ms"), target)
            if server is bench.gateway:
                bench.add("    its embedded Postgres and Valkey", _spread(stores, "ms"))


def measure_streams(bench: Bench) -> None:
    """CPU per chunk against the pass-through in the same run; both see the same streams."""
    chat = DIALECTS[CHAT]
    for name, model, path in (
        ("OpenAI-like, usage hidden", chat.stream_model, chat.path),
        ("vLLM-like, usage on each chunk, hidden", "vllm-stream", VLLM_PATH),
    ):
        ratios, own, floor = [], [], []
        merged = 0
        for _ in range(bench.options.runs):
            body = chat.body(is_stream=True).replace(chat.stream_model, model)
            load = bench.load(bench.gateway, kind="streams", connections=STREAMS, requests=STREAMS)
            gateway_us, gateway_merged = _stream_us(bench.gateway, msgspec.structs.replace(load, body=body))
            load = bench.load(bench.stream_passthrough, kind="streams", connections=STREAMS, requests=STREAMS)
            floor_us, floor_merged = _stream_us(bench.stream_passthrough, msgspec.structs.replace(load, path=path))
            own.append(gateway_us)
            floor.append(floor_us)
            ratios.append(gateway_us / floor_us)
            merged += gateway_merged + floor_merged
        bench.add(f"CPU per chunk, 32 streams: gateway, {name}", _spread(own, "us"))
        bench.add("    bare pass-through", _spread(floor, "us"))
        bench.add("    ratio", _spread(ratios, ""), "<= 1.3")
        bench.add(
            "    chunks that arrived together with another", f"{merged} of {2 * len(own) * STREAMS * STREAM_CHUNKS}"
        )


def _stream_us(server: Server, load: Load) -> tuple[float, int]:
    """Microseconds of CPU per upstream chunk, and how many chunks reached the client merged with another."""
    before = server.cpu()
    result = processes.drive(load)
    used = server.cpu().since(before)
    return used.own_s * 1e6 / (STREAMS * STREAM_CHUNKS), result.events - result.reads


def measure_dialects(bench: Bench) -> None:
    """The verbatim dialects beside chat, run by run in turns: the same question, the same answer, the same chunks."""
    whole: dict[str, list[float]] = {name: [] for name in DIALECTS}
    chunks: dict[str, list[float]] = {name: [] for name in DIALECTS}
    for _ in range(bench.options.runs):
        for name in DIALECTS:
            load = bench.load(bench.gateway, name, kind="closed", connections=32, requests=bench.options.requests)
            processes.drive(msgspec.structs.replace(load, requests=bench.options.warm_up))
            before = bench.gateway.cpu()
            result = processes.drive(load)
            time.sleep(SETTLE_S)
            whole[name].append(bench.gateway.cpu().since(before).own_s * 1000 / result.requests)
            load = bench.load(bench.gateway, name, kind="streams", connections=STREAMS, requests=STREAMS)
            chunks[name].append(_stream_us(bench.gateway, load)[0])
    for name in DIALECTS:
        target = "" if name == CHAT else "<= chat"
        ratio = statistics.median(a / b for a, b in zip(whole[name], whole[CHAT], strict=True))
        bench.add(f"CPU per request, 32 connections: {name}", f"{_spread(whole[name], 'ms')}, {ratio:.2f} x", target)
        ratio = statistics.median(a / b for a, b in zip(chunks[name], chunks[CHAT], strict=True))
        bench.add(f"    per chunk, 32 streams: {name}", f"{_spread(chunks[name], 'us')}, {ratio:.2f} x", target)


def measure_translations(bench: Bench) -> None:
    """CPU of the translations alone, in this process: a 100 kB agent's body, and one event of a long stream."""
    for name, request_ms, event_us in translations.measure(bench.options.runs):
        bench.add(f"translation {name}: a request of 100 kB", _spread(request_ms, "ms"), "<= 0.3 ms")
        bench.add("    one event of its answer", _spread(event_us, "us"), "<= 60 us")


def measure_admission(bench: Bench) -> None:
    """Admission and settlement alone, in a process of their own, without rules and with five budgets and ten limits."""
    bare, ruled = admission.measure(bench.folder / "admission", bench.options.runs)
    for index, (what, target) in enumerate(
        (
            ("admission: CPU of the gateway", "adds <= 200 us"),
            ("    in Redis", ""),
            ("settlement: CPU of the gateway", ""),
            ("    in Redis", ""),
        )
    ):
        without, with_rules = [one[index] for one in bare], [one[index] for one in ruled]
        added = statistics.median(with_rules) - statistics.median(without)
        bench.add(what, f"{_spread(without, 'us')} -> {_spread(with_rules, 'us')}, {added:+.1f} us", target)


def measure_answers(bench: Bench) -> None:
    """What the exact cache adds to a request alone, in a process of its own."""
    found = recalling.measure(bench.folder / "answers", bench.options.runs)
    rows = ("exact cache: a hit", "    streamed", "    a miss that is kept", "    a response, streamed")
    for index, what in enumerate(rows):
        target = "" if "miss" in what else "adds <= 300 us"
        bench.add(what, _spread([one[index] for one in found], "us"), target)


def measure_deflection(bench: Bench) -> None:
    """What deflection takes of the event loop for a request, over messages of many kinds, in this process."""
    for what, taken in deflecting.measure().items():
        value = f"{taken.median_us:.0f} us, 99 %: {taken.p99_us:.0f} us"
        bench.add(what, value, "99 %: <= 1000 us")


def measure_embedding(bench: Bench) -> None:
    """A sentence's vector, on one core of this process, and what a process with the encoder takes."""
    folder = bench.folder / "encoder"
    for tokens, spent in embedding.measure(folder, bench.options.runs).items():
        bench.add(f"embedding of {tokens} tokens: CPU, p50", _spread([one.p50_ms for one in spent], "ms"))
        bench.add("    p95", _spread([one.p95_ms for one in spent], "ms"), "<= 10 ms" if tokens == 50 else "")
    bench.add("memory of a process that encodes (RSS)", f"{embedding.memory_mb(folder):.0f} MB", "about 100 MB")


def measure_semantic(bench: Bench) -> None:
    """A look for what is near a text, over its socket, in an embedder that has one core and many questions."""
    looked = semantic.measure(bench.folder / "semantic", bench.options.runs)
    what = f"{semantic.TOKENS} tokens among {semantic.QUESTIONS:,} questions"
    bench.add(f"what is near {what}, p50", _spread(looked.p50_ms, "ms"))
    bench.add("    p95", _spread(looked.p95_ms, "ms"), "<= 10 ms")
    bench.add("    CPU of the embedder", _spread(looked.cpu_ms, "ms"))
    bench.add("    its memory (RSS)", f"{looked.memory_mb:.0f} MB")
    bench.add("    start until all is known / in order", f"{looked.read_s:.1f} / {looked.settled_s:.1f} s")


def measure_similar(bench: Bench) -> None:
    """What a look for similar questions takes of a worker, beside the embedder, in this process."""
    for what, taken in similar.measure(bench.folder / "similar").items():
        bench.add(what, f"{taken.median_ms:.2f} ms, at a stretch at most {taken.most_ms:.1f} ms")


def measure_money(bench: Bench) -> None:
    """CPU per request without a budget, with five budgets and ten limits, and then with many and a full ledger."""
    money = Money(bench.gateway.data_dir)
    load = bench.load(bench.gateway, kind="closed", connections=32, requests=bench.options.requests)
    medians: list[float] = []
    for what, prepare, target in (
        ("no budgets, no limits", None, ""),
        ("five budgets and ten limits", money.add_rules, "<= 0.8 ms"),
        (f"the same among {BUDGETS:,} budgets", money.add_many_budgets, "the same"),
        (f"the same, and {ROWS:,} ledger rows", money.add_rows, "the same"),
    ):
        if prepare is not None:
            prepare()
        processes.drive(msgspec.structs.replace(load, requests=bench.options.warm_up))
        own, stores, scripts, script_us = [], [], [], []
        for _ in range(bench.options.runs):
            before, redis_before = bench.gateway.cpu(), money.redis_use()
            result = processes.drive(load)
            time.sleep(SETTLE_S)
            used, redis = bench.gateway.cpu().since(before), money.redis_use()
            own.append(used.own_s * 1000 / result.requests)
            stores.append(used.stores_s * 1000 / result.requests)
            scripts.append((redis.scripts - redis_before.scripts) / result.requests)
            script_us.append((redis.script_us - redis_before.script_us) / result.requests)
        medians.append(statistics.median(own))
        more = f", {medians[-1] - medians[0]:+.3f} ms" if prepare else ""
        bench.add(f"CPU per request, 32 connections: {what}", _spread(own, "ms") + more, target)
        bench.add("    its embedded Postgres and Valkey", _spread(stores, "ms"))
        bench.add("    round trips to Redis, and the time that it spends in them", _trips(scripts, script_us), "2")


def _trips(scripts: Sequence[float], script_us: Sequence[float]) -> str:
    return f"{statistics.median(scripts):.2f}, {_spread(script_us, 'us')}"


def measure_routing(bench: Bench) -> None:
    """CPU per request of what decides, run by run in turns: a route's order against a router's forecast of four."""
    asked = {
        "ordered-four": routing.question("ordered-four", 500),
        "cheapest-four, 500 bytes": routing.question("cheapest-four", 500),
        "cheapest-four, 2 kB": routing.question("cheapest-four", 2000),
        "cheapest-four, third turn of a conversation": routing.conversation("cheapest-four", 500),
    }
    taken: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(bench.options.runs):
        for name, body in asked.items():
            load = bench.load(bench.gateway, kind="closed", connections=32, requests=bench.options.requests)
            load = msgspec.structs.replace(load, body=body)
            processes.drive(msgspec.structs.replace(load, requests=bench.options.warm_up))
            before = bench.gateway.cpu()
            result = processes.drive(load)
            time.sleep(SETTLE_S)
            taken[name].append(bench.gateway.cpu().since(before).own_s * 1000 / result.requests)
    first = taken["ordered-four"]
    for name, values in taken.items():
        added = statistics.median(one - other for one, other in zip(values, first, strict=True))
        bench.add(f"CPU per request, 32 connections: {name}", f"{_spread(values, 'ms')}, {added:+.3f} ms")


def measure_shipping(bench: Bench) -> None:
    """Entries a second from the journal to Postgres, and how long anything else in the process waits meanwhile."""
    shipped = shipping.measure(bench.folder / "shipping", bench.options.runs)
    rate = [one.entries_per_s for one in shipped]
    bench.add(
        "entries shipped to Postgres",
        f"{statistics.median(rate):,.0f}/s ({min(rate):,.0f}-{max(rate):,.0f})",
        ">= 5,000/s",
    )
    bench.add("    CPU of the gateway for each", _spread([one.cpu_us for one in shipped], "us"))
    longest, middle, most = zip(*(one.lag_ms for one in shipped), strict=True)
    bench.add("    what else runs waits, median", _spread(middle, "ms"))
    bench.add("    ... 99 %", _spread(most, "ms"))
    bench.add("    ... longest", _spread(longest, "ms"))


def measure_latency(bench: Bench) -> None:
    """Latency at half of the highest rate, through the gateway less direct to the upstream, random arrivals."""
    closed = bench.load(bench.gateway, kind="closed", connections=32, requests=bench.options.requests)
    rates = [_rate(processes.drive(closed)) for _ in range(3)]
    rate = statistics.median(rates)
    bench.add("highest rate, 32 connections", f"{rate:.0f} requests/s")
    added: dict[int, list[float]] = {50: [], 99: []}
    for _ in range(bench.options.runs):
        through = _at_rate(bench, bench.gateway, rate / 2)
        direct = _at_rate(bench, bench.nginx, rate / 2)
        for percent, values in added.items():
            values.append(_percentile(through, percent) - _percentile(direct, percent))
    bench.add(f"added latency at {rate / 2:.0f} requests/s, p50", _spread(added[50], "ms"), "<= 1 ms")
    bench.add(f"added latency at {rate / 2:.0f} requests/s, p99", _spread(added[99], "ms"), "<= 5 ms")


def _at_rate(bench: Bench, server: Server, rate: float) -> Result:
    return processes.drive(bench.load(server, kind="open", connections=32, requests=int(rate * 4), rate=rate))


def _rate(result: Result) -> float:
    return result.requests / result.seconds


def _percentile(result: Result, percent: int) -> float:
    return statistics.quantiles(result.latencies_ms, n=100)[percent - 1]


def measure_memory(bench: Bench) -> None:
    """Memory of a fresh worker, then after many requests: flat means that nothing is kept."""
    bench.gateway.stop()
    fresh = Gateway(bench.folder, bench.nginx.port, bench.upstream.port)
    try:
        fresh.await_answer()
        fresh.move_stores()
        bench.gateway = fresh
        done = 1
        total = bench.options.memory_requests
        for mark in sorted({1, min(10_000, total), min(50_000, total), min(100_000, total), total}):
            if mark > done:
                processes.drive(bench.load(fresh, kind="closed", connections=32, requests=mark - done))
                done = mark
            time.sleep(SETTLE_S)
            info = fresh.worker().memory_full_info()
            value = f"{info.pss / 1e6:.1f} MB (RSS {info.rss / 1e6:.1f})"
            bench.add(f"memory of the worker (PSS) after {mark:,} requests", value, "<= 130 MB, flat")
    finally:
        fresh.stop()


_MEASURES: dict[str, Callable[[Bench], None]] = {
    "cpu": measure_cpu,
    "stream": measure_streams,
    "dialects": measure_dialects,
    "translation": measure_translations,
    "admission": measure_admission,
    "answers": measure_answers,
    "deflection": measure_deflection,
    "embedding": measure_embedding,
    "semantic": measure_semantic,
    "similar": measure_similar,
    "money": measure_money,
    "routing": measure_routing,
    "shipping": measure_shipping,
    "latency": measure_latency,
    "memory": measure_memory,
}


def _spread(values: Sequence[float], unit: str) -> str:
    digits = 1 if unit == "us" else 3 if unit == "ms" else 2
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} {unit} ({low:.{digits}f}-{high:.{digits}f})".replace("  ", " ")


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
