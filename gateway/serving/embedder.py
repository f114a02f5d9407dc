"""The process that holds vectors: `python -m gateway.serving.embedder <listening fd> [module:factory]`.

One for all workers of a machine; the supervisor starts it when the first of them connects. Settings come by
environment. ``factory`` makes the encoder, given a folder.
"""

from __future__ import annotations

import os
import sys

_MINILM = "gateway.serving.embedder_process:minilm"


def main(arguments: list[str]) -> int:
    """Serve on the inherited socket; returns the exit status."""
    # Told before numpy is loaded: it computes in one thread of ours, and is to take no other core.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from gateway.serving import embedder_process  # noqa: PLC0415

    return embedder_process.serve(int(arguments[0]), arguments[1] if len(arguments) > 1 else _MINILM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
