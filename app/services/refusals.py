"""Why a service can't give what it is asked for; `app.api.problems` makes answers of it."""

from collections.abc import Mapping

from core.errors import PairdeskError
from ingest.store.desk_book import DeskBook
from ingest.store.reader import Freshness


class SymbolNotIngested(PairdeskError):
    """The store has no such symbol; `fields` maps parameter names to the symbols asked for."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        super().__init__(", ".join(dict.fromkeys(fields.values())) + ": not ingested here")


def ingested(asked: Mapping[str, str], symbols: Mapping[str, Freshness]) -> list[Freshness]:
    """What is known of symbols asked for by parameter name; SymbolNotIngested names the others."""
    unknown = {name: symbol for name, symbol in asked.items() if symbol not in symbols}
    if unknown:
        raise SymbolNotIngested(unknown)
    return [symbols[symbol] for symbol in asked.values()]


class NotThere(PairdeskError):
    """There is no such rule, alert, job or channel, or none any more."""


class NoRight(PairdeskError):
    """This desk takes no writes from whoever asked; the message says why and what would help."""


class TooManyJobs(PairdeskError):
    """So many jobs wait already that another one is not taken."""


class StillCompiling(PairdeskError):
    """Nothing can be computed yet: the kernels are being compiled."""


def writable(book: DeskBook | None) -> DeskBook:
    """The book to write in; NoRight where the desk was opened without one."""
    if book is None:
        raise NoRight("This desk was opened for reading only.")
    return book
