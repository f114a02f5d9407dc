"""What `obol serve` prints when it is ready: where it is, and how to use it at once."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SIMULATOR_NOTICE = """\
  ############################################################################
  #  NO UPSTREAM WAS FOUND: answers come from the BUILT-IN SIMULATOR.         #
  #  They are made up. Set OPENAI_API_KEY (or ANTHROPIC_API_KEY, ...), start  #
  #  a vLLM on localhost:8000, or name a catalog with OBOL_CATALOG.           #
  ############################################################################
"""
SOME_SIMULATED_NOTICE = "  NOTE: some deployments are the BUILT-IN SIMULATOR; their answers are made up.\n"


@dataclass(frozen=True, slots=True)
class Callable:
    """What can be called, as the first worker reports it. ``model`` is a good name for an example."""

    lines: Sequence[str]
    model: str
    is_simulated: bool


def text(
    *, url: str, catalog_given: bool, admin_key_file: Path | None, key_file: Path, new_key: str, can: Callable
) -> str:
    """The whole banner. ``new_key`` is empty except on the first start; the examples read the key from its file."""
    path = key_file.resolve()
    key = f"{new_key}   (also in {path})" if new_key else f"in {path}"
    body = json.dumps({"model": can.model, "messages": [{"role": "user", "content": "Hello!"}]})
    admin = (
        f"in {admin_key_file.resolve()}"
        if admin_key_file
        else "as set in OBOL_ADMIN_KEY (long and random, please: it opens everything)"
    )
    simulated = (SOME_SIMULATED_NOTICE if catalog_given else SIMULATOR_NOTICE) if can.is_simulated else ""
    what = "\n".join(f"  {line}" for line in can.lines)
    return f"""
  Obol serves at    {url}/v1
  virtual key       {key}
  admin key         {admin}

{what}
{simulated}
  curl:

curl {url}/v1/chat/completions -H "Authorization: Bearer $(cat {shlex.quote(str(path))})" \\
  -H "Content-Type: application/json" -d {shlex.quote(body)}

  Python (pip install openai):

from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key=open({str(path)!r}).read().strip())
answer = client.chat.completions.create(model={can.model!r}, messages=[{{"role": "user", "content": "Hello!"}}])
print(answer.choices[0].message.content)

  Ctrl-C stops it. `obol try "a question"` asks it; `obol ledger tail` follows what it costs.
"""
