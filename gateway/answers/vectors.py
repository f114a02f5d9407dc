"""The vector of a question by a deployment that a route names for it, instead of the model that comes with us."""

from __future__ import annotations

import math
from array import array

import msgspec

from gateway.admitting import Admissions
from gateway.attempting import Attempts, Path
from gateway.domain import Caller, Decision, Deployment, Endpoint, Purpose, Request
from gateway.own_calls import own_request
from gateway.ports import Dialect


class _Embedding(msgspec.Struct):
    embedding: list[float]


class _Embeddings(msgspec.Struct):
    data: list[_Embedding]


async def embedded(
    path: Path, name: str, request: Request, dialect: Dialect, caller: Caller, decision: Decision, text: str
) -> bytes | None:
    """The text's vector, float32 of unit length; ``None`` where there is none, whatever kept it away.

    The deployment of that name is asked, admitted and charged like any call that a request makes for itself.
    """
    deployment = path.services.catalog().deployment(name)
    if deployment is None:
        return None
    asked = embedding_request(request, deployment, text)
    admissions = Admissions(path.services, asked, caller, Decision(decision.route, (deployment,), decision.baseline))
    attempts = Attempts(path, asked, dialect, decision, admissions)
    answer = await attempts.ask_aside(deployment, admissions, dialect.of(asked), Purpose.EMBEDDING)
    return None if answer is None else vector_in(answer.held)


def embedding_request(request: Request, deployment: Deployment, text: str) -> Request:
    """What asks for the vector of the text, in the name of the request's client."""
    fields = {"model": deployment.name, "input": text, "encoding_format": "float"}
    return own_request(request, Endpoint.EMBEDDINGS, fields)


def vector_in(whole: bytes) -> bytes | None:
    """The first vector of an answer, made to unit length; ``None`` for an answer without one."""
    try:
        found = msgspec.json.decode(whole, type=_Embeddings).data
    except (msgspec.DecodeError, RecursionError):
        return None
    numbers = found[0].embedding if found else []
    length = math.hypot(*numbers)
    if not length or not math.isfinite(length):
        return None
    return array("f", (one / length for one in numbers)).tobytes()
