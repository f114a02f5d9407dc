"""A gateway process as the journal sees one, to be killed: opens calls, settles some, says so, and works on."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from redis.exceptions import RedisError

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from journal_parts import charge_of, journal_on, make_intent  # noqa: E402 - found by the line above


async def main(url: str, directory: str, instance: str, open_count: int, settled_count: int) -> None:
    async with journal_on(url, Path(directory), instance) as (journal, _, _):
        intents = [make_intent(f"org-{number % 2}", instance) for number in range(open_count + settled_count)]
        await asyncio.gather(*(journal.open(intent) for intent in intents))
        await asyncio.gather(*(journal.settle(charge_of(intent)) for intent in intents[:settled_count]))
        print("ready", *(intent.id for intent in intents), flush=True)  # noqa: T201 - what the test waits for
        while True:
            with contextlib.suppress(RedisError):
                await journal.beat()
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
