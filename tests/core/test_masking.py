"""The net below: a password that gets into a message doesn't get into the log."""

import pytest

from core.masking import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to postgres://me:secret@host/desk failed", "to postgres://***@host/desk failed"),
        ("wss://me:sec@ret@host:9/ws", "wss://***@host:9/ws"),
        ("socks5h://me:secret@p:1", "socks5h://***@p:1"),
        ("https://host/a?password=secret&b=1", "https://host/a?password=***&b=1"),
        ("host=h password='x' user=u", "host=h password=*** user=u"),
        ("PASSWORD: secret", "PASSWORD: ***"),
        ("sslpassword=secret", "sslpassword=***"),
        ("https://data-api.binance.vision/api/v3", "https://data-api.binance.vision/api/v3"),
        ("https://host/btcusdt@trade", "https://host/btcusdt@trade"),
        ("password authentication failed", "password authentication failed"),
    ],
)
def test_passwords_are_masked_and_the_rest_is_kept(text: str, shown: str) -> None:
    assert masked(text) == shown
