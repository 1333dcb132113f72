"""What nobody stands and waits for: in order, once, and not stopped by one that fails."""

import threading

from app.services.later import MOST_CALLS, Later
from tests.support.waiting import HANG_S, wait_until


def test_whoever_came_first_is_served_first_and_none_twice() -> None:
    later, made, may_go = Later(), list[str](), threading.Event()
    later.call("first", lambda: may_go.wait(HANG_S))
    for name in ("second", "third", "second"):
        later.call(name, lambda name=name: made.append(name))
    may_go.set()
    wait_until(lambda: not later.is_busy, "all was called")
    assert made == ["second", "third"]


def test_one_that_fails_takes_nothing_from_those_after_it() -> None:
    later, made = Later(), list[int]()
    for number in range(3):
        later.call(("fails", number), lambda: 1 // 0)
        later.call(number, lambda number=number: made.append(number))
    wait_until(lambda: not later.is_busy, "all was called")
    later.call("again", lambda: made.append(3))
    wait_until(lambda: not later.is_busy, "all was called")
    assert made == [0, 1, 2, 3]


def test_what_is_asked_for_is_bounded() -> None:
    later, made, may_go = Later(), list[int](), threading.Event()
    begun = threading.Event()
    later.call("holds it up", lambda: (begun.set(), may_go.wait(HANG_S)))
    assert begun.wait(HANG_S)
    for number in range(MOST_CALLS + 50):
        later.call(number, lambda number=number: made.append(number))
    may_go.set()
    wait_until(lambda: not later.is_busy, "all was called")
    assert made == list(range(MOST_CALLS))
