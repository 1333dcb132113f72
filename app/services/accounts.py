"""Who is who: passwords of people and keys of programs, kept as hashes and tried slowly."""

import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable

from app.services.shared import SharedStore
from core.errors import PairdeskError
from core.settings import Settings

COST = (14, 8, 5)
"""Of scrypt: log2 of n, r, p; 16 MB and about 0.2 s, as OWASP asks for."""
NOBODY = "scrypt.{}.{}.{}.{:032d}.{:064d}".format(*COST, 0, 0)
"""Of a name that nobody has: no password is known that gives it, and it takes as long to tell."""
TRIES, TRIES_S = 5, 60.0
"""Wrong passwords of one address in that time, beyond which it has to wait."""
MOST_ADDRESSES = 10_000


class TooManyTries(PairdeskError):
    """Passwords are being guessed; `wait_s` tells when the next one is looked at."""

    def __init__(self, wait_s: int) -> None:
        self.wait_s = wait_s
        super().__init__(f"too many tries; again in {wait_s} s")


def hash_password(
    password: str, salt: bytes | None = None, cost: tuple[int, int, int] = COST
) -> str:
    """What `DASHBOARD_USERS` keeps of a password: letters, digits and dots, safe in any shell."""
    power, block, parallel = cost
    salt = secrets.token_bytes(16) if salt is None else salt
    made = hashlib.scrypt(
        password.encode(), salt=salt, n=2**power, r=block, p=parallel, maxmem=2**28, dklen=32
    )
    return f"scrypt.{power}.{block}.{parallel}.{salt.hex()}.{made.hex()}"


def is_password(password: str, kept: str) -> bool:
    """Whether a hash is that of a password; takes as long for a wrong one as for the right one."""
    _, power, block, parallel, salt, _ = kept.split(".")
    cost = int(power), int(block), int(parallel)
    return hmac.compare_digest(hash_password(password, bytes.fromhex(salt), cost), kept)


def hash_key(key: str) -> str:
    """What `API_KEYS` keeps of a key: it is long and random, so a fast hash will do."""
    return f"sha256.{hashlib.sha256(key.encode()).hexdigest()}"


class Accounts:
    """The desk's users and keys; safe between threads.

    Passwords are looked at one at a time: whoever guesses takes one core at most.

    Parameters
    ----------
    shared : where wrong passwords are counted for all processes, by minutes of the clock. Without
        it, or while it is away, each process counts its own.
    """

    def __init__(
        self,
        settings: Settings,
        monotonic: Callable[[], float] = time.monotonic,
        shared: SharedStore | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.users = settings.users
        self._keys = settings.keys
        self._monotonic = monotonic
        self._shared = shared
        self._clock = clock
        self._turn = threading.Lock()
        self._wrong: dict[str, deque[float]] = {}

    @property
    def has_keys(self) -> bool:
        return bool(self._keys)

    @property
    def session_key(self) -> bytes:
        """What sessions are signed with: the same in each process, another with each password."""
        listed = sorted(f"{name}:{kept}" for name, kept in (self.users or self._keys).items())
        return hashlib.sha256("\n".join(["pairdesk session", *listed]).encode()).digest()

    def holder(self, key: str) -> tuple[str, str] | None:
        """Name and scope of a key; None where it is nobody's."""
        return self._keys.get(hash_key(key))

    def is_user(self, name: str, password: str, address: str) -> bool:
        """Whether somebody is who he says.

        Raises
        ------
        TooManyTries
            That address gave wrong passwords of late; nothing is looked at before its time is up.
        """
        with self._turn:
            now_s = self._monotonic()
            wrong = self._wrong.get(address, deque())
            while wrong and now_s - wrong[0] >= TRIES_S:
                wrong.popleft()
            if len(wrong) >= TRIES:
                raise TooManyTries(int(wrong[0] + TRIES_S - now_s) + 1)
            if self._count_wrong(address, 0) >= TRIES:
                raise TooManyTries(int(TRIES_S - self._clock() % TRIES_S) + 1)
            if is_password(password, self.users.get(name, NOBODY)):
                self._wrong.pop(address, None)
                return True
            self._count_wrong(address, 1)
            if len(self._wrong) >= MOST_ADDRESSES:
                self._wrong.clear()
            self._wrong[address] = wrong
            wrong.append(now_s)
            return False

    def _count_wrong(self, address: str, more: int) -> int:
        """Tell the other processes of wrong passwords; how many all have told in this minute."""
        if self._shared is None:
            return 0
        key = f"pairdesk:wrong:{address}:{int(self._clock() // TRIES_S)}"
        sums = self._shared.add(key, {"wrong": more}, 2 * int(TRIES_S))
        return sums[0] if sums else 0
