"""A child that ends when its parent does, however the parent died."""

import ctypes
import os
import signal
import sys
import threading
import time

POLL_S = 0.5
GRACE_S = 8.0
_PR_SET_PDEATHSIG = 1


def follow_parent(parent_pid: int) -> None:
    """Ask to end this process when `parent_pid` is no longer its parent.

    The kernel's own signal is quick and Linux only; the poll is slower and sure. A process that
    doesn't end on SIGTERM is ended without being asked.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    threading.Thread(target=_watch, args=(parent_pid,), name="lifeline", daemon=True).start()


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)
