"""What the tests of similar answers share: two replicas of two workers, with questions and who asks them.

Every answer says for whom it was made (knowing_upstream.py), so that one that is given to somebody else shows.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from house import House
from own_valkey import OwnValkey, own_valkey
from replica_client import Answer, ask, text_of
from replicas import Replicas

GATEWAYS, WORKERS = 2, 2
PATIENCE_S = 60.0
CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-upstream}
deployments:
  - {name: good, provider: up, model: good, price: {input: 1, output: 2}}
routes:
  of-team: {deployments: [good], cache: {exact: {}, semantic: {wrong_answers_max: 0.2}}}
  of-key: {deployments: [good], cache: {exact: {scope: key}, semantic: {wrong_answers_max: 0.2}}}
  of-organization: {deployments: [good], cache: {exact: {scope: organization}, semantic: {wrong_answers_max: 0.2}}}
  purged: {deployments: [good], cache: {exact: {}, semantic: {wrong_answers_max: 0.2}}}
  changing: {deployments: [good], cache: {exact: {}, semantic: {wrong_answers_max: 0.01}}}
"""
# The words are the same to the guards; the number sets questions apart.
WORDINGS = (
    "How do I enable two factor login for account {}?",
    "how can i enable two factor login for account {}",
    "Please tell me how I enable two factor login for account {}.",
    "How do I enable two-factor login for account {}? Thanks!",
    "how would I enable two factor login for account {}?",
    "Hello, how do I enable two factor login for account {}?",
    "hi! How could I enable two factor login for account {} please",
)
_BLANKS = itertools.count(1)


@contextmanager
def similar_replicas(folder: Path) -> Iterator[tuple[Replicas, OwnValkey]]:
    """And the Valkey that holds their answers alone."""
    upstream = Path(__file__).with_name("knowing_upstream.py")
    settings = {"OBOL_WORKERS": str(WORKERS), "OBOL_SIMILAR_WITHIN_MS": "10000"}
    with (
        own_valkey() as valkey,
        Replicas(
            folder, CATALOG, count=GATEWAYS, upstream=upstream, OBOL_CACHE_REDIS_URL=valkey.url, **settings
        ) as all_,
    ):
        yield all_, valkey


def like(wording: str, number: int) -> str:
    """The question in these words, with other blanks each time, so that nobody has asked the very same."""
    blanks = f"{next(_BLANKS):b}".replace("0", " ").replace("1", "\t")
    return wording.format(number) + blanks


def body_of(
    question: str, text: str, *, route: str = "of-team", is_stream: bool = False, **told: Any
) -> dict[str, Any]:
    """``text``: what it is answered if a model answers it; ``told``: what else the upstream is to know."""
    messages = [{"role": "user", "content": question}]
    metadata = {"text": text, **told}
    return {"model": route, "messages": messages, "temperature": 0, "stream": is_stream, "metadata": metadata}


def is_similar(answer: Answer) -> bool:
    return answer.headers.get("x-obol-cache") == "hit-semantic"


@dataclass(slots=True)
class Asking:
    """One key's questions, each of the next gateway."""

    session: aiohttp.ClientSession
    house: House
    key: Mapping[str, Any]
    route: str = "of-team"
    statuses: Counter[str] = field(default_factory=Counter)
    _urls: Iterator[str] | None = None

    async def ask(
        self,
        number: int,
        text: str,
        *,
        wording: str = WORDINGS[0],
        is_same: bool = False,
        url: str | None = None,
        **told: Any,
    ) -> Answer:
        """Raises aiohttp.ClientError where no answer began, TimeoutError where none came.

        ``is_same``: in these very words, as others may have asked.
        """
        if self._urls is None:
            self._urls = itertools.cycle([gateway.url for gateway in self.house.replicas.gateways])
        question = wording.format(number) if is_same else like(wording, number)
        body = body_of(question, text, route=self.route, **told)
        answer = await ask(self.session, url or next(self._urls), self.key, body)
        self.statuses[answer.headers.get("x-obol-cache", "none")] += 1
        return answer

    async def until_found(self, number: int, text: str, urls: Iterable[str] = ()) -> None:
        """Until a similar question is given a kept answer at all of these, or at every gateway."""
        for url in [*urls] or [gateway.url for gateway in self.house.replicas.gateways]:
            async with asyncio.timeout(PATIENCE_S):
                while not is_similar(answer := await self.ask(number, text, url=url)):
                    assert text_of(answer) is not None, answer
                    await asyncio.sleep(0.02)


def answered_once(entries: Iterable[Mapping[str, Any]]) -> None:
    """Each request ended in one answer entry, and was looked up once at most."""
    by_purpose = Counter((str(one["purpose"]), str(one["request_id"])) for one in entries)
    assert {count for (_, _), count in by_purpose.items()} == {1}, by_purpose.most_common(3)
    requests = {request for purpose, request in by_purpose if purpose == "answer"}
    looked = {request for purpose, request in by_purpose if purpose == "embedding"}
    assert looked <= requests
