"""`python -m app hash-password NAME`, `python -m app make-key NAME SCOPE`: entries of settings."""

import argparse
import getpass
import secrets
import sys
from collections.abc import Sequence

from app.services.accounts import hash_key, hash_password

SHORTEST = 8


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m app", description="Who may use the desk.")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    hashing = commands.add_parser("hash-password", help="print an entry of DASHBOARD_USERS")
    hashing.add_argument("name", help="who signs in")
    making = commands.add_parser("make-key", help="print a new key and its entry of API_KEYS")
    making.add_argument("name", help="which program it is for")
    making.add_argument("scope", choices=("read", "write"))
    options = parser.parse_args(arguments)
    if options.command == "make-key":
        key = secrets.token_urlsafe(32)
        print(f"The key, shown once:  {key}")
        print(f"API_KEYS={options.name}:{options.scope}:{hash_key(key)}")
        return 0
    password = _ask("Password: ")
    if len(password) < SHORTEST:
        print(f"A password has at least {SHORTEST} characters.", file=sys.stderr)
        return 1
    if sys.stdin.isatty() and _ask("Again: ") != password:
        print("These are two different passwords.", file=sys.stderr)
        return 1
    print(f"DASHBOARD_USERS={options.name}:{hash_password(password)}")
    return 0


def _ask(words: str) -> str:
    """A line that is not shown; from a pipe as it comes."""
    if sys.stdin.isatty():
        return getpass.getpass(words)
    return sys.stdin.readline().rstrip("\r\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
