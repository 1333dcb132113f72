"""One frozen `Settings`, validated from a mapping; the roots pass in the environment."""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from core import addresses
from core.errors import SettingsError
from core.symbols import SYMBOL_RULE, read_symbol
from core.timeframes import SCANNED

DEFAULT_SYMBOLS = (
    "BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT,XRPUSDT,DOGEUSDT,ADAUSDT,AVAXUSDT,LINKUSDT,LTCUSDT,"
    "DOTUSDT,TRXUSDT,BCHUSDT,NEARUSDT,UNIUSDT,ATOMUSDT,ETCUSDT,APTUSDT,ARBUSDT,SUIUSDT"
)
MAX_SYMBOLS = 1_000
FEWEST_SIMULATED = 20
"""Symbols that the simulated exchange lists: the default ones."""
_SECRET = frozenset(
    [
        *("database_url", "redis_url", "binance_ws_url", "binance_rest_url"),
        *("http_proxy", "https_proxy", "all_proxy", "alert_channels", "heartbeat_url"),
        *("dashboard_users", "api_keys"),
    ]
)
"""What may hold a password: never shown, not even where it can't be used."""
_PROXY_VARIABLES = frozenset(("http_proxy", "https_proxy", "all_proxy", "no_proxy"))
SourceKind = Literal["auto", "binance", "simulated", "replay"]


def _source(value: str) -> str:
    if value in ("auto", "binance", "simulated") or re.fullmatch(r"replay:.+", value):
        return value
    raise ValueError


def _symbols(value: str) -> str:
    if re.fullmatch(r"TOP:\d+", value.upper()):
        if not 2 <= int(value[4:]) <= MAX_SYMBOLS:
            raise ValueError
        return value.upper()
    names = list(
        dict.fromkeys(read_symbol(name.strip()) for name in value.split(",") if name.strip())
    )
    if not 1 <= len(names) <= MAX_SYMBOLS:
        raise ValueError
    return ",".join(names)


