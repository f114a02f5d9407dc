"""What can be administered from the command line: one description for each kind of object."""

from __future__ import annotations

import json

from gateway.commands.administration import Action, Administered, Field


def listed(text: str) -> list[str]:
    """Values separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def whole(text: str) -> int:
    """A whole number. Raises ValueError."""
    if not text.isascii() or not text.isdigit():
        raise ValueError("must be a whole number")
    return int(text)


def share(text: str) -> float:
    """A number. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a number from 0 to below 1") from None


def percentages(text: str) -> list[int]:
    """Whole numbers separated by commas. Raises ValueError."""
    return [whole(part) for part in listed(text)]


def guards(text: str) -> list[object]:
    """JSON, or names separated by commas. Raises ValueError."""
    if not text.lstrip().startswith("["):
        return list(listed(text))
    try:
        read: list[object] = json.loads(text)
    except ValueError:
        raise ValueError("must be a list in JSON, or names separated by commas") from None
    return read


NAME = Field("name", "what people call it", is_positional=True)
_NEW_NAME = Field("name", "what people call it")
_CONTACT = Field("contact", "whom refusals tell people to ask")
_ORGANIZATION = Field("organization", "id of an organization")
_TARGETS = (
    Field("quality_loss_max", "share of quality that routes may lose for its calls, such as 0.02", share),
    Field("call_cost_max_usd", "dollars that a call of it may be expected to cost on routes, such as 0.01"),
)
_GUARDS = Field("guards", "what it adds to the catalog's guards: names, or a list in JSON", guards)
_TEAM = Field("team", "id of a team")
_EMAIL = Field("email", "address of the member")
_MEMBER = Field("member", "id of the member that it is bound to")
_MODELS = Field("models", "the only models it may call, separated by commas", listed)
_EXPIRES_AT = Field("expires_at", "when it ends: 2030-01-31T12:00:00Z")
_ALLOWED_IPS = Field("allowed_ips", "the only addresses and networks it serves, separated by commas", listed)

ORGANIZATIONS = Administered(
    command="organizations",
    summary="organizations, which own teams",
    noun="an organization",
    path="/admin/organizations",
    columns=("id", "name", "contact", "created_at"),
    create=(NAME, _CONTACT),
    update=(_NEW_NAME, _CONTACT),
    filters=(),
    deletion="delete an organization that has no teams any more",
)
TEAMS = Administered(
    command="teams",
    summary="teams, which own keys",
    noun="a team",
    path="/admin/teams",
    columns=("id", "name", "organization_id", "contact", "created_at"),
    create=(NAME, _ORGANIZATION, _CONTACT, *_TARGETS, _GUARDS),
    update=(_NEW_NAME, _CONTACT, *_TARGETS, _GUARDS),
    filters=(_ORGANIZATION,),
    deletion="delete a team and revoke its keys; what it spent stays on the ledger",
)
MEMBERS = Administered(
    command="members",
    summary="the people of teams",
    noun="a member",
    path="/admin/members",
    columns=("id", "name", "email", "team", "created_at"),
    create=(NAME, Field("team", "id of the team", is_required=True), _EMAIL),
    update=(_NEW_NAME, _EMAIL),
    filters=(_ORGANIZATION, _TEAM),
    deletion="delete a member and revoke its keys; what it spent stays on the ledger",
)
# `obol keys create`, `list` and `revoke` work on the database itself, also where no gateway runs.
KEYS = Administered(
    command="keys",
    summary="virtual keys",
    noun="a key",
    path="/admin/keys",
    columns=("id", "name", "team", "member", "prefix", "created_at"),
    update=(_NEW_NAME, _MEMBER, _MODELS, _EXPIRES_AT, _ALLOWED_IPS, _GUARDS),
    actions=(
        Action(
            "rotate",
            "give a key a new secret; the old one serves until the overlap ends",
            (Field("overlap_s", "seconds that the old secret goes on serving (86400)", whole),),
        ),
    ),
)
ADMIN_KEYS = Administered(
    command="admin-keys",
    summary="credentials of those who administer",
    noun="an admin key",
    path="/admin/admin-keys",
    columns=("id", "name", "role", "scope", "prefix", "expires_at", "revoked_at", "created_at"),
    create=(
        NAME,
        Field("role", "owner, organization_admin, team_admin or viewer", is_required=True),
        Field("scope.organization", "id of the organization that it is bounded by"),
        Field("scope.team", "id of the team that it is bounded by"),
        _EXPIRES_AT,
    ),
    filters=(),
    deletion="revoke an admin key for good, everywhere within a second",
)
AUDIT = Administered(
    command="audit",
    summary="who changed what",
    noun="a change",
    plural="changes",
    path="/admin/audit",
    columns=("created_at", "actor", "action", "object_kind", "object_id"),
    is_shown=False,
    filters=(
        Field("object_kind", "organization, team, member, key, admin_key, budget or limit"),
        Field("object_id", "id of what was changed"),
        Field("actor", "name or id of the admin key that changed it"),
        Field("from", "a date or a time with its zone, inclusive"),
        Field("to", "a date or a time with its zone, exclusive"),
    ),
)

