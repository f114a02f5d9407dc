"""``/admin/teams/{id}/faq``: a team's own list of questions, with the answers that they get without a model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from gateway.api.admin.access import must_read, must_write
from gateway.api.admin.fields import NAME_PATTERN, WHOLE, Body, Page, PageQuery, PathId, Share, printable
from gateway.api.admin.guard import Sender
from gateway.domain import (
    FAQ_ENTRIES_MAX,
    FAQ_PARAPHRASES_MAX,
    FAQ_QUESTIONS_MAX,
    Actor,
    FaqEntry,
    FaqList,
    FaqProblem,
    FaqTrial,
    FaqVersion,
)
from gateway.errors import Conflict, NotFound, StoreUnavailable
from gateway.stores.faq_cache import FaqCache
from gateway.stores.faq_lists import FaqStore
from gateway.stores.tenants import TEAM, Team, TenantStore
from policies.faq.words import read

QUESTION_CHARACTERS_MAX = 300
ANSWER_CHARACTERS_MAX = 8000
TEXT_CHARACTERS_MAX = 8000
_VERSION_MAX = 2**31 - 1


def _asked(value: str) -> str:
    return printable(value).strip(" ")


_Question = Annotated[
    str,
    StringConstraints(min_length=1, max_length=QUESTION_CHARACTERS_MAX, strict=True),
    AfterValidator(_asked),
    Field(json_schema_extra={"pattern": NAME_PATTERN}),
]
_Answer = Annotated[
    str, StringConstraints(min_length=1, max_length=ANSWER_CHARACTERS_MAX, strict=True, pattern=r"^[^\x00]*$")
]
_EntryId = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class EntryBody(Body):
    """One question in all its wordings, and the answer. ``id`` stands in the header of whom it answered."""

    id: _EntryId
    question: _Question
    paraphrases: Annotated[list[_Question], Field(max_length=FAQ_PARAPHRASES_MAX)] = Field(default_factory=list)
    answer: _Answer


class FaqBody(Body):
    """``PUT /admin/teams/{id}/faq``: the whole list. ``version``: the one that it was made of, 0 for the first."""

    version: Annotated[int, Field(ge=0, le=_VERSION_MAX), WHOLE]
    entries: Annotated[list[EntryBody], Field(max_length=FAQ_ENTRIES_MAX)]


def _check_list(body: FaqBody) -> None:
    """Raises Conflict for what no form of JSON can say: entries that contradict one another, too much of everything."""
    ids = [entry.id for entry in body.entries]
    if len(set(ids)) < len(ids):
        repeated = next(one for one in ids if ids.count(one) > 1)
        raise Conflict(
            f"entries must each have an id of their own: {repeated!r} is there twice",
            param="entries",
            code="duplicate_entry",
        )
    wordless = [one for entry in body.entries for one in (entry.question, *entry.paraphrases) if not read(one).words]
    if wordless:
        raise Conflict(
            f"a question must hold a letter or a digit: {wordless[0]!r} does not",
            param="entries",
            code="question_without_words",
        )
    questions = sum(1 + len(entry.paraphrases) for entry in body.entries)
    if questions > FAQ_QUESTIONS_MAX:
        raise Conflict(
            f"entries may have {FAQ_QUESTIONS_MAX} questions and paraphrases in all, not {questions}",
            param="entries",
            code="too_many_questions",
        )


class TrialBody(Body):
    """``POST /admin/teams/{id}/faq/try``. ``wrong_answers_max``: the share of answers that may be wrong (0.02)."""

    text: Annotated[str, StringConstraints(max_length=TEXT_CHARACTERS_MAX, strict=True)]
    wrong_answers_max: Share | None = None


class FaqQuery(BaseModel):
    """``GET /admin/teams/{id}/faq``: ``version`` is one that was, none for the one in force."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}$")] | None = None


@dataclass(frozen=True, slots=True)
class FaqChanged(FaqList):
    """``problems``: questions that read like those of another entry, None where that cannot be told just now."""

    problems: list[FaqProblem] | None


def add_faq(router: APIRouter, tenants: TenantStore, lists: FaqStore, ready: FaqCache) -> None:
    """The routes."""

    async def readable(actor: Actor, team_id: str) -> Team:
        team = await tenants.team(team_id)
        must_read(actor, team.organization_id, team.id, TEAM.missing(team_id))
        return team

    _add_reading(router, readable, lists)

    @router.put("/teams/{team_id}/faq")
    async def put_faq(team_id: PathId, body: FaqBody, actor: Sender) -> FaqChanged:
        """Replace the list: what is in force changes on every replica within seconds, and nothing older is said."""
        team = await tenants.team(team_id)
        must_write(actor, team.organization_id, team.id, TEAM.missing(team_id))
        _check_list(body)
        entries = [FaqEntry(one.id, one.question, tuple(one.paraphrases), one.answer) for one in body.entries]
        faq = await lists.put(actor, team.id, body.version, entries)
        ready.changed(team.id, faq.version)
        try:
            problems = await ready.problems(team.id)
        except StoreUnavailable:
            problems = None
        return FaqChanged(**asdict(faq) | {"entries": faq.entries}, problems=problems)

    @router.post("/teams/{team_id}/faq/try")
    async def try_faq(team_id: PathId, body: TrialBody, actor: Sender) -> FaqTrial:
        """What the list makes of a message, and why."""
        team = await readable(actor, team_id)
        trial = await ready.explain(team.id, body.text, body.wrong_answers_max)
        if trial is None:
            raise NotFound(f"Nothing is on the list of the team {team_id!r}.", param="team_id")
        return trial


def _add_reading(router: APIRouter, readable: Callable[[Actor, str], Awaitable[Team]], lists: FaqStore) -> None:
    @router.get("/teams/{team_id}/faq")
    async def read_faq(team_id: PathId, query: Annotated[FaqQuery, Query()], actor: Sender) -> FaqList:
        """The list in force, version 0 for a team that never had one; or what it said when that version answered."""
        team = await readable(actor, team_id)
        return await (lists.version(team.id, int(query.version)) if query.version else lists.current(team.id))

    @router.get("/teams/{team_id}/faq/versions")
    async def list_faq_versions(
        team_id: PathId, query: Annotated[PageQuery, Query()], actor: Sender
    ) -> Page[FaqVersion]:
        team = await readable(actor, team_id)
        found, cursor = await lists.versions(team.id, limit=query.limit, cursor=query.cursor)
        return Page(data=list(found), next_cursor=cursor)
