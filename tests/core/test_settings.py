from pathlib import PurePosixPath
from traceback import format_exception

import pytest
import redis
from sqlalchemy import make_url

from core.errors import SettingsError
from core.settings import Settings

ROOT = PurePosixPath("/srv/desk")


def test_nothing_set_means_the_documented_defaults():
    settings = Settings.from_mapping({"PATH": "/bin", "PORT": ""})
    assert (settings.host, settings.port, settings.web_concurrency) == ("127.0.0.1", 8050, 2)
    assert settings.source_kind == "auto"
    assert len(settings.symbol_list) == 20
    assert settings.resolved_database_url(ROOT) == "sqlite:////srv/desk/data/market.db"


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("PORT", "http", "from 1 to 65535"),
        ("PORT", "70000", "from 1 to 65535"),
        ("WEB_CONCURRENCY", "0", "from 1 to 64"),
        ("DATABASE_URL", "mysql://desk@host/x", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///:memory:", "sqlite:///"),
        ("SOURCE", "kraken", "auto, binance, simulated or replay:PATH"),
        ("SOURCE", "replay:", "replay:PATH"),
        ("BINANCE_WS_URL", "https://host", "wss://"),
        ("BINANCE_REST_URL", "host:80", "https://"),
        ("SYMBOLS", ",", "comma list"),
        ("SYMBOLS", "BTC USDT", "comma list"),
        ("SYMBOLS", "TOP:1", "TOP:n"),
        ("RETAIN_TRADES_HOURS", "-1", "from 1 to 8760"),
        ("BACKFILL_DAYS", "1.5", "from 1 to 400"),
        ("FEE_BPS", "nan", "from 0 to 1000"),
        ("SLIPPAGE_BPS", "-2", "from 0 to 1000"),
    ],
)
def test_bad_value_is_named_with_what_is_allowed(key, value, allowed):
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({key: value})
    assert key in str(caught.value)
    assert allowed in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("DATABASE_URL", "sqlite:///data/b\udcf6rse.db"),
        ("SOURCE", "replay:/data/b\udcf6rse.gz"),
        ("NO_PROXY", "b\udcf6rse.example"),
        ("ALERT_CHANNELS", "bot=webhook+https://host/b\udcf6rse"),
        ("HEARTBEAT_URL", "https://host/b\udcf6rse"),
        ("BINANCE_REST_URL", "https://b\udcf6rse.example"),
    ],
)
def test_bytes_of_a_national_code_page_are_refused_in_words(key, value):
    with pytest.raises(SettingsError, match=f"{key}=.* is not usable; allowed: .*, in UTF-8"):
        Settings.from_mapping({key: value})
    assert Settings.from_mapping({key: value.replace("\udcf6", "\u00f6")})