_SCOPE = (
    Field("scope.organization", "id of the organization that it is about"),
    Field("scope.team", "id of the team"),
    Field("scope.member", "id of the member"),
    Field("scope.key", "id of the key"),
    Field("scope.end_user", "the `user` that clients send"),
    Field("scope.route", "name of a route"),
    Field("scope.model", "what clients ask for, a deployment, or the provider's name for it"),
    Field("scope.each", "team, member, key or end_user: counts every one of these apart"),
)
_FILTERS = (
    Field("organization", "id of an organization"),
    Field("team", "id of a team, its members and keys included"),
    Field("member", "id of a member"),
    Field("key", "id of a key"),
)


_LIMIT_USD = "dollars that may be spent in a window, such as 10.00"
_WINDOW = "hour, day, week, month or total"
_TERMS = (
    Field("starts", "calendar, rolling, or a time zone such as Europe/Berlin"),
    Field("soft_limit_pct", "percentages that alert, separated by commas (50,80,95)", percentages),
    Field("on_exhausted", "refuse (the default), downgrade or notify"),
)
BUDGETS = Administered(
    command="budgets",
    summary="how much may be spent",
    noun="a budget",
    path="/admin/budgets",
    columns=("id", "scope", "limit_usd", "window", "starts", "on_exhausted"),
    create=(
        *_SCOPE,
        Field("limit_usd", _LIMIT_USD, is_required=True),
        Field("window", _WINDOW, is_required=True),
        *_TERMS,
    ),
    update=(Field("limit_usd", _LIMIT_USD), Field("window", _WINDOW), *_TERMS),
    filters=_FILTERS,
    deletion="delete a budget; what was spent stays on the ledger",
    actions=(
        Action(
            "raise",
            "let a higher limit hold until a date",
            (
                Field("limit_usd", "dollars until then", is_required=True),
                Field("until", "a time with its zone: 2030-01-31T12:00:00Z", is_required=True),
            ),
        ),
        Action("end-raise", "let the budget's own limit hold again", undoes="raise"),
        Action("reset", "begin its window anew"),
    ),
)
_RATES = (
    Field("requests_per_minute", "requests in any 60 s", whole),
    Field("tokens_per_minute", "tokens in any 60 s", whole),
    Field("tokens_per_day", "tokens in any 24 h", whole),
    Field("parallel_requests", "requests under way at once", whole),
)
LIMITS = Administered(
    command="limits",
    summary="how fast may be asked",
    noun="a limit",
    path="/admin/limits",
    columns=("id", "scope", "requests_per_minute", "tokens_per_minute", "tokens_per_day", "parallel_requests"),
    create=(*_SCOPE, *_RATES),
    update=_RATES,
    filters=_FILTERS,
    deletion="delete a limit",
)

# `keys` is not among them: cli.py adds it to the commands that need no gateway.
EVERY = (ORGANIZATIONS, TEAMS, MEMBERS, ADMIN_KEYS, BUDGETS, LIMITS, AUDIT)
