"""A body has a limit, on every path and however it comes."""

import io

import pytest
from flask.testing import FlaskClient

from tests.support.answers import problem


@pytest.mark.parametrize(
    "path", ["/_dash-update-component", "/analytics/pair", "/api/status", "/api/nope", "/metrics"]
)
@pytest.mark.parametrize("method", ["post", "get", "delete"])
def test_long_body_is_refused_before_it_is_read(
    client: FlaskClient, path: str, method: str
) -> None:
    content = b'"' + b"x" * (64 * 1024) + b'"'
    response = client.open(path, method=method, data=content, content_type="application/json")
    assert "65,536 bytes" in problem(response, 413)["detail"]


def test_long_body_that_does_not_say_its_length_is_refused_while_it_is_read(
    client: FlaskClient,
) -> None:
    body = io.BytesIO(b'"' + b"x" * (64 * 1024) + b'"')
    response = client.post(
        "/_dash-update-component",
        input_stream=body,
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )
    problem(response, 413)


def test_body_up_to_the_limit_is_read(client: FlaskClient) -> None:
    content = b'"' + b"x" * (64 * 1024 - 2) + b'"'
    response = client.post("/_dash-update-component", data=content, content_type="application/json")
    assert problem(response, 400)["errors"][0]["message"] == "must be an object"