def test_all_bad_values_are_named_at_once_and_passwords_are_not_shown():
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({"PORT": "x", "DATABASE_URL": "mysql://me:secret@host/x"})
    assert "PORT" in str(caught.value)
    assert "DATABASE_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("redis://localhost", "redis://localhost"),
        ("REDIS://[::1]:6380/3", "redis://[::1]:6380/3"),
        ("rediss://:p%40ss@host:6380", "rediss://:p%40ss@host:6380"),
        ("rediss://me:p@host/?ssl_cert_reqs=none", "rediss://me:p@host/?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        ("unix://me:p@/run/redis.sock", "unix://me:p@/run/redis.sock"),
    ],
)
def test_every_form_of_a_redis_is_taken_as_the_client_reads_it(given, read):
    settings = Settings.from_mapping({"REDIS_URL": given})
    assert settings.redis_url.get_secret_value() == read
    assert "p" not in str(settings.redis_url)
    assert redis.from_url(read).connection_pool is not None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_both_spellings_of_postgres_mean_the_installed_driver(scheme):
    settings = Settings.from_mapping({"DATABASE_URL": f"{scheme}://u:p@host:5432/desk"})
    assert settings.resolved_database_url(ROOT) == "postgresql+psycopg://u:p@host:5432/desk"
    assert not settings.is_sqlite


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("postgres://u:p%40ss@host/desk", "u:p%40ss@host/desk"),
        ("postgres://u:p@ss@host:1/desk", "u:p%40ss@host:1/desk"),
        ("postgres://host/desk?user=u&password=p@ss", "u:p%40ss@host/desk"),
        ("postgres://u@host/desk?password=secret&sslmode=require",
         "u:secret@host/desk?sslmode=require"),
        ("postgres:///desk?host=/run/postgresql", "/desk?host=%2Frun%2Fpostgresql"),
        ("postgres://[::1]:5432/desk", "[::1]:5432/desk"),
    ],
)  # fmt: skip
def test_a_password_stands_where_it_is_hidden_however_it_was_given(given, read):
    settings = Settings.from_mapping({"DATABASE_URL": given})
    url = settings.resolved_database_url(ROOT)
    assert url == f"postgresql+psycopg://{read}"
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(make_url(url))):
        assert "p%40ss" not in shown
        assert "p@ss" not in shown
        assert "secret" not in shown


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("DATABASE_URL", "postgres://u:secret@host:port/desk"),
        ("DATABASE_URL", "postgres://u:secret@host:99999/desk"),
        ("DATABASE_URL", "postgres://u:sec/secret@host/desk"),
        ("DATABASE_URL", "postgres://u:sec#secret@host/desk"),
        ("DATABASE_URL", "postgres://u:12/secret@host/desk"),
        ("DATABASE_URL", "postgres://u:secret@[::1/desk"),
        ("DATABASE_URL", "mysql://host/desk?password=secret"),
        ("DATABASE_URL", "sqlite:///~/secret.db"),
        ("DATABASE_URL", "sqlite:///secret.db?mode=ro"),
        ("REDIS_URL", "http://:secret@host:6379"),
        ("REDIS_URL", "redis://:secret@"),
        ("REDIS_URL", "redis://:secret@host:port/0"),
        ("REDIS_URL", "redis://:secret@host:99999"),
        ("REDIS_URL", "redis://:sec/secret@host/0"),
        ("REDIS_URL", "redis://:sec#secret@host/0"),
        ("REDIS_URL", "redis://:secret@host/one"),
        ("REDIS_URL", "redis://:secret@host/0?db=-1"),
        ("REDIS_URL", "redis://:secret@host/0?ssl_cert_reqs=none"),
        ("REDIS_URL", "rediss://:secret@host/0?ssl_cert_reqs=never"),
        ("REDIS_URL", "redis://:secret@host/0?socket_timeout=9"),
        ("REDIS_URL", "unix://:secret@/"),
        ("REDIS_URL", "unix://:secret@host/run/redis.sock"),
        ("BINANCE_WS_URL", "wss://me:secret@host:port"),
        ("BINANCE_REST_URL", "https://me:secret@host/?x"),
    ],
)
def test_a_value_that_may_hold_a_password_is_refused_unseen(key, value):
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({key: value})
    assert str(caught.value).startswith(f"{key}=(hidden) is not usable; allowed: ")
    assert "secret" not in str(caught.value)
    assert "secret" not in "".join(format_exception(caught.value))


@pytest.mark.parametrize(
    ("source", "file"),
    [("auto", "market.db"), ("binance", "market.db"), ("simulated", "market-simulated.db"),
     ("replay:/tmp/x.gz", "market-replay.db")],
)  # fmt: skip
def test_simulated_and_replayed_trades_never_land_among_real_ones(source, file):
    settings = Settings.from_mapping({"SOURCE": source})
    assert settings.sqlite_path(ROOT) == ROOT / "data" / file


def test_absolute_database_path_stays_absolute():
    settings = Settings.from_mapping({"DATABASE_URL": "sqlite:////var/lib/desk.db"})
    assert settings.sqlite_path(ROOT) == PurePosixPath("/var/lib/desk.db")


def test_symbols_are_upper_case_and_named_once():
    settings = Settings.from_mapping({"SYMBOLS": " ethusdt, BTCUSDT,ethusdt ,"})
    assert settings.symbol_list == ("ETHUSDT", "BTCUSDT")
    assert settings.top_symbols is None
    top = Settings.from_mapping({"SYMBOLS": "top:50"})
    assert (top.top_symbols, top.symbol_list) == (50, ())


def test_base_urls_lose_their_trailing_slash():
    settings = Settings.from_mapping({"BINANCE_REST_URL": "http://127.0.0.1:9/"})
    assert settings.binance_rest_url is not None
    assert settings.binance_rest_url.get_secret_value() == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "http://127.0.0.1:9000"),
        ("0.0.0.0", "http://127.0.0.1:9000"),  # an address to listen on, and none to go to
        ("::", "http://127.0.0.1:9000"),
        ("::1", "http://[::1]:9000"),
        ("desk.lan", "http://desk.lan:9000"),
    ],
)
def test_the_page_is_where_alerts_and_the_console_say_that_it_is(host, shown):
    assert Settings.from_mapping({"HOST": host, "PORT": "9000"}).page_address == shown
