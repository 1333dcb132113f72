"""What tests of files share: dump files made on the spot, and an import without waiting."""

import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from core.errors import ImportFileError
from ingest.files.importer import import_files
from ingest.files.summary import ImportResult, RefusedFile
from ingest.store.transaction import Writer


@pytest.fixture
def load(writer: Writer) -> Callable[..., list[ImportResult]]:
    """Import files without waiting between the writes; raise what any was refused for."""

    def run(*paths: Path, **options: Any) -> list[ImportResult]:
        told = list(import_files(paths, writer, lambda _: None, sleep=lambda _: None, **options))
        refused = [result.reason for result in told if isinstance(result, RefusedFile)]
        if refused:
            raise ImportFileError("\n".join(refused))
        return [result for result in told if isinstance(result, ImportResult)]

    return run


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str, Iterable[str]], Path]:
    """Write a dump file; a name that ends in .zip gets the CSV packed."""

    def run(name: str, lines: Iterable[str]) -> Path:
        path = tmp_path / name
        text = "\n".join(lines) + "\n"
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(f"{path.stem}.csv", text)
        else:
            path.write_text(text)
        return path

    return run
