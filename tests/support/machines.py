"""State machines told as long and as often as a test asks."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def tell_stories(
    machine: type[RuleBasedStateMachine], examples: int, steps: int, steady: bool, **more: Any
) -> None:
    """Tell so many stories of so many steps, the same ones each time where `steady`."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=steady,
            suppress_health_check=list(HealthCheck),
            **more,
        ),
    )
