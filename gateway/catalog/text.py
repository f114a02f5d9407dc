"""Read a YAML file as plain data that knows the line of every part of it.

Stricter than YAML: a key that stands twice is an error, decimals keep their digits (no binary floats), only text can
be a key. ``${NAME}`` in a value stands for an environment variable.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import yaml

Path = tuple[str | int, ...]
PARTS_MAX = 200_000  # with every alias written out: a few lines of aliases of aliases stand for millions of parts
_VARIABLE = re.compile(r"\$\{([^}]*)\}?")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TRUTHS = frozenset({"true", "false"})
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a file; ``line`` counts from 1."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class CatalogError(Exception):
    """A catalog is refused; ``problems`` says where and why, in the order of the lines."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.file, problem.line))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Document:
    """The data of a file; ``masked`` is the same data with each value that came from a variable as it was written.

    ``lines`` has the line of every path.
    """

    file: str
    data: object
    masked: object
    lines: Mapping[Path, int]

    def known_part_of(self, path: Path) -> Path:
        """The steps of a path that the file has: names of alternatives and of added fields are passed over."""
        found: Path = ()
        for step in path:
            if (*found, step) in self.lines:
                found = (*found, step)
        return found

    def line_of(self, path: Path) -> int:
        """The line of that part of the file, or of the nearest enclosing part that is there."""
        return self.lines.get(self.known_part_of(path), 1)


class _TooManyParts(Exception):
    """Reading is given up; the problem is stated."""


class _Reader:
    """Turns YAML nodes into data, collecting lines and problems."""

    def __init__(self, file: str, environment: Mapping[str, str]) -> None:
        self.file = file
        self.environment = environment
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self._open_nodes: set[int] = set()
        self._parts = 0

    def refuse(self, node: yaml.Node, reason: str) -> None:
        self.problems.append(Problem(self.file, node.start_mark.line + 1, reason))

    def read(self, node: yaml.Node, path: Path) -> tuple[object, object]:
        """The node's data and its masked data. Raises _TooManyParts."""
        self._parts += 1
        if self._parts > PARTS_MAX:
            self.refuse(node, f"with aliases (*name) written out, the file has more than {PARTS_MAX} parts")
            raise _TooManyParts
        self.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self._open_nodes:
            self.refuse(node, "this part contains itself")
            return None, None
        self._open_nodes.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                items = [self.read(child, (*path, index)) for index, child in enumerate(node.value)]
                return [item[0] for item in items], [item[1] for item in items]
            return self._scalar(node)
        finally:
            self._open_nodes.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> tuple[object, object]:
        data: dict[str, object] = {}
        masked: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not _is_text(key_node):
                self.refuse(key_node, f"a key must be text, put it in quotes: {getattr(key_node, 'value', '?')}")
                continue
            key = key_node.value
            if key in data:
                first = self.lines[*path, key]
                self.refuse(key_node, f"{key!r} stands twice, first on line {first}")
                continue
            self.lines[*path, key] = key_node.start_mark.line + 1
            data[key], masked[key] = self.read(value_node, (*path, key))
        return data, masked

    def _scalar(self, node: yaml.Node) -> tuple[object, object]:
        text = str(node.value)
        match node.tag.rpartition(":")[2]:
            case "null":
                return None, None
            case "bool" if text.lower() in _TRUTHS:
                value: object = text.lower() == "true"
            case "int" | "float" as kind:
                value = self._number(node, text, kind)
            case "str" | "timestamp" | "bool":  # yes, no, on, off are words here, as in YAML 1.2
                return self._text(node, text)
            case _:
                self.refuse(node, f"the tag {node.tag} is not allowed")
                return None, None
        return value, value

    def _number(self, node: yaml.Node, text: str, kind: str) -> object:
        try:
            number = Decimal(text.replace("_", ""))
        except InvalidOperation:
            self.refuse(node, f"write {text} as a plain decimal number")
            return None
        if not number.is_finite():
            self.refuse(node, f"{text} is not a finite number")
            return None
        return int(number) if kind == "int" else number

    def _text(self, node: yaml.Node, text: str) -> tuple[object, object]:
        def value_of(found: re.Match[str]) -> str:
            name = found[1]
            if not _VARIABLE_NAME.match(name) or not found[0].endswith("}"):
                self.refuse(node, f"{found[0]!r} is not of the form ${{NAME}}")
            elif name not in self.environment:
                self.refuse(node, f"the environment variable {name} is not set")
            return self.environment.get(name, "")

        return _VARIABLE.sub(value_of, text), text


def _is_text(node: yaml.Node) -> bool:
    if not isinstance(node, yaml.ScalarNode):
        return False
    kind = node.tag.rpartition(":")[2]
    return kind == "str" or (kind == "bool" and node.value.lower() not in _TRUTHS)


def parse(text: str, file: str, environment: Mapping[str, str]) -> Document:
    """The document in a YAML text. Raises CatalogError for everything that makes it unreadable."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _merge(loader, node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        reason = ": ".join(part for part in (exc.context, exc.problem) if part)
        raise CatalogError([Problem(file, mark.line + 1 if mark else 1, f"not YAML: {reason}")]) from exc
    except yaml.YAMLError as exc:
        raise CatalogError([Problem(file, 1, f"not YAML: {exc}")]) from exc
    if node is None:
        return Document(file, {}, {}, {})
    reader = _Reader(file, environment)
    data: object = None
    masked: object = None
    with contextlib.suppress(_TooManyParts):
        data, masked = reader.read(node, ())
    if reader.problems:
        raise CatalogError(reader.problems)
    return Document(file, data, masked, reader.lines)


def _merge(loader: yaml.SafeLoader, node: yaml.Node, seen: set[int] | None = None) -> None:
    """Carry out ``<<: *anchor`` everywhere: keys that stand in the mapping itself win over merged ones."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        # What is merged goes first, so that its doubles are gone before they are multiplied.
        for _, value in node.value:
            _merge(loader, value, seen)
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            own = [pair for pair in node.value if pair[0].tag != "tag:yaml.org,2002:merge"]
            names = {pair[0].value for pair in own}
            loader.flatten_mapping(node)
            merged: dict[object, tuple[yaml.Node, yaml.Node]] = {
                pair[0].value: pair for pair in node.value if pair not in own and pair[0].value not in names
            }
            node.value = [*merged.values(), *own]
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _merge(loader, child, seen)
