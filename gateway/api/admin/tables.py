"""Tables for spreadsheets: RFC 4180, written piece by piece."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from fastapi.responses import StreamingResponse

_PIECE_ROWS = 500
# What spreadsheets take for a formula (OWASP, "CSV injection"): names, tags and end users come from strangers.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_answer(
    name: str, columns: Sequence[str], texts: Collection[str], rows: Iterable[Mapping[str, object]]
) -> StreamingResponse:
    """The rows as a file ``name``, with a header row. ``texts`` are the columns whose values others chose.

    In those a value that a spreadsheet would take for a formula begins with an apostrophe.
    """
    return StreamingResponse(
        _pieces(columns, texts, rows),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _pieces(columns: Sequence[str], texts: Collection[str], rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    piece = io.StringIO()
    writer = csv.writer(piece, lineterminator="\r\n")
    writer.writerow(columns)
    for number, row in enumerate(rows, start=1):
        writer.writerow(_harmless(row[column]) if column in texts else row[column] for column in columns)
        if number % _PIECE_ROWS == 0:
            yield piece.getvalue()
            piece.seek(0)
            piece.truncate()
    yield piece.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
