"""One rule of what a symbol is: what is stored can be asked for, and what can't is never stored."""

import pytest

from core.errors import SettingsError
from core.settings import Settings
from core.symbols import is_symbol, read_symbol, split_symbol

GOOD = [
    ("btcusdt", "BTCUSDT"),
    ("1INCHUSDT", "1INCHUSDT"),
    ("币安人生usdt", "币安人生USDT"),
    ("BTCUSDT_240329", "BTCUSDT_240329"),
    ("BRK.B-USD", "BRK.B-USD"),
    ("e\N{COMBINING ACUTE ACCENT}USDT", "ÉUSDT"),
    ("A" * 20, "A" * 20),
]
BAD = [
    "", " ", "A+BUSDT", "BTC/USDT", "BTC USDT", "=BTC", "-BTC", ".BTC", "..", "_BTC", "BTC,ETH",
    "BTC\n", "BTC%20", "A" * 21, "ß" * 11, "BTC\ud800", "BTC\N{ZERO WIDTH SPACE}USDT",
    "\N{RIGHT-TO-LEFT OVERRIDE}BTC", "BTC\x00", "B" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize(("given", "stored"), GOOD)
def test_symbol_has_one_form_however_it_is_written(given: str, stored: str) -> None:
    assert read_symbol(given) == stored
    assert read_symbol(stored) == stored
    assert is_symbol(stored)
    assert Settings.from_mapping({"SYMBOLS": f"{given},ETHUSDT"}).symbol_list == (stored, "ETHUSDT")


@pytest.mark.parametrize("text", BAD)
def test_what_can_be_no_symbol_is_refused_in_words(text: str) -> None:
    assert not is_symbol(text)
    with pytest.raises(ValueError, match="allowed: 1 to 20 letters"):
        read_symbol(text)


@pytest.mark.parametrize("text", ["A+BUSDT", "BTC USDT", "=BTC", "A" * 21])
def test_settings_refuse_what_no_request_could_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"SYMBOLS=.*allowed: .*1 to 20 letters"):
        Settings.from_mapping({"SYMBOLS": f"BTCUSDT,{text}"})


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("ETHBTC", ("ETH", "BTC")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("BNBTRY", ("BNB", "TRY")),
        ("USDT", ("USDT", "")),
        ("ABC", ("ABC", "")),
    ],
)
def test_base_and_quote_are_guessed_from_the_ending(symbol: str, parts: tuple[str, str]) -> None:
    assert split_symbol(symbol) == parts
