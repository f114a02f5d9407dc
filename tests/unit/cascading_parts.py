"""What tests of cascades share: gates, scripted answers, a path with a cascade and what it entered."""

from __future__ import annotations

import json

from pipeline_parts import ANSWER, Backend, Catalog, deployment, event, path

from gateway.domain import Cascade, Outcome, Purpose

SURE = Cascade(logprob_min=0.8)
AGREEMENT = Cascade(samples=3, share_min=0.67)
JUDGE = deployment("judge", 2, 2)
VERIFIED = Cascade(verifier="judge", score_min=0.7)
CERTAIN, DOUBTFUL = [-0.01, -0.02], [-0.5, -2.0]


def whole(text="hello", logprobs=None, **choice):
    told = {} if logprobs is None else {"logprobs": {"content": [{"token": "t", "logprob": one} for one in logprobs]}}
    choices = [{**ANSWER["choices"][0], "message": {"role": "assistant", "content": text}, **told, **choice}]
    return [json.dumps({**ANSWER, "choices": choices}).encode()]


def stream(text="hello", logprobs=()):
    chunks = [
        {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]},
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"id": "c", "choices": [], "usage": ANSWER["usage"]},
    ]
    if logprobs:
        chunks[0]["choices"][0]["logprobs"] = {"content": [{"token": "t", "logprob": one} for one in logprobs]}
    return [*map(event, chunks), b"data: [DONE]\n\n"]


class WithJudge(Catalog):
    """The route has two deployments; the verifier is none of them."""

    def __init__(self, *deployments, **route):
        super().__init__(*deployments, **route)
        self.deployments["judge"] = JUDGE


def cascading(cascade, *scripts, **settings):
    backend = Backend(*scripts)
    route = {"policy": "cascade", "cascade": cascade}
    pipeline, journal, tasks = path(backend, route=route, catalog_of=WithJudge, **settings)
    return pipeline, journal, tasks, backend


def entries(journal):
    return sorted(journal.settled.values(), key=lambda entry: entry.attempt)


def told(journal):
    return [(one.deployment, one.purpose, one.status, one.error_code) for one in entries(journal)]


ACCEPTED = ("small", Purpose.ANSWER, Outcome.SUCCEEDED, None)
ESCALATED = ("big", Purpose.ANSWER, Outcome.SUCCEEDED, None)


def rejected(why):
    return ("small", Purpose.ANSWER, Outcome.REJECTED, why)