def _scan_timeframes(value: str) -> str:
    names = list(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if value != "none" and not (names and set(names) <= set(SCANNED)):
        raise ValueError
    return ",".join(names)


def _channels(value: str) -> str:
    """A channel a line: whatever parts them in the environment."""
    lines = value.split()
    names = [re.match(r"([A-Za-z0-9_-]{1,40})=[a-z0-9+]+://.", line) for line in lines]
    if len({match[1] for match in names if match}) != len(lines):
        raise ValueError
    return "\n".join(lines)


def _entries(entry: str) -> BeforeValidator:
    """A comma list of entries of one form, each with a name of its own before its first colon."""

    def check(value: str) -> str:
        entries = [part.strip() for part in value.split(",") if part.strip()]
        names = {part.partition(":")[0] for part in entries}
        if not entries or len(names) < len(entries):
            raise ValueError
        if not all(re.fullmatch(rf"[\w.@-]{{1,40}}:{entry}", part) for part in entries):
            raise ValueError
        return ",".join(entries)

    return BeforeValidator(check)


def _allowed_hosts(value: str) -> str:
    names = [name.strip().strip("[]").rstrip(".").lower() for name in value.split(",")]
    for number, name in enumerate(names):
        if not name.isascii():
            names[number] = name.encode("idna").decode()
        if name != "*" and not re.fullmatch(r"\.?[\w-]+(\.[\w-]+)*|[0-9a-f:.]*:[0-9a-f:.]*", name):
            raise ValueError
    return ",".join(dict.fromkeys(names))


def _parts(value: SecretStr | None) -> list[str]:
    return value.get_secret_value().split(",") if value else []


class Settings(BaseModel):
    """Everything the environment decides. Field names are the variables in lower case."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: Annotated[str, Field(min_length=1, description="an address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="a whole number from 1 to 65535")] = 8050
    web_concurrency: Annotated[
        int, Field(ge=1, le=64, description="a whole number from 1 to 64")
    ] = 2
    allowed_hosts: Annotated[
        str | None,
        BeforeValidator(_allowed_hosts),
        Field(
            description="a comma list of host names such as desk.example.com or .example.com"
            " (all below it), without port, or * for any"
        ),
    ] = None
    dashboard_users: Annotated[
        SecretStr | None,
        _entries(r"scrypt\.1[4-7]\.8\.[1-9]\.[0-9a-f]{32}\.[0-9a-f]{64}"),
        Field(
            description="name:hash, several separated by commas, each name once; a hash is what"
            " `python -m app hash-password` prints"
        ),
    ] = None
    api_keys: Annotated[
        SecretStr | None,
        _entries(r"(read|write):sha256\.[0-9a-f]{64}"),
        Field(
            description="name:scope:hash, several separated by commas, each name once; scope is"
            " read or write, `python -m app make-key` prints all of it"
        ),
    ] = None
    trusted_proxies: Annotated[int, Field(ge=0, le=8, description="a whole number from 0 to 8")] = 0
    database_url: Annotated[
        SecretStr,
        BeforeValidator(addresses.database_url),
        Field(
            description="sqlite:///path/to/file.db (the home folder written out, not as ~),"
            " postgres://… or postgresql://… (@ / # in a password as %40 %2F %23)"
        ),
    ] = SecretStr("sqlite:///data/market.db")
    redis_url: Annotated[
        SecretStr | None,
        BeforeValidator(addresses.redis_url),
        Field(
            description="redis://user:password@host:port/number, rediss://… for TLS (with"
            " ?ssl_cert_reqs=none where its certificate is its own) or unix:///path?db=number"
            " (@ / # in a password as %40 %2F %23)"
        ),
    ] = None
    source: Annotated[
        str,
        BeforeValidator(_source),
        Field(description="auto, binance, simulated or replay:PATH"),
    ] = "auto"
    binance_ws_url: Annotated[
        SecretStr | None,
        addresses.base_url("wss", "ws"),
        Field(description="a base such as wss://host:port or ws://host:port"),
    ] = None
    binance_rest_url: Annotated[
        SecretStr | None,
        addresses.base_url("https", "http"),
        Field(description="a base such as https://host:port or http://host:port"),
    ] = None
    http_proxy: Annotated[
        SecretStr | None, BeforeValidator(addresses.proxy), Field(description=addresses.PROXY_WORDS)
    ] = None
    https_proxy: Annotated[
        SecretStr | None, BeforeValidator(addresses.proxy), Field(description=addresses.PROXY_WORDS)
    ] = None
    all_proxy: Annotated[
        SecretStr | None, BeforeValidator(addresses.proxy), Field(description=addresses.PROXY_WORDS)
    ] = None
    no_proxy: Annotated[
        str | None, Field(description="names, addresses and nets that go past the proxy, or *")
    ] = None
    symbols: Annotated[
        str,
        BeforeValidator(_symbols),
        Field(
            description="a comma list of 1 to 1000 symbols such as BTCUSDT,ETHUSDT"
            f" ({SYMBOL_RULE}), or TOP:n with n from 2 to 1000"
        ),
    ] = DEFAULT_SYMBOLS
    simulated_symbols: Annotated[
        int,
        Field(ge=FEWEST_SIMULATED, le=MAX_SYMBOLS, description="a whole number from 20 to 1000"),
    ] = FEWEST_SIMULATED
    retain_trades_hours: Annotated[
        int, Field(ge=1, le=8760, description="a whole number of hours from 1 to 8760")
    ] = 24
    retain_1s_days: Annotated[
        int, Field(ge=1, le=3650, description="a whole number of days from 1 to 3650")
    ] = 7
    retain_bars_days: Annotated[
        int, Field(ge=1, le=3650, description="a whole number of days from 1 to 3650")
    ] = 400
    backfill_days: Annotated[
        int, Field(ge=1, le=400, description="a whole number of days from 1 to 400")
    ] = 7
    alert_channels: Annotated[
        SecretStr | None,
        BeforeValidator(_channels),
        Field(
            description="name=address, several separated by spaces, each name once (letters,"
            " digits, _ and -); an address of Apprise, or webhook+https://…"
        ),
    ] = None
    heartbeat_url: Annotated[
        SecretStr | None,
        BeforeValidator(addresses.web_address),
        Field(description="an address such as https://host/path"),
    ] = None
    scan_timeframes: Annotated[
        str,
        BeforeValidator(_scan_timeframes),
        Field(description=f"a comma list of {', '.join(SCANNED)}, or none"),
    ] = "1h,5m"
    dask_scheduler: Annotated[
        str | None,
        BeforeValidator(addresses.scheduler),
        Field(description="an address of a Dask scheduler such as tcp://host:8786"),
    ] = None
    fee_bps: Annotated[
        float, Field(ge=0, le=1000, allow_inf_nan=False, description="a number from 0 to 1000")
    ] = 10.0
    slippage_bps: Annotated[
        float, Field(ge=0, le=1000, allow_inf_nan=False, description="a number from 0 to 1000")
    ] = 2.0

    @field_validator("*", mode="before")
    @classmethod
    def _in_utf8(cls, value: object) -> object:
        """Refuse bytes of another encoding: they fail later, wherever they are written."""
        if isinstance(value, str):
            value.encode()
        return value

    @classmethod
    def from_mapping(cls, variables: Mapping[str, str]) -> "Settings":
        """Validate environment variables; unset and empty ones take their defaults.

        Those of proxies may be in lower case, as everywhere, and those count first.

        Raises
        ------
        SettingsError
            Names every bad key, what it holds and what is allowed.
        """
        given: dict[str, Any] = {
            key.lower(): value.strip()
            for key, value in variables.items()
            if key.isupper() and value.strip() and key.lower() in cls.model_fields
        }
        given |= {
            key: value.strip()
            for key, value in variables.items()
            if key in _PROXY_VARIABLES and value.strip()
        }
        try:
            return cls(**given)
        except ValidationError as error:
            lines = []
            for key in dict.fromkeys(str(item["loc"][0]) for item in error.errors()):
                allowed = cls.model_fields[key].description
                allowed = f"{allowed}, in UTF-8" if not given[key].isascii() else allowed
                shown = "(hidden)" if key in _SECRET else repr(given[key])
                lines.append(f"{key.upper()}={shown} is not usable; allowed: {allowed}")
            raise SettingsError("\n".join(lines)) from None

    @property
    def source_kind(self) -> SourceKind:
        return cast(SourceKind, self.source.partition(":")[0])

    @property
    def replay_path(self) -> str | None:
        """What follows `replay:`, when the source is a replay."""
        return self.source.partition(":")[2] or None

    @property
    def symbol_list(self) -> tuple[str, ...]:
        """The symbols named one by one; empty when the exchange is to pick the top ones."""
        return () if self.top_symbols else tuple(self.symbols.split(","))

    @property
    def allowed_host_list(self) -> tuple[str, ...]:
        """Names of `ALLOWED_HOSTS`, one by one."""
        return tuple(self.allowed_hosts.split(",")) if self.allowed_hosts else ()

    @property
    def page_address(self) -> str:
        """Where the page is, as seen from this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def scanned_timeframes(self) -> tuple[str, ...]:
        """Timeframes of `SCAN_TIMEFRAMES`, one by one."""
        return () if self.scan_timeframes == "none" else tuple(self.scan_timeframes.split(","))

    @property
    def channels(self) -> dict[str, SecretStr]:
        """Addresses of `ALERT_CHANNELS` by name."""
        lines = self.alert_channels.get_secret_value().split() if self.alert_channels else []
        pairs = (line.partition("=") for line in lines)
        return {name: SecretStr(address) for name, _, address in pairs}

    @property
    def users(self) -> dict[str, str]:
        """Password hashes of `DASHBOARD_USERS` by name."""
        entries = (part.partition(":") for part in _parts(self.dashboard_users))
        return {name: password for name, _, password in entries}

    @property
    def keys(self) -> dict[str, tuple[str, str]]:
        """Name and scope of `API_KEYS` by the key's hash."""
        entries = (part.split(":") for part in _parts(self.api_keys))
        return {key: (name, scope) for name, scope, key in entries}

    @property
    def top_symbols(self) -> int | None:
        """The n of `TOP:n`."""
        return int(self.symbols[4:]) if self.symbols.startswith("TOP:") else None

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.get_secret_value().startswith("sqlite:")

    def sqlite_path(self, root: PurePath) -> PurePath:
        """File of the embedded database: a relative one is below `root`.

        Simulated and replayed markets have files of their own beside the real one: their
        trade ids are another id space.
        """
        path = root / self.database_url.get_secret_value().removeprefix("sqlite:///")
        if self.source_kind in ("simulated", "replay"):
            path = path.with_name(f"{path.stem}-{self.source_kind}{path.suffix}")
        return path

    def resolved_database_url(self, root: PurePath) -> str:
        """URL for SQLAlchemy, password and all, with the file that belongs to the source."""
        if self.is_sqlite:
            return f"sqlite:///{self.sqlite_path(root)}"
        return self.database_url.get_secret_value()
