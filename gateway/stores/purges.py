"""Purges: what somebody asked, was answered and said of it, erased from all stores, and told in the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, null, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import Actor, Writer, WriterKind
from gateway.stores import audit
from gateway.stores.answers import RedisAnswers
from gateway.stores.database import translated
from gateway.stores.keys import KEY
from gateway.stores.records import Kind
from gateway.stores.similar_questions import SimilarQuestions
from gateway.stores.tenants import MEMBER, ORGANIZATION, TEAM

_ROWS_AT_ONCE = 5000  # each statement is done well before it is cancelled

KINDS: Mapping[WriterKind, Kind[Any]] = {
    WriterKind.ORGANIZATION: ORGANIZATION,
    WriterKind.TEAM: TEAM,
    WriterKind.KEY: KEY,
    WriterKind.MEMBER: MEMBER,
}


def _deletion(table: str, condition: str) -> TextClause:
    return text(f"""
        DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT {_ROWS_AT_ONCE}))
    """)  # noqa: S608 - our names


# By their team first where they have one: there is an index of that.
_FEEDBACK: Mapping[WriterKind, TextClause] = {
    WriterKind.ORGANIZATION: _deletion("feedback", "organization_id = :id"),
    WriterKind.TEAM: _deletion("feedback", "team_id = :id"),
    WriterKind.KEY: _deletion("feedback", "key_id = :id"),
    WriterKind.MEMBER: _deletion("feedback", "team_id = :team_id AND member_id = :id"),
}
# A prompt says whose team asked; which key did stands with its decision, and which member on the ledger.
_PROMPTS: Mapping[WriterKind, TextClause] = {
    WriterKind.ORGANIZATION: _deletion("route_prompts", "organization_id = :id"),
    WriterKind.TEAM: _deletion("route_prompts", "team_id = :id"),
    WriterKind.KEY: _deletion(
        "route_prompts",
        """
        team_id = :team_id AND EXISTS (
            SELECT FROM route_decisions decision
            WHERE decision.request_id = route_prompts.request_id AND decision.key_id = :id
        )
        """,
    ),
    WriterKind.MEMBER: _deletion(
        "route_prompts",
        """
        team_id = :team_id AND (
            EXISTS (
                SELECT FROM ledger_entries entry
                WHERE entry.request_id = route_prompts.request_id AND entry.member_id = :id
            ) OR EXISTS (
                SELECT FROM route_decisions decision JOIN keys ON keys.id = decision.key_id
                WHERE decision.request_id = route_prompts.request_id AND keys.member_id = :id
            )
        )
        """,
    ),
}


@dataclass(frozen=True, slots=True)
class Erased:
    """How many there were of each."""

    answers: int
    questions: int
    feedback: int = 0
    prompts: int = 0


class Purges:
    """What the admin API needs of them. All methods raise StoreUnavailable; who is told so is to ask again."""

    def __init__(self, engine: AsyncEngine, answers: RedisAnswers, questions: SimilarQuestions) -> None:
        self._engine = engine
        self._answers = answers
        self._questions = questions

    async def writer(self, kind: WriterKind, of: str) -> Writer:
        """Where they belong, deleted or not. Raises NotFound."""
        found = KINDS[kind]
        place = (found.organization, null() if found.team is None else found.team)
        query = select(*place).select_from(found.source).where(found.table.c.id == of)
        with translated():
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise found.missing(of)
        return Writer(kind, of, *row)

    async def purge_answers(self, actor: Actor, writer: Writer) -> Erased:
        """What they were answered is given to nobody again, and is erased with what they asked."""
        erased = await self._erase_answers(writer)
        await self._record(actor, writer, erased)
        return erased

    async def purge_all(self, actor: Actor, writer: Writer) -> Erased:
        """Their feedback and the prompts of theirs that routes keep are erased as well. The ledger stays."""
        given = await self._erase_answers(writer)
        feedback = await self._delete(_FEEDBACK[writer.kind], writer)
        prompts = await self._delete(_PROMPTS[writer.kind], writer)
        erased = Erased(given.answers, given.questions, feedback, prompts)
        await self._record(actor, writer, erased)
        return erased

    async def _erase_answers(self, writer: Writer) -> Erased:
        answers = await self._answers.purge(writer)  # first: from here on no question of theirs comes in
        return Erased(answers, await self._questions.purge(writer))

    async def _delete(self, deletion: TextClause, writer: Writer) -> int:
        values = {"id": writer.id, "team_id": writer.team_id}
        deleted = 0
        while True:
            with translated():
                async with self._engine.begin() as connection:
                    count = (await connection.execute(deletion, values)).rowcount
            deleted += count
            if count < _ROWS_AT_ONCE:
                return deleted

    async def _record(self, actor: Actor, writer: Writer, erased: Erased) -> None:
        after = {
            "answers": erased.answers,
            "questions": erased.questions,
            "feedback": erased.feedback,
            "prompts": erased.prompts,
        }
        with translated():
            async with self._engine.begin() as connection:
                await audit.record(
                    connection,
                    actor,
                    "purge",
                    writer.kind,
                    writer.id,
                    organization_id=writer.organization_id,
                    team_id=writer.team_id,
                    after=after,
                )
