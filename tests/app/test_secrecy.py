"""What a visitor may not learn: where the database is, as whom, and with which password."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient
from plotly.utils import PlotlyJSONEncoder

from app import create_app
from app.views.live.callbacks import load_screen
from core.settings import Settings
from ingest.store.reader import Reader

PATHS = (
    "/api/status",
    "/api/symbols",
    "/api/bars?symbol=BTCUSDT&timeframe=1m",
    "/analytics/pair",
    "/analytics/pair/trades.csv",
    "/readyz",
    "/metrics",
    "/",
    "/_dash-layout",
)


def missing(folder: Path) -> str:
    return f"sqlite:///{folder}/none.db"


def broken(folder: Path) -> str:
    (folder / "broken.db").write_bytes(b"no database" * 500)
    return f"sqlite:///{folder}/broken.db"


def foreign(folder: Path) -> str:
    (folder / "foreign.db").touch()
    return f"sqlite:///{folder}/foreign.db"


def unreachable(_folder: Path) -> str:
    given = "postgres://teller:hush@127.0.0.3:1/desk?sslpassword=hush&application_name=a"
    return Settings.from_mapping({"DATABASE_URL": given}).database_url.get_secret_value()


@pytest.mark.parametrize("make", [missing, broken, foreign, unreachable])
def test_a_database_that_cannot_be_read_is_told_without_saying_where_it_is(
    tmp_path: Path,
    make: Callable[[Path], str],
    open_client: Callable[[Dash], FlaskClient],
    capsys: pytest.CaptureFixture[str],
) -> None:
    reader = Reader(make(tmp_path))
    desk = create_app(Settings.from_mapping({}), reader)
    client = open_client(desk)
    answers: dict[str, Any] = {path: client.get(path).get_data(as_text=True) for path in PATHS}
    request = {"query": "", "note": ""}
    answers["screen"] = json.dumps(
        load_screen(desk.server.extensions["pairdesk"], request)["notices"], cls=PlotlyJSONEncoder
    )
    reader.close()
    for path in ("/api/status", "/api/symbols", "/readyz", "screen"):
        assert "database" in answers[path], path
    for path, answer in answers.items():
        for secret in (str(tmp_path), "teller", "hush", "127.0.0.3"):
            assert secret not in answer, path
    assert "hush" not in "".join(capsys.readouterr())
