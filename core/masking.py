"""Hides passwords in text that goes to a log: a net below the places that keep them apart."""

import re

# Up to the last @ before the path: a password may hold one itself.
_USER_INFO = re.compile(r"(?<=://)[^/\s\"'<>]*@")
_PARAMETER = re.compile(
    r"(?i)(?<![a-z])((?:ssl)?password|passwd|pwd)(\s*[=:]\s*)"
    r"(?:'[^']*'|\"[^\"]*\"|[^&\s\"',;)]+)"
)


def masked(text: str) -> str:
    """Replace names and passwords in URLs, and what follows `password=`."""
    if "://" in text:
        text = _USER_INFO.sub("***@", text)
    return _PARAMETER.sub(r"\1\2***", text)
