"""The import contract of `pyproject.toml`: a room names what it may import, all else is refused.

import-linter's own contracts name what is forbidden, so whatever nobody thought of passes.
"""

import sys
from collections.abc import Iterable

import grimp
from importlinter import Contract, ContractCheck, fields, output

STDLIB = "stdlib"
"""In `may_import`: the standard library, but for its own database and what imports by name."""

_STDLIB_MODULES = frozenset(sys.stdlib_module_names) - {"sqlite3", "dbm", "shelve", "importlib"}


class AllowedImportsContract(Contract):
    """Modules in `rooms` import directly nothing but `may_import`.

    A name allows the module and everything below it; `except_rooms` have contracts of their own.
    Rooms that don't exist break the contract: a renamed folder must not slip out of it.
    """

    type_name = "allowed"

    rooms = fields.ListField(subfield=fields.StringField())
    may_import = fields.ListField(subfield=fields.StringField())
    except_rooms = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Collect every import that no name of `may_import` covers."""
        rooms: list[str] = list(self.rooms)  # type: ignore[call-overload]
        others: list[str] = list(self.except_rooms)  # type: ignore[call-overload]
        allowed: list[str] = list(self.may_import)  # type: ignore[call-overload]
        if STDLIB in allowed:
            allowed.extend(_STDLIB_MODULES)
        refused = [
            (importer, imported, graph.get_import_details(importer=importer, imported=imported))
            for importer in sorted(graph.modules)
            if _is_below(importer, rooms) and not _is_below(importer, others)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not _is_below(imported, allowed)
        ]
        missing = [room for room in (*rooms, *others) if room not in graph.modules]
        return ContractCheck(
            kept=not refused and not missing, metadata={"refused": refused, "missing": missing}
        )

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import with its lines, and each room that isn't there."""
        for room in check.metadata["missing"]:
            output.print_error(f"{room} is named here and doesn't exist", bold=False)
        for importer, imported, details in check.metadata["refused"]:
            lines = ", ".join(str(detail["line_number"]) for detail in details)
            output.print_error(f"{importer} may not import {imported} (line {lines})", bold=False)


def _is_below(module: str, roots: Iterable[str]) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in roots)
