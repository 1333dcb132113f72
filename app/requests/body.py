"""JSON that was sent to us: whatever reads it gets text that can be written down again."""

import json
import re
from typing import Any

from flask.json.provider import DefaultJSONProvider

_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_TURNING = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_HALVES = r"\ud800-\udfff"
_unwritable = re.compile(f"[{_CONTROLS}{_TURNING}{_HALVES}]")


class WritableJson(DefaultJSONProvider):
    """Flask's JSON; what no log, file or answer can take is read as U+FFFD.

    That is controls, what turns the letters around it, and half a letter (an escape such as D800
    alone is good JSON): no encoder writes it, so it would fail far from where it entered.
    """

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        text = s if isinstance(s, str) else s.decode(json.detect_encoding(s), "surrogatepass")
        try:
            content = super().loads(text, **kwargs)
            # Without an escape what is in the text is all there can be in its parts.
            if "\\" not in text and _unwritable.search(text) is None:
                return content
            return _writable(content)
        except RecursionError:
            raise ValueError("nested too deeply") from None


def _writable(content: Any) -> Any:
    if isinstance(content, str):
        return _unwritable.sub("\N{REPLACEMENT CHARACTER}", content)
    if isinstance(content, list):
        return [_writable(part) for part in content]
    if isinstance(content, dict):
        return {_writable(name): _writable(part) for name, part in content.items()}
    return content
