"""The catalog in force: read whole, swapped whole, refused whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from gateway.catalog import pricelist
from gateway.catalog.build import build
from gateway.catalog.pricelist import PriceList
from gateway.catalog.schema import validate
from gateway.catalog.snapshot import CatalogSnapshot
from gateway.catalog.text import CatalogError, Problem, parse

Stamp = tuple[int, int, int] | None


def read_snapshot(text: str, name: str, env: Mapping[str, str], data_dir: Path) -> CatalogSnapshot:
    """The catalog that a YAML text states; ``name`` is how errors call the text. Raises CatalogError."""
    document = parse(text, name, env)

    @cache
    def prices() -> PriceList:
        return pricelist.read(pricelist.path_in_use(data_dir))

    return build(document, validate(document), prices)


class CatalogFile:
    """The catalog in force: made anew when its file or the price list changes; a bad file leaves the old one."""

    def __init__(
        self,
        text: Callable[[], str],
        name: str,
        env: Mapping[str, str],
        data_dir: Path,
        *,
        watched: Path | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """``text`` reads the catalog called ``name``; ``watched`` is its file, if it has one. Raises CatalogError."""
        self._text = text
        self._name = name
        self._env = env
        self._data_dir = data_dir
        self._watched = watched
        self._notes = notes
        self._stamps = self._look()
        self._current = self._read()

    @classmethod
    def of_path(cls, path: Path, env: Mapping[str, str], data_dir: Path) -> CatalogFile:
        """Raises CatalogError."""
        return cls(lambda: read_text(path), str(path), env, data_dir, watched=path)

    @property
    def current(self) -> CatalogSnapshot:
        return self._current

    def reload_if_changed(self) -> bool:
        """Whether another catalog stands now. Cheap when nothing happened: two calls of stat.

        Raises CatalogError once for each bad state of the file; the old catalog stays.
        """
        stamps = self._look()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        fresh = self._read()
        if fresh == self._current:
            return False
        self._current = fresh
        return True

    def _look(self) -> tuple[Stamp, Stamp]:
        file = _stamp_of(self._watched) if self._watched is not None else None
        return file, _stamp_of(self._data_dir / pricelist.OVERRIDE_FILE)

    def _read(self) -> CatalogSnapshot:
        snapshot = read_snapshot(self._text(), self._name, self._env, self._data_dir)
        return replace(snapshot, notes=self._notes)


def _stamp_of(path: Path) -> Stamp:
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
