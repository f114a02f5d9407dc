"""Tables on a terminal: aligned, and harmless whatever stands in them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from gateway.domain import NANO

CELL_WIDTH_MAX = 48
_DECIMALS_MIN, _DECIMALS_MAX = 2, 6
_WIDE = ("W", "F")


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: int,
    totals: Sequence[str] = (),
    cell_width_max: int | None = CELL_WIDTH_MAX,
) -> list[str]:
    """Lines of aligned columns: the first ``left`` to the left, the others to the right, totals under a rule.

    Longer cells are cut; ``None`` shows all of them.
    """
    cells = [[_shown(cell, cell_width_max) for cell in row] for row in (header, *rows, *([totals] if totals else []))]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padding = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        both = enumerate(zip(row, padding, strict=True))
        lines.append("  ".join(cell + pad if number < left else pad + cell for number, (cell, pad) in both).rstrip())
    if totals:
        lines.insert(-1, "  ".join("-" * width for width in widths))
    return lines


def money(amounts: Sequence[int | None]) -> list[str]:
    """A column of dollars, all with as many decimals as the one that needs most: two to six, the rest is rounded."""
    step = NANO // 10**_DECIMALS_MAX
    rounded = [None if amount is None else (amount + step // 2) // step for amount in amounts]
    decimals = max((_decimals(amount) for amount in rounded if amount is not None), default=_DECIMALS_MIN)
    return ["-" if amount is None else _dollars(amount, decimals) for amount in rounded]


def _decimals(micro: int) -> int:
    digits = f"{abs(micro) % 10**_DECIMALS_MAX:0{_DECIMALS_MAX}d}".rstrip("0")
    return max(_DECIMALS_MIN, len(digits))


def _dollars(micro: int, decimals: int) -> str:
    whole, part = divmod(abs(micro), 10**_DECIMALS_MAX)
    return f"{'-' if micro < 0 else ''}${whole:,}.{f'{part:0{_DECIMALS_MAX}d}'[:decimals]}"


def _shown(cell: str, width_max: int | None) -> str:
    # End users and tags are what clients sent: an escape sequence in one of them could rewrite the screen.
    text = "".join(character if character.isprintable() else "\ufffd" for character in cell)
    return text if width_max is None or len(text) <= width_max else text[: width_max - 1] + "…"


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in _WIDE else 1
        for character in text
    )
