"""Who may read, who may write: told by session, key and place; nobody else gets in."""

import io
import subprocess
import sys
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import __main__ as command
from app.services.accounts import (
    TRIES,
    Accounts,
    TooManyTries,
    hash_key,
    hash_password,
    is_password,
)
from core.errors import SettingsError, StoreError
from core.settings import Settings
from tests.app.test_rules_api import HOME, RULE, OwnDesk
from tests.app.test_rules_api import own as own

ADA = f"ada:{hash_password('correct horse', cost=(14, 8, 1))}"
READ, WRITE = "key-that-reads", "key-that-writes"
KEYS = f"eye:read:{hash_key(READ)},bot:write:{hash_key(WRITE)}"
CLOSED = ("/", "/_dash-layout", "/api/status", "/analytics/pair", "/metrics", "/docs",
          "/openapi.json", "/api/rules", "/api/watchlist", "/nosuch")  # fmt: skip
OPEN = ("/healthz", "/api/me", "/login", "/assets/desk.css")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def sign_in(client: FlaskClient, password: str = "correct horse", **form: str) -> Any:
    form = {"name": "ada", "password": password} | form
    return client.post("/login", data=form, headers=HOME)


def test_without_users_and_keys_reading_is_open_and_the_page_says_who_may_write(
    own: OwnDesk,
) -> None:
    assert own.client.get("/").status_code == 200
    assert own.client.get("/api/me").get_json() == {
        "name": None, "may_write": True, "why_not": None, "sign_in": None,
    }  # fmt: skip
    me = own.open(HOST="0.0.0.0").get("/api/me").get_json()
    assert not me["may_write"]
    assert "DASHBOARD_USERS" in me["why_not"]


def test_with_users_nothing_is_read_before_signing_in_and_all_of_it_after(own: OwnDesk) -> None:
    client = own.open(DASHBOARD_USERS=ADA)
    for path in CLOSED:
        refused = client.get(path)
        assert refused.status_code in (401, 303), path
        assert b"BTCUSDT" not in refused.data
    assert client.get("/?window=30").headers["Location"] == "/login?next=%2F%3Fwindow%3D30"
    refused = client.get("/api/status")
    assert refused.content_type == "application/problem+json"
    assert "sign in at /login" in refused.get_json()["detail"]
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    for path in OPEN:
        with client.get(path) as answer:
            assert answer.status_code == 200, path
    assert client.get("/api/me").get_json()["sign_in"] == "/login"
    entered = sign_in(client, next="/?window=30")
    assert (entered.status_code, entered.headers["Location"]) == (303, "/?window=30")
    for path in CLOSED[:-1]:
        assert client.get(path).status_code == 200, path
    assert client.get("/api/me").get_json() == {
        "name": "ada", "may_write": True, "why_not": None, "sign_in": "/login",
    }  # fmt: skip


def test_writing_is_for_who_has_signed_in_and_from_this_desk_s_own_page(own: OwnDesk) -> None:
    client = own.open(DASHBOARD_USERS=ADA, HOST="0.0.0.0")
    assert client.post("/api/rules", json=RULE, headers=HOME).status_code == 401
    sign_in(client)
    evil = {"Origin": "http://evil.example"}
    assert client.post("/api/rules", json=RULE, headers=evil).status_code == 403
    assert client.post("/api/rules", json=RULE).status_code == 403
    behind = HOME | {"X-Forwarded-For": "10.0.0.9"}
    assert client.post("/api/rules", json=RULE, headers=behind).status_code == 201
    assert client.post("/logout", headers=evil).status_code == 303
    assert client.get("/api/me").get_json()["name"] == "ada"  # no other site signs anybody out
    client.post("/logout", headers=HOME)
    assert client.get("/api/rules").status_code == 401


def test_with_keys_alone_the_page_reads_what_it_shows_and_a_program_without_a_key_does_not(
    own: OwnDesk,
) -> None:
    browser = own.open(API_KEYS=KEYS, HOST="0.0.0.0")
    assert browser.get("/api/rules").status_code == 401
    page = browser.get("/alerts")
    assert "HttpOnly" in page.headers["Set-Cookie"]
    assert "SameSite=Lax" in page.headers["Set-Cookie"]
    for path in ("/api/rules", "/api/status", "/analytics/pair/trades.csv"):
        assert browser.get(path).status_code == 200, path
    assert browser.post("/api/rules", json=RULE, headers=HOME).status_code == 403
    assert browser.get("/api/status", headers=bearer("guessed")).status_code == 401
    for path in ("/assets/desk.css", "/healthz", "/_dash-layout"):
        program = browser.application.test_client()
        with program.get(path) as answer:
            assert "Set-Cookie" not in answer.headers, path
    # A cookie that somebody else has signed opens nothing, whatever users there were.
    forged = own.open(API_KEYS=f"eye:read:{hash_key('another')}")
    forged.get("/")
    stolen = forged.get_cookie("pairdesk_session")
    assert stolen is not None
    program = own.open(API_KEYS=KEYS)
    program.set_cookie("pairdesk_session", stolen.value)
    assert program.get("/api/status").status_code == 401


