"""Show the catalog in force to its operator, without its secrets (`obol catalog show`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import yaml

from gateway.catalog import discovery
from gateway.catalog.file import read_text
from gateway.catalog.snapshot import without_userinfo
from gateway.catalog.text import parse
from gateway.settings import Settings

HIDDEN = "***"
_VARIABLE = re.compile(r"(\$\{[^}]*\})")
_OPEN_QUERY = frozenset({"api-version"})


def main_show(
    settings: Settings,
    env: Mapping[str, str] | None = None,
    *,
    probe: Callable[[], Sequence[str]] = discovery.probe_vllm,
) -> str:
    """The catalog as YAML, after its description as comments. Raises CatalogError.

    Credentials, headers and query values show as the variables they come from, else as ``***``.
    """
    env = os.environ if env is None else env
    if settings.catalog is not None:
        catalog = discovery.load(settings, env).current
        masked = parse(read_text(settings.catalog), str(settings.catalog), env).masked
    else:
        found = discovery.find(settings, env, probe=probe)
        catalog = discovery.load_found(found, settings, env).current
        masked = found.data
    comments = [f"# {line}" for line in catalog.describe()]
    return "\n".join([*comments, dumped(_without_secrets(masked))])


def _without_secrets(masked: Any) -> Any:
    """The data with what may be a secret hidden; the schema has been checked before."""
    providers = {name: _provider(provider) for name, provider in masked["providers"].items()}
    shown = {**masked, "providers": providers}
    if "guards" in masked:
        shown["guards"] = {name: _guard(guard) for name, guard in masked["guards"].items()}
    return shown


def _guard(guard: Mapping[str, Any]) -> Mapping[str, Any]:
    shown = dict(guard)
    if "url" in shown:
        shown["url"] = without_userinfo(shown["url"])
    if "secret" in shown:
        shown["secret"] = hidden(shown["secret"])
    if "settings" in shown:
        shown["settings"] = _hidden_texts(shown["settings"])
    return shown


def _hidden_texts(value: Any) -> Any:
    """What a plugin is given: nobody knows which of its texts are secrets."""
    if isinstance(value, dict):
        return {key: _hidden_texts(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_hidden_texts(one) for one in value]
    return hidden(value) if isinstance(value, str) else value


def _provider(provider: Mapping[str, Any]) -> Mapping[str, Any]:
    shown = dict(provider)
    if "base_url" in shown:
        shown["base_url"] = without_userinfo(shown["base_url"])
    if "api_key" in shown:
        shown["api_key"] = hidden(shown["api_key"])
    for field, is_open in (("headers", frozenset[str]()), ("query", _OPEN_QUERY)):
        if field in shown:
            shown[field] = {key: value if key in is_open else hidden(value) for key, value in shown[field].items()}
    return shown


def hidden(text: str) -> str:
    """A value whose variables stay as they are written and whose other parts are hidden."""
    parts = _VARIABLE.split(text)
    return "".join(part if _VARIABLE.fullmatch(part) else HIDDEN for part in parts if part)


class _Dumper(yaml.SafeDumper):
    """Writes exact decimals as plain numbers."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _represent_decimal(dumper: yaml.SafeDumper, value: Decimal) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:float", format(value, "f"))


_Dumper.add_representer(Decimal, _represent_decimal)


def dumped(data: Any) -> str:
    """YAML with one line for each innermost collection, in the order of the data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=1000, allow_unicode=True)
