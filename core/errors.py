"""What can go wrong, as a small tree; each is raised where it enters and caught at an edge.

PairdeskError
├── SettingsError      a setting the start can't go on with
├── ParameterErrors    parameters that somebody sent and nobody can use
├── FrameError         a frame that isn't what the protocol says
├── ImportFileError    a dump file with a bad line
├── StoreError         the database is missing, busy, broken or of another version
│   ├── StoreBusy      another process holds it; the same call may succeed later
│   ├── StoreFull      its disk is full; the same call may succeed later
│   ├── StoreCorrupt   its file is damaged; the next start sets it aside
│   ├── WritingPaused  nothing is written at the moment; the same call may succeed later
│   └── WritingEnded   nothing is written any more: the process is ending
└── ExchangeError      the exchange refused or can't be reached
    ├── UnknownSymbols none of the symbols asked for exists
    ├── RequestRefused it understood the request and says that it is wrong
    └── ExchangeBlocked every host refuses this location or address
"""

from collections.abc import Sequence
from dataclasses import dataclass


class PairdeskError(Exception):
    """Base of every error this project raises on purpose."""


class SettingsError(PairdeskError):
    """One or more settings are unusable; the message names each key and what is allowed."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One parameter that can't be used, and what would be."""

    field: str
    message: str
    allowed: str | None


class ParameterErrors(PairdeskError):
    """One or more parameters are unusable; `errors` has an entry for each."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in self.errors))


class FrameError(PairdeskError):
    """A frame is broken, foreign or absurd; it is counted and never becomes a bar."""


class ImportFileError(PairdeskError):
    """A dump file can't be loaded; the message names the file and, where known, the line."""


class StoreError(PairdeskError):
    """The database can't be used: missing, broken or of another version.

    The message is for the log and the console. `public` is what a visitor may read: without
    hosts, users, paths and what the driver says.
    """

    def __init__(self, words: str, public: str | None = None) -> None:
        super().__init__(words)
        self.public = words if public is None else public


class StoreBusy(StoreError):
    """Another process holds the database; the same call may succeed later."""


class StoreFull(StoreError):
    """There is no space left to write to; the same call may succeed later."""


class StoreCorrupt(StoreError):
    """The database file is damaged: what it holds can't be trusted any more."""


class WritingEnded(StoreError):
    """Nothing is written any more: the process is ending."""


class WritingPaused(StoreError):
    """Nothing is written at the moment; trades are kept, other work is to come again."""


class ExchangeError(PairdeskError):
    """The exchange refused a request or can't be reached."""


class UnknownSymbols(ExchangeError):
    """None of the configured symbols is known to the exchange."""


class RequestRefused(ExchangeError):
    """The exchange calls a request wrong; asking again, or another host, changes nothing."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code


class ExchangeBlocked(ExchangeError):
    """Every host refuses this location or address; asking is pointless for minutes."""