def test_keys_let_programs_in_as_far_as_their_scope_goes(own: OwnDesk) -> None:
    client = own.open(API_KEYS=KEYS, HOST="0.0.0.0")
    assert client.get("/api/status").status_code == 401
    assert client.get("/").status_code == 200
    for key in (READ, WRITE):
        assert client.get("/api/status", headers=bearer(key)).status_code == 200
    wrong = client.get("/api/status", headers=bearer("guessed"))
    assert (wrong.status_code, wrong.get_json()["detail"][:8]) == (401, "This key")
    assert client.get("/healthz", headers=bearer("guessed")).status_code == 200
    refused = client.post("/api/rules", json=RULE, headers=bearer(READ))
    assert (refused.status_code, "read only" in refused.get_json()["detail"]) == (403, True)
    assert client.post("/api/rules", json=RULE, headers=bearer("")).status_code == 401
    assert client.post("/api/rules", json=RULE, headers=bearer(WRITE)).status_code == 201
    unread = client.post("/api/rules", data="{}", headers=bearer(WRITE))
    assert unread.status_code == 415
    me = client.get("/api/me", headers=bearer(WRITE)).get_json()
    assert (me["name"], me["may_write"]) == ("bot", True)


def test_a_key_works_beside_users_and_a_session_where_keys_are_set(own: OwnDesk) -> None:
    client = own.open(API_KEYS=KEYS, DASHBOARD_USERS=ADA)
    assert client.get("/api/status", headers=bearer(READ)).status_code == 200
    sign_in(client)
    assert client.get("/api/status").status_code == 200


def test_wrong_passwords_are_refused_and_ever_more_of_them_not_looked_at(own: OwnDesk) -> None:
    client = own.open(DASHBOARD_USERS=ADA)
    for _ in range(TRIES):
        refused = sign_in(client, "wrong")
        assert refused.status_code == 401
        assert "Set-Cookie" not in refused.headers
    assert sign_in(client, name="nobody").status_code == 429
    late = sign_in(client)
    assert late.status_code == 429
    assert 0 < int(late.headers["Retry-After"]) <= 61
    other = {"REMOTE_ADDR": "10.9.9.9"}
    form = {"name": "ada", "password": "correct horse"}
    entered = client.post("/login", data=form, headers=HOME, environ_base=other)
    assert entered.status_code == 303


def test_tries_are_forgotten_with_time_and_after_the_right_password() -> None:
    now = [0.0]
    accounts = Accounts(Settings.from_mapping({"DASHBOARD_USERS": ADA}), lambda: now[0])
    for _ in range(TRIES - 1):
        assert not accounts.is_user("ada", "wrong", "10.0.0.1")
    assert accounts.is_user("ada", "correct horse", "10.0.0.1")
    for _ in range(TRIES):
        now[0] += 1.0
        assert not accounts.is_user("eve", "correct horse", "10.0.0.1")
    with pytest.raises(TooManyTries) as caught:
        accounts.is_user("ada", "correct horse", "10.0.0.1")
    assert caught.value.wait_s == 57
    now[0] += 57
    assert accounts.is_user("ada", "correct horse", "10.0.0.1")


@pytest.mark.parametrize(
    "target", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:x", "x"]
)
def test_signing_in_leads_to_no_other_site(own: OwnDesk, target: str) -> None:
    client = own.open(DASHBOARD_USERS=ADA)
    assert sign_in(client, next=target).headers["Location"] == "/"


def test_another_site_signs_nobody_in_and_no_text_of_a_link_runs(own: OwnDesk) -> None:
    client = own.open(DASHBOARD_USERS=ADA)
    form = {"name": "ada", "password": "correct horse"}
    evil = client.post("/login", data=form, headers={"Origin": "http://evil.example"})
    assert (evil.status_code, "Set-Cookie" in evil.headers) == (403, False)
    page = client.get("/login?next=/%22%3E%3Cscript%3E").get_data(as_text=True)
    assert "<script>" not in page
    assert 'value="/&quot;&gt;&lt;script&gt;"' in page


