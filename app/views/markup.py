"""Parts of the page: functions that return component trees and know no state."""

from typing import Any


def aria(**names: str) -> dict[str, Any]:
    """Accessible names as dash's components take them: `aria(label=…)`."""
    return {f"aria-{name}": words for name, words in names.items()}
