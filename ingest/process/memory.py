"""How a process with threads gives its memory out, which the C library decides."""

import ctypes
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_M_ARENA_MAX = -8
_MADV_DONTNEED = 4
_COMPILER = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-x.*/libllvmlite\.so$", re.MULTILINE)
"""Where numba's compiler is mapped to be run, as /proc/self/maps tells it."""
ARENAS = 2
"""One for whoever computes and one beside it: Python lets no more than one thread at most of it."""
GIVE_BACK_S = 10.0


def share_arenas(environ: Mapping[str, str]) -> bool:
    """Let all threads share a few of glibc's arenas; True where there is such a thing.

    By default each thread fills one of its own, and what a dear answer took stays there, unused,
    while the other threads ask for more. To be called before threads start. MALLOC_ARENA_MAX is
    the user's own word and holds.
    """
    if "MALLOC_ARENA_MAX" in environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, ARENAS) == 1


def give_back() -> None:
    """Let the machine have what was freed between blocks that live on: glibc keeps that of itself.

    A dear answer takes tens of megabytes for a moment, and what is kept of it lies in between. And
    50 MB are the compiler's own code: it runs where a kernel is compiled or loaded, and is read
    from its file again when it does.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    with suppress(OSError):  # there is such a file on Linux alone
        for start, end in _COMPILER.findall(Path("/proc/self/maps").read_text()):
            first = int(start, 16)
            length = int(end, 16) - first
            libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), _MADV_DONTNEED)


def stay_small() -> None:
    """Give back again and again, as long as this process lives."""
    threading.Thread(target=_go_on_giving_back, name="stay small", daemon=True).start()


def _go_on_giving_back() -> None:
    while True:
        time.sleep(GIVE_BACK_S)
        give_back()