def test_a_session_is_the_browser_s_alone_and_ends_with_the_password(own: OwnDesk) -> None:
    client = own.open(DASHBOARD_USERS=ADA)
    cookie = sign_in(client).headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    name, _, value = cookie.partition(";")[0].partition("=")
    tls = own.open(DASHBOARD_USERS=ADA, TRUSTED_PROXIES="1")
    form = {"name": "ada", "password": "correct horse"}
    headers = {"Origin": "https://localhost", "X-Forwarded-Proto": "https"}
    assert "Secure" in tls.post("/login", data=form, headers=headers).headers["Set-Cookie"]
    other = own.open(DASHBOARD_USERS=ADA)  # another web process, or the same after a restart
    other.set_cookie(name, value)
    assert other.get("/api/status").status_code == 200
    other.set_cookie(name, value + "x")
    assert other.get("/api/status").status_code == 401
    changed = f"ada:{hash_password('another one', cost=(14, 8, 1))}"
    for users in (changed, changed.replace("ada:", "bob:")):
        client = own.open(DASHBOARD_USERS=users)
        client.set_cookie(name, value)
        assert client.get("/api/status").status_code == 401


def copy_of(client: FlaskClient, reader: FlaskClient) -> FlaskClient:
    """Another browser with the same cookie."""
    cookie = client.get_cookie("pairdesk_session")
    assert cookie is not None
    reader.set_cookie("pairdesk_session", cookie.value)
    return reader


def may_read(client: FlaskClient) -> bool:
    return client.get("/api/status").status_code == 200


def test_a_copied_cookie_reads_nothing_once_its_owner_has_signed_out(own: OwnDesk) -> None:
    long = "ada.of.a.desk.with.a.very.long.name"  # no column may be too short for it
    users = f"{ADA.replace('ada:', f'{long}:')},{ADA.replace('ada:', 'bob:')}"
    client = own.open(DASHBOARD_USERS=users)
    sign_in(client, name=long)
    thief = copy_of(client, client.application.test_client())
    elsewhere = copy_of(client, own.open(DASHBOARD_USERS=users))  # in another web process
    bob = client.application.test_client()
    sign_in(bob, name="bob")
    assert all(map(may_read, (client, thief, elsewhere, bob)))
    client.post("/logout", headers={"Origin": "http://evil.example"})
    assert may_read(thief)
    client.post("/logout", headers=HOME)
    assert not may_read(client)
    assert not may_read(thief)
    own.now_ms += 250  # the other process looks at the store again
    assert not may_read(elsewhere)
    restarted = own.open(DASHBOARD_USERS=users)
    restarted.set_cookie("pairdesk_session", elsewhere.get_cookie("pairdesk_session").value)  # type: ignore[union-attr]
    assert not may_read(restarted)
    assert may_read(bob)
    # Nor does a clock that was set back open an old session, or keep its owner out.
    own.now_ms -= 3_600_000
    assert not may_read(thief)
    sign_in(client, name=long)
    assert may_read(client)
    assert not may_read(thief)
    client.post("/logout", headers=HOME)
    assert may_read(client) is False


def test_a_sign_out_that_can_t_be_stored_ends_the_session_here(
    own: OwnDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = own.open(DASHBOARD_USERS=ADA)
    sign_in(client)
    thief = copy_of(client, client.application.test_client())

    def refuse(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(own.book, "end_sessions", refuse)
    assert client.post("/logout", headers=HOME).status_code == 303
    assert not may_read(thief)


def test_a_hash_is_of_its_password_alone_and_salted() -> None:
    first, second = hash_password("correct horse"), hash_password("correct horse")
    assert first != second
    assert first.startswith("scrypt.14.8.5.")
    assert is_password("correct horse", first)
    assert is_password("correct horse", second)
    assert not is_password("correct horsf", first)
    assert not is_password("", first)


@pytest.mark.parametrize(
    "value",
    ["ada", "ada:plain", "ada:scrypt.30.8.1." + "0" * 32 + "." + "0" * 64, f"{ADA},{ADA}", ":x",
     f"a da{ADA}"],
)  # fmt: skip
def test_users_that_are_no_users_stop_the_start_without_being_shown(value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({"DASHBOARD_USERS": value})
    assert "hash-password" in str(caught.value)
    assert "(hidden)" in str(caught.value)
    with pytest.raises(SettingsError, match="make-key"):
        Settings.from_mapping({"API_KEYS": value})


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    line = io.StringIO()
    monkeypatch.setattr(sys, "stdin", line)
    return line


def test_the_entry_that_is_printed_lets_one_in(
    typed: io.StringIO, capsys: pytest.CaptureFixture[str], own: OwnDesk
) -> None:
    typed.write("correct horse\n")
    typed.seek(0)
    assert command.main(["hash-password", "ada"]) == 0
    printed = capsys.readouterr().out
    assert "correct horse" not in printed
    users = printed.partition("=")[2].strip()
    assert command.main(["make-key", "bot", "write"]) == 0
    key, entry = capsys.readouterr().out.splitlines()
    client = own.open(DASHBOARD_USERS=users, API_KEYS=entry.partition("=")[2])
    assert sign_in(client).status_code == 303
    headers = bearer(key.split()[-1])
    assert client.post("/api/rules", json=RULE, headers=headers).status_code == 201


def test_a_short_password_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "hash-password", "ada"],
        input="short\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "at least 8" in done.stderr
