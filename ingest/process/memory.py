"""How a process with threads gives its memory out, which the C library decides."""

import ctypes
from collections.abc import Mapping

_M_ARENA_MAX = -8
ARENAS = 2
"""One for whoever computes and one beside it: Python lets no more than one thread at most of it."""


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

    A dear answer takes tens of megabytes for a moment, and what is kept of it lies in between.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
