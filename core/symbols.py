"""What a symbol is: one rule for settings, files, recordings, requests and what is listed."""

import re
import unicodedata

MAX_SYMBOL_LENGTH = 20
SYMBOL_RULE = (
    f"1 to {MAX_SYMBOL_LENGTH} letters or digits of any script, after the first also dot, dash"
    " and underscore"
)
QUOTES = (
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USDP", "USD1", "DAI", "BTC", "ETH", "BNB", "XRP",
    "TRX", "DOGE", "SOL", "EUR", "TRY", "GBP", "BRL", "ARS", "AUD", "JPY", "MXN", "PLN", "RON",
    "RUB", "UAH", "ZAR", "IDR", "NGN", "COP", "CZK", "USD",
)  # fmt: skip

_LONGEST_TEXT = 4 * MAX_SYMBOL_LENGTH
_symbol = re.compile(r"[^\W_][\w.\-]*").fullmatch


def read_symbol(text: str) -> str:
    """Give a symbol as it is stored: upper case, one form of each letter.

    Raises
    ------
    ValueError
        It can't be one; `SYMBOL_RULE` says what can. What passes stands in a URL, a file's name, a
        CSV cell and a comma list as it is.
    """
    # A file's name may come with its accents apart (macOS): the same letters, other characters.
    symbol = unicodedata.normalize("NFC", text.upper()) if len(text) <= _LONGEST_TEXT else ""
    if len(symbol) > MAX_SYMBOL_LENGTH or not _symbol(symbol):
        raise ValueError(f"not a symbol; allowed: {SYMBOL_RULE}")
    return symbol


def is_symbol(text: str) -> bool:
    """Tell whether a text is a symbol as it stands."""
    try:
        return read_symbol(text) == text
    except ValueError:
        return False


def split_symbol(symbol: str) -> tuple[str, str]:
    """Guess base and quote from a symbol's known endings; no quote when none fits."""
    for quote in QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote), quote
    return symbol, ""
