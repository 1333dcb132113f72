"""How much equal work is shared out: a pure function, what all calls share, and a call a task."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Result = TypeVar("Result")


class TaskRunner(Protocol):
    """Works tasks off, here or elsewhere, at once or in turn; results in the order of the tasks."""

    def __call__(
        self, function: Callable[[Shared, Task], Result], shared: Shared, tasks: Sequence[Task]
    ) -> Iterable[Result]: ...


def in_turn(
    function: Callable[[Shared, Task], Result], shared: Shared, tasks: Sequence[Task]
) -> Iterator[Result]:
    """Work tasks off in this thread, one after the other."""
    return (function(shared, task) for task in tasks)
