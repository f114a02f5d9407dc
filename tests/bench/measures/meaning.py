"""What it costs to see what a text means: deflection, the encoder, and the look for what is near or similar."""

from __future__ import annotations

from tests.bench import deflecting, embedding, semantic, similar
from tests.bench.bench import Bench, spread


def measure_deflection(bench: Bench) -> None:
    """What deflection takes of the event loop for a request, over messages of many kinds, in this process."""
    for what, taken in deflecting.measure().items():
        value = f"{taken.median_us:.0f} us, 99 %: {taken.p99_us:.0f} us"
        bench.add(what, value, "99 %: <= 1000 us")


def measure_embedding(bench: Bench) -> None:
    """A sentence's vector, on one core of this process, and what a process with the encoder takes."""
    folder = bench.folder / "encoder"
    for tokens, spent in embedding.measure(folder, bench.options.runs).items():
        bench.add(f"embedding of {tokens} tokens: CPU, p50", spread([one.p50_ms for one in spent], "ms"))
        bench.add("    p95", spread([one.p95_ms for one in spent], "ms"), "<= 10 ms" if tokens == 50 else "")
    bench.add("memory of a process that encodes (RSS)", f"{embedding.memory_mb(folder):.0f} MB", "about 100 MB")


def measure_semantic(bench: Bench) -> None:
    """A look for what is near a text, over its socket, in an embedder that has one core and many questions."""
    looked = semantic.measure(bench.folder / "semantic", bench.options.runs)
    what = f"{semantic.TOKENS} tokens among {semantic.QUESTIONS:,} questions"
    bench.add(f"what is near {what}, p50", spread(looked.p50_ms, "ms"))
    bench.add("    p95", spread(looked.p95_ms, "ms"), "<= 10 ms")
    bench.add("    CPU of the embedder", spread(looked.cpu_ms, "ms"))
    bench.add("    its memory (RSS)", f"{looked.memory_mb:.0f} MB")
    bench.add("    start until all is known / in order", f"{looked.read_s:.1f} / {looked.settled_s:.1f} s")


def measure_similar(bench: Bench) -> None:
    """What a look for similar questions takes of a worker, beside the embedder, in this process."""
    for what, taken in similar.measure(bench.folder / "similar").items():
        bench.add(what, f"{taken.median_ms:.2f} ms, at a stretch at most {taken.most_ms:.1f} ms")
