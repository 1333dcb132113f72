"""A .env that an ordinary editor or shell wrote is read, or refused in words."""

import codecs
import os
from pathlib import Path

import pytest

from core.errors import SettingsError
from ingest.process.environment import read_dotenv

TEXT = "# a note\nDESK_A=币安人生USDT\nDESK_B='two words'\r\n"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DESK_A", "DESK_B"):
        monkeypatch.setenv(name, "before")
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
    ],
    ids=["utf-8", "utf-8 with a mark", "utf-16", "utf-16 the other way", "utf-32"],
)
def test_the_first_setting_of_a_file_counts_in_each_named_encoding(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / ".env").write_bytes(content)
    read_dotenv(tmp_path / ".env")
    assert os.environ["DESK_A"] == "币安人生USDT"
    assert os.environ["DESK_B"] == "two words"


def test_the_environment_goes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_A", "given")
    (tmp_path / ".env").write_text(TEXT)
    read_dotenv(tmp_path / ".env")
    assert os.environ["DESK_A"] == "given"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("PORT=1\nDESK_A=币安人生USDT\n".encode("gbk"), r"\.env, line 2: not UTF-8"),
        ("DESK_A=Größe\n".encode("cp1252"), "line 1: not UTF-8"),
        ("DESK_A=цена\n".encode("koi8-r"), "line 1: not UTF-8"),
        (codecs.BOM_UTF16_LE + b"D\0E", "not UTF-16"),
        ("DESK_A=1\n".encode("utf-16-le"), "characters of code 0"),
        (b"DESK_A=1\0\n", "characters of code 0"),
    ],
)
def test_another_encoding_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(SettingsError, match=words):
        read_dotenv(tmp_path / ".env")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("DESK_A=1\nPORT: 8050\n", "2"),
        ("DESK_A='not closed\nDESK_B=2\n", "1"),
        ("\n# fine\n=1\nDESK_A=1\nset DESK_B 2\n", "3, 5"),
        ("DESK_A=1 'x\nDESK_B='a' b\n", "2"),
        ("DESK A=1\n", "1"),
        ("DESK_A\n", "1"),
        ("$env:DESK_A=1\n\u200bDESK_B=2\n", "1, 2"),
    ],
)
def test_lines_that_set_nothing_are_told_by_number_and_nothing_is_set(
    tmp_path: Path, text: str, lines: str
) -> None:
    (tmp_path / ".env").write_text(text)
    with pytest.raises(SettingsError, match=rf"\.env, line {lines}: not NAME=value") as told:
        read_dotenv(tmp_path / ".env")
    assert "closed\n" not in str(told.value)  # a line may hold a password
    assert "DESK_A" not in os.environ


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("export DESK_A=1\n", "1"),
        ("DESK_A = 1 # why\n", "1"),
        ("DESK_A=\n", ""),
        ('DESK_A="two\nlines"\n', "two\nlines"),
    ],
)
def test_every_form_that_is_usual_is_read(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / ".env").write_text(text)
    read_dotenv(tmp_path / ".env")
    assert os.environ["DESK_A"] == value


def test_a_folder_of_that_name_is_refused_and_a_missing_file_is_none(tmp_path: Path) -> None:
    read_dotenv(tmp_path / ".env")
    (tmp_path / ".env").mkdir()
    with pytest.raises(SettingsError, match=r"\.env can't be read"):
        read_dotenv(tmp_path / ".env")
