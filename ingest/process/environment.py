"""The environment of a root: `.env` beside the project, read once, before the settings."""

import codecs
import io
import re
from pathlib import Path

from dotenv import load_dotenv
from dotenv.parser import parse_stream

from core.errors import SettingsError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# PowerShell's $env:PORT=1 would set something that nobody reads, and so a mark before the name.
_is_name = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII).fullmatch


def read_dotenv(path: Path) -> None:
    """Take variables that the environment doesn't have from a file; a missing one is none.

    UTF-8, and what editors and shells mark with a byte order mark: PowerShell writes UTF-16.

    Raises
    ------
    SettingsError
        The file can't be read, is in an encoding that nothing names, or has lines that set nothing.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(f"{path.name} can't be read ({error.strerror})") from None
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            f"{path.name}, line {line}: not {encoding.upper()}; save the file as UTF-8"
        ) from None
    if "\0" in text:
        raise SettingsError(f"{path.name} holds characters of code 0; save the file as UTF-8")
    # Read past in silence otherwise, with all that an open quotation mark swallows.
    odd = [
        str(one.original.line)
        for one in parse_stream(io.StringIO(text))
        if one.error or (one.key is not None and (one.value is None or not _is_name(one.key)))
    ]
    if odd:
        raise SettingsError(
            f"{path.name}, line {', '.join(odd)}: not NAME=value; a comment begins with #,"
            " and a quotation mark has to be closed"
        )
    load_dotenv(stream=io.StringIO(text))
