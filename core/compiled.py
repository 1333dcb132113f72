"""Kernels as they were compiled before, on disk: loaded, and never compiled."""

from typing import Any

from numba.core import event

_COMPILES = "numba:compile"
"""What numba says as it begins to compile; not as it loads."""


class NotCompiled(Exception):
    """A kernel would have to be compiled."""


class LoadedOnly(event.Listener):
    """Within it the first kernel that is not there yet raises `NotCompiled`, before it compiles."""

    def __enter__(self) -> None:
        event.register(_COMPILES, self)  # type: ignore[no-untyped-call]

    def __exit__(self, *_: object) -> None:
        event.unregister(_COMPILES, self)  # type: ignore[no-untyped-call]

    def on_start(self, event: Any) -> None:
        raise NotCompiled

    def on_end(self, event: Any) -> None:
        """Nothing was compiled."""
