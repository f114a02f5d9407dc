"""One serving process: `python -m gateway.serving.worker <listening fd> <report fd or -1> <module:factory>`.

Started by the supervisor, at the same time as the stores, so that the imports cost no waiting. It reads one line from
standard input, which says that the stores are up and migrated, and serves until SIGTERM. Settings come by environment.
"""

from __future__ import annotations

import gc
import sys


def main(arguments: list[str]) -> int:
    # Imports make objects that stay; walking them again and again took a sixth of the time to import everything.
    gc.disable()
    from gateway.serving import server  # noqa: PLC0415

    return server.serve(int(arguments[0]), int(arguments[1]), arguments[2])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
