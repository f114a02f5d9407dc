"""Talk to a running gateway with the standard library alone, so that a command starts at once."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from gateway.commands import CommandFailed
from gateway.serving import secret_files
from gateway.serving.supervisor import ADDRESS_FILE
from gateway.settings import Settings

_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
_GOOD = (http.client.OK, http.client.CREATED)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was good; header names are lower case."""

    headers: Mapping[str, str]
    content: object


class Refused(CommandFailed):
    """The gateway's own refusal: its status, the error's code, and the headers, names in lower case."""

    def __init__(self, status: int, content: object, headers: Mapping[str, str]) -> None:
        super().__init__(f"{status}: {_error_message(content)}")
        error = content.get("error") if isinstance(content, dict) else None
        self.status, self.headers = status, headers
        self.code = error.get("code") if isinstance(error, dict) else None


class GatewayClient:
    """The gateway that serves from this data folder, or the one at ``url``."""

    def __init__(self, settings: Settings, url: str | None, key: str | None = None) -> None:
        """``key``: the virtual key to ask with, else the first one that was made."""
        self._settings = settings
        self._key = key
        self._url = (url or _published(settings.data_dir) or f"http://{settings.host}:{settings.port}").rstrip("/")

    def ask(self, body: Mapping[str, object], *, timeout_s: float = 600.0, tags: str = "") -> Answer:
        """One chat completion; ``tags``: for its ledger entry. Raises CommandFailed."""
        further = {"x-obol-tags": tags} if tags else {}
        key = self._virtual_key()
        return self._call("POST", "/v1/chat/completions", key, timeout_s=timeout_s, body=body, further=further)

    def explain(self, body: Mapping[str, object]) -> Mapping[str, Any]:
        """What would be decided for a chat completion with the first key. Raises CommandFailed."""
        told = self._call("POST", "/v1/route/explain", self._virtual_key(), timeout_s=30.0, body=body).content
        if not isinstance(told, dict) or "text" not in told:
            raise CommandFailed(f"{self._url} answers, but not as a gateway does")
        return told

    def _virtual_key(self) -> str:
        if self._key:
            return self._key
        path = secret_files.first_key_file(self._settings.data_dir)
        key = secret_files.read(path)
        if not key:
            raise CommandFailed(f"no key in {path}: start `obol serve` once, or name its folder with --data-dir")
        return key

    def ledger(self, **query: object) -> list[Mapping[str, object]]:
        """Entries, newest first. Raises CommandFailed."""
        answer = self._call("GET", f"/admin/ledger?{urlencode(query)}", self._admin_key(), timeout_s=30.0)
        entries = answer.content.get("data") if isinstance(answer.content, dict) else None
        if not isinstance(entries, list):
            raise CommandFailed(f"{self._url} answers, but not as a gateway does")
        return entries

    def report(self, name: str, query: Mapping[str, str]) -> str:
        """A report as its own text, JSON or CSV. Raises CommandFailed."""
        path = f"/admin/reports/{name}?{urlencode(query)}"
        status, headers, raw = self._send("GET", path, self._admin_key(), timeout_s=60.0)
        if status not in _GOOD:
            self._content(path, status, raw, headers)
        return raw.decode()

    def admin(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        query: Mapping[str, object] | None = None,
        timeout_s: float = 30.0,
    ) -> Any:
        """What the admin API answers. Raises CommandFailed."""
        place = f"{path}?{urlencode(query)}" if query else path
        return self._call(method, place, self._admin_key(), timeout_s=timeout_s, body=body).content

    def _admin_key(self) -> str:
        path = secret_files.admin_key_file(self._settings.data_dir)
        key = self._settings.admin_key or secret_files.read(path)
        if not key:
            raise CommandFailed(f"no admin key in {path}: set OBOL_ADMIN_KEY, or name its folder with --data-dir")
        return key

    def _call(
        self,
        method: str,
        path: str,
        key: str,
        *,
        timeout_s: float,
        body: Mapping[str, object] | None = None,
        further: Mapping[str, str] | None = None,
    ) -> Answer:
        status, headers, raw = self._send(method, path, key, timeout_s=timeout_s, body=body, further=further)
        return Answer(headers, self._content(path, status, raw, headers))

    def _send(
        self,
        method: str,
        path: str,
        key: str,
        *,
        timeout_s: float,
        body: Mapping[str, object] | None = None,
        further: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of whatever answers."""
        try:
            parts = urlsplit(self._url)
            kind = _CONNECTIONS[parts.scheme]
            connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        except (KeyError, ValueError):
            raise CommandFailed(f"{self._url!r} is no address of a gateway, such as http://127.0.0.1:8080") from None
        try:
            connection.request(
                method,
                parts.path + path,
                body=None if body is None else json.dumps(body),
                headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json", **(further or {})},
            )
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read()
        except (OSError, http.client.HTTPException) as exc:
            raise CommandFailed(f"no gateway answers at {self._url} ({exc}): is `obol serve` running?") from exc
        finally:
            connection.close()

    def _content(self, path: str, status: int, raw: bytes, headers: Mapping[str, str]) -> object:
        """The JSON of an answer. Raises CommandFailed for what is none, and Refused."""
        try:
            content = json.loads(raw)
        except ValueError as exc:
            raise CommandFailed(f"{self._url}{path} answered {status} without JSON") from exc
        if status not in _GOOD:
            raise Refused(status, content, headers)
        return content


def _published(data_dir: Path) -> str:
    try:
        return (data_dir / ADDRESS_FILE).read_text().strip()
    except OSError:
        return ""


def _error_message(content: object) -> object:
    error = content.get("error") if isinstance(content, dict) else None
    return error.get("message", error) if isinstance(error, dict) else content
