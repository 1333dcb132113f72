"""The proxies that operations.md shows start, and pass on what they should, to a desk of bytes."""

import base64
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.processes import free_port
from tests.support.waiting import HANG_S, wait_until

EXAMPLES = Path(__file__).parents[1] / "docs" / "proxy"
ENVIRON = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    # Of "change me", by `caddy hash-password`.
    "DESK_PASSWORD_HASH": "$2a$14$xqhYRehCN96bHawA4nWXrevpHG5bgECNRAgWyJcGhKX3O7EsvgeuW",
}
SIGNED_IN = base64.b64encode(b"trader:change me")


def request_of(client: socket.socket) -> bytes:
    got = b""
    while not (end := got.find(b"\r\n\r\n") + 1) or len(got) < end + 3 + length_in(got):
        part = client.recv(65_536)
        if not part:
            break
        got += part
    return got


def length_in(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return int(found[1]) if found else 0


class Desk:
    """Keeps what reaches it, and says "up"."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client:
                    self.seen.append(request_of(client))
                    client.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nup"
                    )


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None and not Path(f"/usr/sbin/{program}").exists():
            pytest.skip(f"{program} is not installed here")


@contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=ENVIRON | {"HOME": str(folder)}, stdout=log, stderr=log
        )
    try:

        def listens() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return True
            return False

        wait_until(listens, "the proxy listens")
        yield
    finally:
        process.terminate()
        process.wait(HANG_S)


def connect(port: int, trusted: Path | None) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=HANG_S)
    if trusted is None:
        return client
    context = ssl.create_default_context(cafile=str(trusted))
    return context.wrap_socket(client, server_hostname="desk.example.org")


def judge(desk: Desk, port: int, trusted: Path | None, too_long: bytes) -> None:
    """What has to be true of either."""
    head = b"POST /x HTTP/1.1\r\nHost: desk.example.org\r\nX-Forwarded-For: 6.6.6.6\r\n"
    signed_in = head + b"Authorization: Basic " + SIGNED_IN + b"\r\nConnection: close\r\n"
    with connect(port, trusted) as stranger:
        stranger.sendall(head + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        assert b" 401 " in stranger.recv(100)
    with connect(port, trusted) as unfinished, connect(port, trusted) as client:
        unfinished.sendall(signed_in + b"Content-Length: 9\r\n\r\n123")
        client.sendall(signed_in + b"Content-Length: 4\r\n\r\nabcd")
        with client.makefile("rb") as answer:
            assert answer.read().endswith(b"up")
        (seen,) = desk.seen  # nothing of the unfinished one
    assert seen.endswith(b"abcd")
    lowered = seen.lower()
    assert b"\r\nx-forwarded-for: 127.0.0.1\r\n" in lowered
    assert b"6.6.6.6" not in seen
    assert b"\r\nhost: desk.example.org\r\n" in lowered
    assert b"authorization" not in lowered
    with connect(port, trusted) as client:
        client.sendall(signed_in + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000)
        assert too_long in client.recv(100)


def adapted(name: str, desk: Desk, changes: dict[str, str]) -> str:
    text = (EXAMPLES / name).read_text()
    for old, new in {"127.0.0.1:8050": f"127.0.0.1:{desk.port}", **changes}.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def test_the_nginx_example_starts_and_takes_requests_whole(tmp_path: Path) -> None:
    needs("nginx", "openssl")
    desk, plain, port = Desk(), free_port(), free_port()
    subject = ("-subj", "/CN=desk.example.org", "-addext", "subjectAltName=DNS:desk.example.org")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "privkey.pem",
         "-out", "fullchain.pem", "-days", "2", *subject],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "users").write_text("trader:{PLAIN}change me\n")
    changes = {
        "user www-data;": "daemon off;",
        "/run/nginx.pid": f"{tmp_path}/pid",
        "/var/log/nginx/error.log": f"{tmp_path}/error.log",
        "access_log off;": "".join(
            ["access_log off;"]
            + [
                f"{kind}_temp_path {tmp_path}/{kind};"
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            ]
        ),
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/desk": str(tmp_path),
        "/etc/nginx/desk.users": f"{tmp_path}/users",
    }
    config = tmp_path / "nginx.conf"
    # Its workers go without root's rights, and the folder is root's alone.
    config.write_text("user root;\n" + adapted("nginx.conf", desk, changes))
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    checked = subprocess.run([nginx, "-t", "-c", str(config)], capture_output=True, text=True)
    assert "syntax is ok" in checked.stderr
    assert checked.returncode == 0, checked.stderr
    with running([nginx, "-c", str(config)], tmp_path, port):
        judge(desk, port, tmp_path / "fullchain.pem", b" 413 ")
    desk.listener.close()


def test_the_caddy_example_starts_and_takes_requests_whole(tmp_path: Path) -> None:
    needs("caddy")
    desk, port = Desk(), free_port()
    example = str(EXAMPLES / "Caddyfile")
    for command in ("validate", "adapt"):
        done = subprocess.run(
            ["caddy", command, "--adapter", "caddyfile", "--config", example],
            capture_output=True, text=True, env=ENVIRON | {"HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    # Without a certificate from elsewhere: the rest of it is what a visitor meets.
    text = adapted("Caddyfile", desk, {"desk.example.org {": f"http://desk.example.org:{port} {{"})
    text = re.sub(r"^\{", "{\n\tadmin off", text, count=1, flags=re.M)
    (tmp_path / "Caddyfile").write_text(text)
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")]
    with running(command, tmp_path, port):
        judge(desk, port, None, b" 502 ")  # it breaks off towards the desk
    desk.listener.close()
