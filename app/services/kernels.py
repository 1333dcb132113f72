"""The numeric kernels of this process: compiled once on a machine, beside the first requests."""

import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress

import structlog

from app.services.refusals import StillCompiling
from core.compiled import LoadedOnly, NotCompiled
from core.made_up import made_up_legs
from core.pair import analyse_pair
from core.pair_spec import read_pair_spec
from core.row_plan import plan_rows
from core.settings import Settings

LOAD_S = 15.0
"""Kernels that were compiled before are loaded in less, on a busy machine too: so long a request
waits for them."""

log = structlog.get_logger()


class Kernels:
    """Tells whether they are there yet; safe between threads.

    Where nobody warms up whoever computes first compiles, as in tests and scripts.
    """

    def __init__(self, settings: Settings, load_s: float = LOAD_S) -> None:
        self._settings = settings
        self._load_s = load_s
        self._ready = threading.Event()
        self._ready.set()

    @property
    def are_ready(self) -> bool:
        """Whether a pair can be computed without waiting for the compiler."""
        return self._ready.is_set()

    def load(self) -> None:
        """Load what was compiled before, so that the processes of a fork share it; no more."""
        with suppress(NotCompiled), LoadedOnly():
            self._analyse()

    def warm_up(self, turn: AbstractContextManager[object] | None = None) -> None:
        """Load and compile what the first analysis needs; for a thread started after the fork.

        Parameters
        ----------
        turn : held meanwhile: one process compiles, the others load what it leaves on disk.
        """
        self._ready.clear()
        try:
            with turn or nullcontext():
                started = time.perf_counter()
                self._analyse()
                log.info("warmed up", seconds=round(time.perf_counter() - started, 2))
        finally:
            self._ready.set()

    def _analyse(self) -> None:
        asked = {"window": 10, "hedge": "kalman", "hedge_window": 50, "bars": 200}
        spec = read_pair_spec(asked, self._settings)
        legs = made_up_legs(spec.timeframe_ms)
        analyse_pair(spec, plan_rows(spec, 0, int(legs[0].open_time_ms[-1])), *legs)

    def demand(self, *, at_once: bool = False) -> None:
        """Wait for them, as long as loading takes; `at_once`: not at all.

        Raises
        ------
        StillCompiling
            They are still being compiled.
        """
        if not self._ready.wait(0.0 if at_once else self._load_s):
            raise StillCompiling(
                "the numeric kernels are being compiled, once on this machine, for about a minute"
            )
