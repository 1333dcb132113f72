"""Answers of the API, checked for their form as they are read."""

import json
from typing import Any

from werkzeug.test import TestResponse


def problem(response: TestResponse, status: int) -> dict[str, Any]:
    """The problem in a response, checked for its shape."""
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    body: dict[str, Any] = json.loads(response.data)
    assert set(body) == {"type", "title", "status", "detail", "errors"}
    assert body["status"] == status
    for error in body["errors"]:
        assert set(error) == {"field", "message", "allowed"}
    assert "Traceback" not in response.text
    return body


def strict_json(content: bytes) -> Any:
    """Parse JSON as the standard has it: no NaN, no Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(content, parse_constant=refuse)
