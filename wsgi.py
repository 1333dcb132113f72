"""Composition root of the web: `gunicorn wsgi:server`. Opens nothing; the first request does."""

import gc
import os
from pathlib import Path

from core.settings import Settings
from ingest.process.environment import read_dotenv
from ingest.process.kernels import keep_kernels
from ingest.process.memory import give_back
from ingest.store.desk_book import DeskBook
from ingest.store.engine import sqlite_path
from ingest.store.reader import Reader

ROOT = Path(__file__).resolve().parent


read_dotenv(ROOT / ".env")
settings = Settings.from_mapping(os.environ)
url = settings.resolved_database_url(ROOT)
keep_kernels(ROOT, sqlite_path(url), os.environ)

# Only now: numba reads its folder when the kernels are imported.
from app import create_app  # noqa: E402

app = create_app(settings, Reader(url), book=DeskBook(url))
server = app.server

# Before the fork, so that web processes share it: 40 MB that each of them had for itself.
server.extensions["pairdesk"].kernels.load()

# What is loaded stays: the collector needn't go over it again at every request that makes garbage.
gc.collect()
give_back()
gc.freeze()
