"""Tables as CSV that a spreadsheet reads rightly, to be saved under a name."""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from flask import Response

from app.api.blueprint import tagged

CSV = {"type": "string"}
"""The schema of such an answer."""
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)Z")


def csv_text(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table as a spreadsheet reads it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Keep a spreadsheet from taking text for a formula, or a time for text."""
    if isinstance(value, str) and (moment := _MOMENT.fullmatch(value)):
        return f"{moment[1]} {moment[2]}"  # in UTC; the same with T and Z would be text
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def csv_answer(text: str, file_name: str) -> Response:
    """CSV to be saved under a name."""
    response = Response(text, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = _attachment(file_name)
    return tagged(response)


def _attachment(file_name: str) -> str:
    """A header is latin-1 at best: other letters go into a second name (RFC 6266), which counts."""
    plain = re.sub(r"[^0-9A-Za-z._-]", "_", file_name)
    if plain == file_name:
        return f"attachment; filename={plain}"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"
