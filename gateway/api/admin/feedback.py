"""``/admin/feedback``: what clients say of their answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.api.admin.access import visible
from gateway.api.admin.entry_query import FROM, TO, moment
from gateway.api.admin.fields import FilterText, Page, PageQuery
from gateway.api.admin.guard import Sender
from gateway.stores.entry_filter import EntryFilter
from gateway.stores.feedback import FeedbackRecord, FeedbackStore


class FeedbackQuery(PageQuery):
    """``GET /admin/feedback``."""

    organization: FilterText = None
    team: FilterText = None
    member: FilterText = None
    key: FilterText = None
    request: FilterText = None
    from_: Annotated[str | None, FROM] = None
    to: Annotated[str | None, TO] = None


def add_feedback(router: APIRouter, store: FeedbackStore) -> None:
    """The route of what was said, newest first."""

    @router.get("/feedback")
    async def read_feedback(query: Annotated[FeedbackQuery, Query()], actor: Sender) -> Page[FeedbackRecord]:
        bounds = visible(actor)
        chosen = EntryFilter(
            organization=query.organization,
            team=query.team,
            member=query.member,
            key=query.key,
            request=query.request,
            from_at=moment(query.from_, "from"),
            to_at=moment(query.to, "to"),
            within_organization=bounds.organization_id,
            within_team=bounds.team_id,
        )
        found, cursor = await store.page(chosen, limit=query.limit, cursor=query.cursor)
        return Page(data=list(found), next_cursor=cursor)
