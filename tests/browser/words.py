"""The API's answers, and numbers as the page writes them."""

import json
from typing import Any
from urllib.request import urlopen


def api(desk: Any, query: str = "", part: str = "") -> dict[str, Any]:
    with urlopen(f"{desk.url}/analytics/pair{part}?{query}") as answer:
        body: dict[str, Any] = json.load(answer)
    return body


def minus(words: str) -> str:
    return words.replace("-", "−")


def number(words: str) -> float:
    """A number as the page writes it: with a true minus, commas and perhaps a unit."""
    return float(words.split(" ")[0].replace("−", "-").replace(",", ""))
