"""The catalog: one YAML file (or what is found without one), loaded whole, swapped whole, refused whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from gateway import pricelist
from gateway.catalog import CatalogSnapshot
from gateway.catalog_build import build
from gateway.catalog_schema import validate
from gateway.catalog_text import CatalogError, Problem, parse
from gateway.pricelist import PriceList
from gateway.settings import Settings

Stamp = tuple[tuple[int, int, int] | None, ...]
_VARIABLES = re.compile(r"(\$\{[^}]*\})")


def read_snapshot(text: str, name: str, env: Mapping[str, str], data_dir: Path) -> CatalogSnapshot:
    """The catalog that a YAML text states; ``name`` is how errors call the text. Raises CatalogError."""
    document = parse(text, name, env)

    @cache
    def prices() -> PriceList:
        return pricelist.read(pricelist.path_in_use(data_dir))

    return build(document, validate(document), prices)


class CatalogFile:
    """The catalog of a file, read again when the file or the price list changes; a bad file leaves the old one."""

    def __init__(self, path: Path, data_dir: Path, env: Mapping[str, str]) -> None:
        """Raises CatalogError."""
        self._path = path
        self._data_dir = data_dir
        self._env = env
        self._stamp = self._look()
        self._current = self._read()

    @property
    def current(self) -> CatalogSnapshot:
        return self._current

    def reload_if_changed(self) -> bool:
        """Whether another catalog stands now. Cheap when nothing happened: two calls of stat.

        Raises CatalogError once for each bad state of the file; the old catalog stays.
        """
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        fresh = self._read()
        if fresh.hash == self._current.hash and fresh == self._current:
            return False
        self._current = fresh
        return True

    def _look(self) -> Stamp:
        return _stamp_of(self._path), _stamp_of(self._data_dir / pricelist.OVERRIDE_FILE)

    def _read(self) -> CatalogSnapshot:
        return read_snapshot(read_text(self._path), str(self._path), self._env, self._data_dir)


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino


def read_text(path: Path) -> str:
    """Raises CatalogError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise CatalogError([Problem(str(path), 1, f"cannot be read: {exc.strerror}")]) from exc
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise CatalogError([Problem(str(path), line, "is not UTF-8")]) from exc


def load(settings: Settings, env: Mapping[str, str]) -> CatalogFile:
    """The catalog to serve. Raises CatalogError."""
    if settings.catalog is None:
        raise CatalogError([Problem("catalog", 1, "OBOL_CATALOG is not set")])
    return CatalogFile(settings.catalog, settings.data_dir, env)
