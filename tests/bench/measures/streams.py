"""What a chunk of a stream costs."""

from __future__ import annotations

import msgspec

from tests.bench import processes
from tests.bench.bench import Bench, spread
from tests.bench.client import Load
from tests.bench.dialects import CHAT, DIALECTS
from tests.bench.processes import Server
from tests.bench.stream_upstream import VLLM_PATH

STREAMS = 32
STREAM_CHUNKS = 400  # of each stream, the closing usage chunk included, [DONE] not
STREAM_PAUSE_S = 0.005


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
            gateway_us, gateway_merged = stream_us(bench.gateway, msgspec.structs.replace(load, body=body))
            load = bench.load(bench.stream_passthrough, kind="streams", connections=STREAMS, requests=STREAMS)
            floor_us, floor_merged = stream_us(bench.stream_passthrough, msgspec.structs.replace(load, path=path))
            own.append(gateway_us)
            floor.append(floor_us)
            ratios.append(gateway_us / floor_us)
            merged += gateway_merged + floor_merged
        bench.add(f"CPU per chunk, 32 streams: gateway, {name}", spread(own, "us"))
        bench.add("    bare pass-through", spread(floor, "us"))
        bench.add("    ratio", spread(ratios, ""), "<= 1.3")
        bench.add(
            "    chunks that arrived together with another", f"{merged} of {2 * len(own) * STREAMS * STREAM_CHUNKS}"
        )


def stream_us(server: Server, load: Load) -> tuple[float, int]:
    """Microseconds of CPU per upstream chunk, and how many chunks reached the client merged with another."""
    before = server.cpu()
    result = processes.drive(load)
    used = server.cpu().since(before)
    return used.own_s * 1e6 / (STREAMS * STREAM_CHUNKS), result.events - result.reads
