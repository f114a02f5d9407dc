"""What can be administered from the command line: one description for each kind of object."""

from __future__ import annotations

from gateway.commands.administration import Action, Administered, Field


def listed(text: str) -> list[str]:
    """Values separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def whole(text: str) -> int:
    """A whole number. Raises ValueError."""
    if not text.isascii() or not text.isdigit():
        raise ValueError("must be a whole number")
    return int(text)


NAME = Field("name", "what people call it", is_positional=True)
_NEW_NAME = Field("name", "what people call it")
_CONTACT = Field("contact", "whom refusals tell people to ask")
_ORGANIZATION = Field("organization", "id of an organization")
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
    create=(NAME, _ORGANIZATION, _CONTACT),
    update=(_NEW_NAME, _CONTACT),
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
    update=(_NEW_NAME, _MEMBER, _MODELS, _EXPIRES_AT, _ALLOWED_IPS),
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

# `keys` is not among them: cli.py adds it to the commands that need no gateway.
EVERY = (ORGANIZATIONS, TEAMS, MEMBERS, ADMIN_KEYS, AUDIT)
