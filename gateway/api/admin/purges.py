"""``/admin/purge`` and ``/admin/cache/purge``: what somebody asked and was answered is erased."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from gateway.api.admin.access import must_write
from gateway.api.admin.fields import Body, Name
from gateway.api.admin.guard import Sender
from gateway.domain import Actor, Writer, WriterKind
from gateway.errors import BadRequest
from gateway.stores.purges import KINDS, Purges


def _one_of(*names: str) -> ConfigDict:
    """That one of the fields stands there, and null at most in the others."""
    of_them: list[dict[str, object]] = [
        {
            "properties": {name: {"type": "string" if name == stated else "null"} for name in names},
            "required": [stated],
        }
        for stated in names
    ]
    return ConfigDict(json_schema_extra={"oneOf": of_them})  # type: ignore[dict-item] # its values are JSON


class CachePurgeBody(Body):
    """``POST /admin/cache/purge``: one of the two."""

    model_config = _one_of("team", "organization")

    team: Name | None = None
    organization: Name | None = None


class PurgeBody(Body):
    """``POST /admin/purge``: one of the four, also one that is deleted."""

    model_config = _one_of("organization", "team", "key", "member")

    organization: Name | None = None
    team: Name | None = None
    key: Name | None = None
    member: Name | None = None


class CachePurged(BaseModel):
    """Whose answers are given no more; ``team_id`` null for all teams."""

    organization_id: str
    team_id: str | None


class Purged(BaseModel):
    """Whose traces were erased, and how many there were of each kind."""

    organization_id: str
    team_id: str | None
    key_id: str | None
    member_id: str | None
    answers: int
    questions: int
    feedback: int
    prompts: int


def add_purges(router: APIRouter, purges: Purges) -> None:
    """The routes."""

    async def writable(actor: Actor, body: Body) -> Writer:
        stated = [(name, value) for name, value in body.model_dump().items() if value is not None]
        if len(stated) != 1:
            names = list(type(body).model_fields)
            raise BadRequest(f"Name one of {', '.join(names)}.", param=names[0], code="invalid_value")
        name, of = stated[0]
        kind = WriterKind(name)
        writer = await purges.writer(kind, of)
        must_write(actor, writer.organization_id, writer.team_id, KINDS[kind].missing(of))
        return writer

    @router.post("/cache/purge")
    async def purge_cache(body: CachePurgeBody, actor: Sender) -> CachePurged:
        """No answer that was kept until now is given again, on any replica."""
        writer = await writable(actor, body)
        await purges.purge_answers(actor, writer)
        return CachePurged(organization_id=writer.organization_id, team_id=writer.team_id)

    @router.post("/purge")
    async def purge(body: PurgeBody, actor: Sender) -> Purged:
        """Kept answers and questions, feedback and kept prompts are erased, on all replicas."""
        writer = await writable(actor, body)
        erased = await purges.purge_all(actor, writer)
        return Purged(
            organization_id=writer.organization_id,
            team_id=writer.team_id,
            key_id=writer.id if writer.kind is WriterKind.KEY else None,
            member_id=writer.id if writer.kind is WriterKind.MEMBER else None,
            answers=erased.answers,
            questions=erased.questions,
            feedback=erased.feedback,
            prompts=erased.prompts,
        )
