"""Names that may be longer in Messages than in chat, which takes 64 characters: of tools and of users."""

from __future__ import annotations

import hashlib

import msgspec

from gateway.domain import Body
from gateway.translation.tool_names import NAME_CHARS_MAX, shortened

_USER_CHARS_MAX = 64  # OpenAI's


class _Tool(msgspec.Struct):
    name: object = None


_tools = msgspec.json.Decoder(list[_Tool] | None).decode


def chat_name(name: str) -> str:
    """The name under which chat knows a tool: a long one (of an MCP server's) is cut, its digest tells it apart."""
    return name if len(name) <= NAME_CHARS_MAX else shortened(name, name)


def chat_name_json(name: bytes) -> bytes:
    """The same for a name as JSON."""
    if len(name) <= NAME_CHARS_MAX or name[:1] != b'"':
        return name
    return msgspec.json.encode(chat_name(msgspec.json.decode(name, type=str)))


def chat_user(user_id: str) -> str:
    """A user's name as it is, or the digest of a longer one: the same for the same user, and of no other."""
    return user_id if len(user_id) <= _USER_CHARS_MAX else hashlib.sha256(user_id.encode()).hexdigest()


class ToolNames:
    """Gives the tools of one request their own names back."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._long: dict[str, str] | None = None  # by chat name; made when the first candidate comes

    def original(self, name: str) -> str:
        """The client's name of the tool that chat calls so."""
        if len(name) != NAME_CHARS_MAX:
            return name
        if self._long is None:
            names = [tool.name for tool in _tools(self._body.fields.get("tools", b"[]")) or ()]
            self._long = {chat_name(one): one for one in names if isinstance(one, str)}
        return self._long.get(name, name)
