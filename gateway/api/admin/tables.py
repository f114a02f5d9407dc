"""Tables for spreadsheets: RFC 4180, written piece by piece."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Mapping, Sequence

from fastapi.responses import StreamingResponse

_PIECE_ROWS = 500
# What spreadsheets take for a formula (OWASP, "CSV injection"): names, tags and end users come from strangers.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last: full width


def csv_answer(
    name: str, columns: Sequence[str], texts: Collection[str], pages: AsyncIterable[Iterable[Mapping[str, object]]]
) -> StreamingResponse:
    """The rows of all pages as a file ``name``, with a header row. ``texts`` are columns whose values others chose.

    In those a value that a spreadsheet would take for a formula begins with an apostrophe.
    """
    return StreamingResponse(
        _pieces(columns, texts, pages),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


async def _pieces(
    columns: Sequence[str], texts: Collection[str], pages: AsyncIterable[Iterable[Mapping[str, object]]]
) -> AsyncIterator[str]:
    piece = io.StringIO()
    writer = csv.writer(piece, lineterminator="\r\n")
    writer.writerow(columns)
    async for rows in pages:
        for number, row in enumerate(rows, start=1):
            writer.writerow(_harmless(row[column]) if column in texts else row[column] for column in columns)
            if number % _PIECE_ROWS == 0:
                yield _taken(piece)
                await asyncio.sleep(0)  # what is served beside it goes on
        yield _taken(piece)


def _taken(piece: io.StringIO) -> str:
    text = piece.getvalue()
    piece.seek(0)
    piece.truncate()
    return text


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
